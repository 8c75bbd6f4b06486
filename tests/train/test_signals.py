import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jmc.train.signals import SIGNALS, InterruptedRunError, Interruption, interruptible

BOTH = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)


def wait_for(interruption):
    for _ in range(1000):
        if interruption.pending:
            return True
        time.sleep(0.005)
    return False


@BOTH
def test_a_signal_is_noted(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with interruptible() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        assert wait_for(interruption)
        with pytest.raises(InterruptedRunError, match=f"^{number.name}$") as caught:
            interruption.check()
        assert caught.value.signal == number
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert "signals" not in [thread.name for thread in threading.enumerate()]


def test_no_signal_is_none():
    with interruptible() as interruption:
        interruption.check()
        assert not interruption.pending


def test_handlers_come_back_after_an_error():
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_signal_that_is_ignored_stays_so():
    """As SIGINT is for what a shell puts into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            assert wait_for(interruption)
            with pytest.raises(InterruptedRunError, match="SIGTERM"):
                interruption.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_all_as_it_is():
    before, seen = [signal.getsignal(each) for each in SIGNALS], []

    def elsewhere():
        with interruptible() as interruption:
            seen.append(([signal.getsignal(each) for each in SIGNALS], interruption.pending))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


@BOTH
def test_a_second_one_ends_the_process_at_once(number):
    """Even where no bytecode runs, as in a long compilation: here, in one call that does not return by itself."""
    code = """
import threading
from jmc.train.signals import interruptible
with interruptible():
    print("ready", flush=True)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(number)
            assert process.wait(60) == 128 + number
        finally:
            process.kill()


def test_the_first_one_decides():
    interruption = Interruption()
    interruption.receive(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        interruption.check()

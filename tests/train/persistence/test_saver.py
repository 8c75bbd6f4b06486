import threading

import pytest

from jmc.train.config.schema import CheckpointConfig
from jmc.train.persistence.saver import Saver


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, in a list of one."""
    now = [100.0]
    monkeypatch.setattr("jmc.train.persistence.saver.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def saver(clock, request):
    made = Saver(CheckpointConfig(**request.param))
    yield made
    made.close()


def periods(**values):
    return pytest.mark.parametrize("saver", [values], indirect=True)


@periods(every_steps=4, every_seconds=0)
def test_by_steps(saver):
    assert [step for step in range(1, 13) if saver.is_due(step)] == [4, 8, 12]


@periods(every_seconds=2.5)
def test_by_time(saver, clock):
    assert not saver.is_due(1)
    clock[0] += 2.4
    assert not saver.is_due(2)
    clock[0] += 0.1
    assert saver.is_due(3)
    saver.save(lambda: None)
    saver.wait()
    assert not saver.is_due(4)
    clock[0] += 2.5
    assert saver.is_due(5)


@periods(every_steps=0, every_seconds=0)
def test_never(saver, clock):
    clock[0] += 1e9
    assert not any(saver.is_due(step) for step in range(1, 10))


@periods(every_steps=10, every_seconds=1)
def test_never_twice_at_once(saver, clock):
    may_end, running, most = threading.Event(), [], []

    def write():
        running.append(1)
        most.append(len(running))
        assert may_end.wait(60)
        running.pop()

    saver.save(write)
    clock[0] += 5
    assert not saver.is_due(9)
    assert saver.is_due(10)
    may_end.set()
    saver.save(write)
    saver.wait()
    assert most == [1, 1]


@periods()
def test_it_is_beside_the_training(saver):
    threads = []
    saver.save(lambda: threads.append(threading.current_thread()))
    saver.wait()
    assert threads[0] is not threading.current_thread()


@periods(every_seconds=1)
@pytest.mark.parametrize("then", [lambda saver: saver.is_due(1), lambda saver: saver.save(print), Saver.wait])
def test_what_a_save_raises_is_raised_by_the_next_call(saver, then):
    def write():
        raise OSError(28, "No space left on device")

    saver.save(write)
    saver._pending.exception()
    with pytest.raises(OSError, match="No space left"):
        then(saver)
    saver.wait()

import os

import pytest

from jmc.train.data.memory import in_bytes, memory_bytes


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**40, "1 TiB"),
        (2**70, "1.049e+06 PiB"),
    ],
)
def test_in_bytes(count, words):
    assert in_bytes(count) == words


def test_memory(monkeypatch):
    found = memory_bytes()
    assert found is None or found > 2**24
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert memory_bytes() is None

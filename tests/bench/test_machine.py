from jmc.bench.machine import Peaks, peaks


def test_the_roof_is_that_of_the_size():
    roof = Peaks(1e12, 2e10, {2**15: 2e10, 2**18: 8e10, 2**21: 4e10, 2**27: 1e10})
    # A call of 32 KiB is mostly overhead: what a larger one reaches bounds it, too.
    assert roof.least_seconds(0, 2**10) == 2**10 / 8e10
    assert roof.least_seconds(0, 2**20) == 2**20 / 4e10
    assert roof.least_seconds(0, 2**27) == 2**27 / 1e10
    assert roof.least_seconds(0, 2**30) == 2**30 / 2e10
    assert roof.least_seconds(1e12, 8) == 1
    assert roof | Peaks(2e12, 1e10, dict.fromkeys(roof.writes, 3e10)) == Peaks(
        2e12, 2e10, {2**15: 3e10, 2**18: 8e10, 2**21: 4e10, 2**27: 3e10}
    )


def test_the_roof_is_measured(monkeypatch):
    monkeypatch.setattr("jmc.bench.machine.COPIED_BYTES", {"cpu": 2**17})
    monkeypatch.setattr("jmc.bench.machine.MATMUL", {"cpu": 16})
    roof = peaks("float32")
    assert set(roof.writes) == {2**17, 2**15}
    assert min(roof.flops, roof.bandwidth, *roof.writes.values()) > 0

"""The machine that measures: what it is, and how fast it can be at best, measured in the same process."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jmc.bench.timing import pinned_environment

PACKAGES = ("jmc", "jax", "jaxlib", "numpy", "torch", "asdex", "scikit-learn")
MATMUL = {"cpu": 1024, "gpu": 8192, "tpu": 8192}
COPIED_BYTES = {"cpu": 2**27, "gpu": 2**31, "tpu": 2**30}
SMALLEST_WRITE = 2**15
REPEATS = 7


@dataclass(frozen=True)
class Peaks:
    """The roof of this process: FLOP/s of a square matrix product, bytes/s that a copy reads and writes, and by size
    the bytes/s at which an array is filled, which is many times as fast if a cache holds it.
    """

    flops: float
    bandwidth: float
    writes: Mapping[int, float]

    def least_seconds(self, flops: float, written: float) -> float:
        """No program that computes so much and writes so many bytes can take less."""
        fastest = max((rate for size, rate in self.writes.items() if size >= written), default=self.bandwidth)
        return max(flops / self.flops, written / fastest)

    def __or__(self, other: "Peaks") -> "Peaks":
        """The higher of both roofs, measured at two times."""
        writes = {size: max(rate, other.writes[size]) for size, rate in self.writes.items()}
        return Peaks(max(self.flops, other.flops), max(self.bandwidth, other.bandwidth), writes)


def peaks(dtype: Any) -> Peaks:
    """Measured with the threads, the malloc and the clock of everything else that this process measures."""
    import jax
    import jax.numpy as jnp

    platform_name = jax.default_backend()
    n = MATMUL.get(platform_name, 1024)
    a = jnp.ones((n, n), dtype) / n
    product = _best(jax.jit(lambda a: a @ a), a)
    size = COPIED_BYTES.get(platform_name, 2**27)
    x = jnp.ones(size // jnp.dtype(dtype).itemsize, dtype)
    copy, writes = _best(jax.jit(lambda x: x + 1), x), {}
    while size >= SMALLEST_WRITE:
        length = size // jnp.dtype(dtype).itemsize
        writes[size] = size / _best(jax.jit(partial(jnp.broadcast_to, shape=(length,))), x[0])
        size //= 4
    return Peaks(2 * n**3 / product, 2 * x.nbytes / copy, writes)


def _best(program: Callable[..., Any], argument: Any) -> float:
    import jax

    taken = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(program(argument))
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def memory_bytes() -> int | None:
    """What the first device may hold; on a CPU the machine's memory. None if nobody says."""
    import jax

    if jax.default_backend() != "cpu":
        stats = jax.devices()[0].memory_stats() or {}
        return stats.get("bytes_limit")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None


def describe(threads: int) -> dict[str, Any]:
    """What a reader must know to believe a figure, or to measure it again."""
    import jax

    device = jax.devices()[0]
    pinned = pinned_environment(threads)
    return {
        "device": device.device_kind if device.platform != "cpu" else _processor(),
        "platform": device.platform,
        "driver": device.client.platform_version.splitlines()[0],
        "cores": os.cpu_count(),
        "threads": threads if device.platform == "cpu" else None,
        "environment": {name: os.environ.get(name) for name in (*pinned, "XLA_FLAGS", "JAX_PLATFORMS")},
        "matmul_precision": "highest",
        "compilation_cache": os.environ.get("JAX_COMPILATION_CACHE_DIR"),
        "versions": {"python": platform.python_version()}
        | {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "clock": "the frequency of the processor is not fixed; contenders take turns, so that it changes for all",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _commit() -> str | None:
    """That of the checkout jmc runs from, with a mark where files were changed; None of an installed jmc."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()

"""What decides the last bits of a run besides its config and data: versions, device and host."""

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import jax

_PACKAGES = ("jmc", "jax", "jaxlib", "optax", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute."""
    return {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}


def device() -> str:
    """The device that JAX computes on, as a person names it."""
    first = jax.devices()[0]
    kind = _processor() if first.platform == "cpu" else first.device_kind
    return f"{first.platform.upper()} {kind}, {os.cpu_count()} host cores"


def environment() -> dict[str, str]:
    """All that must be the same for the same bits."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return versions() | {
        "device": device(),
        "device count": str(jax.device_count()),
        "machine": f"{platform.system()} {platform.machine()} {_processor()}",
        "usable cores": str(usable),
        "matmul precision": str(getattr(jax.config, "jax_default_matmul_precision", None)),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What differs between two environments, a phrase each."""
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name) or 'not set'}, is {now.get(name) or 'not set'}"


def _processor() -> str:
    """The model of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()

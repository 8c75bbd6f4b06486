"""How much memory there is, and how much of it a number of bytes is."""

import os

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def memory_bytes() -> int | None:
    """The memory of this machine in bytes, None where the system does not tell."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None


def in_bytes(count: int) -> str:
    """The number of bytes in the unit that suits it."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:,.4g} {_UNITS[power]}"

"""Functions that a command is given by their place: FILE.py:NAME or MODULE:NAME."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class NoFunction(Exception):  # noqa: N818 - it is caught by the command, and told in one line
    """There is no such function, in one line."""


def function(place: str) -> Callable[..., Any]:
    """The function at ``file.py:name`` or ``package.module:name``."""
    source, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier():
        raise NoFunction(f"a function must be given as FILE.py:NAME or MODULE:NAME, but got {place!r}")
    try:
        module = _file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except FileNotFoundError:
        raise NoFunction(f"{source}: no such file") from None
    except Exception as error:  # whatever running the user's file raises
        first = str(error).splitlines()[0] if str(error) else ""
        raise NoFunction(f"{source}: {type(error).__name__}: {first}") from None
    found = getattr(module, name, None)
    if not callable(found):
        own = [
            n
            for n, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise NoFunction(f"{source} must have a function `{name}`, but has {', '.join(own) or 'none'}")
    return found


def _file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError
    name = path.stem
    if (known := sys.modules.get(name)) is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.pop(0)
    return module

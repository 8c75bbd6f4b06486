"""Packages that come with an extra of jmc, and what is said where one is missing."""

from importlib.util import find_spec

from jmc.train.data.tables import DataError


class MissingExtraError(DataError):
    """What a config asks for needs a package that is not installed; the message names the extra."""


def require(package: str, extra: str, what: str) -> None:
    """Raises MissingExtraError if the package is not there: ``what`` says which key needs it."""
    if find_spec(package) is None:
        raise MissingExtraError(f"{what} needs the package {package}, which is not there: pip install 'jmc[{extra}]'")

import pytest

from jmc.train.data.extras import MissingExtraError, require


def test_what_is_there_is_enough():
    require("numpy", "none", "this")


def test_what_is_not_there_is_named_with_its_extra():
    with pytest.raises(MissingExtraError) as caught:
        require("no_such_package", "parquet", "`data.path` = a.parquet")
    assert str(caught.value) == (
        "`data.path` = a.parquet needs the package no_such_package, which is not there: pip install 'jmc[parquet]'"
    )

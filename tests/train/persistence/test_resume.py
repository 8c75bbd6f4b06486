from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from problems import configure

from jmc.train.config.loading import to_dict
from jmc.train.data.loading import load
from jmc.train.persistence.resume import differences, fingerprint


@pytest.fixture
def config(tmp_path):
    drawn = np.random.default_rng(0)
    X = drawn.normal(size=(30, 2))
    np.savez(tmp_path / "own.npz", X=X, y=5 + X @ [2.0, -1.0] + 0.1 * drawn.normal(size=30))
    return configure(data={"path": str(tmp_path / "own.npz")})


class TestDifferences:
    def test_equal_configs_have_none(self, config):
        assert [*differences(to_dict(config), config)] == []

    def test_where_the_data_lie_and_how_long_it_takes_may_differ(self, config):
        other = replace(
            config,
            data=config.data.model_copy(update={"path": "/elsewhere.npz"}),
            train=config.train.model_copy(update={"steps": None, "epochs": 7, "log_every": 2}),
            checkpoint=config.checkpoint.model_copy(update={"every_steps": 3, "every_seconds": 0.0, "keep": 1}),
        )
        assert [*differences(to_dict(config), other)] == []

    def test_a_key_that_an_older_version_did_not_know_had_its_default(self, config):
        before = to_dict(config)
        for table, key in (("train", "gradient"), ("loss", "l2"), ("optimizer", "schedule")):
            del before[table][key]
        before["train"]["forgotten"] = None
        assert [*differences(before, config)] == []
        del before["loss"]
        assert [*differences(before, config)] == [
            '`loss.kind` = "mean_squared_error": must stay not set to resume the run'
        ]


class TestFingerprint:
    def test_every_part_counts(self, config):
        data = load(config.data, Path())
        seen = {fingerprint(data)}
        for name in ("X_train", "y_train", "X_valid", "y_valid", "feature_mean", "feature_scale"):
            array = getattr(data, name).copy()
            array.flat[-1] = np.nextafter(array.flat[-1], 9)
            seen.add(fingerprint(replace(data, **{name: array})))
        seen.add(fingerprint(replace(data, y_train=data.y_train.astype(np.float32))))
        seen |= {
            fingerprint(replace(data, **{name: getattr(data, name) + 1})) for name in ("target_mean", "target_scale")
        }
        seen |= {fingerprint(replace(data, **{name: ("z",)})) for name in ("feature_names", "class_names")}
        assert len(seen) == 12
        assert fingerprint(replace(data, X_train=np.asfortranarray(data.X_train))) == fingerprint(data)

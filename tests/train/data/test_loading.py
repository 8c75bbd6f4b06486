import os
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.train.config.schema import DataSet
from jmc.train.data.dataset import CLASS_LIMIT
from jmc.train.data.loading import load
from jmc.train.data.tables import SHIPPED_TARGETS, DataError

# The examples of one test overwrite the same file.
one_folder = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def config(**keys):
    defaults = dict.fromkeys(("name", "path", "target", "features", "task"))
    split = {"validation_fraction": 0.2, "seed": 0}
    return SimpleNamespace(**defaults | split | {"standardize": False, "standardize_target": False} | keys)


@pytest.fixture
def load_arrays(tmp_path):
    """Loads X and y from an archive; where X is left out, it numbers the rows."""

    def load_npz(y, X=None, **keys):
        X = np.arange(float(len(y)))[:, None] if X is None else np.asarray(X)
        np.savez(tmp_path / "t.npz", X=X, y=np.asarray(y))
        return load(config(path="t.npz", **keys), tmp_path)

    return load_npz


def in_file_order(data):
    """The rows of an unsplit data set, undoing the permutation of seed 0."""
    back = np.argsort(np.random.default_rng(0).permutation(len(data.X_train)))
    return data.X_train[back], data.y_train[back]


def message_of(call, *arguments, **keys):
    with pytest.raises(DataError) as caught:
        call(*arguments, **keys)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestShipped:
    @pytest.mark.parametrize(
        ("name", "rows", "n_features", "class_names"),
        [
            ("diabetes", 442, 10, ()),
            ("breast_cancer", 569, 30, ("benign", "malignant")),
            ("digits", 1797, 64, tuple("0123456789")),
            ("iris", 150, 4, ("setosa", "versicolor", "virginica")),
            ("wine", 178, 13, ("class_0", "class_1", "class_2")),
        ],
    )
    def test_sizes_and_classes(self, name, rows, n_features, class_names):
        data = load(config(name=name), Path())
        assert data.name == name
        assert data.task == ("classification" if class_names else "regression")
        assert data.class_names == class_names
        assert data.n_classes == len(class_names)
        assert data.n_features == n_features == data.X_train.shape[1] == data.X_valid.shape[1]
        assert len(data.X_train) + len(data.X_valid) == rows == len(data.y_train) + len(data.y_valid)
        assert data.X_train.dtype == data.X_valid.dtype == np.float64
        assert data.y_train.dtype == data.y_valid.dtype == (np.int64 if class_names else np.float64)

    def test_every_set_of_the_schema_is_known(self):
        assert set(get_args(DataSet)) == set(SHIPPED_TARGETS)

    def test_classes_keep_their_names(self):
        from sklearn.datasets import load_breast_cancer

        data = load(config(name="breast_cancer", validation_fraction=0.0), Path())
        X, y = in_file_order(data)
        bunch = load_breast_cancer()
        np.testing.assert_array_equal(X, bunch.data)
        assert [data.class_names[index] for index in y] == bunch.target_names[bunch.target].tolist()

    def test_diabetes_is_in_the_units_it_was_measured_in(self):
        data = load(config(name="diabetes", features=["age", "bmi"]), Path())
        assert data.feature_names == ("age", "bmi")
        assert data.X_train[:, 0].min() >= 19
        assert data.X_train[:, 0].max() <= 79
        assert data.y_train.min() >= 25

    def test_numbers_serve_either_task_and_text_only_one(self):
        assert load(config(name="digits", task="regression"), Path()).y_train.dtype == np.float64
        message = message_of(load, config(name="iris", task="regression"), Path())
        assert message == "iris: target: must be a number for regression, but got 'setosa'"

    def test_unknown_names(self):
        message = message_of(load, config(name="diabetis"), Path())
        assert message.endswith("but got 'diabetis'; did you mean 'diabetes'?")
        message = message_of(load, config(name="diabetes", features=["bmy"]), Path())
        assert message.startswith("diabetes: `data.features` must be among 'age', 'sex', 'bmi'")
        assert message.endswith("but got 'bmy'; did you mean 'bmi'?")
        message = message_of(load, config(name="digits", features=["pixel"]), Path())
        assert "'pixel_1_1', … (64 in all), but got 'pixel'" in message
        message = message_of(load, config(name="wine", target="ash"), Path())
        assert message == ("`data.target` must be left out for wine, whose target is `cultivar`, but got 'ash'")


class TestFiles:
    def test_a_path_is_sought_beside_the_config_then_as_given(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "configs").mkdir()
        Path("t.csv").write_text("a,y\n1,0.5\n")
        assert load(config(path="t.csv", target="y"), Path("configs")).X_train == [[1.0]]
        Path("configs/t.csv").write_text("a,y\n2,0.5\n")
        assert load(config(path="t.csv", target="y"), Path("configs")).X_train == [[2.0]]

    def test_either_extension_in_any_case(self, tmp_path):
        (tmp_path / "T.CSV").write_text("a,y\n1,0.5\n")
        assert load(config(path="T.CSV", target="y"), tmp_path).name == "T"

    def test_another_extension(self, tmp_path):
        message = message_of(load, config(path="t.txt"), tmp_path)
        assert message == "`data.path` must end in .csv, .npz, .npy, .parquet, but got 't.txt'"

    @pytest.mark.parametrize("name", ["t.csv", "t.npz"])
    def test_missing_file_and_directory(self, tmp_path, name):
        path = tmp_path / name
        message = message_of(load, config(path=name, target="y"), tmp_path)
        assert message == f"{path}: cannot be read: No such file or directory"
        path.mkdir()
        message = message_of(load, config(path=name, target="y"), tmp_path)
        assert message == f"{path}: cannot be read: Is a directory"

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
    def test_forbidden_file(self, tmp_path):
        (tmp_path / "t.csv").touch(mode=0)
        message = message_of(load, config(path="t.csv", target="y"), tmp_path)
        assert message.endswith("cannot be read: Permission denied")

    def test_neither_name_nor_path(self, tmp_path):
        message = message_of(load, config(), tmp_path)
        assert message == "`data` must have a `name` or a `path`, but got neither"

    def test_no_rows_and_no_columns(self, load_arrays, tmp_path):
        for shape in [(0, 3), (3, 0)]:
            message = message_of(load_arrays, np.zeros(shape[0]), np.zeros(shape))
            assert message == f"{tmp_path / 't.npz'}: must hold a row and a feature at least, but got shape {shape}"


class TestTask:
    @pytest.mark.parametrize(
        ("y", "class_names"),
        [
            (np.array([2, 0, 2]), ("0", "2")),
            (np.array([2.0, -1.0, 2.0]), ("-1", "2")),
            (np.array([10, 9, 9], np.uint8), ("9", "10")),
            (np.array([True, False, True]), ("False", "True")),
            (np.array(["b", "a", "b"]), ("a", "b")),
            (np.array(["10", "9", "9"]), ("9", "10")),
        ],
    )
    def test_few_whole_numbers_and_text_are_classes(self, load_arrays, y, class_names):
        data = load_arrays(y, validation_fraction=0.0)
        assert data.task == "classification"
        assert data.class_names == class_names
        _, indices = in_file_order(data)
        assert indices.dtype == np.int64
        assert [class_names[index] for index in indices] == [str(value) for value in y.astype("U").tolist()] or (
            [float(class_names[index]) for index in indices] == y.tolist()
        )

    @pytest.mark.parametrize(
        "y",
        [
            pytest.param([0.5, 1.0, 1.0], id="not whole"),
            pytest.param([1, 2, 3], id="all distinct"),
            pytest.param([7, 7, 7], id="all equal"),
            pytest.param([*range(CLASS_LIMIT + 1), 0, 0], id="too many values"),
        ],
    )
    def test_other_numbers_are_a_regression_target(self, load_arrays, y):
        data = load_arrays(y, validation_fraction=0.0)
        assert (data.task, data.class_names, data.n_classes) == ("regression", (), 0)
        assert data.y_train.dtype == np.float64
        np.testing.assert_array_equal(in_file_order(data)[1], y)

    def test_as_many_classes_as_the_limit(self, load_arrays):
        assert load_arrays([*range(CLASS_LIMIT), 0]).n_classes == CLASS_LIMIT

    def test_the_config_overrules_the_data(self, load_arrays):
        assert load_arrays([0, 1, 1], task="regression").y_train.dtype == np.float64
        assert load_arrays([*range(CLASS_LIMIT + 1)], task="classification").n_classes == CLASS_LIMIT + 1
        assert load_arrays([*"abc"], task="classification").class_names == ("a", "b", "c")

    def test_refusals(self, load_arrays):
        message = message_of(load_arrays, [1.0, 2.0, 2.5], task="classification")
        assert message == "the target `y` must hold whole numbers or text for classification, but got 2.5"
        message = message_of(load_arrays, [3, 3], task="classification")
        assert message == "the target `y` must hold two classes or more, but got '3' in every row"
        message = message_of(load_arrays, [*"abc"])
        assert message == (
            'the target `y` must hold numbers unless `data.task` is "classification",'
            " but got text, 3 distinct in 3 rows"
        )


class TestSplit:
    @one_folder
    @given(
        counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
        fraction=st.floats(0, 0.5, exclude_max=True),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_every_class_keeps_its_share(self, load_arrays, counts, fraction, seed):
        y = np.repeat(np.arange(len(counts)), counts)
        keys = {"validation_fraction": fraction, "seed": seed, "task": "classification"}
        data = load_arrays(y, **keys)
        held_out = np.bincount(data.y_valid, minlength=len(counts))
        np.testing.assert_array_equal(held_out, [round(fraction * count) for count in counts])
        rows = np.concatenate([data.X_train, data.X_valid])[:, 0].astype(int)
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(y)))
        np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_valid]), y[rows])
        again = load_arrays(y, **keys)
        np.testing.assert_array_equal(again.X_train, data.X_train)
        np.testing.assert_array_equal(again.X_valid, data.X_valid)

    def test_regression_holds_out_the_first_of_the_permutation(self, load_arrays):
        data = load_arrays(np.arange(10) + 0.5, validation_fraction=0.3, seed=5)
        order = np.random.default_rng(5).permutation(10)
        np.testing.assert_array_equal(data.X_valid[:, 0], order[:3])
        np.testing.assert_array_equal(data.X_train[:, 0], order[3:])
        np.testing.assert_array_equal(data.y_train, order[3:] + 0.5)
        np.testing.assert_array_equal(data.y_valid, order[:3] + 0.5)

    def test_the_seed_matters(self, load_arrays):
        first, second = (load_arrays(np.linspace(0, 1, 50), seed=seed) for seed in (0, 1))
        assert set(first.X_valid[:, 0]) != set(second.X_valid[:, 0])

    def test_the_training_part_is_shuffled_across_classes(self, load_arrays):
        data = load_arrays(np.repeat([0, 1], 100))
        assert 0 < data.y_train[:80].mean() < 1

    def test_no_validation_part(self, load_arrays):
        data = load_arrays([0.5, 1.5], validation_fraction=0.0, X=np.ones((2, 3)))
        assert data.X_valid.shape == (0, 3)
        assert data.y_valid.shape == (0,)

    def test_one_row_is_trained_on(self, load_arrays):
        assert len(load_arrays([0.5]).X_train) == 1

    def test_no_training_row_left(self, load_arrays):
        message = message_of(load_arrays, [0.5, 1.5], validation_fraction=0.9)
        assert message == "`data.validation_fraction` must leave a training row, but got 0.9 of 2"
        message = message_of(load_arrays, [*"aaaaabb"], validation_fraction=0.75)
        assert message == "`data.validation_fraction` must leave a training row of class 'b', but got 0.75 of 2"


class TestStandardisation:
    def test_fitted_on_the_training_part_alone(self, load_arrays):
        rng = np.random.default_rng(3)
        X, y = rng.normal([5, -300], [0.1, 40], (50, 2)), rng.normal(7, 2, 50)
        raw = load_arrays(y, X)
        data = load_arrays(y, X, standardize=True, standardize_target=True)
        np.testing.assert_allclose(data.X_train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.X_train.std(axis=0), 1)
        np.testing.assert_allclose(data.feature_mean, raw.X_train.mean(axis=0))
        np.testing.assert_allclose(data.feature_scale, raw.X_train.std(axis=0))
        np.testing.assert_allclose((data.y_train.mean(), data.y_train.std()), (0, 1), atol=1e-12)
        for part in ("train", "valid"):
            X_part, y_part = getattr(data, f"X_{part}"), getattr(data, f"y_{part}")
            np.testing.assert_allclose(X_part * data.feature_scale + data.feature_mean, getattr(raw, f"X_{part}"))
            np.testing.assert_allclose(y_part * data.target_scale + data.target_mean, getattr(raw, f"y_{part}"))

    def test_identity_where_not_asked_for(self, load_arrays):
        X = np.array([[1.0, -2.0], [3.0, 5.0]])
        data = load_arrays([0.5, 1.5], X, validation_fraction=0.0)
        np.testing.assert_array_equal(data.feature_mean, [0, 0])
        np.testing.assert_array_equal(data.feature_scale, [1, 1])
        assert (data.target_mean, data.target_scale) == (0.0, 1.0)
        np.testing.assert_array_equal(in_file_order(data)[0], X)

    def test_constant_columns_become_zero(self, load_arrays):
        X = np.full((7, 2), [0.1, 1e300])
        data = load_arrays(np.full(7, 0.7), X, standardize=True, standardize_target=True)
        assert not data.X_train.any()
        assert not data.y_train.any()
        np.testing.assert_array_equal(data.feature_scale, [1, 1])
        assert data.target_scale == 1.0

    def test_values_whose_squares_underflow(self, load_arrays):
        data = load_arrays([0.5, 1.5], [[0.0], [1e-200]], standardize=True, validation_fraction=0.0)
        np.testing.assert_array_equal(data.feature_scale, [1])
        assert np.isfinite(data.X_train).all()

    def test_too_large_to_standardise(self, load_arrays):
        message = message_of(load_arrays, [0.5, 1.5], [[1, 1e308], [2, -1e308]], standardize=True, seed=1)
        assert message == "`X[1]` must hold smaller numbers to be standardised, but got 1e+308"

    def test_classes_are_not_standardised(self, load_arrays):
        message = message_of(load_arrays, [0, 1, 1], standardize_target=True)
        assert message == "`data.standardize_target` must be false for the classes of `y`, but got true"


class TestBlocks:
    """A table in blocks is streamed, or loaded like any other."""

    @pytest.fixture
    def tables(self, tmp_path):
        rng = np.random.default_rng(0)
        X, y = rng.normal(5, 2, (50, 2)), rng.normal(size=50)
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "y.npy", y)
        np.savez(tmp_path / "t.npz", X=X, y=y)
        return {"path": "X.npy", "target_path": "y.npy"}, {"path": "t.npz"}

    def test_loaded_it_is_what_an_archive_is(self, tables, tmp_path):
        npy, npz = tables
        found, expected = (
            load(config(**npy, stream=False, standardize=True), tmp_path),
            load(config(**npz, standardize=True), tmp_path),
        )
        assert found.stream is None
        assert found.feature_names == expected.feature_names == ("X[0]", "X[1]")
        for name in ("X_train", "y_train", "X_valid", "y_valid", "feature_mean", "feature_scale"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))

    def test_otherwise_it_is_streamed(self, tables, tmp_path):
        for stream in (None, True):
            data = load(config(**tables[0], stream=stream), tmp_path)
            assert data.stream is not None
            assert (data.n_training + data.n_validation, data.name) == (50, "X")
            assert (len(data.y_train), len(data.y_valid)) == (data.n_training, data.n_validation)

    def test_a_missing_file_of_targets(self, tables, tmp_path):
        message = message_of(load, config(path="X.npy", target_path="none.npy", stream=None), tmp_path)
        assert message == f"{tmp_path / 'none.npy'}: cannot be read: No such file or directory"

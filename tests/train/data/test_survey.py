import numpy as np
import pytest
from problems import blocks_of, configure, streamed

from jmc.train.data import survey as room
from jmc.train.data.dataset import CLASS_LIMIT
from jmc.train.data.stream import is_held_out
from jmc.train.data.survey import survey
from jmc.train.data.tables import DataError

rng = np.random.default_rng(0)
X = rng.normal([5, -300, 0], [0.1, 40, 1], (60, 3)).astype(np.float32)
Y = rng.normal(7, 2, 60)
TRAINING = ~is_held_out(np.arange(60), 0, 0.2)


def message_of(y=Y, X=X, **keys):
    with pytest.raises(DataError) as caught:
        streamed(X=X, y=np.asarray(y), **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestScales:
    def test_those_of_the_training_part_alone(self):
        data = streamed(X=X, y=Y, block=7, standardize=True, standardize_target=True)
        part, target = X[TRAINING].astype(float), Y[TRAINING]
        np.testing.assert_allclose(data.feature_mean, part.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(data.feature_scale, part.std(axis=0), rtol=1e-13)
        np.testing.assert_allclose((data.target_mean, data.target_scale), (target.mean(), target.std()), rtol=1e-13)
        np.testing.assert_allclose(data.X_train, (part - part.mean(axis=0)) / part.std(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(data.y_valid, (Y[~TRAINING] - target.mean()) / target.std(), rtol=1e-9, atol=1e-12)
        scaled = [np.concatenate([data.X_train, data.X_valid]), np.concatenate([data.y_train, data.y_valid])]
        largest = [*np.abs(scaled[0]).max(axis=0), np.abs(scaled[1]).max()]
        np.testing.assert_allclose([*data.extremes().values()], largest, rtol=1e-12)

    def test_the_identity_where_not_asked_for(self):
        data = streamed(X=X, y=Y)
        np.testing.assert_array_equal(data.X_train, X[TRAINING])
        np.testing.assert_array_equal(data.y_valid, Y[~TRAINING])
        assert data.extremes()["x1"] == np.abs(X[:, 1]).max()

    def test_constant_columns_become_zero(self):
        data = streamed(X=np.full((60, 2), [0.1, 1e300]), y=np.full(60, 0.7), standardize=True, standardize_target=True)
        assert not data.X_train.any()
        assert not data.y_train.any()
        assert (data.feature_scale.tolist(), data.target_scale) == ([1.0, 1.0], 1.0)

    def test_too_large(self):
        large = X.astype(float)
        large[[3, 40], 1] = 1e308, -1e308
        assert (
            message_of(X=large, standardize=True) == "`x1` must hold smaller numbers to be standardised, but got 1e+308"
        )


class TestTask:
    """As for a table that is loaded."""

    @pytest.mark.parametrize(
        ("y", "class_names"),
        [
            (np.arange(60) % 3, ("0", "1", "2")),
            (np.arange(60) % 2 * 3.0 - 1, ("-1", "2")),
            (np.where(np.arange(60) % 2, "b", "a"), ("a", "b")),
            (np.where(np.arange(60) % 2, "b", "a").astype(object), ("a", "b")),
            (np.arange(60) % CLASS_LIMIT, tuple(map(str, range(CLASS_LIMIT)))),
            (np.where(np.arange(60) < 5, 1, np.where(np.arange(60) < 30, 0, 2)), ("0", "1", "2")),
        ],
    )
    def test_few_whole_numbers_and_text_are_classes(self, y, class_names):
        data = streamed(X=X, y=y, block=7, validation_fraction=0.0)
        assert (data.task, data.class_names) == ("classification", class_names)
        assert data.y_train.dtype == np.int64
        assert [class_names[index] for index in data.y_train] == [
            str(v if isinstance(v, str) else int(v)) for v in y.tolist()
        ]
        assert data.extremes()["y"] == len(class_names) - 1

    @pytest.mark.parametrize("y", [Y, np.arange(60), np.full(60, 7), np.where(np.arange(60) == 59, 0.5, 1.0)])
    def test_other_numbers_are_a_regression_target(self, y):
        data = streamed(X=X, y=y, block=7, validation_fraction=0.0)
        assert (data.task, data.class_names) == ("regression", ())
        np.testing.assert_array_equal(data.y_train, y)

    def test_the_config_overrules_the_data(self):
        assert streamed(X=X, y=np.arange(60) % 2, task="regression").class_names == ()
        assert streamed(X=X, y=np.arange(60) % 30, task="classification", validation_fraction=0.0).n_classes == 30

    def test_refusals(self, monkeypatch):
        assert message_of(Y, task="classification").startswith(
            "the target `y` must hold whole numbers or text for classification, but got "
        )
        assert (
            message_of(np.full(60, 3), task="classification")
            == "the target `y` must hold two classes or more, but got '3' in every row"
        )
        text = np.array([f"t{i}" for i in range(60)])
        assert "must hold numbers unless" in message_of(text)
        assert "must hold numbers unless" in message_of(text, task="regression")
        assert "must be false for the classes of `y`" in message_of(np.arange(60) % 2, standardize_target=True)
        monkeypatch.setattr(room, "MOST_CLASSES", 10)
        assert (
            message_of(np.arange(60) % 30, task="classification")
            == "the target `y` must take at most 10 values, but got more"
        )

    def test_a_class_and_a_part_without_a_training_row(self):
        y = np.zeros(60, int)
        y[np.flatnonzero(~TRAINING)[0]] = 1
        assert message_of(y, task="classification") == (
            "`data.validation_fraction` must leave a training row of class '1', but got 0.2"
        )
        assert message_of(X=X[:1], y=[0.5], validation_fraction=0.999) == (
            "`data.validation_fraction` must leave a training row, but got 0.999 of 1"
        )

    def test_what_is_not_finite_is_named_with_its_row(self):
        broken = X.copy()
        broken[17, 2] = np.nan
        assert message_of(X=broken) == "made: row 17 of `x2` must be finite, but got nan"
        target = Y.copy()
        target[59] = -np.inf
        assert message_of(target) == "made: row 59 of `y` must be finite, but got -inf"
        text = np.full(60, "a", object)
        text[8] = ""
        assert message_of(text, task="classification") == "made: row 8 of `y` must hold text, but got an empty one"


class TestSamples:
    def test_of_about_the_size_asked_and_a_function_of_the_row_number(self, monkeypatch):
        monkeypatch.setattr(room, "SAMPLE_ROWS", 500)
        data = streamed(N=20_000, block=300, validation_fraction=0.25)
        assert (data.n_training + data.n_validation) == 20_000
        for sample, part in ((data.X_train, 15_000), (data.X_valid, 5_000)):
            assert abs(len(sample) - 500) < 5 * np.sqrt(500)
            rows = sample[:, 0].astype(int)
            assert np.all(np.diff(rows) > 0)
            assert abs(rows.mean() - 10_000) < 5 * 5774 / np.sqrt(500)
            assert len(sample) < part
        assert not set(data.X_train[:, 0]) & set(data.X_valid[:, 0])
        again = streamed(N=20_000, block=77, validation_fraction=0.25)
        np.testing.assert_array_equal(again.X_train, data.X_train)

    def test_small_parts_are_their_own_samples(self):
        data = streamed(N=97)
        assert (len(data.X_train), len(data.X_valid)) == (data.n_training, data.n_validation)


def test_the_digest_is_of_every_value():
    config = configure(data={"standardize": False}).data

    def digest(X=X, y=Y, block=7):
        found = survey(blocks_of(X, np.asarray(y), block), config).stream
        assert found is not None
        return found.digest

    changed, target = X.copy(), Y.copy()
    changed[59, 2] = np.nextafter(changed[59, 2], np.float32(9))
    target[0] += 1e-15
    assert len({digest(), digest(X=changed), digest(y=target)}) == 3
    assert digest() == digest()

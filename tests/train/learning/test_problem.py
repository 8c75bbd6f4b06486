import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import configure, dataset

from jmc.train.data.tables import DataError
from jmc.train.learning.problem import bind

NETWORK = {"kind": "network", "widths": [5, 2]}
LAYER = {"kind": "layer"}


def refusal(config, data):
    with pytest.raises(DataError) as caught:
        bind(config, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestSizes:
    def test_neuron(self):
        problem = bind(configure(), dataset(N=12, d=3))
        assert problem.shapes == {"w": (3,), "b": ()}
        assert (problem.parameters, problem.widths) == (4, (3, 1))
        # z = X w and its gradient Xᵀu: 12 × 3 products and sums each
        assert problem.flops_per_step == 72 + 72
        # float32: three states and a gradient of 4; X of both parts and y; z and u of (3, 1); one loss a chunk
        assert problem.bytes == 4 * (4 * 4 + 4 + (16 * 3 + 12) + 2 * 12 * (3 + 1) + 1)

    def test_layer(self):
        problem = bind(configure(model=LAYER, loss={"kind": "softmax_cross_entropy"}), dataset(d=4, classes=3))
        assert problem.shapes == {"W": (3, 4), "b": (3,)}
        assert (problem.parameters, problem.widths) == (15, (4, 3))
        assert problem.flops_per_step == 2 * (2 * 12 * 12)

    def test_network(self):
        config = configure(
            model=NETWORK,
            loss={"kind": "softmax_cross_entropy"},
            optimizer={"learning_rate": 0.1, "kind": "adam"},
            train={"steps": 10, "batch_size": 4, "dtype": "float64"},
        )
        problem = bind(config, dataset(d=3, classes=3))
        assert problem.shapes == {"W1": (5, 3), "b1": (5,), "W2": (2, 5), "b2": (2,), "W3": (3, 2), "b3": (3,)}
        assert problem.parameters == 20 + 12 + 9
        # 15 + 10 + 6 weights for 4 examples: forward, with respect to W, and to X except in the first layer
        assert problem.flops_per_step == 2 * 4 * (31 + 31 + 16)
        values = 4 * (3 * 41) + 41 + (16 * 3 + 12 * 3) + 2 * 12 * (3 + 5 + 2 + 3) + 1
        assert problem.bytes == 8 * values + 4 * 4

    def test_a_network_without_classes_has_one_output(self):
        problem = bind(configure(model=NETWORK), dataset())
        assert (problem.widths, problem.outputs) == ((3, 5, 2, 1), None)

    def test_sizes_beyond_any_memory_are_counted_exactly(self):
        width = 10**6
        config = configure(model={"kind": "network", "widths": [width] * 1000})
        problem = bind(config, dataset(d=3))
        assert problem.parameters == 4 * width + 999 * (width**2 + width) + width + 1
        assert problem.bytes > 4 * 4 * problem.parameters

    @pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
    def test_bytes_follow_the_dtype(self, dtype):
        of = {name: bind(configure(train={"steps": 10, "dtype": name}), dataset()).bytes for name in ("float32", dtype)}
        assert of[dtype] == of["float32"] * {"float64": 2, "bfloat16": 0.5}[dtype]

    def test_computing_in_bfloat16_halves_features_and_activations(self):
        both = [
            bind(configure(train={"steps": 10, "compute_dtype": name}), dataset()).bytes for name in (None, "bfloat16")
        ]
        assert both[0] - both[1] == 2 * (16 * 3 + 2 * 12 * (3 + 1))

    @pytest.mark.parametrize(
        ("kind", "slots"), [("sgd", 0), ("momentum", 1), ("nesterov", 1), ("adam", 2), ("adamw", 2)]
    )
    def test_bytes_follow_the_optimizer(self, kind, slots):
        sgd, other = (
            bind(configure(optimizer={"learning_rate": 0.1, "kind": name}), dataset()).bytes for name in ("sgd", kind)
        )
        assert other - sgd == 4 * 4 * 4 * slots

    def test_long_chunks_of_large_batches_count(self):
        few, many = (
            bind(configure(train={"steps": 10**6, "batch_size": 32, "log_every": every}), dataset()).bytes
            for every in (1, 10**6)
        )
        assert many - few == (4 + 4 * 32) * (10**6 - 1)


class TestSteps:
    @pytest.mark.parametrize(
        ("batch_size", "epochs", "steps"), [("full", 3, 3), (12, 3, 3), (5, 2, 6), (1, 1, 12), (100, 2, 2)]
    )
    def test_an_epoch_draws_as_many_as_there_are(self, batch_size, epochs, steps):
        problem = bind(configure(train={"epochs": epochs, "batch_size": batch_size}), dataset(N=12))
        assert problem.steps == steps
        assert problem.batch_size == (None if batch_size == "full" else batch_size)

    @pytest.mark.parametrize(
        ("train", "every", "chunk"),
        [
            ({"steps": 1}, 0, 1),
            ({"steps": 99}, 0, 1),
            ({"steps": 101}, 0, 2),
            ({"steps": 2000}, 0, 20),
            ({"steps": 10**6, "batch_size": 2**10}, 0, 2**12),
            ({"steps": 10, "batch_size": 10**9}, 0, 1),
            ({"steps": 2000, "log_every": 7}, 0, 7),
            ({"steps": 5, "log_every": 100}, 0, 5),
            ({"steps": 2000}, 15, 15),
            ({"steps": 2000}, 50, 20),
            ({"steps": 2000, "log_every": 7}, 50, 7),
            ({"steps": 2000}, 1, 1),
            ({"steps": 2000, "evaluate_every": 3}, 15, 3),
            ({"steps": 2000, "evaluate_every": 50}, 0, 20),
        ],
    )
    def test_chunk(self, train, every, chunk):
        assert bind(configure(train=train, checkpoint={"every_steps": every}), dataset()).chunk == chunk

    @given(st.integers(1, 10**4), st.integers(0, 10**4), st.none() | st.integers(1, 10**4))
    def test_a_chunk_is_no_longer_than_asked(self, steps, every, log_every):
        train = {"steps": steps, "log_every": log_every}
        chunk = bind(configure(train=train, checkpoint={"every_steps": every}), dataset()).chunk
        assert 1 <= chunk <= min(steps, every or steps, log_every or steps)

    def test_too_many(self):
        assert refusal(configure(train={"epochs": 10**9, "batch_size": 6}), dataset(N=12)) == (
            "`train.epochs` must give at most 1,000,000,000 steps, but got 2,000,000,000"
        )

    def test_a_warm_up_ends_before_the_epochs_do(self):
        def warm_up(steps):
            return configure(optimizer={"learning_rate": 0.1, "warmup_steps": steps}, train={"epochs": 3})

        assert bind(warm_up(2), dataset()).steps == 3
        assert refusal(warm_up(3), dataset()) == (
            "`optimizer.warmup_steps` must be less than the 3 steps that `train.epochs` gives, but got 3"
        )


@pytest.mark.parametrize(
    ("classes", "model", "loss", "encoding", "outputs"),
    [
        (0, {}, "mean_squared_error", "value", None),
        (0, LAYER, "huber", "value", None),
        (0, NETWORK, "mean_absolute_error", "value", None),
        (2, {}, "binary_cross_entropy", "zero_one", None),
        (2, LAYER, "binary_cross_entropy", "zero_one", None),
        (2, NETWORK, "hinge", "signs", None),
        (2, {}, "hinge", "signs", None),
        (2, {}, "huber", "zero_one", None),
        (2, LAYER, "mean_squared_error", "one_hot", 2),
        (3, NETWORK, "mean_absolute_error", "one_hot", 3),
        (3, LAYER, "softmax_cross_entropy", "labels", 3),
        (2, NETWORK, "softmax_cross_entropy", "labels", 2),
    ],
)
def test_encoding(classes, model, loss, encoding, outputs):
    config = configure(model={"kind": "neuron"} | model, loss={"kind": loss})
    problem = bind(config, dataset(classes=classes))
    assert (problem.encoding, problem.outputs) == (encoding, outputs)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("labels", np.array([0, 2, 1], np.int32)),
        ("zero_one", np.array([0.0, 2.0, 1.0])),
        ("signs", np.array([-1.0, 3.0, 1.0])),
        ("one_hot", np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])),
    ],
)
def test_encode(encoding, expected):
    kind = {"labels": "softmax_cross_entropy", "signs": "hinge", "zero_one": "binary_cross_entropy"}
    loss = {"kind": kind.get(encoding, "mean_squared_error")}
    classes = 2 if encoding in ("signs", "zero_one") else 3
    problem = bind(configure(model=LAYER, loss=loss), dataset(classes=classes))
    assert problem.encoding == encoding
    encoded = problem.encode(np.array([0, 2, 1]))
    np.testing.assert_array_equal(encoded, expected)
    assert encoded.dtype == expected.dtype


class TestDecide:
    def test_a_value_in_the_unit_of_the_data(self):
        problem = bind(configure(), dataset(target_mean=100.0, target_scale=20.0))
        np.testing.assert_array_equal(problem.decide(np.array([-1.0, 0.0, 2.0])), [80.0, 100.0, 140.0])

    def test_the_largest_of_several_outputs(self):
        problem = bind(configure(model=LAYER), dataset(classes=3))
        np.testing.assert_array_equal(problem.decide(np.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])), [1, 0])

    @pytest.mark.parametrize(
        ("loss", "threshold"), [("binary_cross_entropy", 0.0), ("hinge", 0.0), ("mean_squared_error", 0.5)]
    )
    def test_the_threshold_of_one_output(self, loss, threshold):
        problem = bind(configure(loss={"kind": loss}), dataset(classes=2))
        decided = problem.decide(threshold + np.array([-0.1, 0.0, 0.1]))
        assert decided.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("classes", "model", "loss", "message"),
    [
        (0, {}, "binary_cross_entropy", "`loss.kind` must be mean_squared_error, mean_absolute_error or huber for a target of values, `y`, but got binary_cross_entropy"),
        (0, {}, "hinge", "but got hinge"),
        (0, LAYER, "softmax_cross_entropy", "but got softmax_cross_entropy"),
        (0, NETWORK | {"output": "softmax"}, "huber", '`model.output` must not be "softmax" for one value'),
        (3, LAYER, "hinge", "`loss.kind` = hinge must have two classes to tell apart, but got 3, of `y`"),
        (3, {}, "mean_squared_error", "a neuron must have two classes to tell apart, but got 3, of `y`"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_suit_the_data(classes, model, loss, message):
    config = configure(model={"kind": "neuron"} | model, loss={"kind": loss})
    assert message in refusal(config, dataset(classes=classes))


class TestParts:
    def test_of_the_whole_training_part(self):
        assert bind(configure(train={"steps": 1, "microbatches": 4}), dataset(N=12)).steps == 1
        assert refusal(configure(train={"steps": 1, "microbatches": 5}), dataset(N=12)) == (
            "`train.microbatches` must divide the number of training examples = 12, as 4 and 6 do, but got 5"
        )

    def test_large_batches_of_many_parts_take_less(self):
        few, many = (
            bind(configure(train={"steps": 1, "batch_size": 10**6, "microbatches": parts}), dataset()).bytes
            for parts in (1, 1000)
        )
        assert few - many == 4 * 2 * (10**6 - 1000) * (3 + 1)


class TestWatch:
    def test_only_what_the_rows_have(self):
        watched = configure(train={"steps": 1, "patience": 2, "watch": "validation_accuracy"})
        assert refusal(watched, dataset()) == (
            "`train.watch` must be among loss, validation_loss, validation_r2, validation_rmse, validation_mae, "
            "since `y` is the target of a regression, but got validation_accuracy"
        )
        assert bind(watched, dataset(classes=2)).steps == 1
        unseen = configure(train={"steps": 1, "patience": 2})
        assert refusal(unseen, dataset(M=0)) == (
            "`train.watch` must be among loss, since of 12 examples none is held out, but got validation_loss"
        )
        assert bind(configure(train={"steps": 1}), dataset(M=0)).steps == 1


class TestRange:
    @pytest.mark.parametrize("part", ["X_train", "X_valid"])
    def test_a_feature_too_large_for_the_dtype(self, part):
        X = getattr(dataset(), part).copy()
        X[1, 2] = -1e39
        assert refusal(configure(), dataset(**{part: X})) == (
            "`x2` must hold numbers of at most 3.4e+38 to be read as float32, but got 1e+39; "
            "scale it, or set `train.dtype` to float64"
        )
        assert bind(configure(train={"steps": 1, "dtype": "float64"}), dataset(**{part: X})).parameters == 4

    def test_a_target_too_large_for_the_dtype(self):
        y = np.full(12, 3.4e38)
        assert bind(configure(), dataset(y_train=y)).steps == 10
        message = refusal(configure(train={"steps": 1, "dtype": "bfloat16"}), dataset(y_train=y))
        assert message.startswith("`y` must hold numbers of at most 3.39e+38 to be read as bfloat16, but got 3.4e+38")


def test_summary_says_it_all():
    config = configure(model=LAYER, loss={"kind": "softmax_cross_entropy"}, train={"epochs": 2, "batch_size": 6})
    problem = bind(config, dataset(classes=3))
    assert problem.summary() == {
        "data": "made",
        "task": "classification",
        "training_examples": 12,
        "validation_examples": 4,
        "streamed": False,
        "features": 3,
        "classes": 3,
        "shapes": {"W": [3, 3], "b": [3]},
        "parameters": 12,
        "steps": 4,
        "batch_size": 6,
        "chunk_steps": 1,
        "flops_per_step": 2 * 2 * 6 * 9,
        "memory_bytes": problem.bytes,
    }

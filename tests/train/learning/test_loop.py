from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from draws import normal

import jmc
from jmc.train.config.schema import OptimizerConfig
from jmc.train.learning.loop import GRADIENTS, Batches, Progress, StartDivergedError, State, make_chunk, norm, train
from jmc.train.learning.optimizer import build

N, STEPS = 12, 11
X = np.asarray(normal(N, 3))
Y = np.asarray(normal(N, seed=1))
START = {"w": np.array([0.5, -0.3, 0.2], np.float32), "b": np.float32(0.1)}
DRAWN = Batches(jax.random.key(3), N, 4)
SGD = optax.sgd(0.05, momentum=0.9)
ADAM = build(OptimizerConfig(kind="adam", learning_rate=1.0))
UNIT = optax.constant_schedule(1.0)


def cost(params, X, y):
    return jmc.mean_squared_error(jmc.affine(params["w"], params["b"], X), y)


@dataclass(frozen=True)
class OneByOne:
    """Step i sees example i alone: a broken example shows at that step."""

    def indices(self, steps):
        return (steps % N)[:, None]


class Run:
    """One training: the rows its host saw, with copies of the parameters, and its outcome."""

    def __init__(
        self,
        X=X,
        y=Y,
        batches=DRAWN,
        optimizer=SGD,
        steps=STEPS,
        length=4,
        final_loss=0.0,
        gradient="closed_form",
        rate=UNIT,
        every=None,
        stops=(),
        enough=STEPS,
        start=None,
    ):
        self.rows, self.seen, self.norms, self.asked, self.chunks = [], [], [], [], []
        arrays = jnp.asarray(X), jnp.asarray(y)

        def examples(start, stop):
            self.asked.append((start, stop))
            return arrays

        def on_look(look):
            self.rows.append((look.step, look.loss, host(look.params)))
            self.seen.append((look.params, look.seconds))
            self.norms.append(jax.tree.map(float, look.norms))
            return look.step >= enough

        self.outcome = train(
            cost,
            optimizer,
            rate,
            gradient,
            batches,
            start or begin(optimizer),
            examples,
            steps=steps,
            length=length,
            looks=[every or length],
            stops=stops,
            training_loss=lambda _: final_loss,
            on_look=on_look,
            on_chunk=self.chunks.append,
        )
        self.params = host(self.outcome.params)
        self.steps = [step for step, _, _ in self.rows]


def begin(optimizer):
    params = {name: jnp.asarray(array) for name, array in START.items()}
    return Progress(0, params, optimizer.init(params))


def host(params):
    return {name: np.array(array) for name, array in params.items()}


def same_bits(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def close(left, right):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-6, atol=1e-7), left, right)


def python_loop(batches=DRAWN, optimizer=SGD, steps=STEPS):
    """The parameters before every step and at the end, and the losses, of a plain loop over a jitted step."""

    @jax.jit
    def step(params, state, X, y):
        loss, gradients = jmc.value_and_grad(cost)(params, X, y)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    indices = np.asarray(jax.jit(batches.indices)(jnp.arange(steps, dtype=jnp.int32)))
    params = {name: jnp.asarray(array) for name, array in START.items()}
    state, trail, losses = optimizer.init(params), [host(params)], []
    for rows in indices:
        params, state, loss = step(params, state, X[rows], Y[rows])
        trail.append(host(params))
        losses.append(float(loss))
    return trail, losses


@pytest.fixture(scope="module")
def whole():
    return Run()


class TestBatches:
    steps = jnp.arange(500, dtype=jnp.int32)
    draw = staticmethod(jax.jit(lambda key, steps: Batches(key, N, 4).indices(steps)))

    def test_a_batch_is_a_function_of_the_key_and_the_step_alone(self):
        drawn = np.asarray(self.draw(DRAWN.key, self.steps))
        np.testing.assert_array_equal(self.draw(DRAWN.key, self.steps[::-1]), drawn[::-1])
        np.testing.assert_array_equal(self.draw(DRAWN.key, self.steps + 250)[:250], drawn[250:])
        assert np.any(self.draw(jax.random.key(4), self.steps) != drawn)

    def test_every_example_is_as_likely_as_another(self):
        indices = np.asarray(self.draw(DRAWN.key, self.steps))
        assert indices.shape == (500, 4)
        assert indices.dtype == np.int32
        counts = np.bincount(indices.ravel(), minlength=N)
        assert len(counts) == N
        assert np.sum((counts - 2000 / N) ** 2 / (2000 / N)) < 40  # χ² of 11 degrees of freedom: beyond it 4e-5

    def test_double_precision_draws_the_same(self):
        expected = np.asarray(self.draw(DRAWN.key, self.steps))
        with jax.enable_x64(True):
            np.testing.assert_array_equal(self.draw(DRAWN.key, self.steps), expected)

    def test_in_order_a_chunk_is_its_own_batches(self):
        batches = Batches(DRAWN.key, N, 4, in_order=True)
        for start in (0, 7):
            found = batches.indices(start + jnp.arange(3, dtype=jnp.int32))
            assert found.dtype == jnp.int32
            np.testing.assert_array_equal(found, np.arange(12).reshape(3, 4))

    def test_the_full_batch_draws_nothing(self):
        assert Batches(DRAWN.key, N, None).indices(self.steps) is None


@pytest.fixture
def stopped_at():
    return lambda steps: Run(steps=steps).params


class TestChunks:
    def test_as_a_plain_python_loop(self, whole):
        trail, losses = python_loop()
        for step, loss, params in whole.rows:
            # Not to the bit: XLA may fuse the body of a scan otherwise than the same step by itself.
            close(params, trail[step])
            np.testing.assert_allclose(loss, np.mean(losses[step - 4 if step % 4 == 0 else 8 : step]), rtol=1e-6)
        assert whole.steps == [4, 8, 11]
        assert whole.outcome.steps == STEPS
        assert whole.outcome.diverged_at is None

    @pytest.mark.parametrize("length", [1, 7, 64])
    def test_their_length_does_not_change_the_bits(self, whole, length):
        other = Run(length=length)
        same_bits(other.params, whole.params)
        assert other.steps == [*range(length, STEPS, length), STEPS]

    def test_the_full_batch_in_order(self):
        run = Run(batches=Batches(DRAWN.key, N, None), steps=1, length=1, optimizer=optax.sgd(0.05))
        residual = X @ START["w"] + START["b"] - Y
        np.testing.assert_allclose(run.rows[0][1], np.mean(residual**2), rtol=1e-6)
        np.testing.assert_allclose(run.params["w"], START["w"] - 0.05 * 2 * residual @ X / N, rtol=1e-5)

    def test_autodiff_takes_the_same_way(self, whole):
        other = Run(gradient="autodiff")
        close(other.params, whole.params)

    def test_seconds_add_up(self, whole):
        seconds = [seconds for _, seconds in whole.seen]
        assert 0 < seconds[0] < seconds[1] < seconds[2] == whole.outcome.run_seconds
        assert whole.outcome.compile_seconds > 0

    def test_where_it_starts_is_not_used_up(self, whole):
        start = begin(SGD)
        for _ in range(2):
            ended = Run(start=start)
            same_bits(host(start.params), START)
            same_bits(ended.params, whole.params)

    def test_chunks_also_end_where_they_are_told_to(self, whole):
        cut = Run(stops=[3, 5])
        assert cut.asked == [(0, 1), (1, 3), (3, 4), (4, 5), (5, 6), (6, 8), (8, 9), (9, 10), (10, 11)]
        assert [now.step for now in cut.chunks] == [stop for _, stop in cut.asked]
        same_bits(cut.rows, whole.rows)
        same_bits(cut.params, whole.params)

    def test_a_look_may_be_rarer_than_a_chunk(self, whole):
        rare = Run(length=3, every=8)
        assert rare.steps == [8, 11]
        assert rare.asked == [(0, 1), (1, 4), (4, 7), (7, 8), (8, 11)]
        same_bits(rare.params, whole.params)
        _, losses = python_loop()
        np.testing.assert_allclose(
            [loss for _, loss, _ in rare.rows], [np.mean(losses[:8]), np.mean(losses[8:])], rtol=1e-6
        )

    def test_chunks_do_not_take_long(self, whole, monkeypatch):
        monkeypatch.setattr("jmc.train.learning.loop._CHUNK_SECONDS", 1e-9)
        slow = Run()
        assert slow.asked == [(i, i + 1) for i in range(STEPS)]
        same_bits(slow.rows, whole.rows)

    @pytest.mark.parametrize("enough", [4, 7, 8])
    def test_it_ends_where_a_look_says_so(self, stopped_at, enough):
        run = Run(enough=enough)
        ended = -(-enough // 4) * 4
        assert (run.steps[-1], run.outcome.steps, run.outcome.diverged_at) == (ended, ended, None)
        same_bits(run.params, stopped_at(ended))

    def test_each_step_moves_at_its_own_rate(self):
        falling = optax.linear_schedule(0.05, 0.0, STEPS)
        scaled = Run(optimizer=optax.sgd(1.0), rate=falling)
        close(scaled.params, python_loop(optimizer=optax.sgd(falling))[0][-1])

    def test_one_gradient_of_each_name(self):
        assert {"closed_form": jmc.value_and_grad, "autodiff": jax.value_and_grad} == GRADIENTS


@pytest.fixture(scope="module")
def stopped():
    """The parameters of a run over single examples that is stopped after so many steps."""
    chunk = jax.jit(make_chunk(cost, SGD, UNIT, "closed_form", OneByOne(), 4))

    def parameters(steps):
        params = {name: jnp.asarray(array) for name, array in START.items()}
        state = State(params, SGD.init(params), jnp.asarray(True))
        for start in range(0, steps, 4):
            state, *_ = chunk(state, jnp.int32(start), jnp.int32(steps), X, Y)
        return host(state.params)

    return parameters


class TestNorms:
    def test_of_the_last_gradient_and_of_the_parameters(self, whole):
        trail, _ = python_loop()
        rows = np.asarray(DRAWN.indices(jnp.arange(STEPS, dtype=jnp.int32)))
        for (step, _, params), norms in zip(whole.rows, whole.norms, strict=True):
            batch = X[rows[step - 1]], Y[rows[step - 1]]
            gradient = jax.grad(cost)({name: jnp.asarray(a) for name, a in trail[step - 1].items()}, *batch)
            for name in params:
                assert norms.gradient[name] == pytest.approx(np.linalg.norm(gradient[name]), rel=1e-4)
                assert norms.parameter[name] == pytest.approx(np.linalg.norm(params[name]), rel=1e-6)

    def test_of_the_last_good_step_where_it_diverges(self):
        broken = X.copy()
        broken[6, 1] = np.nan
        run = Run(X=broken, batches=OneByOne())
        good = Run(batches=OneByOne(), steps=5)
        assert run.steps == [4, 5]
        assert run.norms == good.norms

    @pytest.mark.parametrize(
        ("values", "expected"),
        [([3e30, -4e30], 5e30), ([3e-30, -4e-30], 5e-30), ([0.0, 0.0], 0.0), ([], 0.0), ([np.inf, 1.0], np.nan)],
    )
    def test_the_squares_neither_overflow_nor_underflow(self, values, expected):
        np.testing.assert_allclose(norm(jnp.array(values, "float32")), expected, rtol=1e-6)
        assert norm(jnp.array(2.0, "bfloat16")).dtype == jnp.float32


class TestDivergence:
    @pytest.mark.parametrize(
        ("step", "rows"),
        [
            pytest.param(0, [], id="at step 0"),
            pytest.param(1, [], id="at step 1"),
            pytest.param(4, [4], id="first of a chunk"),
            pytest.param(5, [4], id="second of a chunk"),
            pytest.param(6, [4, 5], id="within a chunk"),
            pytest.param(7, [4, 6], id="last of a chunk"),
            pytest.param(10, [4, 8, 9], id="the last step"),
        ],
    )
    def test_a_broken_example_stops_its_step(self, stopped, step, rows):
        broken = X.copy()
        broken[step, 1] = np.nan
        run = Run(X=broken, batches=OneByOne())
        assert run.outcome.diverged_at == step
        assert run.outcome.steps == max(step - 1, 0)
        same_bits(run.params, stopped(run.outcome.steps))
        assert run.steps == rows
        for at, loss, params in run.rows:
            assert np.isfinite(loss)
            same_bits(params, stopped(at))

    def test_a_learning_rate_that_explodes(self, stopped):
        wild = optax.sgd(1e5)
        with np.errstate(over="ignore"):
            trail, losses = python_loop(batches=OneByOne(), optimizer=wild)
        run = Run(batches=OneByOne(), optimizer=wild)
        first = int(np.flatnonzero(~np.isfinite(losses))[0])
        assert 2 <= first < STEPS
        assert run.outcome.diverged_at == first
        assert run.outcome.steps == first - 1
        assert all(np.isfinite(array).all() for array in run.params.values())
        close(run.params, trail[first - 1])

    @pytest.mark.parametrize(("steps", "length"), [(11, 4), (8, 4), (1, 1)])
    def test_after_the_last_step(self, stopped, steps, length):
        run = Run(batches=OneByOne(), steps=steps, length=length, final_loss=float("nan"))
        assert run.outcome.diverged_at == steps
        assert run.outcome.steps == steps - 1
        same_bits(run.params, stopped(steps - 1))

    @pytest.mark.parametrize(("step", "rows"), [(0, []), (1, []), (3, [2]), (6, [5]), (9, [8]), (10, [8, 9])])
    def test_looks_rarer_than_chunks(self, stopped, step, rows):
        broken = X.copy()
        broken[step, 1] = np.nan
        run = Run(X=broken, batches=OneByOne(), length=3, every=8)
        assert (run.outcome.diverged_at, run.steps) == (step, rows)
        close(run.params, stopped(run.outcome.steps))
        _, losses = python_loop(batches=OneByOne())
        stretch = {3: losses[:3], 6: losses[:6], 9: losses[:8], 10: losses[8:10]}
        for _, loss, _ in run.rows[-1:]:
            np.testing.assert_allclose(loss, np.mean(stretch[step]), rtol=1e-6)

    def test_the_last_row_averages_the_finite_losses_of_its_chunk(self):
        broken = X.copy()
        broken[7] = np.inf
        _, losses = python_loop(batches=OneByOne())
        run = Run(X=broken, batches=OneByOne())
        assert run.outcome.diverged_at == 7
        step, loss, _ = run.rows[-1]
        assert step == 6
        np.testing.assert_allclose(loss, np.mean(losses[4:7]), rtol=1e-6)


def unlike(chunk_lengths):
    """Lengths of chunks and steps between stops that cut the rows in every way."""
    return [pytest.param(length, stops, id=f"chunks of {length}, stops at {stops}") for length, stops in chunk_lengths]


class TestGoingOn:
    @pytest.mark.parametrize(("length", "stops"), unlike([(1, 0), (2, 0), (3, 0), (4, 5), (2, 3)]))
    def test_where_chunks_end_changes_no_bit_of_a_row(self, whole, length, stops):
        other = Run(every=4, length=length, stops=[stops] if stops else [])
        same_bits(other.rows, whole.rows)
        assert other.norms == whole.norms

    @pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["momentum", "adam"])
    def test_from_any_step_it_is_the_run_without_a_break(self, optimizer):
        whole = Run(every=4, length=1, optimizer=optimizer)
        for now in whole.chunks[1::3]:
            rest = Run(every=4, length=3, optimizer=optimizer, start=now)
            same_bits(rest.rows, [row for row in whole.rows if row[0] > now.step - now.losses])
            same_bits(rest.params, whole.params)
            assert rest.outcome.steps == STEPS

    def test_where_training_stands_is_not_used_up(self, whole):
        stood = {now.step: now for now in whole.chunks}
        for step, _, params in whole.rows:
            same_bits(host(stood[step].params), params)
            assert (stood[step].loss_sum, stood[step].losses) == (0.0, 0)

    def test_the_losses_since_the_last_row_are_kept(self, whole):
        _, losses = python_loop()
        (now,) = [now for now in Run(every=8, length=3).chunks if now.step == 7]
        assert now.losses == 7
        np.testing.assert_allclose(now.loss_sum, np.sum(losses[:7]), rtol=1e-6)

    @pytest.mark.parametrize("step", [2, 5, 8])
    def test_divergence_after_a_break_is_that_without(self, step):
        broken = X.copy()
        broken[step, 1] = np.nan
        whole = Run(X=broken, batches=OneByOne(), every=4, length=1)
        for now in whole.chunks:
            if now.step in (step - 3, step - 1):
                rest = Run(X=broken, batches=OneByOne(), every=4, length=3, start=now)
                assert (rest.outcome.diverged_at, rest.outcome.steps) == (step, step - 1)
                same_bits(rest.params, whole.params)
                same_bits(rest.rows, [row for row in whole.rows if row[0] > now.step - now.losses])

    def test_divergence_at_the_very_step_needs_the_one_before(self):
        broken = X.copy()
        broken[5, 1] = np.nan
        whole = Run(X=broken, batches=OneByOne(), length=1)
        start = next(now for now in whole.chunks if now.step == 5)
        with pytest.raises(StartDivergedError, match="not finite at step 5, which training went on from"):
            Run(X=broken, batches=OneByOne(), start=start)

    def test_nothing_is_left_to_do(self, whole):
        rest = Run(start=whole.chunks[-1])
        assert (rest.rows, rest.chunks) == ([], [])
        assert (rest.outcome.steps, rest.outcome.compile_seconds) == (STEPS, 0)
        same_bits(rest.params, whole.params)
        with pytest.raises(StartDivergedError):
            Run(start=whole.chunks[-1], final_loss=float("inf"))

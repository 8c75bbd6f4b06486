import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc

w, b, x, X, y = jnp.ones(5), jnp.float32(1), jnp.ones(5), jnp.ones((7, 5)), jnp.ones(7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jmc.neuron(w, b, X.T), r"`x` of neuron must have shape \(\*n d\) with d = 5 as in `w`, but got shape \(5, 7\)"),
        (lambda: jmc.neuron(X, b, x), r"`w` of neuron must have 1 axis, \(d\), but got shape \(7, 5\)"),
        (lambda: jmc.neuron(w, b, b), r"`x` of neuron must have at least 1 axis, \(\*n d\), but got shape \(\)"),
        (lambda: jmc.affine(X, w, x), r"`b` of affine must have shape \(\*m\) with \*m = \(7,\) as in `w`"),
        (lambda: jmc.neuron_loss(w, b, X, y[:3]), r"`y` of neuron_loss must have shape \(N\) with N = 7 as in `X`"),
        (lambda: jmc.neuron_loss_grad(w, b, X, y[:3]), r"`y` of neuron_loss must have shape \(N\)"),
        (lambda: jmc.neuron_grad(w, b, X), r"`x` of neuron_grad must have 1 axis, \(d\), but got shape \(7, 5\)"),
        (lambda: jmc.mean_squared_error(y, X), r"`target` of mean_squared_error must have shape \(\*n\)"),
        (lambda: jmc.layer(w, b, X), r"`W` of layer must have 2 axes, \(m d\), but got shape \(5,\)"),
        (lambda: jmc.network([], X), "`params` must have at least one layer"),
        (lambda: jmc.network([(X, y)], x, [jmc.relu]), "`activation` must be one function or 0, one per hidden layer, but got 1"),
        (lambda: jmc.softmax_cross_entropy_with_labels(jnp.ones((3, 0)), jnp.zeros(3, int)), "at least one class"),
    ],
)  # fmt: skip
def test_shape_errors_name_the_argument_and_what_it_must_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jmc.relu(jnp.arange(3)), "`x` of relu must be a real floating-point array, but got int32"),
        (lambda: jmc.relu(jnp.array([True])), "`x` of relu must be a real floating-point array, but got bool"),
        (lambda: jmc.tanh(jnp.ones(3, complex)), "`x` of tanh must be a real floating-point array, but got complex64"),
        (lambda: jmc.relu("3"), "`x` of relu must be a real floating-point array, but got str"),
        (lambda: jmc.relu(None), "`x` of relu must be a real floating-point array, but got NoneType"),
        (lambda: jmc.neuron(w, b, x.astype("bfloat16")), "`x` of neuron must have the dtype of `w`, float32, but got bfloat16"),
        (lambda: jmc.softmax_cross_entropy_with_labels(X, y), "`labels` of .* must be an integer array, but got float32"),
        (lambda: jmc.neuron(w), "missing a required argument: 'b'"),
    ],
)  # fmt: skip
def test_dtype_errors_name_the_argument(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_python_scalars_and_numpy_arrays_take_the_others_dtype():
    assert jmc.neuron(w.astype("bfloat16"), 0.5, x.astype("bfloat16")).dtype == "bfloat16"
    assert jmc.neuron(w, 1, x) == jax.jit(jmc.neuron)(w, 1, x) == 6
    assert jmc.neuron(np.ones(5, np.float32), np.float32(1), np.ones(5, np.float32)) == 6
    assert jmc.huber(jnp.float32(3), jnp.float32(0), delta=2) == 4
    assert jmc.relu(2.5) == 2.5
    with jax.enable_x64(True):
        assert jmc.neuron(np.ones(5), 1.0, np.ones(5)).dtype == "float64"


def test_keywords_are_taken_by_name():
    assert jmc.neuron(x=x, w=w, b=b) == jmc.neuron(w, b, x)

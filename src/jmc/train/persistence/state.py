"""The state of a run between two steps as named arrays, which is what a checkpoint holds, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jmc.train.data.dataset import Dataset
from jmc.train.learning.loop import Batches, Progress
from jmc.train.learning.model import Params
from jmc.train.learning.stopping import Best
from jmc.train.persistence.checkpoint import Template


@dataclass(frozen=True)
class Kept:
    """The best of a run that watches for it, and the parameters that it was seen with."""

    best: Best
    params: Params


def to_arrays(progress: Progress, kept: Kept | None, batches: Batches, data: Dataset) -> dict[str, Any]:
    """Every array of the state, by name. Those of ``progress`` and ``kept`` stay on their device.

    The key of the draws and the scales of the data follow from the config and the data; they are there for who reads
    the checkpoint by itself.
    """
    groups = {
        "parameters": progress.params,
        "optimizer": progress.optimizer,
        "progress": {
            "loss_sum": np.float64(progress.loss_sum),
            "losses": np.int64(progress.losses),
            "seconds": np.float64(progress.seconds),
        },
        "normalisation": {
            "feature_mean": data.feature_mean,
            "feature_scale": data.feature_scale,
            "target_mean": np.float64(data.target_mean),
            "target_scale": np.float64(data.target_scale),
        },
        "draws": {"key": jax.random.key_data(batches.key)},
    }
    if kept is not None:
        best = kept.best
        groups["best"] = {"step": np.int64(best.step), "value": np.float64(best.value), "since": np.int64(best.since)}
        groups["best_parameters"] = kept.params
    return {name: leaf for group, tree in groups.items() for name, leaf in _named(group, tree).items()}


def template(
    params: Mapping[str, Any], optimizer: optax.GradientTransformation, watched: bool, batches: Batches, data: Dataset
) -> Template:
    """The shapes and dtypes of what `to_arrays` gives for these parameters; nothing of their size is allocated."""
    begun = Progress(0, dict(params), jax.eval_shape(optimizer.init, params))
    arrays = to_arrays(begun, Kept(Best(), dict(params)) if watched else None, batches, data)
    return {name: (tuple(array.shape), np.dtype(array.dtype)) for name, array in arrays.items()}


def from_arrays(
    step: int,
    arrays: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    optimizer: optax.GradientTransformation,
    watched: bool,
) -> tuple[Progress, Kept | None]:
    """The state that `to_arrays` took apart. ``params`` are parameters of the same names, shapes and dtypes."""
    progress = Progress(
        step,
        _restored("parameters", arrays, dict(params)),
        _restored("optimizer", arrays, jax.eval_shape(optimizer.init, params)),
        float(arrays["progress/loss_sum"]),
        int(arrays["progress/losses"]),
        float(arrays["progress/seconds"]),
    )
    if not watched:
        return progress, None
    best = Best(int(arrays["best/step"]), float(arrays["best/value"]), int(arrays["best/since"]))
    return progress, Kept(best, _restored("best_parameters", arrays, dict(params)))


def _named(group: str, tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {f"{group}/{jax.tree_util.keystr(path, simple=True, separator='/')}": leaf for path, leaf in leaves}


def _restored(group: str, arrays: Mapping[str, np.ndarray], tree: Any) -> Any:
    """The arrays of the group in the structure and the dtypes of ``tree``."""
    leaves = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in _named(group, tree).items()]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)

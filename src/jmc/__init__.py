"""jmc, JAX matrix calculus: every derivative in closed form, proved against automatic differentiation.

Public names are loaded on first use, so that ``import jmc`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "catalogue.activation": (
        "gelu",
        "gelu_tanh",
        "identity",
        "log_sigmoid",
        "mish",
        "sigmoid",
        "silu",
        "soft_sign",
        "softplus",
        "squareplus",
        "tanh",
    ),
    "catalogue.affine": ("affine",),
    "catalogue.arrays": ("clip", "dropout", "embedding"),
    "catalogue.attention": ("attention", "masked_attention", "multi_head_attention"),
    "catalogue.classification": (
        "binary_cross_entropy",
        "focal_loss",
        "hinge",
        "multiclass_hinge",
        "softmax_cross_entropy",
        "softmax_cross_entropy_with_labels",
        "squared_hinge",
    ),
    "catalogue.contrastive": ("info_nce",),
    "catalogue.convolution": ("avg_pool", "convolution", "max_pool"),
    "catalogue.divergence": ("kl_divergence",),
    "catalogue.gated": (
        "glu",
        "swiglu",
    ),
    "catalogue.loss": (
        "gaussian_nll",
        "huber",
        "log_cosh",
        "mean_absolute_error",
        "mean_squared_error",
        "poisson_nll",
        "quantile_loss",
    ),
    "catalogue.lstm": ("lstm_cell",),
    "catalogue.network": ("layer", "network"),
    "catalogue.neuron": ("neuron", "neuron_loss"),
    "catalogue.normalization": (
        "batch_norm",
        "batch_norm_inference",
        "group_norm",
        "layer_norm",
        "rms_norm",
        "weight_norm",
    ),
    "catalogue.penalty": (
        "elastic_net",
        "group_lasso",
        "l1",
        "l2",
    ),
    "catalogue.rectifier": (
        "celu",
        "elu",
        "hard_sigmoid",
        "hard_swish",
        "hard_tanh",
        "leaky_relu",
        "relu",
        "relu6",
        "selu",
        "softshrink",
    ),
    "catalogue.recurrent": ("gru_cell", "rnn_cell"),
    "catalogue.registry": ("rules",),
    "catalogue.rotary": ("rotary_embedding",),
    "catalogue.rule": ("elementwise", "rule"),
    "catalogue.softmax": (
        "log_softmax",
        "logsumexp",
        "softmax",
        "sparsemax",
    ),
    "checking.entry": ("assert_derivative", "check"),
    "differentiate.entry": ("layer_loss_grad", "network_loss_grad", "neuron_grad", "neuron_loss_grad"),
    "differentiate.gradient": ("grad", "value_and_grad"),
    "differentiate.jacobian": ("hessian", "jacobian", "value_and_jacobian"),
    "differentiate.pins": ("StructureError",),
    "differentiate.tape": ("NotDifferentiable",),
    "symbolic.catalogue": ("formula",),
    "symbolic.certificate": ("NotCertified",),
    "symbolic.derivation": ("Derivation",),
    "symbolic.deriving": ("derive",),
    "symbolic.derivative": ("NoFormula",),
    "linear.contract": ("TooLarge",),
    "linear.linear_map": ("LinearMap",),
    "linear.nest": ("dense", "gram", "mv", "row_gram", "row_norms", "vm"),
}
_ROOM_OF = {name: room for room, names in _HOME.items() for name in names}

__all__ = ["__version__", *_ROOM_OF]  # pyright: ignore[reportUnsupportedDunderAll] - the names load lazily

if TYPE_CHECKING:
    from jmc.catalogue.activation import (
        gelu,
        gelu_tanh,
        identity,
        log_sigmoid,
        mish,
        sigmoid,
        silu,
        soft_sign,
        softplus,
        squareplus,
        tanh,
    )
    from jmc.catalogue.affine import affine
    from jmc.catalogue.arrays import clip, dropout, embedding
    from jmc.catalogue.attention import attention, masked_attention, multi_head_attention
    from jmc.catalogue.classification import (
        binary_cross_entropy,
        focal_loss,
        hinge,
        multiclass_hinge,
        softmax_cross_entropy,
        softmax_cross_entropy_with_labels,
        squared_hinge,
    )
    from jmc.catalogue.contrastive import info_nce
    from jmc.catalogue.convolution import avg_pool, convolution, max_pool
    from jmc.catalogue.divergence import kl_divergence
    from jmc.catalogue.gated import glu, swiglu
    from jmc.catalogue.loss import (
        gaussian_nll,
        huber,
        log_cosh,
        mean_absolute_error,
        mean_squared_error,
        poisson_nll,
        quantile_loss,
    )
    from jmc.catalogue.lstm import lstm_cell
    from jmc.catalogue.network import layer, network
    from jmc.catalogue.neuron import neuron, neuron_loss
    from jmc.catalogue.normalization import (
        batch_norm,
        batch_norm_inference,
        group_norm,
        layer_norm,
        rms_norm,
        weight_norm,
    )
    from jmc.catalogue.penalty import elastic_net, group_lasso, l1, l2
    from jmc.catalogue.rectifier import (
        celu,
        elu,
        hard_sigmoid,
        hard_swish,
        hard_tanh,
        leaky_relu,
        relu,
        relu6,
        selu,
        softshrink,
    )
    from jmc.catalogue.recurrent import gru_cell, rnn_cell
    from jmc.catalogue.registry import rules
    from jmc.catalogue.rotary import rotary_embedding
    from jmc.catalogue.rule import elementwise, rule
    from jmc.catalogue.softmax import log_softmax, logsumexp, softmax, sparsemax
    from jmc.checking.entry import assert_derivative, check
    from jmc.differentiate.entry import layer_loss_grad, network_loss_grad, neuron_grad, neuron_loss_grad
    from jmc.differentiate.gradient import grad, value_and_grad
    from jmc.differentiate.jacobian import hessian, jacobian, value_and_jacobian
    from jmc.differentiate.pins import StructureError
    from jmc.differentiate.tape import NotDifferentiable
    from jmc.linear.contract import TooLarge
    from jmc.linear.linear_map import LinearMap
    from jmc.linear.nest import dense, gram, mv, row_gram, row_norms, vm
    from jmc.symbolic.catalogue import formula
    from jmc.symbolic.certificate import NotCertified
    from jmc.symbolic.derivation import Derivation
    from jmc.symbolic.derivative import NoFormula
    from jmc.symbolic.deriving import derive


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'jmc' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jmc.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOM_OF])

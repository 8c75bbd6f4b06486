"""Scalar expansion, x ○ z with a number z: the operator is element-wise with 1⃗ z (article §4.3)."""

from jmc.catalogue.elementwise import op
from jmc.catalogue.rule import entry
from jmc.linear.build import dense, diagonal, einsum, identity

entry(
    "x ○ z",
    {"x": "P-4.3.1"},
    "x: n, z",
    lambda x, z: op(x, z),
    {"x": lambda x, z: diagonal(op.D(x, z)[0]), "z": lambda x, z: dense(op.D(x, z)[1], 1)},
)

entry(
    "x + z",
    {"x": "P-4.3.2", "z": "P-4.3.3", "x z": "P-8.3.1"},
    "x: n, z",
    lambda x, z: x + z,
    {"x": lambda x, z: identity(x.shape), "z": lambda x, z: einsum("->n,", sizes={"n": x.size})},
)

entry(
    "x z",
    {"x": "P-4.3.4", "z": "P-4.3.5", "x z": "P-8.3.2"},
    "x: n, z",
    lambda x, z: x * z,
    {"x": lambda x, z: identity(x.shape) * z, "z": lambda x, z: x},
)

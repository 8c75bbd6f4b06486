"""What a term means, computed from its definition: one assignment of the labels after the other."""

import itertools
import math

import numpy as np


def entries(term):
    shape = [axis.size for axis in term.axes]
    J = np.zeros(shape, complex)
    labels = list(term.labels())
    factors = [(np.asarray(f.array), f.labels) for f in term.factors]
    indices = [None if axis.index is None else np.asarray(axis.index) for axis in term.axes]
    for values in itertools.product(*(range(label.size) for label in labels)):
        at = dict(zip(labels, values, strict=True))
        place = tuple(
            axis.offset + sum(stride * at[m] for m, stride in axis.strides)
            if index is None
            else int(index[tuple(at[m] for m in axis.labels)])
            for axis, index in zip(term.axes, indices, strict=True)
        )
        if all(0 <= k < n for k, n in zip(place, shape, strict=True)):
            J[place] += term.coefficient * math.prod(a[tuple(at[m] for m in own)] for a, own in factors)
    return J


def reference(J):
    total = sum((entries(term) for term in J.terms), np.zeros(J.out_shape + J.in_shape, complex))
    return total if np.issubdtype(J.dtype, np.complexfloating) else total.real

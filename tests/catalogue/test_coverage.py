"""Every identity of the sources is a rule, or said to state no derivative: none is left out, and none made up."""

import re

from jmc.catalogue.notation import NOTATION
from jmc.catalogue.registry import rules

# "4.2.1-16" are 4.2.1 … 4.2.16, and "5a-d" are 5a … 5d
ARTICLE = """
    1.1-3 2.1-8 3.1-4 4.0.1-5 4.1.1-4 4.1.5a-d 4.1.6 4.2.1-16 4.3.1-5 4.4.1-4 4.5.0 4.5.1.1-6 4.5.2.1-8 4.5.3.1-6
    4.5.3.7a-h 5.1-12 6.1-4 6.1.1-6 6.2.1-7 8.1.1-3 8.2.1-7 8.3.1-2 8.4.1-6 8.5.1-3 9.1-14"""
COOKBOOK = "33-64 64a 65-98 98a 99-144"
WIKIPEDIA = "VV-1-11 SV-1-20 VS-1-9 SM-1-35 MS-1-10 SS-1-8 D-1-16 C-1-6"
GILES = "G-0-5 G-5b G-6-15 G+1-11"
ACTIVATIONS = """
    identity sigmoid tanh relu leaky_relu relu6 elu selu celu gelu gelu_tanh silu softplus log_sigmoid softsign mish
    hard_tanh hard_sigmoid hard_swish squareplus softshrink exp log sqrt reciprocal abs erf prelu_alpha glu swiglu"""
LAYERS = """
    softmax-J softmax-vjp softmax-T softmax-H logsoftmax-J logsoftmax-vjp lse sparsemax-J
    mean var std max prod cumsum sort normalize cosine pairdist
    ce-probs ce-logits ce-logits-H ce-smooth ce-linear ce-linear-H bce-probs bce-logits mse mae huber logcosh quantile
    hinge sqhinge multihinge kl-q kl-p kl-qlogits kl-plogits entropy-logits focal poisson gaussnll mvn-nll infonce
    l2 l1 elastic grouplasso linreg logreg
    linear-x linear-W linear-b dense-batch bilinear mlp embedding dropout residual
    layernorm rmsnorm batchnorm batchnorm-eval weightnorm conv1d conv2d avgpool maxpool
    attention attention-causal attention-J rope rnn lstm-cell gru-cell lora
    broadcast concat gather transpose where clip einsum gaussnewton implicit opt-sgd opt-momentum opt-adam"""


def listed(prefix, text):
    """The ids of a list with ranges."""
    for word in text.split():
        if (numbers := re.fullmatch(r"(.*?)(\d+)-(\d+)", word)) is not None:
            head, first, last = numbers.groups()
            yield from (f"{prefix}{head}{k}" for k in range(int(first), int(last) + 1))
        elif (letters := re.fullmatch(r"(.*\d)([a-z])-([a-z])", word)) is not None:
            head, first, last = letters.groups()
            yield from (f"{prefix}{head}{chr(k)}" for k in range(ord(first), ord(last) + 1))
        else:
            yield prefix + word


IDS = [
    *listed("P-", ARTICLE),
    *listed("K-", COOKBOOK),
    *listed("W-", WIKIPEDIA),
    *listed("", GILES),
    *listed("L-act-", ACTIVATIONS),
    *(f"L-{name}" for name in LAYERS.split()),
]


def test_the_sources_have_522_identities():
    assert len(IDS) == len({*IDS}) == 522


def test_each_is_a_rule_or_notation():
    assert {*rules.ids()} | {*NOTATION} == {*IDS}
    assert not {*rules.ids()} & {*NOTATION}

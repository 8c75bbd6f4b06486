"""What the code of formulas calls: functions that neither overflow nor cancel, for JAX and for NumPy.

``{np}`` and ``{scipy}`` stand for the modules.
"""

SIGMOID = """\
def sigmoid(x):
    e = {np}.exp(-abs(x))
    return {np}.where(x >= 0, 1, e) / (1 + e)
"""
SECH2 = """\
def sech2(x):
    e = {np}.exp(-2 * abs(x))
    return 4 * e / (1 + e) ** 2
"""
SPECIAL = "from {scipy} import special\n"
ERF = "from {scipy}.special import erf, ndtr\n"

DENSITY = """\
def density(x):
    return {np}.exp(-x * x / 2) / (2 * {np}.pi) ** 0.5
"""

COVARIANCE = """\
def covariance(p):
    one = {np}.eye(len(p), dtype=bool)
    rest = {np}.where(one, 0, p[None, :]).sum(1)
    return {np}.where(one, (p * rest)[:, None], -p[:, None] * p[None, :])
"""
SOFTMAX = """\
def softmax(x):
    e = {np}.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
"""
LOGSUMEXP = """\
def logsumexp(x):
    top = x.max(-1, keepdims=True)
    return {np}.log({np}.exp(x - top).sum(-1)) + top[..., 0]
"""
LOG_SOFTMAX = """\
def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - {np}.log({np}.exp(x).sum(-1, keepdims=True))
"""
COMMUTATION = """\
def commutation(m, n):
    one = {np}.eye(m * n)
    return one.reshape(m, n, m * n).transpose(1, 0, 2).reshape(m * n, m * n)
"""
GAPS = """\
def gaps(x):
    one = {np}.eye(len(x))
    return (1 - one) / (x[None, :] - x[:, None] + one)
"""
EXPM = "from {scipy} import linalg\n"
EXPM_SLOPE = """\
def expm_slope(A):
    n = len(A)
    one = {np}.eye(n * n).reshape(n, n, n, n)
    A = {np}.broadcast_to(A, one.shape)
    above, below = {np}.concatenate([A, one], -1), {np}.concatenate([0 * A, A], -1)
    corner = linalg.expm({np}.concatenate([above, below], -2))[..., :n, n:]
    return {np}.moveaxis(corner, (0, 1), (2, 3))
"""
OTHERS = """\
def others(p):
    at = {np}.broadcast_to({np}.arange(p.shape[-1]), p.shape)
    top = at == p.argmax(-1, keepdims=True)
    rest = {np}.where(top, 0, p).sum(-1, keepdims=True)
    return {np}.where(top, rest, 1 - p)
"""
ERROR = """\
def error(p, y):
    return p * (1 - y) - y * others(p)
"""
LOGIT_ERROR = """\
def logit_error(z, y):
    return (1 - y) * sigmoid(z) - y * sigmoid(-z)
"""
SLOPE = """\
def log_softmax_slope(p):
    one = {np}.eye(len(p), dtype=bool)
    return {np}.where(one, others(p)[:, None], -p[None, :])
"""
BELOW = {"error": OTHERS, "log_softmax slope": OTHERS, "logit error": SIGMOID, "expm slope": EXPM}
"""What the helpers call."""
HELPERS = {
    "error": ERROR,
    "logit error": LOGIT_ERROR,
    "others": OTHERS,
    "log_softmax slope": SLOPE,
    "expm": EXPM,
    "expm slope": EXPM_SLOPE,
    "gaps": GAPS,
    "covariance": COVARIANCE,
    "softmax": SOFTMAX,
    "logsumexp": LOGSUMEXP,
    "log_softmax": LOG_SOFTMAX,
}
OPERATORS = {
    "error": "error({0}, {1})",
    "error turned": "(-error({0}, {1}))",
    "logit error": "logit_error({0}, {1})",
    "logit error turned": "(-logit_error({0}, {1}))",
    "others": "others({0})",
    "log_softmax slope": "log_softmax_slope({0})",
    "inv": "{np}.linalg.inv({0})",
    "det": "{np}.linalg.det({0})",
    "logdet": "{np}.linalg.slogdet({0})[1]",
    "sign of det": "{np}.linalg.slogdet({0})[0]",
    "cholesky": "{np}.linalg.cholesky({0})",
    "expm": "linalg.expm({0})",
    "expm slope": "expm_slope({0})",
    "singular values": "{np}.linalg.svd({0}, compute_uv=False)",
    "left singular vectors": "{np}.linalg.svd({0}, full_matrices=False)[0]",
    "right singular vectors": "{np}.linalg.svd({0}, full_matrices=False)[2].T",
    "left singular vector": "{np}.linalg.svd({0})[0][:, 0]",
    "right singular vector": "{np}.linalg.svd({0})[2][0]",
    "spectral norm": "{np}.linalg.norm({0}, 2)",
    "max": "{0}.max(-1)",
    "min": "{0}.min(-1)",
    "prod": "{0}.prod(-1)",
    "argmax": "{0}.argmax(-1)",
    "argmin": "{0}.argmin(-1)",
    "eigenvalues": "{np}.linalg.eigvalsh({0})",
    "eigenvectors": "{np}.linalg.eigh({0})[1]",
    "gaps": "gaps({0})",
    "softmax": "softmax({0})",
    "covariance": "covariance({0})",
    "logsumexp": "logsumexp({0})",
    "log_softmax": "log_softmax({0})",
}

"""Ids of the sources that state no derivative: notation, definitions, procedures; each in a line."""

NOTATION: dict[str, str] = {
    # the article's introduction, and the neuron whose loss is to be minimised
    "P-1.1": "the affine function z = w·x + b of a unit; its derivatives are P-5.4 and P-5.5",
    "P-1.2": "a unit's activation is the affine function cut off below 0, max(0, z)",
    "P-1.3": "the loss to minimise: the mean over the inputs of (target − activation)²",
    "P-4.1.1": "a vector x is a column of n numbers",
    "P-4.1.2": "m functions of x, each of which gives a number, are one function y = f(x) that gives a vector",
    "P-4.2.1": "an element-wise binary operator: y_i = f_i(w) ○ g_i(x), all of one length",
    "P-5.1": "the neuron, activation(x) = max(0, w·x + b)",
    "P-5.7": "max(0, x) of a vector takes the maximum of every entry with 0",
    "P-6.1": "the inputs are rows of a matrix X with one row per example",
    "P-6.2": "the targets are a vector y with one entry per example",
    "P-6.3": "the loss of a neuron as a function of all that it depends on, C(w, b, X, y)",
    "P-6.4": "intermediate variables of the loss: the activation u, the residual v = y − u, C the mean of v²",
    "P-6.1.6": "a step of gradient descent for the weights, w − η (∂C/∂w)ᵀ",
    "P-6.2.5": "a step of gradient descent for the bias, b − η ∂C/∂b",
    "P-8.2.1": "an element-wise binary operator again; row 2 is misprinted, it reads f_n(w) for f_2(w)",
    # the article's table of notation
    "P-9.1": "bold small letters are vectors, italic ones numbers",
    "P-9.2": "x_i is entry i of the vector x, a number",
    "P-9.3": "|x| is the length, the number of entries, of x",
    "P-9.4": "xᵀ is the transpose: a column laid down as a row, or a matrix mirrored",
    "P-9.5": "Σ from i = a to b includes both ends",
    "P-9.6": "f(x) is the value of f at x",
    "P-9.7": "I is the identity matrix: ones on the diagonal, zeros elsewhere",
    "P-9.8": "diag(x) is the square matrix with x on its diagonal, zeros elsewhere",
    "P-9.9": "the dot product, w·x = Σ w_i x_i = sum(w ⊗ x) = wᵀx",
    "P-9.10": "d/dx is an operator on functions of one number; dy/dx and df(x)/dx are what it gives",
    "P-9.11": "∂f/∂x is the derivative by x while all other variables are held",
    "P-9.12": "∇f is the row of all partial derivatives of a function with one output",
    "P-9.13": "a Jacobian has the gradients of the outputs as its rows",
    "P-9.14": "a brace with cases chooses the expression whose condition holds",
    # procedures
    "P-4.5.1.2": "how to use the chain rule: name intermediate variables, differentiate each by its argument, multiply "
    "and substitute back; it is about no function of its own, and ``steps.Steps`` carries it out",
    # the Matrix Cookbook
    "K-96": "names the quadratic f = xᵀAx + bᵀx, whose gradient is K-97 and whose Hessian K-98",
    "K-135": "poses the chain rule for a function of a matrix function, ∂g(f(X))/∂X; K-136 and K-137 answer",
    # steps of optimisers: optax takes them, and the training's tests hold them to the formulas
    "L-opt-sgd": "a step against the gradient, w − η g",
    "L-opt-momentum": "gradients add up in a velocity, v ← μ v + g; the step is w − η v",
    "L-opt-adam": "running means of g and g², freed of their bias to 0: the step is w − η m̂/(√v̂ + ε)",
}

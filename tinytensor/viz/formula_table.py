"""The local derivative of every operation, as text in the field's notation.

y is the result, g the gradient that arrives there, x, a, b ... the inputs by their names in the
operation, dx the gradient of x. A tensor that an operation reads twice over gets its parts added.

SLOPES holds what works element by element: dy/dx as an expression that says no more than its rule
does, in what the rule keeps. It may be read by a program: products are written with "·", and

    A where C, B where D, else E        A with t = B

LINES holds what moves, adds or multiplies whole tensors, KERNELS what is written by hand as one
node. At kinks all of them speak as the rules do, but for NaN and the infinities.
"""

from __future__ import annotations

Expressions = dict[str, str]  # argument -> dy / d argument

_SELU = 1.0507009873554804934193349852946

CONSTANTS: dict[str, dict[str, float]] = {
    "selu": {"λ": _SELU, "α": 1.6732632423543772848170429916717},
    "binary_cross_entropy": {"ε": 9.999999960041972e-13},  # 1e-12 in float32
}

# The short signs for arguments that have long names.
SYMBOLS = {"alpha": "α", "beta": "β", "lambd": "λ", "delta": "δ", "negative_slope": "slope"}

_ZERO = {"x": "0"}
_ONE = {"x": "1"}
_LARGER = "1 where a > b, 1/2 where a = b, else 0"
_SMALLER = "1 where a < b, 1/2 where a = b, else 0"
SLOPES: dict[str, Expressions] = {
    # arithmetic
    "add": {"a": "1", "b": "1"},
    "sub": {"a": "1", "b": "-1"},
    "mul": {"a": "b", "b": "a"},
    "_times_number": {"x": "factor"},
    "div": {"a": "1 / b", "b": "-a / b²"},
    "neg": {"x": "-1"},
    "pow": {"a": "b · a^(b - 1)", "b": "y · ln(a)"},
    "abs": {"x": "sign(x)"},
    "sign": _ZERO,
    "square": {"x": "2 · x"},
    "sqrt": {"x": "1 / (2 · y)"},
    "rsqrt": {"x": "-y³ / 2"},
    "reciprocal": {"x": "-y²"},
    "lerp": {"input": "1 - weight", "end": "weight", "weight": "end - input"},
    "_addcmul": {"input": "1", "tensor1": "value · tensor2", "tensor2": "value · tensor1"},
    "_addcdiv": {
        "input": "1",
        "tensor1": "value / tensor2",
        "tensor2": "-value · tensor1 / tensor2²",
    },
    # exponentials
    "exp": {"x": "y"},
    "exp2": {"x": "y · ln(2)"},
    "expm1": {"x": "y + 1"},
    "log": {"x": "1 / x"},
    "log1p": {"x": "1 / (1 + x)"},
    "log2": {"x": "1 / (x · ln(2))"},
    "log10": {"x": "1 / (x · ln(10))"},
    "xlogx": {"t": "ln(t) + 1"},
    "erf": {"x": "2 / √(π) · e^(-x²)"},
    "logit": {"x": "1 / (x · (1 - x))"},
    # trigonometry
    "sin": {"x": "cos(x)"},
    "cos": {"x": "-sin(x)"},
    "tan": {"x": "1 + y²"},
    "asin": {"x": "1 / √(1 - x²)"},
    "acos": {"x": "-1 / √(1 - x²)"},
    "atan": {"x": "1 / (1 + x²)"},
    "atan2": {"a": "b / (a² + b²)", "b": "-a / (a² + b²)"},
    "sinh": {"x": "cosh(x)"},
    "cosh": {"x": "sinh(x)"},
    "asinh": {"x": "1 / √(x² + 1)"},
    "acosh": {"x": "1 / √(x² - 1)"},
    "atanh": {"x": "1 / (1 - x²)"},
    # activations
    "tanh": {"x": "1 - y²"},
    "sigmoid": {"x": "y · (1 - y)"},
    "relu": {"x": "0 where y ≤ 0, else 1"},
    "leaky_relu": {"x": "1 where x > 0, else slope"},
    "elu": {"x": "1 where x > 0, else α · e^x"},
    "selu": {"x": "λ where x > 0, else λ · α · e^x"},
    "celu": {"x": "1 where x > 0, else e^(x / α)"},
    "silu": {"x": "σ(x) · (1 + x · (1 - σ(x)))"},
    "softplus": {"x": "1 where β · x > threshold, else σ(β · x)"},
    "logsigmoid": {"x": "σ(-x)"},
    "gelu": {"x": "Φ(x) + x · φ(x)"},
    "mish": {"x": "t + x · σ(x) · (1 - t²) with t = tanh(ln(1 + e^x))"},
    "prelu": {"x": "1 where x > 0, else weight", "weight": "0 where x > 0, else x"},
    "hardtanh": {"x": "1 where min_val < x < max_val, else 0"},
    "hardsigmoid": {"x": "1/6 where -3 < x < 3, else 0"},
    "hardswish": {"x": "0 where x ≤ -3, x / 3 + 1/2 where x < 3, else 1"},
    "hardshrink": {"x": "0 where -λ ≤ x ≤ λ, else 1"},
    "softshrink": {"x": "0 where -λ ≤ x ≤ λ, else 1"},
    "threshold": {"x": "0 where x ≤ threshold, else 1"},
    # losses
    "binary_cross_entropy": {
        "x": "(x - t) / max(x · (1 - x), ε)",
        "t": "ln(1 - x) - ln(x)",
    },
    "binary_cross_entropy_with_logits": {"x": "σ(x) - t", "t": "-x"},
    "huber": {"d": "d where -δ ≤ d ≤ δ, else δ · sign(d)"},
    "smooth_l1": {"d": "d / β where -β ≤ d ≤ β, else sign(d)"},
    # choosing
    "maximum": {"a": _LARGER, "b": _SMALLER},
    "minimum": {"a": _SMALLER, "b": _LARGER},
    "fmax": {"a": "1 where a ≥ b, else 0", "b": "0 where a ≥ b, else 1"},
    "fmin": {"a": "1 where a ≤ b, else 0", "b": "0 where a ≤ b, else 1"},
    "clamp_min": {"x": "1 where x ≥ min, else 0", "min": "1 where x < min, else 0"},
    "clamp_max": {"x": "1 where x ≤ max, else 0", "max": "1 where x > max, else 0"},
    "_clamp": {
        "x": "1 where low ≤ x ≤ high, else 0",
        "low": "1 where x < low < high, else 0",
        "high": "1 where x > high or high < low, else 0",
    },
    "where": {"a": "1 where condition, else 0", "b": "0 where condition, else 1"},
    "masked_fill": {"x": "0 where mask, else 1", "value": "1 where mask, else 0"},
    "nan_to_num": {"x": "1 where finite(x), else 0"},
    # rounding
    "floor": _ZERO,
    "ceil": _ZERO,
    "trunc": _ZERO,
    "frac": _ONE,
    "_round": _ZERO,
    "div_rounded": {"a": "0", "b": "0"},
    "remainder": {"a": "1", "b": "-floor(a / b)"},
    # copies
    "cast": _ONE,
    "clone": _ONE,
    "contiguous": _ONE,
    "copy": {"x": "0", "source": "1"},
}

# With approximate="tanh".
GELU_TANH = (
    "(1 + t) / 2 + x / 2 · (1 - t²) · √(2 / π) · (1 + 3 · 0.044715 · x²)"
    " with t = tanh(√(2 / π) · (x + 0.044715 · x³))"
)

# With an eps.
LOGIT_BETWEEN = "1 / (x · (1 - x)) where eps ≤ x ≤ 1 - eps, else 0"

# Where it was freed which of the forms it is.
FREED = {
    "gelu": "Φ(x) + x · φ(x), or that of the tanh form",
    "logit": "1 / (x · (1 - x)), 0 beyond an eps",
    "_vector_norm": "dx = g · sign(x) · (|x| / y)^(ord - 1) for a finite ord",
}

# Of the orders that are no ordinary numbers.
NORM_0 = "no gradient: a count does not change"
NORM_INFINITE = "dx = g · sign(x) where |x| = y, shared at a tie, else 0"

NO_DERIVATIVE = "no derivative: asking for it is an error"

LINES: dict[str, Expressions] = {
    # shape
    "reshape": {"x": "dx = g in the shape of x"},
    "view": {"x": "dx = g in the shape of x"},
    "squeeze": {"x": "dx = g in the shape of x"},
    "unsqueeze": {"x": "dx = g in the shape of x"},
    "expand": {"x": "dx = Σ g over what was repeated"},
    "permute": {"x": "dx = g, its dimensions in the old order"},
    "transpose": {"x": "dx = g, dim0 and dim1 exchanged back"},
    "flip": {"x": "dx = g, flipped back"},
    "roll": {"x": "dx = g, rolled back"},
    "cat": {"tensors": "dtensors[i] = its stretch of g"},
    "stack": {"tensors": "dtensors[i] = its slice of g"},
    "unbind": {"x": "dx = the slices' g, stacked"},
    "split": {"x": "dx = the parts' g, one after another"},
    "constant_pad": {"x": "dx = g without the padding"},
    "diagonal": {"x": "dx = g on the diagonal, else 0"},
    "diagonal_zeros": {"x": "dx = the diagonal of g"},
    "tril": {"x": "dx = g on and below the diagonal, else 0"},
    "triu": {"x": "dx = g on and above the diagonal, else 0"},
    "unfold": {"x": "dx = Σ g over the windows that an element is in"},
    "fold": {"x": "dx = the windows of g"},
    # index
    "copy_slices": {"base": "dbase = g, 0 where written", "value": "dvalue = g where written"},
    "take_view": {"base": "dbase = g at the view, else 0"},
    "getitem": {"x": "dx = g added at [key], else 0"},
    "index_put_zeros": {"x": "dx = g[key]"},
    "index_put": {"x": "dx = g, 0 at [key]", "value": "dvalue = g[key]"},
    "gather": {"x": "dx = g added where index points, else 0"},
    "scatter_add": {"x": "dx = g", "source": "dsource = g where index points"},
    "_scatter": {"x": "dx = g, 0 where index points", "source": "dsource = g where index points"},
    "_index_add": {"x": "dx = g", "source": "dsource = alpha · g[index]"},
    "_scatter_extreme": {
        "x": "dx = g where x was chosen, shared at a tie",
        "source": "dsource = g where it was chosen, shared at a tie",
    },
    "embedding": {"weight": "dweight[k] = Σ g where index = k, 0 for padding_idx"},
    "add_rows": {"x": "dx = g[index], 0 for padding_idx"},
    # sums and extremes
    "sum": {"x": "dx = g, the same for all that were added"},
    "mean": {"x": "dx = g / n, the same for all n"},
    "prod": {"x": "dx = g · (product of the others)"},
    "amax": {"x": "dx = g at the largest, shared at a tie, else 0"},
    "amin": {"x": "dx = g at the smallest, shared at a tie, else 0"},
    "_median": {"x": "dx = g at the median, shared at a tie, else 0"},
    "cumsum": {"x": "dx_k = g_k + g_(k+1) + ... + g_n"},
    "cumprod": {"x": "dx_k = Σ_(j ≥ k) g_j · (product of x_i, i ≤ j, i ≠ k)"},
    "logcumsumexp": {"x": "dx_k = Σ_(j ≥ k) g_j · e^(x_k - y_j)"},
    "logsumexp": {"x": "dx = g · e^(x - y)"},
    "softmax": {"x": "dx = y · (g - Σ g · y)"},
    "log_softmax": {"x": "dx = g - e^y · Σ g"},
    "_var": {"x": "dx = 2 · g · (x - mean) / (n - correction)"},
    "_std": {"x": "dx = g · (x - mean) / (y · (n - correction))"},
    "_vector_norm": {"x": "dx = g · sign(x) · (|x| / y)^(ord - 1)"},
    # products
    "matmul": {"a": "da = g bᵀ", "b": "db = aᵀ g"},
    "linear": {"x": "dx = g W", "weight": "dW = gᵀ x", "bias": "db = Σ g over the rows"},
    "_conv": {
        "x": "dx[n, c, s t + d k] = Σ_(o, k) g[n, o, t] · w[o, c, k]",
        "weight": "dw[o, c, k] = Σ_(n, t) g[n, o, t] · x[n, c, s t + d k]",
    },
    "_conv_input": {
        "x": "dx[n, o, t] = Σ_(c, k) g[n, c, s t + d k] · w[o, c, k]",
        "weight": "dw[o, c, k] = Σ_(n, t) g[n, c, s t + d k] · x[n, o, t]",
    },
    "_conv_weight": {
        "x": "dx[n, c, s t + d k] = Σ_(o, k) g[o, c, k] · h[n, o, t]",
        "h": "dh[n, o, t] = Σ_(c, k) g[o, c, k] · x[n, c, s t + d k]",
    },
    "svd": {"a": "da: see Townsend 2016; it divides by s_j² - s_k²"},
    # none
    "floor_divide": {"a": NO_DERIVATIVE, "b": NO_DERIVATIVE},
    "_unique": {"x": NO_DERIVATIVE},
}

_LSTM_GATES = (
    "dz_i = dc_t · g_t · i_t · (1 - i_t)",
    "dz_f = dc_t · c_(t-1) · f_t · (1 - f_t)",
    "dz_g = dc_t · i_t · (1 - g_t²)",
    "dz_o = dh_t · tanh(c_t) · o_t · (1 - o_t)",
)
_WEIGHTS = "dW_ih = Σ_t dz_t x_tᵀ, dW_hh = Σ_t dz_t h_(t-1)ᵀ"

# dy_t is what arrives at the output of step t, dc_T also what arrives at the last state.
KERNELS: dict[str, tuple[str, ...]] = {
    "lstm": (
        "dh_t = dy_t + W_hhᵀ dz_(t+1)",
        "dc_t = dh_t · o_t · (1 - tanh²(c_t)) + dc_(t+1) · f_(t+1)",
        *_LSTM_GATES,
        "dx_t = W_ihᵀ dz_t",
        _WEIGHTS,
    ),
    "lstm_cell": (
        "dc_t = dh_t · o_t · (1 - tanh²(c_t)) + what arrives at c_t",
        *_LSTM_GATES,
        "dc_(t-1) = dc_t · f_t, dh_(t-1) = W_hhᵀ dz_t",
        "dx_t = W_ihᵀ dz_t",
        "dW_ih = dz_t x_tᵀ, dW_hh = dz_t h_(t-1)ᵀ",
    ),
    "gru": (
        "dh_t = dy_t + dh_(t+1) · z_(t+1) + W_hhᵀ du_(t+1)",
        "da_n = dh_t · (1 - z_t) · (1 - n_t²)",
        "da_z = dh_t · (h_(t-1) - n_t) · z_t · (1 - z_t)",
        "da_r = da_n · (W_hn h_(t-1) + b_hn) · r_t · (1 - r_t)",
        "du_r = da_r, du_z = da_z, du_n = da_n · r_t",
        "dx_t = W_ihᵀ da_t",
        "dW_ih = Σ_t da_t x_tᵀ, dW_hh = Σ_t du_t h_(t-1)ᵀ",
    ),
    "gru_cell": (
        "da_n = dh_t · (1 - z_t) · (1 - n_t²)",
        "da_z = dh_t · (h_(t-1) - n_t) · z_t · (1 - z_t)",
        "da_r = da_n · (W_hn h_(t-1) + b_hn) · r_t · (1 - r_t)",
        "du_r = da_r, du_z = da_z, du_n = da_n · r_t",
        "dh_(t-1) = dh_t · z_t + W_hhᵀ du_t, dx_t = W_ihᵀ da_t",
        "dW_ih = da_t x_tᵀ, dW_hh = du_t h_(t-1)ᵀ",
    ),
    "rnn_tanh": (
        "dh_t = dy_t + W_hhᵀ dz_(t+1)",
        "dz_t = dh_t · (1 - h_t²)",
        "dx_t = W_ihᵀ dz_t",
        _WEIGHTS,
    ),
    "rnn_relu": (
        "dh_t = dy_t + W_hhᵀ dz_(t+1)",
        "dz_t = dh_t where h_t > 0, else 0",
        "dx_t = W_ihᵀ dz_t",
        _WEIGHTS,
    ),
    "rnn_tanh_cell": (
        "dz_t = dh_t · (1 - h_t²)",
        "dh_(t-1) = W_hhᵀ dz_t, dx_t = W_ihᵀ dz_t",
        "dW_ih = dz_t x_tᵀ, dW_hh = dz_t h_(t-1)ᵀ",
    ),
    "rnn_relu_cell": (
        "dz_t = dh_t where h_t > 0, else 0",
        "dh_(t-1) = W_hhᵀ dz_t, dx_t = W_ihᵀ dz_t",
        "dW_ih = dz_t x_tᵀ, dW_hh = dz_t h_(t-1)ᵀ",
    ),
    "layer_norm": (
        "x̂ = (x - mean) · r, r = 1 / √(variance + ε), ĝ = g · w",
        "dx = r · (ĝ - mean(ĝ) - x̂ · mean(ĝ · x̂))",
        "dw = Σ g · x̂, db = Σ g",
    ),
    "rms_norm": (
        "x̂ = x · r, r = 1 / √(mean(x²) + ε), ĝ = g · w",
        "dx = r · (ĝ - x̂ · mean(ĝ · x̂))",
        "dw = Σ g · x̂",
    ),
    "batch_norm": (
        "x̂ = (x - mean) · r, r = 1 / √(variance + ε), ĝ = g · w",
        "dx = r · (ĝ - mean(ĝ) - x̂ · mean(ĝ · x̂)), each mean over the batch",
        "dw = Σ g · x̂, db = Σ g",
    ),
    "ctc_loss": (
        "dx = g · (p - γ), p = e^x",
        "γ: the share of the fitting paths that are at this symbol then",
    ),
}

CROSS_ENTROPY = (
    "p = softmax(x)",
    "dx = g · (p - [c = target]) / n",
    "n: how many losses for their mean, else 1",
)
CROSS_ENTROPY_WEIGHTED = (
    "p = softmax(x), q_c = (1 - ε) · w_target · [c = target] + ε · w_c / C",
    "dx = g · (p · Σ q - q) / n, 0 where ignored",
    "n: Σ w_target for the mean, else 1",
)

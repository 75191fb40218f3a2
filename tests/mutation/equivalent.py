"""Mistakes that change nothing: the mutants that no test can kill, each with the reason.

The keys are the name of a function and the mutated statement (see `mutator.Mutant.after`). What is
the same only in one operation that calls the function begins with "in <operation>: ". All mutants
of a statement are named by "any: " and the statement itself.
"""

_PAIR_IS_FREE = "which two dimensions are exchanged does not depend on their order"
_SUM_IS_FREE = "a sum does not depend on the order of two terms"
_PRODUCT_IS_FREE = "a product does not depend on the order of two factors"
_UNKNOWN_SIZE = "NumPy takes any negative size for the one to be found out"
_MASKED_ANYWAY = "the other side of a choice that the next line makes"
_ONE_DTYPE = "an operation's output has the type of its input here"
_ONE_NAN_IS_ALL = "the result is NaN where any of the elements is"
_LAST_IS_UNUSED = "the last factors are not used; they only have to be finite"
_NOTHING_OUTSIDE = "a square factor leaves nothing outside its space: 0 is added"
_ONLY_SPEED = "a shorter way to the same numbers"
_ONLY_MEMORY = "how much is prepared at a time decides about speed and memory alone"
_ONE_SHAPE = "an operation's output has the shape of its input here"
_ONLY_SHAPE = "of this value only the shape is used"
_FOR_RECORDS = "what a record of bptt is handed; tests/bptt holds it to gradients of its own"

EQUIVALENT: dict[str, dict[str, str]] = {
    # elementwise
    "_pow_base": {
        "return g * (b * a ** (b - 1)) if b != 0 else zeros_like(a)": (
            "with a number as exponent, the output has the shape and type of the base"
        ),
    },
    "_one": {
        "return 1": _ONLY_SPEED,
        "in tanh: return _ONES[y.dtype] if type(y) is np.ndarray else -1": (
            "it is used in two factors, whose signs cancel"
        ),
    },
    "_tanh_rule": {"one = _one(g)": _ONE_DTYPE},
    "sigmoid.x": {"lambda g, y: g * (_one(g) - y) * y": _ONE_DTYPE},
    "_selu_gradient": {
        "below = g * (_SELU_SCALE_ALPHA * exp(where(x <= 0, x, 0.0)))": "at 0 both are 0",
        "below = g * (_SELU_SCALE_ALPHA * exp(where(x < 1, x, 0.0)))": _MASKED_ANYWAY,
    },
    "atan2.a": {"lambda g, a, b: g * _over_square(b, b, a)": _SUM_IS_FREE},
    "atan2.b": {"lambda g, a, b: -g * _over_square(a, b, a)": _SUM_IS_FREE},
    "prelu.weight": {"lambda g, x: where(x >= 0, 0.0, g * x)": "at 0 both are 0"},
    "celu.x": {
        "lambda g, x, alpha: g * exp(where(x <= 0, x, 0.0) / alpha)": "at 0 both are 0",
    },
    "huber.d": {
        "lambda g, d, delta: g * clamp_min(clamp_max(delta, d), -delta)": (
            "the smaller of two does not depend on their order"
        ),
    },
    # shape
    "_inverse": {"inverse = [1] * len(dims)": "every element is written afterwards"},
    "transpose.x": {"lambda g, dim0, dim1: transpose(g, dim1, dim0)": _PAIR_IS_FREE},
    # index
    "index_gradient": {"if True or isinstance(g, Tensor):": _ONLY_SPEED},
    "_source_gradient": {
        "if False and tuple(part.shape) == shape:": "adding it all to zeros gives it back",
        "return part": "the engine brings a single element into the input's shape",
    },
    "_rows_rule": {
        "if False and padding_idx is None:": "no number equals None, so nothing is masked",
        "if g is None:": "no number equals None, so nothing is masked",
    },
    "_extreme_input": {
        "part, _ = _part_of_each(g, x, x, dim, index, source)": (
            "the result is only looked at where it is x"
        ),
    },
    "_extreme_source": {
        "if False and tuple(found.shape) == tuple(source.shape):": (
            "adding it all to zeros gives it back"
        ),
    },
    "_part_of_each": {"one = zeros_of(y, ()) + 1.0": _ONE_DTYPE},
    # scan
    "_recur_back": {
        "while step <= n:": "a pass that reaches past the end changes nothing",
        "a = cat([near_a * far_a, stretch(b, dim, -step, None)], dim)": _LAST_IS_UNUSED,
    },
    "_cumprod_rule": {
        "if y.ndim == 0:": _ONE_SHAPE,
        "last = stretch(y, dim, -1, None)": _ONLY_SHAPE,
        "after = cat([stretch(x, dim, 1, None), last], dim)": _LAST_IS_UNUSED,
    },
    "_growth": {
        "return exp(where(x == -math.inf, -math.inf, sub(x, y)))": (
            "where the sum is 0 so is each part, and where a part is 0 its share is 0 anyway"
        ),
    },
    "_logcumsumexp_rule": {
        "if y.ndim == 0:": _ONE_SHAPE,
        "ratio = cat([ratio, stretch(y, dim, -1, None)], dim)": _LAST_IS_UNUSED,
    },
    # reduce
    "_prod_rule": {
        "if False and (not any(x == 0)):": _ONLY_SPEED,
        "if not any(y == 0):": "the product is 0 where a factor is (or in underflow, as in torch)",
        "line = reshape(x, (-1,)) if dim is None or y.ndim == 0 else x": (
            "of one dimension, x is flat already"
        ),
    },
    "_extreme_rule": {
        "chosen = (x == top) | (x != x)": _ONE_NAN_IS_ALL,
        "ones = cast(chosen, y.dtype)": _ONE_DTYPE,
    },
    "_median_rule": {
        "chosen = cast((x == y) | isnan(x), x.dtype)": _ONE_NAN_IS_ALL,
        "chosen = cast((x == y) | isnan(x) & isnan(y), y.dtype)": _ONE_DTYPE,
    },
    "_vector_rule": {
        "if False and ord == 1:": _ONLY_SPEED,
        "chosen = cast((size == y) | isnan(size), x.dtype)": _ONE_NAN_IS_ALL,
        "chosen = cast((size == y) | isnan(size) & isnan(y), y.dtype)": _ONE_DTYPE,
        "away = sign(x) * where(x == 0, 1.0, pow(size, ord - 1))": "the sign of 0 is 0",
    },
    # linalg
    "_left": {"return matmul(g, transpose(b, -2, -1))": _PAIR_IS_FREE},
    "_right": {
        "return unsqueeze(a, 1) * unsqueeze(g, -2)": "a has one dimension",
        "any: if len(shape_b.shape) == 2 and a.ndim > 2:": (
            "one flat product in place of a batch of products that the engine then adds up"
        ),
        "pass  # a, g = (_rows(a), _rows(g))": "the same, of the whole batch",
        "return matmul(transpose(a, -2, -1), g)": _PAIR_IS_FREE,
    },
    "_rows": {
        "return -reshape(x, (count, x.shape[-1]))": "it is taken of both factors of a product",
        "in matmul: return x": "see `_right`",
    },
    "_svd_rule": {
        "identity = triu(tril(ones_like(across / down)))": _ONLY_SHAPE,
        "gaps = across * across - down * down - identity": (
            "what is divided by it has zeros on the diagonal"
        ),
        "if True or u.shape[-2] > u.shape[-1]:": _NOTHING_OUTSIDE,
        "if u.shape[-2] >= u.shape[-1]:": _NOTHING_OUTSIDE,
        "if True or vt.shape[-1] > vt.shape[-2]:": _NOTHING_OUTSIDE,
        "if vt.shape[-1] >= vt.shape[-2]:": _NOTHING_OUTSIDE,
        "outer = matmul((gu - matmul(u, within)) / across, vt)": "it was 0 before",
        "outer = matmul(u / across, gvt - matmul(_turned(within), vt))": (
            "it was 0 before: no matrix is both tall and wide"
        ),
    },
    "_turned": {"return transpose(x, -1, -2)": _PAIR_IS_FREE},
    "linear.weight": {
        "lambda g, x: matmul(transpose(_rows(g), 1, 0), _rows(x))": _PAIR_IS_FREE,
        "lambda g, x: matmul(transpose(_rows(g), 0, -1), _rows(x))": "of two dimensions",
    },
    # the kernels of recurrent layers
    "_gate_gradients": {
        "w_back = w_hh": _ONLY_SPEED,
        "any: blocks = list(steps.blocks(_BLOCK_BYTES // max(1, dz[:1].nbytes), not reverse))": (
            _ONLY_MEMORY
        ),
        "any: most = max([rows.stop - rows.start for rows, _ in blocks], default=0)": _ONLY_MEMORY,
        (
            "any: room = np.empty((2, 4, most, size), dz.dtype) if steps.batch >= _MANY else None"
        ): _ONLY_SPEED,
        "gates = saved.gates[rows].reshape(-2, 4, size)": _UNKNOWN_SIZE,
        "if False and room is not None:": _ONLY_SPEED,
        "by_gate, k_z = room[:, :, :len(gates)].transpose(0, -2, 1, 3)": "of four dimensions",
        "pass  # gates = by_gate": _ONLY_SPEED,
        "moved = (k_z, dz_gates)": "they are the same memory where nothing was moved",
        "size = saved.c.shape[-1]": "of two dimensions",
        "if True or not uniform:": _ONLY_SPEED,
        "dh, dc = (follow(dh, d_last[0], count), follow(dc, d_last[-1], count))": "of two parts",
    },
    "_gate_slopes": {
        "any: if not [d for d in d_gates if d is not None]:": "adding 0 changes nothing",
    },
    "_scan_backward": {
        "in lstm: dh_all: Any = np.empty_like(saved.h)": _ONLY_MEMORY,
        "in gru: size = saved.q.shape[-1]": "of two dimensions",
        "in lstm: gradients: list[Array | None] = [None] * len(upstream)": "both lists have six",
        "in lstm: if needs[2] or needs[-3]:": "of six weights",
        "any: if handed is not None:": _FOR_RECORDS,
        "in gru: any: handed.update(zip('rzn', _thirds(da, size), strict=True))": _FOR_RECORDS,
        (
            "in lstm: any: handed.update(zip('ifgo', (_gate(dz, k) for k in range(4)),"
            " strict=True))"
        ): _FOR_RECORDS,
        "in rnn_tanh: any: handed['h'] = dz": _FOR_RECORDS,
        "in rnn_relu: any: handed['h'] = dz": _FOR_RECORDS,
    },
    # the LSTM's plain case
    "joined": {
        "return None if parts[1] is None else np.concatenate(parts, axis)": "all are None or none",
    },
    "backward": {
        "in lstm: any: work = length * batch * weights[0][1].size": _ONLY_SPEED,
        (
            "in lstm: d_weights[first] = _parted(d_step, weights[first][0].shape[-1],"
            " needs_weights[first])"
        ): "a weight has two dimensions",
        (
            "in lstm: dh, dc = (np.zeros(h_0.shape, h_0.dtype) if g is None else"
            " np.array(g, order='C') for g in g_finals)"
        ): _ONE_DTYPE,
        "in lstm: d_mask = np.empty_like(mask) if needs_mask else None": (
            "a mask that is not there has none"
        ),
        "in lstm: d_mask = np.empty_like(mask) if needs_mask and weights is not None else None": (
            "a mask that is not there has none"
        ),
        "in lstm: dx = np.zeros((length, batch, directions), x.dtype)": "0 broadcasts",
        "in lstm: dx = np.zeros((length, batch, size), x.dtype)": "0 broadcasts",
        "in lstm: dx = np.zeros((length, batch, directions * size), h_0.dtype)": _ONE_DTYPE,
    },
    "backward_for": {
        "any: return _taken(Backward, length, _BLOCK_ROWS // batch, dtype, scans, batch, size)": (
            _ONLY_MEMORY
        ),
    },
    "walk_backward": {
        "inputs = weights[0][0].shape[-1]": "of two dimensions",
        "any: dxs = [np.empty((length, batch, inputs), dtype) for _ in weights if needs_x]": (
            "all of it is written"
        ),
        "factors = walk.factors.reshape(length, 6, -2)": _UNKNOWN_SIZE,
        "dh[...] = d_h.reshape(-2)": _UNKNOWN_SIZE,
        "add(dy_t, dh_rows, dh_rows)": _SUM_IS_FREE,
        "multiply(dh, k_pair, dz_o_and_dc)": _PRODUCT_IS_FREE,
        "add(to_dc, carried_t, dc)": _SUM_IS_FREE,
        "multiply(dc, k_quad, d_quad)": _PRODUCT_IS_FREE,
        "if True or any(needs[scan]):": _ONLY_SPEED,
        "if needs[scan]:": _ONLY_SPEED,
        "part = matmul(dz.T, walk.reads[scan, steps].reshape(len(dz), -2))": _UNKNOWN_SIZE,
        "d_h[...] = dh.reshape(d_c.shape)": "both are of the same shape",
        "any: keep(own)": _ONLY_SPEED,
    },
    "_parted": {
        "if False and d_step is None:": "then none is needed",
        "if inputs is None:": "then none is needed",
        "if needs[2] or needs[-3]:": "of six weights",
    },
    "recurrent_gradient": {
        "last = len(h) - batch": "there is one row of each for each of the other",
        "if True or len(later):": "a product over no steps adds 0",
    },
    # the kernels of single steps
    "_side_by_side": {"return blocks.swapaxes(1, 0).reshape(batch, gates * size)": _PAIR_IS_FREE},
    "_sum_backward": {
        "dx, dw_ih, _ = _affine_backward(dz, x, arrays[-4], (needs[0], to_w_ih, True))": (
            "the sum is dropped"
        ),
        **{
            f"in {rnn}: dh, dw_hh, db = _affine_backward(dz, h, arrays[3], (needs[1], to_w_hh, to_b"
            "))": "of six inputs"
            for rnn in ("rnn_tanh_cell", "rnn_relu_cell")
        },
    },
    # fused layers and losses
    "_gradients": {
        "if False and (not needs[0]):": _ONLY_SPEED,
        "shares = _shares(g.shape[-1], g.dtype)": "of two dimensions",
        "weight = weight.reshape(-2)": _UNKNOWN_SIZE,
        "in layer_norm: if True or centred:": "it always is there",
        "in rms_norm: any: g_bias = _parameter_gradient(g, bias) if needs[2] else None": (
            "there is no bias"
        ),
        "in rms_norm: if False and centred:": "it never is there",
        "in rms_norm: any: gx -= g.dot(shares)[:, None]": "not reached there",
        "return [gx.astype(x.dtype, copy=True).reshape(x.shape), g_weight, g_bias]": _ONLY_SPEED,
    },
    "_parameter_gradient": {
        "total = _ones(rows.shape[0], like.dtype).dot(rows)": "a sum of ones is the same sum",
        "return total.astype(like.dtype, copy=True).reshape(like.shape)": _ONLY_SPEED,
    },
    "_batch_norm_backward": {
        "results[number] = gradient.astype(parameter.dtype, copy=True).reshape(-1)": _ONLY_SPEED,
        "results[number] = gradient.astype(parameter.dtype, copy=False).reshape(-2)": _UNKNOWN_SIZE,
        "if True or needs[0]:": _ONLY_SPEED,
        "results[0] = gx.astype(x.dtype, copy=True).reshape(x.shape)": _ONLY_SPEED,
    },
    "_backward": {
        "in cross_entropy: scale = g[0].reshape(-1, 1)": "a single number broadcasts as well",
        "in cross_entropy: scale = g[0].reshape(-2, 1) if reduction == 'none' else g[0]": (
            _UNKNOWN_SIZE
        ),
        "in cross_entropy: if True or smoothing > 0:": "a smoothing of 0 adds 0",
        "in cross_entropy: if smoothing >= 0:": "a smoothing of 0 adds 0",
        "in cross_entropy: even = smoothing / p.shape[-1] * scale": "of two dimensions",
        (
            "in cross_entropy: gradient = p * (own + even * (p.shape[-1] if weight is None"
            " else weight.sum()))"
        ): "of two dimensions",
        "in cross_entropy: if x.ndim >= 2:": "it moves the last dimension to where it is",
    },
    "_layers_backward": {
        "any: if note is not None:": _FOR_RECORDS,
        "any: note.arrived(number, arrived, d_last)": _FOR_RECORDS,
        "any: note.differentiated(number, own[-1])": _FOR_RECORDS,
        "any: work = len(below) * weights[0][1].size": _ONLY_SPEED,
        "in lstm: any: in_parts = kind.in_parts(states[0])": _ONLY_SPEED,
        "done = _side_by_side(kind.scan_backward, arguments, in_parts, work)": _ONLY_SPEED,
    },
    "_ctc_backward": {
        "places = labels.shape[-1]": "of two dimensions",
        "any: mirror = (np.maximum(times, 0)[:, :, None], rows, np.maximum(spots, 0))": (
            "the larger of two does not depend on their order"
        ),
        (
            "departures = np.where(spots >= 0, reverse[mirror], -np.inf)"
        ): "the gradient of what lies after the end is set to 0 below",
        "cells = np.arange(steps * batch).reshape(steps, batch, -1) * classes + labels": (
            _UNKNOWN_SIZE
        ),
        "return (gradient.astype(log_probs.dtype, copy=True),)": _ONLY_SPEED,
    },
}

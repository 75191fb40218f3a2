"""The lines that random programs are made of: templates, by family, and what each of them needs.

A template is a line of Python with blanks, which `programs.Blanks` fills in: {x}, {y} and {z} are
variables of the program, {d} is a dimension of x, {new} the variable that the line makes; a line
that assigns nothing is one for `{new} = `. After the template stands what must hold of x, y and z
for the line to be taken: values in the domain of the function, and far enough from a step or a
kink, where the last bits decide (`clear`: no element is nearly, but not quite, 0; `apart`: no two
elements along a dimension are nearly or quite equal). Values are kept near 1 by how lines are made.

What torch keeps for a gradient without a need for it (the input of `gather`, `masked_select`,
`take` and `pad`, the weight of `conv1d`, the result of `pow` with a tensor) is made by `* 1`, out
of reach of a change in place.
"""

Lines = dict[str, str]


def _free(text: str) -> Lines:
    """Templates, one a line, that need nothing."""
    return {line.strip(): "" for line in text.strip().splitlines()}


FUNCTIONS: dict[str, Lines] = {
    "elementwise": _free("""
        -{x}
        {x} * {c}
        {c} - {x}
        {x} / {c}
        {c} / (1.5 + {x} * {x})
        {x}.sin()
        {x}.cos()
        {x}.tanh()
        {x}.sigmoid()
        {x}.atan()
        {x}.asinh()
        lib.erf({x})
        {x}.square()
        {x} ** 2
        {x} ** 3
        {x}.clone()
        lib.sinh({x}.tanh())
        lib.cosh({x}.tanh())
        {x}.tanh().tan()
        ({x}.tanh() * 0.9).asin()
        ({x}.tanh() * 0.9).acos()
        ({x}.tanh() * 0.9).atanh()
        {x}.sigmoid().logit()
        ({x} * 1).nan_to_num()
        ({x} * {x} + 1.5).acosh()
        ({x} * {x} + 0.5) ** 0.5
        lib.lerp({x}, {x}.sin(), {c})
        lib.nn.functional.silu({x})
        lib.nn.functional.mish({x})
        lib.nn.functional.gelu({x})
        lib.nn.functional.gelu({x}, approximate="tanh")
        lib.nn.functional.softplus({x})
        lib.nn.functional.logsigmoid({x})
    """)
    | {
        "{c} ** {x}.tanh() * 1": "{x}.is_contiguous()",
        "{x}.exp() / 4": "small({x})",
        "{x}.exp2()": "small({x})",
        "{x}.expm1()": "small({x})",
        "{x}.log()": "({x} > 0.1).all()",
        "{x}.log2()": "({x} > 0.1).all()",
        "{x}.log10()": "({x} > 0.1).all()",
        "{x}.log1p()": "({x} > -0.8).all()",
        "{x}.sqrt()": "({x} > 0.1).all()",
        "{x}.rsqrt()": "({x} > 0.1).all()",
        "{x}.reciprocal()": "({x}.abs() > 0.2).all()",
        "1 / {x}": "({x}.abs() > 0.2).all()",
        "{x} ** {c}": "({x} > 0.1).all()",
    },
    "kinked": {
        "{x}.abs()": "clear({x})",
        "{x}.sign()": "({x}.abs() > 0.001).all()",
        "{x}.relu()": "clear({x})",
        "{x}.clamp(-0.5, {c})": "clear({x} + 0.5) and clear({x} - {c})",
        "{x}.clamp(min=-{c})": "clear({x} + {c})",
        "{x}.clamp(max={c})": "clear({x} - {c})",
        "{x}.floor()": "whole({x})",
        "{x}.ceil()": "whole({x})",
        "{x}.trunc()": "whole({x})",
        "{x}.frac()": "whole({x})",
        "{x}.round()": "whole({x} + 0.5)",
        "{x}.round(decimals=1)": "whole({x} * 10 + 0.5)",
        "{x}.remainder({c})": "whole({x} / {c})",
        "lib.div({x}.detach(), {c}, rounding_mode='floor') + {x}": "whole({x} / {c})",
        "lib.div({x}.detach(), {c}, rounding_mode='trunc') + {x}": "whole({x} / {c})",
        "{x}.logit(0.2)": "clear({x} - 0.2) and clear({x} - 0.8)",
        "lib.nn.functional.leaky_relu({x}, 0.2)": "clear({x})",
        "lib.nn.functional.elu({x}, {c})": "clear({x})",
        "lib.selu({x})": "clear({x})",
        "lib.nn.functional.softsign({x})": "clear({x})",
        "lib.nn.functional.hardtanh({x}, -{c}, 0.8)": "clear({x} + {c}) and clear({x} - 0.8)",
        "lib.where({x} > 0.1, {x}, {y})": "clear({x} - 0.1)",
        "{x} * ({x} > {y})": "clear({x} - {y})",
        "{x}[{x} > 0.2]": "clear({x} - 0.2)",
        "({x} * 1).masked_select({y} < {x})": "clear({x} - {y})",
        "lib.maximum({x}, {y})": "clear({x} - {y})",
        "lib.minimum({x}, {y})": "clear({x} - {y})",
        "lib.fmax({x}, {y})": "clear({x} - {y})",
        "lib.fmin({x}, {y})": "clear({x} - {y})",
        "{x}.clamp({y}, {z})": (
            "{x}.shape == {y}.shape == {z}.shape"
            " and clear({x} - {y}) and clear({x} - {z}) and clear({y} - {z})"
        ),
        "{x}.clamp(min={y})": "{x}.shape == {y}.shape and clear({x} - {y})",
        "lib.atan2({x}, {y})": "({y} > 0.1).all()",
    },
    "binary": _free("""
        {x} + {y}
        {x} - {y}
        {x} * {y}
        {x} * {x}
        {x} / (2 + {y} * {y})
        {x}.add({y}, alpha={c})
        {x}.sub({y}, alpha={c})
        (1.5 + {x} * {x}).sqrt() ** {y}.tanh() * 1
        lib.lerp({x}, {y}, {c})
        lib.lerp({x}, {y}, {z}.sigmoid().to({x}.dtype))
        lib.where({mask}, {x}, {y})
        lib.where({mask}, {x}, {c})
        {x}.masked_fill({mask}, {c})
        {x}.remainder(1.5 + {c}) + {y}
    """)
    | {
        "{x}.masked_fill({mask}, {y}.mean())": "all_floats({x})",
        "lib.atan2({x}, 1 + {y} * {y})": "all_floats({x}, {y})",
        "lib.addcmul({x}, {y}, {z}, value={c})": "all_floats({y}, {z})",
        "lib.addcdiv({x}, {y}, 1.5 + {z} * {z}, value={c})": "all_floats({y}, {z})",
    },
    "reductions": _free("""
        {x}.sum()
        {x}.sum({d})
        {x}.sum(({d}, {e}), keepdim={k})
        {x}.mean()
        {x}.mean({d}, {k})
        {x}.mean({d}) + {y}
        {x}.tanh().prod()
        {x}.prod({d}, keepdim={k})
        {x}.var()
        {x}.var({d}, keepdim={k})
        {x}.var({d}, correction=0)
        lib.logsumexp({x}, {d}, {k})
        lib.logsumexp({x}, ({d}, {e}))
        {x}.count_nonzero({d})
        {x} - {x}.mean({d}, keepdim=True)
    """)
    | {
        "{x}.std()": "spread({x})",
        "{x}.std({d}, keepdim={k})": "spread({x}, {d})",
        "{x}.std({d}, correction=0)": "spread({x}, {d})",
        "{x}.norm()": "({x}.abs() > 0.05).any()",
        "{x}.norm(dim={d}, keepdim={k})": "({x}.abs() > 0.05).all()",
        "{x}.norm(1, {d})": "clear({x})",
        "{x}.norm(3, {d})": "({x}.abs() > 0.05).all()",
        "lib.linalg.norm({x}, float('inf'), {d}, {k})": "apart({x}.abs(), {d})",
        "{x}.amax({d}, {k})": "clear_pairs({x}, {d})",
        "{x}.amin({d}, {k})": "clear_pairs({x}, {d})",
        "{x}.amax(({d}, {e}))": "clear_pairs({x})",
        "{x}.max()": "clear_pairs({x})",
        "{x}.min()": "clear_pairs({x})",
        "{x}.aminmax(dim={d}, keepdim={k})[1]": "clear_pairs({x}, {d})",
        "{x}.max({d}, {k}).values": "apart({x}, {d})",
        "{new}, {also} = {x}.min({d}, {k})": "apart({x}, {d})",
        "{x}.argmax({d})": "apart({x}, {d})",
        "{x}.argmin({d}, {k})": "apart({x}, {d})",
        "{x}.median()": "apart({x})",
        "{new}, {also} = {x}.median({d}, {k})": "apart({x}, {d})",
        "({x} > 0).any({d})": "clear({x})",
        "({x} > 0).all({d}, {k})": "clear({x})",
    },
    "scans": _free("""
        {x}.cumsum({d})
        {x}.cumprod({d})
        {x}.logcumsumexp({d})
        ({x} * {mask}).cumprod({d})
    """),
    "soft": {
        "{x}.softmax({d})": "all_floats({x})",
        "{x}.log_softmax({d})": "all_floats({x})",
        "lib.nn.functional.softmax({x} * 2, dim={d})": "all_floats({x})",
        "lib.nn.functional.glu(lib.cat([{x}, {x} * {c}], {d}), {d})": "all_floats({x})",
        "lib.nn.functional.normalize({x}.contiguous() + 3, dim={d})": "all_floats({x})",
    },
    "joins": _free("""
        lib.cat([{x}, {y}], {d})
        lib.cat([{x}, {x}, {y}])
        lib.stack([{x}, {y}], {d})
        lib.stack([{x}, {x}.detach(), {y}])
        lib.hstack([{x}, {y}])
        lib.vstack([{x}, {y}])
        {x}.flip({d})
        {x}.flip({d}, {e})
        {x}.roll({n}, {d})
        {x}.roll({n})
        {x}.repeat({repeats})
        {x}.tile((2,))
        {x}.repeat_interleave(2, {d}) * 1
        {x}.repeat_interleave(2) * 1
        lib.meshgrid({x}.reshape(-1), {y}.reshape(-1), indexing="ij")[0]
        {x}.tril()
        {x}.triu({n})
        lib.diag({x}.reshape(-1))
        lib.nn.functional.pad({x}, (1, 2))
        lib.nn.functional.pad({x}, (1, 0, 0, 1))
        lib.nn.functional.pad(({x} * 1).reshape(1, 1, -1), (1, 2), mode="reflect")
        lib.nn.functional.pad(({x} * 1).reshape(1, 1, -1), (2, 1), mode="replicate")
    """),
    "indexing": _free("""
        {x}[{fancy}]
        {x}[{fancy}]
        {x}[{mask}]
        ({x} * 1).masked_select({mask})
        ({x} * 1).gather({d}, {grid})
        ({x} * 1).gather({d}, {grid})
        {x}.index_select({d}, {index})
        ({x} * 1).take({places})
        {x}.scatter({d}, {grid}, {c})
        {x}.index_add({d}, {index}, {x}.index_select({d}, {index}) * 2)
        {x}.index_add({d}, {index}, {x}.index_select({d}, {index}), alpha={c})
        {x}.index_copy({d}, {distinct}, {x}.index_select({d}, {distinct}).sin())
        {x}.index_fill({d}, {index}, {c})
    """)
    | {
        "lib.nn.functional.one_hot({x}.argmax({d}), 8) * {c}": "apart({x}, {d})",
        "lib.nn.functional.pad({x}, (-1, 2), value={c})": "{x}.shape[-1] > 0",
        "{x}.index_fill({d}, {index}, {y}.mean())": "all_floats({x})",
        "lib.take_along_dim({x} * 1, {grid}, {d})": "{x}.ndim",
        "{x}.scatter({d}, {lanes}, {y})": "{x}.shape == {y}.shape",
        "{x}.scatter_add({d}, {grid}, {y})": "{x}.shape == {y}.shape",
        "{new}, {also} = {x}.sort(dim={d}, stable=True)": "apart({x}, {d})",
        "{x}.sort({d}, descending=True).values": "apart({x}, {d})",
        "{x}.argsort({d})": "apart({x}, {d})",
        "{new}, {also} = {x}.topk(1, {d})": "apart({x}, {d})",
        "{x}.topk({n}, {d}, largest=False).values": "apart({x}, {d})",
    },
    "products": {
        "{x} @ {y}": "all_floats({x}, {y})",
        "{x} @ {y}.mT": "all_floats({x}, {y})",
        "{x}.mT @ {y}": "all_floats({x}, {y})",
        "{x} @ {x}.mT": "all_floats({x}, {y})",
        "lib.outer({x}.reshape(-1), {y}.reshape(-1))": "all_floats({x}, {y})",
        "lib.dot({x}.reshape(-1), {x}.reshape(-1))": "all_floats({x}, {y})",
        "lib.mv({x}, {x}[0])": "all_floats({x}, {y})",
        "lib.mm({x}, {y}.t())": "all_floats({x}, {y})",
        "lib.addmm({x}, {x} @ {x}.t(), {x}, beta={c}, alpha=0.5)": "all_floats({x}, {y})",
        "lib.bmm({x}, {y}.transpose(1, 2))": "all_floats({x}, {y})",
        "lib.baddbmm({y}, {x}, {x}.transpose(1, 2), alpha={c})": "all_floats({x}, {y})",
        'lib.einsum("ij->j", {x}).contiguous() * 1': "all_floats({x}, {y})",
        "lib.trace({x})": "all_floats({x}, {y})",
        "lib.nn.functional.conv1d(({x} * 1).reshape(1, 1, -1), ({y} * 1).reshape(-1, 1, 1))": (
            "all_floats({x}, {y}) and {x}.numel() and {y}.numel()"
        ),
        'lib.einsum("ij,kj->ik", {x}, {y}).contiguous() * 1': "all_floats({x}, {y})",
        'lib.einsum("...i,...i->...", {x}, {y}).contiguous() * 1': "all_floats({x}, {y})",
        "lib.tensordot({x}, {y}, ([-1], [-1])).contiguous() * 1": (
            "all_floats({x}, {y}) and {x}.numel() and {y}.numel()"
        ),
        "lib.kron({x}, {y})": "{x}.is_contiguous() and {y}.is_contiguous()",
    },
    "types": _free("""
        {x}.to({dtype})
        {x}.float()
        {x}.double()
        {x}.to({y}.dtype)
        {x}.type_as({y})
        {x}.detach()
        {x}.detach().clone()
        lib.zeros_like({x} * 1)
        lib.ones_like({x} * 1) * {c}
        {x}.new_zeros({x}.shape)
    """),
}  # fmt: skip

VIEWS = _free("""
    {x}[{key}]
    {x}[{key}]
    {x}[{key}]
    {x}[{key}]
    {x}.select({d}, {at})
    {x}.narrow({d}, {stretch})
    {x}.t()
    {x}.mT
    {x}.T
    {x}.transpose({d}, {e})
    {x}.swapaxes({d}, {e})
    {x}.permute({order})
    {x}.movedim({d}, {e})
    {x}.reshape(-1)
    {x}.reshape({sizes})
    {x}.view(-1)
    {x}.view({sizes})
    {x}.view_as({y})
    {x}.flatten()
    {x}.ravel()
    {x}.unflatten({d}, (1, -1))
    {x}.unflatten({d}, (-1, 2))
    {x}.unsqueeze({d})
    {x}.squeeze()
    {x}.squeeze({d})
    {x}.expand(2, *{x}.shape)
    {x}.expand_as({y})
    lib.broadcast_to({x}, {y}.shape)
    lib.broadcast_tensors({x}, {y})[0]
    {x}.diagonal()
    {x}.diagonal({n}, {d}, {e})
    lib.diag({x})
    {x}.unfold({d}, 2, 1)
    {x}.unfold({d}, 2, 2)
    {x}.contiguous()
    {x}.detach()
    {x}.unbind({d})[{at}]
    {x}.split(1, {d})[{at}]
    {x}.chunk(2, {d})[-1]
    {x}.tensor_split(2, {d})[0]
    {new}, {also} = {x}.chunk(2, {d})
    {new}, {also} = {x}.split([1, {x}.shape[{d}] - 1], {d})
    {new}, {also} = {x}
""")

# Not through `.data`: neither library sees such a write, and what it does to a gradient depends on
# what was kept for that.
WRITES = _free("""
    {x}.mul_({c})
    {x}.add_({c})
    {x}.add_({y})
    {x}.add_({y}, alpha={c})
    {x}.sub_({y})
    {x}.mul_({y})
    {x}.div_(2 + {y} * {y})
    {x}.div_({c})
    {x}.add_({x})
    {x}.mul_({x})
    {x}.neg_()
    {x}.square_()
    {x}.pow_(2)
    {x}.zero_()
    {x}.fill_({c})
    {x}.fill_({y}.mean())
    {x}.copy_({x}.flip({d}))
    {x}.sin_()
    {x}.cos_()
    {x}.tanh_()
    {x}.sigmoid_()
    {x}.atan_()
    {x}.erf_()
    {x}.lerp_({y}, {c})
    {x}.lerp_({y}, {z}.sigmoid().to({x}.dtype))
    {x}.atan2_(1 + {y} * {y})
    {x}.masked_fill_({mask}, {c})
    {x}.masked_fill_({mask}, {y}.mean())
    {x}.scatter_({d}, {grid}, {c})
    {x}.index_add_({d}, {index}, {x}.index_select({d}, {index}) * 2)
    {x}.index_copy_({d}, {distinct}, {x}.index_select({d}, {distinct}).sin())
    {x}.index_fill_({d}, {index}, {c})
    {x}.tril_()
    {x}.triu_({n})
    {x}.nan_to_num_()
    {x}.addmm_({x} @ {x}.t(), {x} * 1, alpha=0.5)
    {x}.detach().mul_({c})
    {x}[...] = {y}
    {x}[{key}] = {c}
    {x}[{key}] = {c}
    {x}[{key}] = {x}[{key}] * 2
    {x}[{key}] += {c}
    {x}[{key}] *= {y} * 1
    {x}[{key}].mul_({c})
    {x}[{fancy}] = {c}
    {x}[{fancy}] = {y}.mean()
    {x}[{mask}] = {c}
    {x}[{mask}] *= {c}
    {x}[{mask}] = {x}[{mask}].sin()
    {x} += {y}
    {x} -= {c}
    {x} *= {c}
    {x} /= 2 + {y} * {y}
    {x}.t()[0].add_({c})
    {x}.view(-1)[{n}:].mul_({c})
    {x}.diagonal().add_({y} * 1)
    {x}.transpose({d}, {e}).mul_({y} * 1)
""") | {
    "{x}.scatter_({d}, {lanes}, {y})": "{x}.shape == {y}.shape",
    "{x}.scatter_add_({d}, {grid}, {y})": "{x}.shape == {y}.shape",
    "{x}.addcmul_({y}, {z}, value={c})": "all_floats({y}, {z})",
    "{x}.addcdiv_({y}, 1.5 + {z} * {z})": "all_floats({y}, {z})",
    "{x}.copy_({y})": "{x} is not {y}",
    "{x}.cumsum_({d})": "all_floats({x})",
    "{x}.cumprod_({d})": "all_floats({x})",
    "{x}[{key}] = {y}": "{x} is not {y}",
    "{x}.exp_()": "small({x})",
    "{x}.expm1_()": "small({x})",
    "{x}.log_()": "({x} > 0.1).all()",
    "{x}.log1p_()": "({x} > -0.8).all()",
    "{x}.sqrt_()": "({x} > 0.1).all()",
    "{x}.rsqrt_()": "({x} > 0.1).all()",
    "{x}.reciprocal_()": "({x}.abs() > 0.2).all()",
    "{x} **= 2": "",
    "{x}.abs_()": "clear({x})",
    "{x}.sign_()": "({x}.abs() > 0.001).all()",
    "{x}.relu_()": "clear({x})",
    "{x}.clamp_(-0.5, {c})": "clear({x} + 0.5) and clear({x} - {c})",
    "{x}.clamp_(max={y})": "{x}.shape == {y}.shape and clear({x} - {y})",
    "{x}.floor_()": "whole({x})",
    "{x}.round_()": "whole({x} + 0.5)",
    "{x}.frac_()": "whole({x})",
    "{x}.remainder_({c})": "whole({x} / {c})",
    "{x}.logit_(0.2)": "clear({x} - 0.2) and clear({x} - 0.8)",
    "{x}.gt_(0.1)": "clear({x} - 0.1)",
    "{x}[{x} > 0.3] = {c}": "clear({x} - 0.3)",
}  # fmt: skip

# Turns in place, which torch forgets to record under `no_grad`, and for `retain_grad`.
TURNS: Lines = {
    "{x}.t_()": "not {x}.retains_grad",
    "{x}.transpose_({d}, {e})": "not {x}.retains_grad",
    "{x}.unsqueeze_({d})": "not {x}.retains_grad",
    "{x}.squeeze_()": "not {x}.retains_grad",
    "{x}.squeeze_({d})": "not {x}.retains_grad",
}

# What concerns the graph and not its numbers. `inside`: whether a tensor requires grad. (torch
# itself crashes at a hook on a view that has lost its history, so that is left out.)
GRAPH: Lines = {
    "{x}.register_hook(lambda g: None if g is None else g * {c})": "inside({x})",
    "{x}.register_hook(lambda g: None if g is None else -g)": "inside({x})",
    "{x}.retain_grad()": "inside({x})",
    "{new} = ({x} * {c}).detach_()": "",
    "{x}.sum().backward(retain_graph=True)": "inside({x})",
    "({x} * {x}).sum().backward()": "inside({x})",
    "{new} = lib.autograd.grad(({x} * {x}).sum(), {leaf}, create_graph=True)[0].contiguous() * 1": (
        "inside({x}) and {x}.numel()"
    ),
    "{new} = lib.autograd.grad({x}.sin().sum(), {leaf}, retain_graph=True)[0].contiguous() * 1": (
        "inside({x}) and {x}.numel()"
    ),
    "{new} = lib.autograd.grad(({x} * {y}).sum(), {y}, create_graph=True)[0].contiguous() * 1": (
        "inside({x}) and inside({y}) and {x}.numel() and {y}.numel()"
    ),
    "{new} = {leaf}.grad.clone()": "{leaf}.grad is not None",
    "{leaf}.grad.zero_()": "{leaf}.grad is not None",
    "{leaf}.grad = None": "",
}

TEMPLATES = {text for lines in (*FUNCTIONS.values(), VIEWS, WRITES, TURNS, GRAPH) for text in lines}

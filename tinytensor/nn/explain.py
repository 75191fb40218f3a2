"""`lstm.explain(x)`: which part of output, h_n and c_n is which layer, direction and time."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def explain(module: Any, input: Any) -> str:
    """The layout of what `module(input)` gives, as text.

    module : RNN, GRU, LSTM or Recurrent
    input : Tensor, of which only the shape matters, or a shape
    Raises ValueError for a shape that has not 2 or 3 dimensions.
    """
    shape = tuple(input.shape) if isinstance(input, Tensor) else tuple(input)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"explain: expected an input of 2 or 3 dimensions, got {len(shape)}; pass a padded "
            "Tensor or its shape"
        )
    directions = 2 if module.bidirectional else 1
    size = module.proj_size or module.hidden_size
    batched = len(shape) == 3
    time_at = 1 if batched and module.batch_first else 0
    steps = shape[time_at]
    lead = "n, " if batched else ""

    def at(t: Any) -> str:
        return f"[{lead}{t}, " if time_at else f"[{t}, {lead}"

    axes = {2: "T, ", 3: "N, T, " if time_at else "T, N, "}[len(shape)]
    sizes = [*shape[:-1], directions * size]
    features = f"{directions} * {size}" if directions == 2 else f"{size}"
    lines = [
        f"{type(module).__name__}({module.extra_repr()}) on an input ({axes}I) = {shape}",
        "",
        f"output ({axes}{features}) = {tuple(sizes)}: h of the last layer, {module.num_layers - 1}",
    ]
    last = steps - 1
    lines.append(f"  output{at('t')}0:{size}]  forward: has read the inputs 0 to t")
    if directions == 2:
        lines.append(
            f"  output{at('t')}{size}:{2 * size}]  reverse: has read the inputs {last} down to t"
        )
    for name_of_first, features_of in zip(module._state_names, module._state_sizes, strict=True):
        name = name_of_first.removesuffix("_0") + "_n"
        count = module.num_layers * directions
        shown = (count, shape[1 - time_at], features_of) if batched else (count, features_of)
        lines += ["", f"{name} ({'L * D, N, ' if batched else 'L * D, '}{features_of}) = {shown}"]
        for number in range(count):
            layer, reverse = divmod(number, directions)
            where = "reverse, after time 0" if reverse else f"forward, after time {last}"
            line = f"  {name}[{number}]  layer {layer}, {where}"
            if name == "h_n" and layer == module.num_layers - 1:
                columns = f"{size}:{2 * size}" if reverse else f"0:{size}"
                place = at(0 if reverse else last).replace("n, ", ":, ")
                line += f"; equals output{place}{columns}]"
            lines.append(line)
    if directions == 2:
        lines += [
            "",
            f"output{at(last).replace('n, ', ':, ')}:] is not the last state of both directions: "
            f"its reverse half has read only the input {last}. For that, last_states(h_n).",
        ]
    return "\n".join(lines)

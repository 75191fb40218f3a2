"""The words and the look of the report."""

# Under each picture: what is shown, and what to look for.
READING = {
    "gradient_heatmap": (
        "Each cell is the norm of the gradient of the loss with respect to a state or gate, at one "
        "step. The gradient goes against the arrow of its row: follow it, and where the colour "
        "darkens the gradient vanishes, where it brightens it explodes. One step of colour is the "
        "same factor everywhere."
    ),
    "states_over_time": (
        "Each line is one unit of one sequence. A line that keeps its colour remembers; a forget "
        "gate near 1 lets the cell keep what it has, an update gate near 1 does the same in a GRU."
    ),
    "weight_gradients": (
        "Backpropagation adds up what each step contributes: above, the contribution of some "
        "steps, all on one scale; below, its norm at every step by gate. Where one end is far "
        "lower than the other, the weight learns from the other end alone."
    ),
    "lag_matrix": (
        "Row t is the gradient that enters at step t, from the loss or a layer above, on its way "
        "back: the cell at column k is how much of it arrives at the state of step k. Start at the "
        "diagonal and go outwards; the lag at which the row has gone dark is as far as this layer "
        "can learn to remember."
    ),
    "spectrum": (
        "Left, by how much one step can stretch or shrink a gradient; where the largest value "
        "stays below 1, every gradient has to vanish. Right, the same over many steps: the "
        "gradient that was measured lies under the solid bound, and that under the dashed product "
        "of single steps."
    ),
    "truncation": (
        "If the loss of each step flowed back through k2 steps only: how far the gradient would "
        "point in the full one's direction (1: the same), and how long it would be. Where both are "
        "near 1, longer windows buy nothing."
    ),
    "saturation": (
        "How often each activation took which value; orange is within a twentieth of an end. There "
        "the slope is small: a gate that is always shut or open passes hardly any gradient to what "
        "sets it. A forget gate at 1 is no fault: it keeps the cell."
    ),
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --faint: #8c959f;
  --line: #d8dee4; --quiet: #57606a; --link: #0550ae; }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ --paper: #0d1117; --ink: #e6edf3;
  --faint: #6e7681; --line: #30363d; --quiet: #9ea7b3; --link: #79c0ff; }} }}
body {{ background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  margin: 2rem auto 4rem; max-width: 56rem; padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h1, h2 {{ overflow-wrap: anywhere; }}
h2 {{ border-top: 1px solid var(--line); font-size: 1.25rem; margin-top: 3rem;
  padding-top: 1.2rem; }}
a {{ color: var(--link); overflow-wrap: anywhere; }}
figure {{ margin: 1.6rem 0 2.2rem; }}
figcaption {{ color: var(--quiet); font-size: .92rem; margin: .4rem 0 .8rem; max-width: 46rem; }}
.wide {{ overflow-x: auto; }}
figure svg {{ display: block; height: auto; min-width: 30rem; width: 100%; }}
figure svg * {{ stroke-linecap: butt; stroke-linejoin: round; }}
table {{ border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: right; }}
th:first-child {{ font-weight: 600; text-align: left; }}
thead th {{ color: var(--quiet); font-weight: 400; }}
@media print {{ body {{ margin: 0; max-width: none; }} nav {{ display: none; }}
  figure {{ break-inside: avoid; }} h2 {{ break-after: avoid; }}
  figure svg {{ min-width: 0; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>The gradient of the loss on its way back through time, in every recurrent layer that was
recorded. A step stands at the time of its input, in both directions of a layer; norms are over the
features and averaged over the sequences that have the step.</p>
{recorded}
<nav aria-label="Layers"><ul>{contents}</ul></nav>
<section id="overview">
<h2>All layers</h2>
{overview}
</section>
{sections}
</body>
</html>
"""

"""What the highlighter shows of what it learnt: a table, a curve, a page."""

import html
import io
from pathlib import Path

import numpy as np
from highlight_data import CLASSES, Source

import tinytensor as tt


def score_table(labels: np.ndarray, right: dict[str, np.ndarray]) -> str:
    """Held-out accuracy of each class and of all; a column for each way of answering."""
    rows = [f"{'held-out':10} {'characters':>12}" + "".join(f"{way:>25}" for way in right)]
    for kind, name in (*enumerate(CLASSES), (None, "all")):
        chosen = np.full(len(labels), True) if kind is None else labels == kind
        count = chosen.sum()
        cells = [f"{(hits & chosen).sum() / max(count, 1):>25.2%}" for hits in right.values()]
        rows.append(f"{name:10} {count:>12,}" + "".join(cells))
    return "\n".join(rows)


def draw_curve(
    losses: list[float],
    accuracies: list[tuple[int, float]],
    baselines: dict[str, float],
    out: Path,
) -> None:
    """Loss and held-out accuracy over the steps, as `loss.png` and `loss.svg`."""
    try:
        import matplotlib
    except ImportError:
        print("no loss curve: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(
        2, sharex=True, figsize=(8, 6), layout="constrained", height_ratios=(3, 2)
    )
    steps = np.arange(1, len(losses) + 1)
    width = min(25, len(steps))
    smooth = np.convolve(losses, np.full(width, 1 / width), mode="valid")
    above.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=0.8, label="a step")
    above.plot(steps[width - 1 :], smooth, color="tab:blue", label=f"mean of {width} steps")
    above.set(yscale="log", ylabel="training loss\n(nats per character)")
    above.yaxis.set_major_formatter("{x:g}")
    above.legend(frameon=False)
    evaluated, parts = np.array(accuracies).T
    below.plot(evaluated, parts, "o-", color="tab:green", markersize=3, label="model")
    for (way, part), style in zip(baselines.items(), (":", "--"), strict=True):
        below.axhline(part, color="tab:gray", linestyle=style, label=way)
    below.set_yscale("logit", nonpositive="clip")
    below.yaxis.set_major_formatter(lambda part, _: f"{100 * part:g}")
    below.yaxis.set_minor_formatter("")
    below.set(xlabel="step", ylabel="held-out characters\nright (%, logit scale)")
    below.legend(frameon=False)
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for kind in ("png", "svg"):
        picture = io.BytesIO()
        figure.savefig(picture, format=kind, dpi=150)
        tt.io.write_whole(out / f"loss.{kind}", picture.getvalue())
    plt.close(figure)


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}, highlighted</title>
<style>
:root {{
  color-scheme: light dark; --page: #fff; --text: #24292f; --wrong: #ffd7d5; --line: #cf222e;
  --keyword: #8250df; --operator: #57606a; --number: #0550ae; --string: #116329; --comment: #6e5b1e;
}}
@media (prefers-color-scheme: dark) {{ :root {{
  --page: #0d1117; --text: #e6edf3; --wrong: #5a1e1e; --line: #ff7b72;
  --keyword: #d2a8ff; --operator: #9ea7b3; --number: #79c0ff; --string: #7ee787; --comment: #d4b767;
}} }}
body {{ background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
pre {{ font: 13px/1.5 ui-monospace, monospace; overflow-x: auto; tab-size: 8; }}
a {{ color: inherit; }}
.keyword {{ color: var(--keyword); font-weight: 600; }}
.operator {{ color: var(--operator); }}
.number {{ color: var(--number); }}
.string {{ color: var(--string); }}
.comment {{ color: var(--comment); font-style: italic; }}
.wrong {{ background: var(--wrong); text-decoration: underline wavy var(--line); }}
.wrong:target {{ outline: 2px solid var(--line); }}
</style>
<h1>{name}</h1>
<p>Coloured by a bidirectional LSTM that never saw this file: {right:.2%} of {count:,} characters
right, {wrong:,} wrong. Point at a <a class="wrong" href="#wrong0">mistake</a> to read what it is,
click on it to see the next.</p>
<p>{legend}</p>
<pre>{code}</pre>
</html>
"""


def page(source: Source, predicted: np.ndarray) -> str:
    """A page that shows a file in the colours that the model gives it, its mistakes underlined."""
    wrong = int((predicted != source.labels).sum())
    return PAGE.format(
        name=html.escape(source.name),
        right=1 - wrong / len(predicted),
        count=len(predicted),
        wrong=wrong,
        legend=" &middot; ".join(f'<span class="{name}">{name}</span>' for name in CLASSES),
        code=coloured(source, predicted),
    )


def coloured(source: Source, predicted: np.ndarray) -> str:
    """The file's text as HTML, in runs of equal prediction and truth."""
    pair = predicted.astype(int) * len(CLASSES) + source.labels
    ends = np.flatnonzero(np.diff(pair, append=-1)) + 1
    pieces = []
    start = mistakes = 0
    for end in ends:
        text = html.escape(source.text[start:end])
        guess, truth = CLASSES[predicted[start]], CLASSES[source.labels[start]]
        if guess == truth:
            pieces.append(f'<span class="{guess}">{text}</span>')
        else:
            text = text.replace("\n", "↵\n")  # or it would not show
            link = f'id="wrong{mistakes}" href="#wrong{mistakes + 1}"'
            title = f'title="predicted {guess}, is {truth}"'
            pieces.append(f'<a class="{guess} wrong" {link} {title}>{text}</a>')
            mistakes += 1
        start = end
    return "".join(pieces)

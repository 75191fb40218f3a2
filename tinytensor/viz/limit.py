"""The limit of nodes in a drawing, and what to do about a graph beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_types(op: str, title: Any, max_nodes: Any) -> None:
    """Raise TypeError for a title that is no text, or a limit that is no whole number."""
    if title is not None and not isinstance(title, str):
        raise TypeError(f"{op}: expected title to be text or None, got {type(title).__name__}")
    if max_nodes is not None and (
        isinstance(max_nodes, bool) or not isinstance(max_nodes, (int, np.integer))
    ):
        raise TypeError(
            f"{op}: expected max_nodes to be a whole number, got {type(max_nodes).__name__}"
        )


def check_size(
    count: int,
    limit: int | None,
    *,
    saved: bool = False,
    folded: bool = True,
    detail: str = "op",
    plain: bool = False,
    copies: bool = False,
) -> None:
    """Raise ValueError if a drawing has more nodes than the limit, with the options that help.

    saved, folded, detail : what was asked for, so that nothing is advised that is there already
    plain : whether no operation lies in a module or scope, so that nothing can be folded or drawn
        as one
    copies : whether some are copies of parameters
    """
    if limit is None or count <= limit:
        return
    cures = []
    if not folded:
        cures.append('fold time steps with collapse="auto"')
    if plain:
        cures = [
            'name the time steps, by `with tt.autograd.scope(f"t = {t}")` around each, to fold'
        ]
    elif detail == "op":
        cures.append('draw less of each step with detail="cell" or detail="layer"')
    elif detail in ("cell", "step"):
        cures.append('draw less of each step with detail="layer"')
    cures.append("draw fewer time steps")
    if not plain:
        cures.append("draw without tt.unrolled()")
    if saved:
        cures.append("show_saved=False")
    if copies:
        cures.append('parameters="once"')
    raise ValueError(
        f"graph: expected at most {limit:,} nodes, got {count:,}; {', '.join(cures)}, "
        "or raise max_nodes"
    )

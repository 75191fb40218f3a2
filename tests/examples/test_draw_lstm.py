"""The README's pictures are those that their script draws today."""

import importlib.util
import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def drawn_text(svg: Path) -> list[str]:
    """The text in a picture; layout engines differ in the rest."""
    return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text("utf-8")))


def test_the_readmes_pictures_are_current(tmp_path):
    spec = importlib.util.spec_from_file_location("draw_lstm", EXAMPLES / "draw_lstm.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path)
    for name, expected in (("backward", "lstm.weight_hh_l0_reverse"), ("folded", "weight_hh_l0")):
        fresh = drawn_text(tmp_path / f"{name}.svg")
        assert expected in fresh
        assert fresh == drawn_text(EXAMPLES / "images" / f"{name}.svg")

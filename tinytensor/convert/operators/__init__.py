"""The primitives by ONNX's operators of opset 17: one function, or one row, for each.

A function takes the graph, the value of the result (for `unbind` and `split` those of all) and the
arguments of the primitive's forward, with a Value in the place of each array, and gives the name of
the result. Shapes are those of the run, so whatever only gives elements another shape is a Reshape
to the shape that came out.
"""

from . import activations, picking, pointwise, products, reductions, shapes
from .kernels import KERNELS
from .registry import OPERATORS

FAMILIES = (activations, picking, pointwise, products, reductions, shapes)  # they fill the table

__all__ = ["FAMILIES", "KERNELS", "OPERATORS"]

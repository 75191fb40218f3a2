"""A model as an ONNX file, found by running it on example inputs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..io import write_whole
from ..nn.module import Module
from ..tensor import Tensor
from .graph import Graph
from .operators import KERNELS, OPERATORS
from .recurrent_calls import KINDS
from .recurrent_nodes import recurrent
from .runs import settled, tensors_in
from .trace import Call, Trace, Value, values_in

OPSET = 17
IR_VERSION = 8  # that of the releases that brought the opset: newer ones are refused by runtimes


def to_onnx(
    model: Module,
    inputs: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    kwargs: dict[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Any:
    """The computation model(*inputs, **kwargs) as an ONNX model of opset 17, IR version 8.

        model = convert.to_onnx(lstm, x, "lstm.onnx")
        onnxruntime.InferenceSession("lstm.onnx").run(None, {"input": x.numpy()})

    inputs : a Tensor or a tuple of what model takes; nested tuples, lists and None are fine. Every
        Tensor in it and in kwargs becomes an input of the exported model, of the same shape and
        type: the numbers are free, the sizes are not
    path : a file to be written, whole or not at all; None writes none
    input_names, output_names : for the Tensors in their order; else inputs are called after the
        parameters of model.forward, outputs "output", or "output_0", "output_1", ...
    Returns an onnx.ModelProto.

    The model runs under no_grad and in eval mode (dropout does nothing), on copies of the inputs
    and twice more on other numbers; nothing of it changes but what its own forward writes.
    Parameters become initializers under their names in `state_dict`, those of an LSTM, GRU or RNN
    laid out as ONNX has them (`lstm.W_l0`, see `OnnxWeights`), with one node for each layer.
    `lengths=` becomes its sequence_lens. What these operators lack (proj_size, return_states, cells
    of one's own) is written out step by step. onnxruntime has them for float32 only.

    Raises ImportError without onnx (extra `onnx`), TypeError for inputs or outputs that it can't
    take, NotImplementedError for an operation that has no counterpart here, by name, ValueError for
    a model whose operations depend on the numbers in its inputs (`if x.sum() > 0`, .item()).
    """
    onnx = _onnx()
    if not isinstance(model, Module):
        raise TypeError(f"to_onnx: expected a Module, got {type(model).__name__}; wrap it in one")
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    keywords = kwargs or {}
    names = _input_names(model, args, keywords, input_names)
    trace = settled(model, args, keywords, names)
    known = {value.name: value for value in trace.values if value.name}
    results = list(values_in(trace.outputs))
    called = _output_names(len(results), output_names, known)
    graph = _translated(trace, called)
    proto = _proto(
        onnx,
        graph,
        {name: known[name] for name in names},
        dict(zip(called, results, strict=True)),
    )
    _check(onnx, proto)
    if path is not None:
        write_whole(path, proto.SerializeToString(), "to_onnx")
    return proto


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx: expected onnx to be installed; pip install 'tinytensor-bptt[onnx]'"
        ) from error
    return onnx


# -- names


def _input_names(
    model: Module, args: tuple[Any, ...], kwargs: dict[str, Any], given: Sequence[str] | None
) -> list[str]:
    """A name for each Tensor among the arguments."""
    taken = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    if given is None:
        positional = inspect.signature(model.forward).bind_partial(*args).arguments
        stems = (*positional.items(), *kwargs.items())
        found = [name for stem, value in stems for name in _names_below(stem, value)]
        names = [f"{name}_input" if name in taken else name for name in found]
    else:
        names = list(given)
    count = sum(1 for _ in tensors_in((args, kwargs)))
    if len(names) != count or len({*names, *taken}) != count + len(taken):
        raise ValueError(
            f"to_onnx: expected {count} different names of inputs that no parameter has, got "
            f"{names}"
        )
    return names


def _names_below(stem: str, value: Any) -> Iterator[str]:
    if isinstance(value, Tensor):
        yield stem
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            yield from _names_below(f"{stem}_{number}", part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _names_below(f"{stem}_{key}", part)


def _output_names(count: int, given: Sequence[str] | None, taken: Collection[str]) -> list[str]:
    default = ["output"] if count == 1 else [f"output_{number}" for number in range(count)]
    names = default if given is None else list(given)
    if len(names) != count or len({*names, *taken}) != count + len(taken):
        raise ValueError(
            f"to_onnx: expected {count} different names of outputs that no input or parameter has, "
            f"got {names}"
        )
    return names


# -- translating


def _translated(trace: Trace, called: Sequence[str]) -> Graph:
    """The graph that computes the outputs, under the names that they are to have."""
    graph = Graph()
    for name in called:
        graph.unique(name)
    for value in trace.values:
        if value.name:
            graph.unique(value.name)
            if value.kind == "input":
                graph.declare(value, value.name)
    for call in _needed(trace):
        graph.current = call.op
        names = _emitted(graph, call)
        for value, name in zip(call.results, names, strict=True):
            graph.declare(value, name)
    graph.current = "the outputs"
    graph.finish([graph.name(value) for value in values_in(trace.outputs)], called)
    return graph


def _needed(trace: Trace) -> list[Call]:
    """The calls that the outputs depend on."""
    wanted: set[int] = set()

    def want(value: Value) -> None:
        source: Value | None = value
        while source is not None:
            wanted.add(source.number)
            source = source.source

    for value in values_in(trace.outputs):
        want(value)
    found = []
    for call in reversed(trace.calls):
        if any(result.number in wanted for result in call.results):
            found.append(call)
            for value in values_in((call.args, call.static)):
                want(value)
    return found[::-1]


def _emitted(graph: Graph, call: Call) -> Sequence[str]:
    """Add the nodes of a call; the names of its results."""
    from_input = any(result.from_input for result in call.results)
    from_parameter = any(result.from_parameter for result in call.results)
    known = call.op in OPERATORS or call.op in KERNELS or call.op in KINDS
    if not from_input and not (known and from_parameter):
        return [graph.initializer(result.array, "constant") for result in call.results]
    if not known:
        raise NotImplementedError(
            f"to_onnx: expected operations that it has an ONNX operator for, got {call.op}; write "
            "it by others, or leave that part out of the exported model"
        )
    if call.op in KINDS:
        return recurrent(graph, call)
    if call.op in KERNELS:
        return [KERNELS[call.op](graph, call.results[0], *call.args, **call.static)]
    emit = OPERATORS[call.op]
    if call.op in ("unbind", "split"):
        names: list[str] = emit(graph, call.results, *call.args)
        return names
    return [emit(graph, call.results[0], *call.args)]


# -- writing


def _proto(
    onnx: Any, graph: Graph, inputs: Mapping[str, Value], outputs: Mapping[str, Value]
) -> Any:
    helper = onnx.helper

    def declared(named: Mapping[str, Value]) -> list[Any]:
        return [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.array.dtype), value.array.shape
            )
            for name, value in named.items()
        ]

    def attribute(value: Any) -> Any:
        return helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value

    nodes = [
        helper.make_node(
            node.operator,
            node.inputs,
            node.outputs,
            **{key: attribute(value) for key, value in node.attributes.items()},
        )
        for node in graph.nodes
    ]
    weights = [
        onnx.numpy_helper.from_array(array, name) for name, array in graph.initializers.items()
    ]
    made = helper.make_graph(nodes, "model", declared(inputs), declared(outputs), weights)
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tinytensor",
    )


def _check(onnx: Any, proto: Any) -> None:
    """Have onnx check the model, types and shapes included."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.shape_inference.InferenceError as error:
        raise NotImplementedError(
            "to_onnx: expected operations on types that opset 17 has them for, got one that it "
            f"has not; cast to float first: {error}"
        ) from error

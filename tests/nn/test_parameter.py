"""Parameter: a leaf on shared memory that stays a Parameter, and whose results are Tensors."""

import copy
import pickle

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.nn import Parameter


def test_it_shares_memory_and_version_with_its_data() -> None:
    data = tt.zeros(2)
    parameter = Parameter(data)
    with tt.no_grad():
        parameter.add_(1)
    assert data.tolist() == [1, 1]
    assert data._version == parameter._version == 1


def test_it_is_a_leaf_that_requires_grad_unless_told_otherwise() -> None:
    source = tt.ones(2, requires_grad=True) * 3
    parameter = Parameter(source)
    assert parameter.is_leaf
    assert parameter.requires_grad
    assert isinstance(parameter, tt.Tensor)
    assert not Parameter(tt.zeros(1), requires_grad=False).requires_grad
    assert Parameter(tt.zeros(1), False).shape == (1,)
    assert Parameter().shape == (0,)
    assert not Parameter(tt.tensor([1, 2]), requires_grad=False).is_floating_point()


def test_results_of_operations_are_plain_tensors() -> None:
    parameter = Parameter(tt.ones(2))
    for result in (parameter * 2, parameter[0], parameter.detach(), parameter.data, +1 - parameter):
        assert type(result) is tt.Tensor
    parameter.sum().backward()
    assert type(parameter.grad) is tt.Tensor


@pytest.mark.parametrize("data", [[1.0, 2.0], 3.0, np.zeros(2)])
def test_data_that_is_no_tensor_is_refused_with_the_cure(data: object) -> None:
    with pytest.raises(TypeError, match=r"expected a Tensor or None.*tinytensor\.tensor"):
        Parameter(data)


def test_integers_cannot_require_grad() -> None:
    with pytest.raises(RuntimeError, match="floating"):
        Parameter(tt.tensor([1, 2]))


def test_a_copy_is_a_parameter_with_its_own_memory_and_without_gradient() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.sum().backward()
    for twin in (copy.deepcopy(layer.weight), pickle.loads(pickle.dumps(layer.weight))):
        assert type(twin) is Parameter
        assert twin.requires_grad
        assert twin.grad is None
        assert twin._label is None
        assert twin.tolist() == layer.weight.tolist()
        assert not np.shares_memory(twin._array, layer.weight._array)
    pair = copy.deepcopy([layer.weight, layer.weight])
    assert pair[0] is pair[1]


def test_it_prints_as_torchs() -> None:
    torch = pytest.importorskip("torch")
    cases = [np.zeros((2, 2), np.float32), np.arange(3.0), np.zeros(0, np.float32)]
    for array in cases:
        ours = repr(Parameter(tt.tensor(array)))
        theirs = repr(torch.nn.Parameter(torch.tensor(array)))
        assert ours == theirs.replace("torch.float64", "tinytensor.float64")
    frozen = repr(Parameter(tt.zeros(1), requires_grad=False))
    assert frozen == repr(torch.nn.Parameter(torch.zeros(1), requires_grad=False))


def test_a_copy_keeps_the_memory_order() -> None:
    parameter = Parameter(tt.ones(3, 2).t())
    assert copy.deepcopy(parameter).stride() == (1, 2)


# -- Buffer ---------------------------------------------------------------------------------------


def test_a_buffer_registers_itself_and_says_whether_it_lasts() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (tt, torch):
        m = lib.nn.Module()
        m.plain = lib.nn.Buffer(lib.ones(2))
        m.passing = lib.nn.Buffer(lib.zeros(1), persistent=False)
        m.passing_no_more = lib.nn.Buffer(lib.zeros(1), persistent=False)
        m.passing_no_more = lib.nn.Buffer(lib.zeros(1))
        m.plain = lib.ones(3)
        m.empty = lib.nn.Buffer()
        states = list(m.state_dict()), [name for name, _ in m.named_buffers()]
        found.append((*states, repr(m.empty), m.plain.tolist(), "plain" in vars(m)))
    assert found[0] == found[1]


def test_a_buffer_is_a_leaf_on_shared_memory_and_its_results_are_tensors() -> None:
    data = tt.zeros(2, requires_grad=True)
    buffer = nn.Buffer(data)
    assert buffer.requires_grad
    assert not nn.Buffer(tt.zeros(1)).requires_grad
    assert not nn.Buffer(tt.tensor([1])).is_floating_point()
    assert isinstance(buffer, tt.Tensor)
    assert type(buffer + 1) is tt.Tensor
    with tt.no_grad():
        buffer.add_(1)
    assert data.tolist() == [1, 1]
    assert data._version == buffer._version == 1
    with pytest.raises(TypeError, match="Buffer: expected a Tensor or None, got list"):
        nn.Buffer([1.0])


@pytest.mark.parametrize("kind", ["parameter", "module"])
def test_a_buffer_takes_no_place_of_another_kind(kind) -> None:
    m = nn.Module()
    m.x = Parameter(tt.ones(1)) if kind == "parameter" else nn.Tanh()
    with pytest.raises(TypeError, match=f"cannot assign 'Buffer' as .*{kind} 'x'"):
        m.x = nn.Buffer(tt.ones(1))


def test_a_copied_buffer_stays_what_it_was() -> None:
    twin = copy.deepcopy(nn.Buffer(tt.ones(2), persistent=False))
    assert type(twin) is nn.Buffer
    assert not twin.persistent
    m = nn.Module()
    m.x = nn.Buffer(tt.ones(2), persistent=False)
    for other in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert list(other.state_dict()) == []
        assert [value.tolist() for value in other.buffers()] == [[1, 1]]

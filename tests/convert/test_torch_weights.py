"""State dicts from and to torch."""

from typing import Any

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import convert, nn

torch = pytest.importorskip("torch")


class Ours(nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.layers = getattr(nn, kind)(3, 4, **options)
        self.head = nn.Linear(4 * (1 + options.get("bidirectional", False)), 2)

    def forward(self, numbers: tt.Tensor) -> tt.Tensor:
        output, _ = self.layers(self.embedding(numbers))
        return self.head(output)


class Theirs(torch.nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 3)
        self.layers = getattr(torch.nn, kind)(3, 4, **options)
        self.head = torch.nn.Linear(4 * (1 + options.get("bidirectional", False)), 2)

    def forward(self, numbers: Any) -> Any:
        output, _ = self.layers(self.embedding(numbers))
        return self.head(output)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"num_layers": 2, "bidirectional": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_model_gives_the_same_numbers_in_torch(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = Ours(kind, **options).double(), Theirs(kind, **options).double()
    theirs.load_state_dict(convert.to_torch(ours.state_dict()))
    numbers = np.array([[0, 6, 3], [1, 1, 5]])
    mine = ours(tt.tensor(numbers)).detach().numpy()
    other = theirs(torch.tensor(numbers)).detach().numpy()
    np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_model_of_torch_gives_the_same_numbers_here(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = Ours(kind, **options), Theirs(kind, **options)
    ours.load_state_dict(convert.from_torch(theirs.state_dict()))
    numbers = np.array([[0, 6, 3], [1, 1, 5]])
    mine = ours(tt.tensor(numbers)).detach().numpy()
    other = theirs(torch.tensor(numbers)).detach().numpy()
    np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_the_way_to_torch_and_back_changes_no_bit() -> None:
    state = Ours("LSTM", num_layers=2, bidirectional=True).state_dict()
    back = convert.from_torch(convert.to_torch(state))
    assert list(back) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(back[name].numpy(), tensor.numpy(), strict=True)


def test_the_way_from_torch_and_back_changes_no_bit() -> None:
    state = Theirs("GRU", num_layers=2, bidirectional=True).state_dict()
    back = convert.to_torch(convert.from_torch(state))
    assert list(back) == list(state)
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


def test_projections_and_buffers_of_any_type_are_converted() -> None:
    state = torch.nn.LSTM(3, 4, proj_size=2).state_dict()
    state["counter"] = torch.tensor(3)
    state["mask"] = torch.tensor([True, False])
    found = convert.from_torch(state)
    nn.LSTM(3, 4, proj_size=2).load_state_dict(
        {name: value for name, value in found.items() if name not in ("counter", "mask")}
    )
    assert found["counter"].item() == 3
    assert found["mask"].tolist() == [True, False]


def test_a_single_bias_gets_the_zeros_that_torch_has_beside_it() -> None:
    ours = Ours("LSTM", num_layers=2, bidirectional=True, bias="single").double()
    theirs = Theirs("LSTM", num_layers=2, bidirectional=True).double()
    theirs.load_state_dict(convert.to_torch(ours.state_dict()))
    assert not theirs.layers.bias_hh_l1_reverse.any()
    numbers = np.array([[0, 6, 3], [1, 1, 5]])
    mine = ours(tt.tensor(numbers)).detach().numpy()
    other = theirs(torch.tensor(numbers)).detach().numpy()
    np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)


def test_a_cell_of_ones_own_gets_no_bias_that_it_does_not_have() -> None:
    state = nn.LSTM1997Cell(2, 3).state_dict()
    assert set(convert.to_torch(state)) == set(state)


def test_bfloat16_comes_as_float32() -> None:
    given = torch.tensor([1.5, -3.140625], dtype=torch.bfloat16)
    found = convert.from_torch({"w": given})["w"]
    assert found.dtype is tt.float32
    assert found.tolist() == [1.5, -3.140625]


def test_both_ways_give_copies() -> None:
    ours = nn.Linear(2, 2)
    convert.to_torch(ours.state_dict())["weight"].zero_()
    assert ours.weight.detach().numpy().any()
    theirs = torch.nn.Linear(2, 2)
    convert.from_torch(theirs.state_dict())["weight"].zero_()
    assert theirs.weight.detach().numpy().any()


def test_strided_parameters_keep_their_values() -> None:
    given = torch.arange(6.0).reshape(2, 3).t()
    assert convert.from_torch({"w": given})["w"].tolist() == given.tolist()
    mine = tt.arange(6.0).reshape(2, 3).t()
    assert convert.to_torch({"w": mine})["w"].tolist() == mine.tolist()


def test_what_is_no_tensor_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match="to_torch: expected Tensors, got list for 'w'"):
        convert.to_torch({"w": [1.0]})
    with pytest.raises(TypeError, match="from_torch: expected tensors of torch, got Tensor"):
        convert.from_torch({"w": tt.zeros(2)})
    with pytest.raises(TypeError, match=r"got torch\.complex64 for 'w'"):
        convert.from_torch({"w": torch.zeros(2, dtype=torch.complex64)})

"""A penalty on the gradient by x alone reaches the weights, through every kernel."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn

torch = pytest.importorskip("torch")

MODELS = {
    "RNN": ((2, 3), (4, 2, 2)),
    "GRU": ((2, 3), (4, 2, 2)),
    "LSTM": ((2, 3), (4, 2, 2)),
    "RNNCell": ((2, 3), (4, 2)),
    "GRUCell": ((2, 3), (4, 2)),
    "LSTMCell": ((2, 3), (4, 2)),
    "LayerNorm": ((2,), (4, 2)),
    "BatchNorm1d": ((2,), (4, 2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_penalty_reaches_the_weights_as_in_torch(name):
    arguments, shape = MODELS[name]
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape)
    theirs = getattr(torch.nn, name)(*arguments).double()
    ours = getattr(nn, name)(*arguments).double()
    weights = {key: value.numpy() for key, value in theirs.state_dict().items()}
    ours.load_state_dict({key: tt.tensor(value) for key, value in weights.items()})
    for library, model in ((torch, theirs), (tt, ours)):
        x = library.tensor(values, requires_grad=True)
        y = model(x)
        y = y[0] if isinstance(y, tuple) else y
        (g,) = library.autograd.grad((y**3).sum(), x, create_graph=True)
        (g**2).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        expected = np.zeros(q.shape) if q.grad is None else q.grad.numpy()
        found = np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)

"""Each optimiser walks torch's path, step by step, in every combination of its settings."""

import itertools

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

STEPS = 50
SHAPES = [(5,), (4, 3), ()]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}


def on_off(**choices):
    """All combinations of the given settings."""
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


SGD = [
    *on_off(momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], maximize=[False, True]),
    *on_off(momentum=[0.9], nesterov=[True], weight_decay=[0, 0.1], maximize=[False, True]),
]
ADAM = [
    *on_off(weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True]),
    *on_off(betas=[(0.5, 0.9), (0.0, 0.0)], eps=[1e-3, 0.0], weight_decay=[0, 0.1]),
    *on_off(decoupled_weight_decay=[True], weight_decay=[0.1]),
]
ADAMW = on_off(weight_decay=[0, 0.1], amsgrad=[False, True], maximize=[False, True])
NADAM = [
    *on_off(weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], maximize=[False, True]),
    *on_off(betas=[(0.5, 0.9)], eps=[1e-3], momentum_decay=[0, 0.1]),
]
RADAM = [
    *on_off(weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], maximize=[False, True]),
    *on_off(betas=[(0.5, 0.9), (0.9, 0.5)], eps=[1e-3, 0.0]),
]
ADAMAX = [
    *on_off(weight_decay=[0, 0.1], maximize=[False, True]),
    *on_off(betas=[(0.5, 0.9)], eps=[1e-3, 0.0]),
]
ADAGRAD = [
    *on_off(weight_decay=[0, 0.1], lr_decay=[0, 0.1], maximize=[False, True]),
    *on_off(initial_accumulator_value=[0.5], eps=[0.1]),
]
ADADELTA = [
    *on_off(weight_decay=[0, 0.1], maximize=[False, True]),
    *on_off(rho=[0.0, 0.5, 1.0], eps=[1e-3]),
]
RMSPROP = [
    *on_off(momentum=[0, 0.9], centered=[False, True], weight_decay=[0, 0.1]),
    *on_off(alpha=[0.5], eps=[1e-3], maximize=[False, True]),
]
RPROP = [
    *on_off(maximize=[False, True]),
    *on_off(etas=[(0.3, 2.0)], step_sizes=[(1e-3, 0.1)]),
]
ASGD = [
    *on_off(weight_decay=[0, 0.1], maximize=[False, True]),
    *on_off(lambd=[0.1], alpha=[0.5], t0=[0, 10]),
]
CHOICES = {
    "SGD": SGD,
    "Adam": ADAM,
    "AdamW": ADAMW,
    "NAdam": NADAM,
    "RAdam": RADAM,
    "Adamax": ADAMAX,
    "Adagrad": ADAGRAD,
    "Adadelta": ADADELTA,
    "RMSprop": RMSPROP,
    "Rprop": RPROP,
    "ASGD": ASGD,
}
CASES = [
    pytest.param(name, settings, id=f"{name}-{number}")
    for name, choices in CHOICES.items()
    for number, settings in enumerate(choices)
]


def starts(kind):
    rng = np.random.default_rng(0)
    return [np.asarray(rng.standard_normal(shape), kind) for shape in SHAPES]


def gradients(kind):
    """The gradients of each step; the last parameter gets none at every third step."""
    rng = np.random.default_rng(1)
    for step in range(STEPS):
        # 0.5 + |...|: near 0 an Adam step is as good as a sign, where rounding decides.
        drawn = [rng.standard_normal(shape) for shape in SHAPES]
        yield [
            None if step % 3 == 1 and g.ndim == 0 else np.asarray(g + 0.5 * np.sign(g), kind)
            for g in drawn
        ]


def walk(lib, make_tensor, name, settings, kind):
    """The parameters after every step."""
    parameters = [lib.nn.Parameter(make_tensor(start)) for start in starts(kind)]
    optimizer = getattr(lib.optim, name)(parameters, lr=0.01, **settings)
    path = []
    for step in gradients(kind):
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = None if gradient is None else make_tensor(gradient)
        optimizer.step()
        path.append([parameter.detach().numpy().copy() for parameter in parameters])
    return path, optimizer.state_dict()


@pytest.mark.parametrize(("name", "settings"), CASES)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_path_and_the_state_are_torchs(name, settings, kind) -> None:
    ours, state = walk(tt, tt.tensor, name, settings, kind)
    theirs, state_ = walk(torch, torch.tensor, name, settings, kind)
    rtol = TOLERANCE[kind]
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert a.dtype == b.dtype == kind
            # A parameter that passes through 0 is known as well as what it was made of.
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    assert state["param_groups"] == state_["param_groups"]
    assert list(state["state"]) == list(state_["state"])
    for number, held in state_["state"].items():
        assert list(state["state"][number]) == list(held)
        for key, value in held.items():
            a, b = state["state"][number][key].numpy(), value.numpy()
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol, err_msg=key)


@pytest.mark.parametrize("name", CHOICES)
def test_groups_walk_with_settings_of_their_own(name) -> None:
    setting, own = ("etas", (0.3, 1.5)) if name == "Rprop" else ("weight_decay", 0.1)
    results = []
    for lib in (tt, torch):
        lib.manual_seed(0)
        model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 1))
        optimizer = getattr(lib.optim, name)(
            [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].weight}],
            **{setting: own},
        )
        other = (0.5, 1.2) if name == "Rprop" else 0
        optimizer.add_param_group({"params": [model[2].bias], setting: other})
        x = lib.rand(5, 3)
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
        results.append([p.detach().numpy() for p in model.parameters()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "Rprop"])
def test_a_learning_rate_that_changes_counts_from_the_next_step(name) -> None:
    results = []
    for lib in (tt, torch):
        parameter = lib.nn.Parameter(lib.ones(3))
        optimizer = getattr(lib.optim, name)([parameter], lr=lib.tensor(0.5))
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.5 / (step + 1)
            parameter.grad = lib.ones(3) * (step + 1)
            optimizer.step()
        results.append(parameter.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-6, atol=2e-7)

"""LBFGS: torch's path, its state, its line search."""

import copy

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import optim
from tinytensor.optim.line_search import Point, strong_wolfe


def multinomial_regression(lib, kind):
    """Parameters and a strictly convex loss, whose minimum pulls rounding errors in."""
    rng = np.random.default_rng(0)
    weight = lib.nn.Parameter(lib.tensor(np.asarray(rng.standard_normal((4, 3)), kind)))
    bias = lib.nn.Parameter(lib.tensor(np.asarray(rng.standard_normal(3), kind)))
    unused = lib.nn.Parameter(lib.tensor(np.ones(2, kind)))
    x = lib.tensor(np.asarray(rng.standard_normal((30, 4)), kind))
    y = lib.tensor(rng.integers(0, 3, 30))

    def loss():
        fit = lib.nn.functional.cross_entropy(x @ weight + bias, y)
        return fit + 0.1 * (weight**2).sum() + 0.1 * (bias**2).sum()

    return [weight, unused, bias], loss


def valley(lib, kind):
    """Rosenbrock's curved valley from (-1.2, 1), where a search has to step back and forth."""
    x = lib.nn.Parameter(lib.tensor(np.asarray([-1.2], kind)))
    y = lib.nn.Parameter(lib.tensor(np.asarray(1.0, kind)))

    def loss():
        return (1 - x[0]) ** 2 + 100 * (y - x[0] * x[0]) ** 2

    return [x, y], loss


class Run:
    """An optimiser on a problem, and the parameters after each step."""

    def __init__(self, lib, problem, kind, **settings) -> None:
        self.parameters, self.loss = problem(lib, kind)
        self.optimizer = lib.optim.LBFGS(self.parameters, **settings)
        self.calls = 0

    def closure(self):
        self.calls += 1
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def steps(self, count: int) -> np.ndarray:
        path = []
        for _ in range(count):
            loss = self.optimizer.step(self.closure).detach().item()
            parts = [p.detach().numpy().reshape(-1).copy() for p in self.parameters]
            path.append(np.concatenate([*parts, [loss]]))
        return np.array(path)


SEARCH = {"line_search_fn": "strong_wolfe"}
CASES = [
    (multinomial_regression, {"lr": 0.1, "max_iter": 1}),
    (multinomial_regression, {"lr": 0.5, "max_iter": 5, "history_size": 3}),
    (multinomial_regression, {"lr": 0.5, "max_eval": 3}),
    (multinomial_regression, {**SEARCH, "max_iter": 2, "max_eval": 10}),
    (multinomial_regression, {**SEARCH}),
    (multinomial_regression, {**SEARCH, "lr": 10.0, "history_size": 2}),
    (multinomial_regression, {**SEARCH, "lr": 10.0, "max_eval": 4}),
    (multinomial_regression, {"lr": 0.5, "tolerance_grad": 1e-3}),
    (multinomial_regression, {**SEARCH, "tolerance_change": 1e-3}),
    (valley, {"lr": 0.1, "max_iter": 1}),
    (valley, {**SEARCH}),
    (valley, {**SEARCH, "lr": 0.01, "max_iter": 3, "max_eval": 30}),
]


@pytest.mark.parametrize(("problem", "settings"), CASES)
def test_the_path_and_the_calls_are_torchs(problem, settings) -> None:
    torch = pytest.importorskip("torch")
    ours = Run(tt, problem, np.float64, **settings)
    theirs = Run(torch, problem, np.float64, **settings)
    # On its way round the bend of the valley the search magnifies rounding errors.
    rtol = 1e-12 if problem is multinomial_regression else 1e-11
    np.testing.assert_allclose(ours.steps(50), theirs.steps(50), rtol=rtol, atol=rtol)
    assert ours.calls == theirs.calls


def test_float32_stays_float32_and_on_torchs_path() -> None:
    torch = pytest.importorskip("torch")
    settings = {"lr": 0.1, "max_iter": 1}
    ours = Run(tt, multinomial_regression, np.float32, **settings)
    theirs = Run(torch, multinomial_regression, np.float32, **settings)
    np.testing.assert_allclose(ours.steps(50), theirs.steps(50), rtol=1e-5, atol=1e-5)
    assert all(parameter.dtype is tt.float32 for parameter in ours.parameters)
    state = ours.optimizer.state_dict()["state"][0]
    held = [state["d"], state["H_diag"], state["prev_flat_grad"], *state["old_dirs"], *state["ro"]]
    assert {tensor.dtype for tensor in held} == {tt.float32}


@pytest.mark.parametrize("settings", [{"lr": 0.5, "max_iter": 3}, {**SEARCH, "max_iter": 3}])
def test_a_state_moves_between_torch_and_here(settings) -> None:
    torch = pytest.importorskip("torch")
    path = Run(tt, multinomial_regression, np.float64, **settings).steps(6)
    for source, target in ((tt, torch), (torch, tt), (tt, tt)):
        first = Run(source, multinomial_regression, np.float64, **settings)
        first.steps(3)
        state = first.optimizer.state_dict()
        second = Run(target, multinomial_regression, np.float64, **settings)
        if source is tt and target is torch:
            state = in_torch(state, torch)
        second.optimizer.load_state_dict(state)
        for mine, other in zip(second.parameters, first.parameters, strict=True):
            mine.data = target.tensor(other.detach().numpy())
        np.testing.assert_allclose(second.steps(3), path[3:], rtol=1e-12, atol=1e-12)


def in_torch(value, torch):
    """A state with torch's tensors."""
    if isinstance(value, tt.Tensor):
        return torch.tensor(value.numpy())
    if isinstance(value, dict):
        return {key: in_torch(entry, torch) for key, entry in value.items()}
    if isinstance(value, list):
        return [in_torch(entry, torch) for entry in value]
    return value


def test_the_state_has_torchs_keys_and_its_types() -> None:
    torch = pytest.importorskip("torch")
    states = []
    for lib in (tt, torch):
        run = Run(lib, multinomial_regression, np.float64, **SEARCH, max_iter=3)
        run.steps(2)
        states.append(run.optimizer.state_dict()["state"][0])
    assert states[0].keys() == states[1].keys()
    for key, value in states[1].items():
        mine, other = (state[key] for state in states)
        if not isinstance(value, list):
            mine, other = [mine], [other]
        tensors = [isinstance(entry, tt.Tensor) for entry in mine]
        assert tensors == [torch.is_tensor(entry) for entry in other], key


def test_a_saved_state_goes_on_bit_for_bit(tmp_path) -> None:
    first = Run(tt, multinomial_regression, np.float64, **SEARCH, max_iter=3)
    first.steps(2)
    tt.save(first.optimizer.state_dict(), tmp_path / "state.safetensors")
    second = Run(tt, multinomial_regression, np.float64)
    for mine, other in zip(second.parameters, first.parameters, strict=True):
        mine.data = other.detach().clone()
    second.optimizer.load_state_dict(tt.load(tmp_path / "state.safetensors"))
    assert (second.steps(2) == first.steps(2)).all()


def test_a_loaded_state_is_a_copy() -> None:
    first = Run(tt, multinomial_regression, np.float64, max_iter=3)
    first.steps(1)
    before = copy.deepcopy(first.optimizer.state_dict()["state"][0])
    second = Run(tt, multinomial_regression, np.float64, max_iter=3)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.steps(2)
    after = first.optimizer.state_dict()["state"][0]
    assert (before["prev_flat_grad"] == after["prev_flat_grad"]).all()
    assert len(before["old_dirs"]) == len(after["old_dirs"])


def test_the_closure_records_and_keeps_the_users_error_state() -> None:
    p = tt.ones(1, requires_grad=True)
    optimizer = optim.LBFGS([p])

    def closure() -> tt.Tensor:
        assert tt.is_grad_enabled()
        assert np.geterr()["over"] == "raise"
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tt.no_grad(), np.errstate(over="raise"):
        assert optimizer.step(closure).item() == 1


@pytest.mark.parametrize("settings", [{}, SEARCH])
def test_a_loss_that_overflows_or_is_nan_passes_without_a_warning(settings) -> None:
    for start in (1e30, float("nan")):
        p = tt.tensor([start], requires_grad=True)
        optimizer = optim.LBFGS([p], **settings)

        def closure(p=p, optimizer=optimizer) -> tt.Tensor:
            optimizer.zero_grad()
            loss = (p**3).sum()
            loss.backward()
            return loss

        assert not optimizer.step(closure).isfinite()


def test_steps_count_as_writes() -> None:
    p = tt.ones(1, requires_grad=True)
    optimizer = optim.LBFGS([p], max_iter=1)
    y = (p * p).sum()

    def closure() -> tt.Tensor:
        optimizer.zero_grad()
        loss = (p * p * p).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_what_lbfgs_does_not_do_is_refused() -> None:
    p, q = tt.ones(1, requires_grad=True), tt.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(TypeError, match="expected a closure that computes the loss, got None"):
        optim.LBFGS([p]).step()
    with pytest.raises(RuntimeError, match=r"only 'strong_wolfe' is supported, got .*'armijo'"):
        optim.LBFGS([p], line_search_fn="armijo").step(lambda: p.sum())


def waves(lib, seed):
    """A place to start from, and a function with many minima."""
    rng = np.random.default_rng(seed)
    sizes, rates, phases = (lib.tensor(rng.standard_normal(5) * s) for s in (1.0, 3.0, 1.0))
    start = rng.standard_normal(1) * 3
    return start, lambda p: (sizes * lib.sin(rates * p + phases)).sum() + 0.01 * (p**4).sum()


def kink(lib, seed):
    """A place to start from, and a function whose slope is nowhere small."""
    return np.zeros(1), lambda p: (p - 0.3 - 0.1 * seed).abs().sum()


def places_tried(lib, make, seed, **settings) -> list[float]:
    """Where two iterations with line search ask for the loss."""
    start, function = make(lib, seed)
    p = lib.nn.Parameter(lib.tensor(start))
    optimizer = lib.optim.LBFGS([p], max_iter=2, **SEARCH, **settings)
    tried = []

    def closure():
        tried.append(p.item())
        optimizer.zero_grad()
        loss = function(p)
        loss.backward()
        return loss

    optimizer.step(closure)
    return tried


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (waves, {"lr": 0.05, "max_eval": 30}),
        (waves, {"lr": 1.0, "max_eval": 30}),
        (waves, {"lr": 30.0, "max_eval": 30}),
        (waves, {"lr": 30.0, "max_eval": 5}),
        (kink, {"lr": 1.0, "max_eval": 100}),
    ],
)
def test_the_line_search_tries_the_places_that_torchs_tries(make, settings) -> None:
    torch = pytest.importorskip("torch")
    counts = []
    for seed in range(20):
        ours, theirs = (places_tried(lib, make, seed, **settings) for lib in (tt, torch))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
        counts.append(len(ours))
    assert max(counts) >= 5


def test_the_line_search_does_as_torchs_whatever_it_is_told() -> None:
    torch = pytest.importorskip("torch")
    for seed in range(200):
        places = []
        for lib in (tt, torch):
            rng = np.random.default_rng(seed)
            p = lib.nn.Parameter(lib.zeros(1, dtype=lib.float64))
            optimizer = lib.optim.LBFGS([p], max_iter=1, max_eval=12, lr=0.5, **SEARCH)
            tried: list[float] = []

            def answer(lib=lib, rng=rng, p=p, tried=tried):
                """No function's loss and slope: falling at first, then anything."""
                tried.append(p.item())
                slope, loss = (-5.0, 0.0) if len(tried) == 1 else rng.normal((-3.0, -2.0), 3.0)
                p.grad = lib.tensor([slope], dtype=lib.float64)
                return loss

            optimizer.step(answer)
            places.append([*tried, p.item()])
        np.testing.assert_allclose(*places, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0])
def test_the_line_search_gives_a_point_within_both_conditions(first) -> None:
    def evaluate(t) -> Point:
        # Steep at first, then wavy: several minima, and slopes of both signs.
        loss = np.exp(-t) + 0.3 * np.sin(3 * t) + 0.01 * t * t
        slope = -np.exp(-t) + 0.9 * np.cos(3 * t) + 0.02 * t
        return Point(t, float(loss), np.array([slope]), slope)

    start = evaluate(0.0)
    assert start.slope < 0
    point, calls = strong_wolfe(evaluate, start, first, 1.0, 25)
    assert point.loss <= start.loss + 1e-4 * point.t * start.slope
    assert abs(point.slope) <= 0.9 * abs(start.slope)
    assert calls <= 26

"""Optimizer: groups, state_dict in torch's form, closures, printed form, memory, errors."""

import copy
import gc
import pickle

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, optim

# Each class with the settings under which it remembers most.
MOST_STATE = {
    optim.SGD: {"momentum": 0.9},
    optim.Adam: {"amsgrad": True},
    optim.AdamW: {"amsgrad": True},
    optim.NAdam: {},
    optim.RAdam: {},
    optim.Adamax: {},
    optim.Adagrad: {},
    optim.Adadelta: {},
    optim.RMSprop: {"momentum": 0.9, "centered": True},
    optim.Rprop: {},
    optim.ASGD: {"t0": 1},
}
CLASSES = list(MOST_STATE)
NAMES = [cls.__name__ for cls in CLASSES]


def leaf(*values: float) -> tt.Tensor:
    tensor = tt.tensor(values, requires_grad=True)
    tensor.grad = tt.ones(len(values))
    return tensor


def with_decay(cls, decay: float) -> dict:
    settings = dict(MOST_STATE[cls])
    if cls is not optim.Rprop:
        settings["weight_decay"] = decay
    return settings


# -- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES)
def test_a_step_writes_in_place_counts_as_a_write_and_is_not_recorded(cls) -> None:
    p = leaf(1.0, 2.0)
    memory, gradient = p._array, p.grad
    y = (p * p).sum()
    optimizer = cls([p], **MOST_STATE[cls])
    optimizer.step()
    assert p._array is memory
    assert p.tolist() != [1, 2]
    assert p.is_leaf
    assert p.grad is gradient
    assert gradient.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_parameter_without_gradient_stays_as_it_is(cls) -> None:
    p, q = leaf(1.0), leaf(2.0)
    q.grad = None
    optimizer = cls([p, q], **with_decay(cls, 0.5))
    optimizer.step()
    assert p.item() != 1
    assert q.item() == 2
    remembered = list(optimizer.state_dict()["state"])
    assert remembered == ([0, 1] if cls is optim.Adagrad else [0])  # as torch, from the start


def test_sgd_without_momentum_keeps_no_state() -> None:
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.step()
    assert p.item() == 0.5
    assert optimizer.state_dict()["state"] == {}


def test_the_momentum_buffer_does_not_share_memory_with_the_gradient() -> None:
    p = leaf(1.0)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.step()
    assert p.grad.item() == 1
    assert optimizer.state[p]["momentum_buffer"].item() == pytest.approx(1.9)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_step_keeps_the_type_and_takes_any_layout(cls) -> None:
    for kind in (tt.float16, tt.float32, tt.float64):
        base = tt.ones(3, 4, dtype=kind)
        p = nn.Parameter(base.t())
        p.grad = tt.ones(4, 3, dtype=kind)
        plain = nn.Parameter(tt.ones(4, 3, dtype=kind))
        plain.grad = tt.ones(4, 3, dtype=kind)
        optimizer = cls([p, plain], lr=0.1, **MOST_STATE[cls])
        for _ in range(3):
            optimizer.step()
        assert p.dtype is kind
        assert (p == plain).all()
        assert not (p == 1).any()
        assert (base.t() == p).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_steps_allocate_nothing_for_the_arrays(cls) -> None:
    import tracemalloc

    p = tt.zeros(1000, 100, requires_grad=True)
    p.grad = tt.ones(1000, 100)
    optimizer = cls([p], **with_decay(cls, 0.1))
    for _ in range(2):
        optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * p._array.nbytes


@pytest.mark.parametrize("cls", CLASSES)
def test_overflow_passes_without_a_warning(cls) -> None:
    p = leaf(1.0, 3e38)
    p.grad = tt.tensor([3e38, float("inf")])
    optimizer = cls([p], lr=10.0, **MOST_STATE[cls])
    for _ in range(3):
        optimizer.step()
    assert not (p == tt.tensor([1.0, 3e38])).all()


def test_a_closure_computes_the_loss_even_under_no_grad() -> None:
    p = leaf(3.0)
    optimizer = optim.SGD([p], lr=0.5)

    def closure() -> tt.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tt.no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == 0
    assert optimizer.step() is None


def test_zero_grad_drops_or_zeroes_all_gradients() -> None:
    p, q = leaf(1.0), leaf(2.0)
    optimizer = optim.SGD([{"params": [p]}, {"params": [q]}])
    held = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held
    assert held.item() == 0
    optimizer.zero_grad()
    assert p.grad is None
    assert q.grad is None


def test_an_optimizer_of_ones_own_defines_its_step() -> None:
    class Signs(optim.Optimizer):
        def __init__(self, params: object, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @tt.no_grad()
        def step(self, closure: object = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["calls"] = self.state[p].get("calls", 0) + 1
                    p -= group["lr"] * tt.sign(p.grad)

    p = leaf(1.0, 2.0)
    optimizer = Signs([p], 0.25)
    optimizer.step()
    assert p.tolist() == [0.75, 1.75]
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[p]["calls"] == 1
    with pytest.raises(NotImplementedError, match="Optimizer must define step"):
        optim.Optimizer([p], {}).step()


def test_a_finished_step_leaves_nothing_for_the_garbage_collector() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters())

    def train() -> None:
        optimizer.zero_grad()
        model(tt.ones(3, 2)).sum().backward()
        optimizer.step()

    train()
    gc.collect()
    gc.disable()
    try:
        train()
        assert gc.collect() == 0
    finally:
        gc.enable()


# -- groups ---------------------------------------------------------------------------------------


def test_named_parameters_leave_their_names_in_the_group() -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"] == list(model.parameters())
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_a_group_may_be_one_tensor_and_the_given_dict_is_left_alone() -> None:
    p = leaf(1.0)
    given = {"params": p, "lr": 3}
    optimizer = optim.SGD([given], lr=1)
    assert given == {"params": p, "lr": 3}
    assert optimizer.param_groups[0]["params"] == [p]
    assert optimizer.param_groups[0]["lr"] == 3
    assert optimizer.param_groups[0]["momentum"] == 0


P = leaf(1.0)
Q = leaf(2.0)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (P, TypeError, "should be an iterable of Tensors or dicts"),
        ([], ValueError, "empty parameter list"),
        (3, TypeError, "not iterable"),
        ([3], TypeError, "can only optimize Tensors, but one of the params is int"),
        (
            [P * 2],
            ValueError,
            "can't optimize a non-leaf Tensor: it is the result of MulBackward0;",
        ),
        ([{"params": {P}}], TypeError, "ordered collections"),
        ([{"params": [P]}, {"params": [P]}], ValueError, "more than one parameter group"),
        ([{"lr": 3}], KeyError, "params"),
        ([("a", P), Q], ValueError, "Some param names are missing"),
        ([{"params": [("a", P)]}, {"params": [Q]}], ValueError, "with/without names"),
    ],
)
def test_what_cannot_be_optimized_is_refused_as_torch_does(params, error, message) -> None:
    with pytest.raises(error, match=message):
        optim.SGD(params)


def test_a_result_that_retains_its_gradient_may_be_optimized_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    for lib in (tt, torch):
        result = lib.ones(1, requires_grad=True) * 2
        result.retain_grad()
        optimizer = lib.optim.SGD([result], lr=0.5)
        (result * 3).sum().backward()
        optimizer.step()
        assert result.item() == 0.5


def test_a_group_that_is_no_dict_is_refused() -> None:
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optim.SGD([P]).add_param_group([Q])


def test_a_parameter_twice_in_a_group_warns_and_is_changed_twice() -> None:
    p = leaf(1.0)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = optim.SGD([p, p], lr=0.25)
    optimizer.step()
    assert p.item() == 0.5


SETTINGS = [
    ("SGD", {"lr": -1}, "Invalid learning rate: -1"),
    ("SGD", {"momentum": -1}, "Invalid momentum value: -1"),
    ("SGD", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
    ("SGD", {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
    ("SGD", {"nesterov": True, "momentum": 1, "dampening": 1}, "Nesterov momentum requires"),
    ("Adam", {"lr": -1}, "Invalid learning rate: -1"),
    ("Adam", {"eps": -1}, "Invalid epsilon value: -1"),
    ("Adam", {"betas": (1.0, 0)}, "Invalid beta parameter at index 0: 1.0"),
    ("AdamW", {"betas": (0.0, -0.5)}, "Invalid beta parameter at index 1: -0.5"),
    ("AdamW", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
    ("NAdam", {"momentum_decay": -1}, "Invalid momentum_decay value: -1"),
    ("NAdam", {"betas": (1.0, 0)}, "Invalid beta parameter at index 0: 1.0"),
    ("RAdam", {"eps": -1}, "Invalid epsilon value: -1"),
    ("RAdam", {"betas": (0, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
    ("Adamax", {"lr": -1}, "Invalid learning rate: -1"),
    ("Adamax", {"betas": (-1, 0)}, "Invalid beta parameter at index 0: -1"),
    ("Adagrad", {"lr_decay": -1}, "Invalid lr_decay value: -1"),
    ("Adagrad", {"initial_accumulator_value": -1}, "Invalid initial_accumulator_value value: -1"),
    ("Adadelta", {"rho": 1.5}, "Invalid rho value: 1.5"),
    ("Adadelta", {"eps": float("nan")}, "Invalid epsilon value: nan"),
    ("RMSprop", {"momentum": -1}, "Invalid momentum value: -1"),
    ("RMSprop", {"alpha": -1}, "Invalid alpha value: -1"),
    ("Rprop", {"etas": (0.5, 0.9)}, "Invalid eta values: 0.5, 0.9"),
    ("Rprop", {"lr": -1}, "Invalid learning rate: -1"),
    ("ASGD", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
    ("LBFGS", {"lr": -1}, "Invalid learning rate: -1"),
]


@pytest.mark.parametrize(("name", "settings", "message"), SETTINGS)
def test_settings_out_of_range_are_refused_in_torchs_words(name, settings, message) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([P], **settings)
    with pytest.raises(ValueError, match=message):
        getattr(torch.optim, name)([torch.zeros(1)], **settings)


def test_recorded_steps_are_refused() -> None:
    for cls in CLASSES:
        with pytest.raises(NotImplementedError, match="differentiable=True is not supported"):
            cls([P], differentiable=True)
    for cls in CLASSES:
        if "capturable" in cls([P]).defaults:
            with pytest.raises(NotImplementedError, match="capturable=True is not supported"):
                cls([P], capturable=True)


@pytest.mark.parametrize("cls", CLASSES)
def test_torchs_fast_forms_are_taken_without_effect_but_not_both(cls) -> None:
    p, q = leaf(1.0), leaf(1.0)
    cls([p]).step()
    cls([q], foreach=True).step()
    assert p.item() == q.item()
    if "fused" in cls([p]).defaults:
        with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
            cls([p], foreach=True, fused=True)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_learning_rate_of_several_numbers_is_refused(cls) -> None:
    with pytest.raises(ValueError, match=r"Tensor lr must be 1-element, got shape \(2,\)"):
        cls([P], lr=tt.ones(2))


# -- state ----------------------------------------------------------------------------------------


def trained(cls, steps: int = 3):
    """A model after some steps, its optimiser, and a function that does one more."""
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = cls(model.parameters(), lr=0.1, **MOST_STATE[cls])
    x = tt.rand(5, 3)

    def step() -> None:
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()

    for _ in range(steps):
        step()
    return model, optimizer, step


@pytest.mark.parametrize("cls", CLASSES)
def test_a_loaded_state_goes_on_bit_for_bit(cls) -> None:
    model, optimizer, step = trained(cls, 3)
    weights = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    step()
    after = copy.deepcopy(model.state_dict())
    model_, optimizer_, step_ = trained(cls, 0)
    optimizer_.param_groups[0]["lr"] = 99
    model_.load_state_dict(weights)
    optimizer_.load_state_dict(state)
    step_()
    for name, value in model_.state_dict().items():
        assert (value == after[name]).all(), name
    assert optimizer_.param_groups[0]["lr"] == 0.1
    assert optimizer_.param_groups[0]["params"] == list(model_.parameters())


@pytest.mark.parametrize("cls", CLASSES)
def test_writes_into_the_state_count_as_writes(cls) -> None:
    p = leaf(1.0)
    optimizer = cls([p], **MOST_STATE[cls])
    optimizer.step()
    held = optimizer.state[p].values()
    before = [tensor._version for tensor in held]
    optimizer.step()
    assert all(tensor._version > old for tensor, old in zip(held, before, strict=True))


def test_asgds_mean_is_the_parameter_itself_until_t0() -> None:
    rng = np.random.default_rng(0)
    p = tt.zeros(50, requires_grad=True)
    optimizer = optim.ASGD([p], t0=3)
    alike = []
    for _ in range(6):
        p.grad = tt.tensor(rng.standard_normal(50).astype(np.float32))
        optimizer.step()
        alike.append(bool((optimizer.state[p]["ax"] == p).all()))
    assert alike == [True] * 5 + [False]  # μ = 1 / max(1, t - t0) is below 1 from t = 5 on


@pytest.mark.parametrize("cls", CLASSES)
def test_a_loaded_state_is_a_copy(cls) -> None:
    _, optimizer, _ = trained(cls)
    state = optimizer.state_dict()
    before = copy.deepcopy(state["state"])
    _, other, other_step = trained(cls, 0)
    other.load_state_dict(state)
    other_step()
    for number, held in state["state"].items():
        for key, value in held.items():
            assert (value == before[number][key]).all()


def test_a_loaded_state_takes_the_type_of_its_parameter_but_for_the_step() -> None:
    _, optimizer, _ = trained(optim.Adam)
    state = optimizer.state_dict()
    arrays = {
        number: {key: value.numpy().astype(np.float64) for key, value in held.items()}
        for number, held in state["state"].items()
    }
    _, other, _ = trained(optim.Adam, 0)
    other.load_state_dict({"state": arrays, "param_groups": state["param_groups"]})
    held = other.state_dict()["state"][0]
    assert held["exp_avg"].dtype is tt.float32
    assert held["step"].dtype is tt.float64
    assert held["step"].item() == 3


def test_an_old_state_whose_step_is_a_plain_number_goes_on() -> None:
    _, optimizer, _ = trained(optim.Adam, 3)
    state = optimizer.state_dict()
    old = {
        number: {**held, "step": int(held["step"].item())}
        for number, held in state["state"].items()
    }
    _, other, step = trained(optim.Adam, 0)
    other.load_state_dict({"state": old, "param_groups": state["param_groups"]})
    step()
    assert [held["step"].item() for held in other.state.values()] == [4, 4, 4, 4]


def test_a_loaded_learning_rate_is_a_copy() -> None:
    optimizer = optim.SGD([P], lr=tt.tensor(0.5))
    other = optim.SGD([Q])
    other.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[0]["lr"].fill_(7)
    assert other.param_groups[0]["lr"].item() == 0.5


def test_adagrads_groups_that_come_later_begin_with_the_same_sum() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (tt, torch):
        p, q = lib.ones(1, requires_grad=True), lib.ones(1, requires_grad=True)
        optimizer = lib.optim.Adagrad([p], initial_accumulator_value=0.5)
        optimizer.add_param_group({"params": [q]})
        p.grad, q.grad = lib.ones(1), lib.ones(1)
        optimizer.step()
        assert p.item() == q.item()
        results.append(q.item())
    assert results[0] == pytest.approx(results[1], rel=1e-7)


def test_a_state_may_nest_tensors_in_dicts_and_lists() -> None:
    optimizer = optim.SGD([P])
    held = {"by name": {"mean": tt.ones(1)}, "all": [tt.ones(1), (tt.zeros(1), None)]}
    optimizer.state[P].update(held)
    other = optim.SGD([tt.ones(1, dtype=tt.float64)])
    other.load_state_dict(optimizer.state_dict())
    copied = other.state_dict()["state"][0]
    held["by name"]["mean"].fill_(9)
    held["all"][1][0].fill_(9)
    assert copied["by name"]["mean"].item() == 1
    assert copied["by name"]["mean"].dtype is tt.float64
    assert copied["all"][1][0].item() == 0
    assert copied["all"][1][1] is None


def test_settings_missing_from_an_older_state_stay_as_they_are() -> None:
    _, optimizer, _ = trained(optim.Adam)
    state = optimizer.state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is False


def test_the_state_of_other_groups_is_refused() -> None:
    optimizer = optim.Adam([P])
    with pytest.raises(ValueError, match="different number of parameter groups: expected 1, got 0"):
        optimizer.load_state_dict({"state": {}, "param_groups": []})
    with pytest.raises(ValueError, match=r"doesn't match the size .* expected \[1\].* got \[2\]"):
        optimizer.load_state_dict(optim.Adam([P, Q]).state_dict())


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_with_its_model_goes_on_alike(cls, copied) -> None:
    model, optimizer, _ = trained(cls)
    model_, optimizer_ = copied((model, optimizer))
    assert optimizer_.param_groups[0]["params"] == list(model_.parameters())
    for parameter, parameter_ in zip(model.parameters(), model_.parameters(), strict=True):
        parameter.grad = tt.ones_like(parameter)
        parameter_.grad = tt.ones_like(parameter)
    optimizer.step()
    optimizer_.step()
    for name, value in model.state_dict().items():
        assert (model_.state_dict()[name] == value).all()


# -- as torch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "LBFGS"])
def test_the_printed_form_and_the_defaults_are_torchs(name) -> None:
    torch = pytest.importorskip("torch")
    printed = []
    for lib in (tt, torch):
        p, q = lib.zeros(2, requires_grad=True), lib.zeros(3, requires_grad=True)
        groups = [{"params": [p]}, {"params": [q], "lr": 3}]
        optimizer = getattr(lib.optim, name)(groups[: 1 if name == "LBFGS" else 2])
        saved_groups = optimizer.state_dict()["param_groups"]
        printed.append([repr(optimizer), optimizer.defaults, saved_groups])
    assert printed[0] == printed[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_under_another_default_dtype_has_torchs_types(name) -> None:
    torch = pytest.importorskip("torch")
    types = []
    for lib in (tt, torch):
        lib.set_default_dtype(lib.float64)
        try:
            p = lib.ones(2, dtype=lib.float32, requires_grad=True)
            p.grad = lib.ones(2, dtype=lib.float32)
            optimizer = getattr(lib.optim, name)([p], **MOST_STATE[getattr(optim, name)])
            optimizer.step()
        finally:
            lib.set_default_dtype(lib.float32)
        state = optimizer.state_dict()["state"].get(0, {})
        types.append({key: str(value.dtype).split(".")[1] for key, value in state.items()})
    assert types[0] == types[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_moves_between_torch_and_here(name) -> None:
    torch = pytest.importorskip("torch")
    settings = MOST_STATE[getattr(optim, name)]
    _, ours, _ = trained(getattr(optim, name))
    theirs = getattr(torch.optim, name)(
        [torch.zeros(tuple(p.shape), requires_grad=True) for p in ours.param_groups[0]["params"]],
        **settings,
    )
    state = ours.state_dict()
    state["state"] = {
        number: {key: torch.tensor(value.numpy()) for key, value in held.items()}
        for number, held in state["state"].items()
    }
    theirs.load_state_dict(state)
    back = getattr(optim, name)(ours.param_groups[0]["params"])
    back.load_state_dict(theirs.state_dict())
    for number, held in ours.state_dict()["state"].items():
        for key, value in held.items():
            assert (back.state_dict()["state"][number][key] == value).all()
    assert back.state_dict()["param_groups"] == ours.state_dict()["param_groups"]

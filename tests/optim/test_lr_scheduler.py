"""Each schedule sets torch's learning rates and momenta to the last bit, and remembers as torch."""

import copy
import pickle

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import optim
from tinytensor.optim import lr_scheduler

STEPS = 50


def half_life(epoch: int) -> float:
    return 0.5 ** (epoch / 10)


class Decay:
    """A function with an attribute, which a state_dict keeps."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, epoch: int) -> float:
        return self.rate ** (epoch % 7)


SINGLE = [
    ("LambdaLR", {"lr_lambda": half_life}),
    ("LambdaLR", {"lr_lambda": [half_life, Decay(0.9)]}),
    ("MultiplicativeLR", {"lr_lambda": half_life}),
    ("MultiplicativeLR", {"lr_lambda": (half_life, Decay(1.1))}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [3, 30, 8, 8]}),
    ("MultiStepLR", {"milestones": (0, 12), "gamma": 0.3}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 20}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.9, "end_factor": 0.0, "total_iters": 20}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 40, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 10}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 6}),
    ("CyclicLR", {"base_lr": [0.01, 0.2], "max_lr": [0.1, 0.3], "step_size_up": 5,
                  "step_size_down": 9, "mode": "triangular2", "base_momentum": 0.7}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "exp_range",
                  "gamma": 0.97, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "scale_fn": half_life}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "scale_fn": Decay(0.9),
                  "scale_mode": "iterations"}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": STEPS + 1}),
    ("OneCycleLR", {"max_lr": [0.3, 0.1], "epochs": 6, "steps_per_epoch": 10, "pct_start": 0.2,
                    "anneal_strategy": "linear", "base_momentum": [0.8, 0.7], "div_factor": 5}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 52, "three_phase": True, "pct_start": 0.35,
                    "max_momentum": 0.99, "final_div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 60, "cycle_momentum": False}),
]  # fmt: skip
IDS = [f"{name}-{number}" for number, (name, _) in enumerate(SINGLE)]


def warm_up_then_cosine(lib, optimizer):
    schedules = lib.optim.lr_scheduler
    warm_up = schedules.LinearLR(optimizer, start_factor=0.1, total_iters=5)
    cosine = schedules.CosineAnnealingLR(optimizer, T_max=30)
    return schedules.SequentialLR(optimizer, [warm_up, cosine], [5])


def four_in_a_row(lib, optimizer):
    schedules = lib.optim.lr_scheduler
    parts = [
        schedules.ConstantLR(optimizer, factor=0.1, total_iters=3),
        schedules.ExponentialLR(optimizer, gamma=0.9),
        schedules.CosineAnnealingWarmRestarts(optimizer, T_0=4),
        schedules.StepLR(optimizer, step_size=3),
    ]
    return schedules.SequentialLR(optimizer, parts, [3, 10, 30])


def two_at_once(lib, optimizer):
    schedules = lib.optim.lr_scheduler
    parts = [
        schedules.ConstantLR(optimizer, factor=0.1, total_iters=2),
        schedules.ExponentialLR(optimizer, gamma=0.9),
    ]
    return schedules.ChainedScheduler(parts)


def chain_within_a_row(lib, optimizer):
    schedules = lib.optim.lr_scheduler
    first = two_at_once(lib, optimizer)
    parts = [first, schedules.PolynomialLR(optimizer, 20)]
    # As in torch the first of a row is stepped once more, which a chain's parts take for a step.
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        return schedules.SequentialLR(optimizer, parts, [9])


COMBINED = [warm_up_then_cosine, four_in_a_row, two_at_once, chain_within_a_row]


def make_single(name, settings):
    def make(lib, optimizer):
        # A callable object is copied, so that what one library loads into it stays there.
        return getattr(lib.optim.lr_scheduler, name)(optimizer, **copy.deepcopy(settings))

    return make


CASES = [
    *(
        pytest.param(make_single(*case), id=number)
        for case, number in zip(SINGLE, IDS, strict=True)
    ),
    *(pytest.param(make, id=make.__name__) for make in COMBINED),
]


def make_optimizer(lib, name: str = "SGD"):
    p, q = lib.zeros(2, requires_grad=True), lib.zeros(3, requires_grad=True)
    settings = {"momentum": 0.9} if name == "SGD" else {}
    groups = [{"params": [p]}, {"params": [q], "lr": 0.05}]
    return getattr(lib.optim, name)(groups, lr=0.2, **settings)


def settings_of(optimizer) -> list[dict]:
    """Each group's settings."""
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def plain(state):
    """A state without what can't be compared."""
    return {k: v for k, v in state.items() if k != "milestones"}


def steps(optimizer, scheduler, count: int = STEPS) -> list:
    """The rates and settings at first and after each of some epochs."""
    path = [(scheduler.get_last_lr(), settings_of(optimizer))]
    for _ in range(count):
        optimizer.step()
        scheduler.step()
        path.append((scheduler.get_last_lr(), settings_of(optimizer)))
    return path


# -- as torch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_the_rates_the_momenta_and_the_state_are_torchs_bit_for_bit(make, name) -> None:
    torch = pytest.importorskip("torch")
    paths, states = [], []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib, name)
        scheduler = make(lib, optimizer)
        paths.append(steps(optimizer, scheduler))
        states.append(scheduler.state_dict())
    assert paths[0] == paths[1]
    assert states[0] == states[1]


@pytest.mark.parametrize("make", CASES)
def test_a_state_moves_between_torch_and_here(make) -> None:
    torch = pytest.importorskip("torch")
    for source, target in ((tt, torch), (torch, tt), (tt, tt)):
        optimizer = make_optimizer(source)
        scheduler = make(source, optimizer)
        steps(optimizer, scheduler, 13)
        optimizer_ = make_optimizer(target)
        scheduler_ = make(target, optimizer_)
        optimizer_.load_state_dict(optimizer.state_dict())
        scheduler_.load_state_dict(copy.deepcopy(scheduler.state_dict()))
        assert steps(optimizer_, scheduler_, 20) == steps(optimizer, scheduler, 20)


CLOSED = [
    case
    for case in SINGLE
    if case[0] not in ("OneCycleLR", "CyclicLR", "MultiplicativeLR")
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), CLOSED)
def test_a_given_epoch_sets_torchs_rates_and_warns(name, settings) -> None:
    torch = pytest.importorskip("torch")
    rates = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        scheduler = make_single(name, settings)(lib, optimizer)
        optimizer.step()
        seen = []
        for epoch in (1, 2, 9, 4, 30):
            if name == "CosineAnnealingWarmRestarts":
                scheduler.step(epoch)
            else:
                with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
                    scheduler.step(epoch)
            seen.append(scheduler.get_last_lr())
        rates.append(seen)
    assert rates[0] == rates[1]


def test_warm_restarts_take_parts_of_an_epoch() -> None:
    torch = pytest.importorskip("torch")
    for settings in ({"T_0": 3}, {"T_0": 2, "T_mult": 3}):
        rates = []
        for lib in (tt, torch):
            schedules = lib.optim.lr_scheduler
            scheduler = schedules.CosineAnnealingWarmRestarts(make_optimizer(lib), **settings)
            seen = []
            for batch in range(60):
                scheduler.step(batch / 4)
                seen.append((scheduler.get_last_lr(), scheduler.last_epoch))
            rates.append(seen)
        assert rates[0] == rates[1]


@pytest.mark.parametrize("make", CASES)
def test_a_tensor_as_rate_is_filled_and_stays_the_same_tensor(make) -> None:
    torch = pytest.importorskip("torch")
    rates = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        held = [lib.tensor(0.2), lib.tensor(0.05)]
        for group, rate in zip(optimizer.param_groups, held, strict=True):
            group["lr"] = rate
        scheduler = make(lib, optimizer)
        seen = []
        for _ in range(20):
            optimizer.step()
            scheduler.step()
            seen.append([float(rate) for rate in held])
        assert [group["lr"] for group in optimizer.param_groups] == held
        held[0].fill_(99)
        assert all(float(rate) != 99 for rate in scheduler.get_last_lr())
        rates.append(seen)
    np.testing.assert_allclose(*rates, rtol=1e-5, atol=1e-9)


# -- on a plateau ---------------------------------------------------------------------------------

PLATEAU = [
    {},
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 3},
    {"patience": 0, "mode": "max", "threshold": 0.1},
    {"patience": 1, "mode": "max", "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 1, "threshold": 0.3, "threshold_mode": "abs", "min_lr": [0.01, 0.04]},
    {"patience": 0, "min_lr": 1e-3, "eps": 1e-2},
]


@pytest.mark.parametrize("settings", PLATEAU)
def test_a_plateau_reduces_as_in_torch(settings) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal(STEPS) + 3 * 0.9 ** np.arange(STEPS)
    paths = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        path = []
        for number, value in enumerate(values):
            scheduler.step(lib.tensor(value) if number % 2 else float(value))
            path.append((scheduler.get_last_lr(), scheduler.in_cooldown, scheduler.state_dict()))
        paths.append(copy.deepcopy(path))
        scheduler_ = lib.optim.lr_scheduler.ReduceLROnPlateau(make_optimizer(lib))
        scheduler_.load_state_dict(scheduler.state_dict())
        assert scheduler_.state_dict() == scheduler.state_dict()
    assert paths[0] == paths[1]
    assert paths[0][0] != paths[0][-1]


def test_a_plateau_needs_a_least_rate_for_each_new_group() -> None:
    optimizer = make_optimizer(tt)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0, 0])
    alike = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.001)
    optimizer.add_param_group({"params": [tt.zeros(1)], "lr": 1.0})
    for plateau in (scheduler, alike):
        plateau.step(1.0)
    with pytest.raises(RuntimeError, match="number of param groups"):
        scheduler.step(2.0)
    alike.step(2.0)
    assert optimizer.param_groups[2]["lr"] == 0.1


def test_a_plateau_warns_of_an_epoch() -> None:
    scheduler = lr_scheduler.ReduceLROnPlateau(make_optimizer(tt))
    with pytest.warns(UserWarning, match="The epoch parameter"):
        scheduler.step(1.0, 7)
    assert scheduler.last_epoch == 7


# -- order, copies, going on ----------------------------------------------------------------------


def test_a_step_before_the_optimizers_warns_once() -> None:
    optimizer = make_optimizer(tt)
    scheduler = lr_scheduler.StepLR(optimizer, 5)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    scheduler.step()


def test_steps_in_order_do_not_warn_nor_does_an_optimizer_of_ones_own() -> None:
    class Still(optim.Optimizer):
        def step(self, closure: object = None) -> None:
            pass

    for optimizer in (make_optimizer(tt), Still([tt.zeros(1)], {"lr": 1.0})):
        scheduler = lr_scheduler.StepLR(optimizer, 5)
        optimizer.step()
        scheduler.step()
        assert scheduler.last_epoch == 1


def test_asking_for_the_next_rate_outside_of_a_step_warns() -> None:
    scheduler = lr_scheduler.ExponentialLR(make_optimizer(tt), 0.9)
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()


def test_a_schedule_of_ones_own_defines_get_lr() -> None:
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self) -> list:
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer = make_optimizer(tt)
    scheduler = Halving(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.1, 0.025]
    with pytest.raises(NotImplementedError, match="LRScheduler must define get_lr"):
        lr_scheduler.LRScheduler(optimizer)


def test_a_chain_can_not_begin_at_a_milestone() -> None:
    optimizer = make_optimizer(tt)
    chain = two_at_once(tt, optimizer)
    scheduler = lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.StepLR(optimizer, 3), chain], [1]
    )
    optimizer.step()
    with pytest.raises(NotImplementedError, match="make it the first schedule"):
        scheduler.step()


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_with_its_optimizer_goes_on_alike(make, copied) -> None:
    optimizer = make_optimizer(tt)
    scheduler = make(tt, optimizer)
    steps(optimizer, scheduler, 1)
    optimizer_, scheduler_ = copied((optimizer, scheduler))
    assert scheduler_.optimizer is optimizer_
    assert steps(optimizer_, scheduler_, 20) == steps(optimizer, scheduler, 20)


@pytest.mark.parametrize("make", CASES)
def test_a_state_can_be_saved(make, tmp_path) -> None:
    optimizer = make_optimizer(tt)
    scheduler = make(tt, optimizer)
    steps(optimizer, scheduler, 9)
    tt.save([optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state.safetensors")
    states = tt.load(tmp_path / "state.safetensors")
    optimizer_ = make_optimizer(tt)
    scheduler_ = make(tt, optimizer_)
    optimizer_.load_state_dict(states[0])
    scheduler_.load_state_dict(states[1])
    assert steps(optimizer_, scheduler_, 20) == steps(optimizer, scheduler, 20)


def test_a_last_epoch_goes_on_from_the_groups_initial_rates() -> None:
    torch = pytest.importorskip("torch")
    rates = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.4
        schedules = lib.optim.lr_scheduler
        seen = []
        for scheduler in (
            schedules.CosineAnnealingLR(optimizer, T_max=20, last_epoch=4),
            schedules.StepLR(optimizer, 3, last_epoch=4),
            schedules.LambdaLR(optimizer, half_life, last_epoch=4),
            schedules.ExponentialLR(optimizer, 0.9, last_epoch=4),
            schedules.PolynomialLR(optimizer, 20, last_epoch=4),
            schedules.LinearLR(optimizer, last_epoch=2),
        ):
            seen += steps(optimizer, scheduler, 3)
        rates.append(seen)
    assert rates[0] == rates[1]
    with pytest.raises(KeyError, match=r"'initial_lr' is not specified in param_groups\[0\]"):
        lr_scheduler.StepLR(make_optimizer(tt), 3, last_epoch=4)


@pytest.mark.parametrize(
    ("name", "settings"), [case for case in SINGLE if case[0] in ("CyclicLR", "OneCycleLR")]
)
def test_a_cycle_goes_on_from_the_optimizers_state_and_a_last_epoch(name, settings) -> None:
    torch = pytest.importorskip("torch")
    make = make_single(name, settings)
    paths = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        steps(optimizer, make(lib, optimizer), 7)
        optimizer_ = make_optimizer(lib)
        optimizer_.load_state_dict(optimizer.state_dict())
        schedule = getattr(lib.optim.lr_scheduler, name)
        scheduler_ = schedule(optimizer_, **copy.deepcopy(settings), last_epoch=6)
        paths.append(steps(optimizer_, scheduler_, 9))
    assert paths[0] == paths[1]


def test_a_loaded_state_has_the_attributes_of_callable_objects() -> None:
    optimizer = make_optimizer(tt)
    for name, setting in (("LambdaLR", "lr_lambda"), ("CyclicLR", "scale_fn")):
        schedule = getattr(lr_scheduler, name)
        rates = {} if name == "LambdaLR" else {"base_lr": 0.1, "max_lr": 0.2}
        first, second = Decay(0.9), Decay(0.5)
        state = schedule(optimizer, **{setting: first}, **rates).state_dict()
        schedule(optimizer, **{setting: second}, **rates).load_state_dict(state)
        assert second.rate == 0.9


def test_a_cycle_beside_another_schedule_keeps_its_own_ends() -> None:
    torch = pytest.importorskip("torch")
    paths = []
    for lib in (tt, torch):
        optimizer = make_optimizer(lib)
        schedules = lib.optim.lr_scheduler
        schedules.StepLR(optimizer, 3)
        cycle = schedules.CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=3)
        paths.append(steps(optimizer, cycle, 9))
    assert paths[0] == paths[1]


def test_one_cycle_refuses_a_step_too_many() -> None:
    optimizer = make_optimizer(tt)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match=r"Tried to step 4 times.*total steps is 3"):
        scheduler.step()


def test_one_cycle_begins_at_the_top_if_no_step_is_left_to_rise() -> None:
    scheduler = lr_scheduler.OneCycleLR(make_optimizer(tt), 0.3, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [0.3, 0.3]


def test_a_state_holds_no_reference_to_the_optimizer() -> None:
    for case in CASES:
        scheduler = case.values[0](tt, make_optimizer(tt))
        assert "optimizer" not in scheduler.state_dict()


# -- refusals -------------------------------------------------------------------------------------

REFUSED = [
    ("StepLR", {"step_size": 3}, TypeError, "SGD is not an Optimizer", "not an optimizer"),
    ("LambdaLR", {"lr_lambda": [half_life]}, ValueError, "Expected 2 lr_lambdas, but got 1", ""),
    ("MultiplicativeLR", {"lr_lambda": 3}, TypeError, "lr_lambda should be a function", ""),
    ("ConstantLR", {"factor": 1.5}, ValueError, "expected to be between 0 and 1", ""),
    ("LinearLR", {"start_factor": 0}, ValueError, "greater than 0 and less or equal to 1", ""),
    ("LinearLR", {"end_factor": 2}, ValueError, "Ending multiplicative factor", ""),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}, ValueError, "Expected positive integer T_0", ""),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 0.5}, ValueError, "T_mult >= 1", ""),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "eta_min": "a"}, ValueError, "eta_min", ""),
    ("CyclicLR", {"base_lr": [1], "max_lr": 2}, ValueError, "base_lr must have the same", ""),
    ("CyclicLR", {"base_lr": 1, "max_lr": 2, "mode": "a"}, ValueError, "mode is invalid and", ""),
    ("CyclicLR", {"base_lr": 1, "max_lr": 2}, ValueError, "must support momentum", "Adagrad"),
    ("OneCycleLR", {"max_lr": 1}, ValueError, "define either total_steps OR", ""),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 0}, ValueError, "integer total_steps", ""),
    ("OneCycleLR", {"max_lr": 1, "epochs": 0, "steps_per_epoch": 1}, ValueError, "epochs", ""),
    ("OneCycleLR", {"max_lr": 1, "epochs": 1, "steps_per_epoch": 0.5}, ValueError, "steps_per", ""),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 3, "pct_start": 2.0}, ValueError, "pct_start", ""),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 3, "anneal_strategy": "a"}, ValueError, "cos", ""),
    ("OneCycleLR", {"max_lr": 1, "total_steps": 3}, ValueError, "support momentum", "Adagrad"),
    ("ReduceLROnPlateau", {"factor": 1.0}, ValueError, "Factor should be < 1.0", ""),
    ("ReduceLROnPlateau", {"mode": "a"}, ValueError, "mode a is unknown!", ""),
    ("ReduceLROnPlateau", {"threshold_mode": "a"}, ValueError, "threshold mode a is unknown!", ""),
    ("ReduceLROnPlateau", {"min_lr": [1]}, ValueError, "expected 2 min_lrs, got 1", ""),
    ("SequentialLR", {"schedulers": [], "milestones": []}, ValueError, "at least one", ""),
    ("SequentialLR", {"schedulers": [3], "milestones": []}, TypeError, "should have `optim", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "error", "message", "with_"), REFUSED)
def test_what_makes_no_schedule_is_refused_in_torchs_words(
    name, settings, error, message, with_
) -> None:
    torch = pytest.importorskip("torch")
    for lib in (tt, torch):
        optimizer = make_optimizer(lib, with_ if with_ == "Adagrad" else "SGD")
        if with_ == "not an optimizer":
            optimizer = type("SGD", (), {})()
        with pytest.raises(error, match=message):
            getattr(lib.optim.lr_scheduler, name)(optimizer, **settings)


def test_schedules_that_do_not_fit_together_are_refused_in_torchs_words() -> None:
    torch = pytest.importorskip("torch")
    for lib in (tt, torch):
        schedules = lib.optim.lr_scheduler
        optimizer, other = make_optimizer(lib), make_optimizer(lib)
        one, two = schedules.StepLR(optimizer, 3), schedules.StepLR(other, 3)
        plateau = schedules.ReduceLROnPlateau(optimizer)
        with pytest.raises(ValueError, match="expects all schedulers to belong to the same optim"):
            schedules.SequentialLR(optimizer, [one, two], [3])
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau` scheduler"):
            schedules.SequentialLR(optimizer, [one, plateau], [3])
        with pytest.raises(
            ValueError, match="expects number of schedulers provided to be one more"
        ):
            schedules.SequentialLR(optimizer, [one, one], [])
        with pytest.raises(ValueError, match="at least one scheduler to be chained"):
            schedules.ChainedScheduler([])
        with pytest.raises(ValueError, match="expects all schedulers to belong to the same optim"):
            schedules.ChainedScheduler([one, two])
        with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau` scheduler"):
            schedules.ChainedScheduler([one, plateau])
        with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
            schedules.CosineAnnealingWarmRestarts(optimizer, 3).step(-1)

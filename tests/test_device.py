"""There is one device, "cpu"; torch code that names it runs, and any other is refused."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")


def in_block(lib: Any) -> Any:
    with lib.device("cpu"):
        return lib.ones(2)


ANSWERS: list[Callable[[Any], Any]] = [
    lambda lib: repr(lib.device("cpu")),
    lambda lib: repr(lib.device("cpu:0")),
    lambda lib: repr(lib.device("cpu", 1)),
    lambda lib: str(lib.device("cpu")),
    lambda lib: str(lib.device("cpu", 1)),
    lambda lib: in_block(lib).tolist(),
    lambda lib: (lib.device("cpu:2").type, lib.device("cpu:2").index, lib.device("cpu").index),
    lambda lib: repr(lib.device(lib.device("cpu:1"))),
    lambda lib: repr(lib.device(type="cpu")),
    lambda lib: lib.device("cpu") == lib.device("cpu"),
    lambda lib: lib.device("cpu") == lib.device("cpu:0"),
    lambda lib: lib.device("cpu") == "cpu",
    lambda lib: lib.device("cpu") != lib.device("cpu"),
    lambda lib: len({lib.device("cpu"), lib.device("cpu"), lib.device("cpu:0")}),
    lambda lib: lib.ones(1).device == lib.device("cpu"),
    lambda lib: lib.ones(1, device="cpu:0").device == lib.device("cpu"),
    lambda lib: lib.ones(1).to("cpu:0").device.type,
    lambda lib: repr(lib.Generator().device),
    lambda lib: (lib.ones(1).is_cpu, lib.ones(1).is_cuda),
    lambda lib: (lib.cuda.is_available(), lib.cuda.device_count()),
    lambda lib: (lib.cuda.manual_seed(1), lib.cuda.manual_seed_all(1), lib.cuda.empty_cache()),
    lambda lib: pickle.loads(pickle.dumps(lib.device("cpu:1"))) == lib.device("cpu:1"),
    lambda lib: copy.deepcopy(lib.device("cpu")) == lib.device("cpu"),
]


@pytest.mark.parametrize("call", ANSWERS)
def test_a_device_answers_as_in_torch(call: Callable[[Any], Any]) -> None:
    assert call(tt) == call(torch)


MAKERS: list[Callable[[Any, Any], Any]] = [
    lambda lib, device: lib.tensor([1.0], device=device),
    lambda lib, device: lib.as_tensor([1.0], device=device),
    lambda lib, device: lib.as_tensor(lib.ones(1), device=device),
    lambda lib, device: lib.zeros(2, device=device),
    lambda lib, device: lib.ones(2, device=device),
    lambda lib, device: lib.empty(2, device=device),
    lambda lib, device: lib.full((2,), 1.0, device=device),
    lambda lib, device: lib.eye(2, device=device),
    lambda lib, device: lib.arange(2, device=device),
    lambda lib, device: lib.linspace(0, 1, 2, device=device),
    lambda lib, device: lib.rand(2, device=device),
    lambda lib, device: lib.randn(2, device=device),
    lambda lib, device: lib.randint(2, (2,), device=device),
    lambda lib, device: lib.randperm(2, device=device),
    lambda lib, device: lib.normal(0.0, 1.0, (2,), device=device),
    lambda lib, device: lib.zeros_like(lib.ones(2), device=device),
    lambda lib, device: lib.ones_like(lib.ones(2), device=device),
    lambda lib, device: lib.empty_like(lib.ones(2), device=device),
    lambda lib, device: lib.full_like(lib.ones(2), 1, device=device),
    lambda lib, device: lib.rand_like(lib.ones(2), device=device),
    lambda lib, device: lib.randn_like(lib.ones(2), device=device),
    lambda lib, device: lib.randint_like(lib.ones(2), 3, device=device),
    lambda lib, device: lib.ones(2).new_zeros(2, device=device),
    lambda lib, device: lib.ones(2).new_ones(2, device=device),
    lambda lib, device: lib.ones(2).new_empty(2, device=device),
    lambda lib, device: lib.ones(2).new_full((2,), 1, device=device),
    lambda lib, device: lib.ones(2).new_tensor([1], device=device),
    lambda lib, device: lib.Tensor([1.0], device=device),
    lambda lib, device: lib.ones(2).to(device),
    lambda lib, device: lib.ones(2).to(device=device),
    lambda lib, device: lib.ones(2).to(device, lib.float64),
]


@pytest.mark.parametrize("make", MAKERS)
def test_what_makes_a_tensor_takes_the_one_device_and_refuses_others(
    make: Callable[[Any, Any], Any],
) -> None:
    for lib in (torch, tt):
        for device in ("cpu", lib.device("cpu"), lib.device("cpu:0")):
            assert make(lib, device).device == lib.device("cpu")
    with pytest.raises(RuntimeError, match="expected 'cpu'"):
        make(tt, "cuda")
    with pytest.raises(RuntimeError, match="expected 'cpu'"):
        make(tt, 0)


REFUSED: list[tuple[type[Exception], Callable[[Any], Any]]] = [
    (RuntimeError, lambda lib: lib.device("nonsense")),
    (RuntimeError, lambda lib: lib.device("cpu:x")),
    (RuntimeError, lambda lib: lib.device("cpu:-1")),
    (RuntimeError, lambda lib: lib.device("CPU")),
    (RuntimeError, lambda lib: lib.device("cpu:1", 1)),
    (RuntimeError, lambda lib: lib.device("cpu", -1)),
    (TypeError, lambda lib: lib.device(None)),
    (TypeError, lambda lib: lib.device(3.5)),
    (TypeError, lambda lib: lib.ones(1, device=3.5)),
    (RuntimeError, lambda lib: lib.ones(1).to("float64")),
    (RuntimeError, lambda lib: lib.ones(1).to("nonsense")),
]


@pytest.mark.parametrize(("kind", "call"), REFUSED)
def test_what_torch_refuses_as_a_device_is_refused(
    kind: type[Exception], call: Callable[[Any], Any]
) -> None:
    for lib in (torch, tt):
        with pytest.raises(kind):
            call(lib)


def test_cuda_says_what_to_write_instead() -> None:
    with pytest.raises(RuntimeError, match=r"is_available"):
        tt.ones(1).cuda()
    with pytest.raises(RuntimeError, match=r"is_available"):
        tt.device("cuda")


TO: list[Callable[[Any, Any], Any]] = [
    lambda lib, x: x.to("cpu"),
    lambda lib, x: x.to(lib.device("cpu")),
    lambda lib, x: x.to("cpu", lib.float64),
    lambda lib, x: x.to("cpu", lib.float64, False, True),
    lambda lib, x: x.to(lib.float64),
    lambda lib, x: x.to(lib.float64, True),
    lambda lib, x: x.to(lib.float32, False, True),
    lambda lib, x: x.to(dtype=lib.int64, device="cpu", non_blocking=True, copy=True),
    lambda lib, x: x.to(lib.ones(1, dtype=lib.int64)),
    lambda lib, x: x.to(lib.ones(1, dtype=lib.int64), False, True),
    lambda lib, x: x.to(None),
    lambda lib, x: x.to(),
    lambda lib, x: x.to(float),
    lambda lib, x: x.cpu(),
    lambda lib, x: x.type(lib.float64),
    lambda lib, x: x.type("torch.DoubleTensor"),
    lambda lib, x: x.type(lib.LongTensor),
    lambda lib, x: x.type_as(lib.ones(1)),
    lambda lib, x: x.short(),
    lambda lib, x: x.byte(),
    lambda lib, x: x.char(),
]


@pytest.mark.parametrize("call", TO)
def test_to_in_each_of_its_forms_gives_the_type_or_the_tensor_itself(
    call: Callable[[Any, Any], Any],
) -> None:
    found = []
    for lib in (tt, torch):
        x = lib.tensor([1.5, 2.0], requires_grad=True)
        y = call(lib, x)
        found.append((str(y.dtype).split(".")[1], y.tolist(), y is x, y.requires_grad))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: x.to(lib.float64, lib.device("cpu")),
        lambda lib, x: x.to(foo=1),
        lambda lib, x: x.to(lib.float64, dtype=lib.float64),
        lambda lib, x: x.to("cpu", lib.float64, False, False, False),
        lambda lib, x: x.to([1]),
    ],
)
def test_to_refuses_other_arguments(call: Callable[[Any, Any], Any]) -> None:
    for lib in (torch, tt):
        with pytest.raises(TypeError):
            call(lib, lib.ones(1))


def test_an_index_is_written_without_a_zero_before_it() -> None:
    for lib in (torch, tt):
        with pytest.raises(RuntimeError):
            lib.device("cpu:01")


@pytest.mark.parametrize("lib", [torch, tt])
def test_the_usual_choice_of_a_device_comes_to_the_processor(lib: Any) -> None:
    if lib is torch and torch.accelerator.is_available():
        pytest.skip("torch has an accelerator here")
    found = "mps" if lib.backends.mps.is_available() else "cpu"
    if lib.accelerator.is_available():
        found = lib.accelerator.current_accelerator().type
    lib.backends.cudnn.deterministic = lib.backends.cudnn.deterministic
    assert lib.ones(1, device=found).device.type == "cpu"
    assert lib.accelerator.device_count() == 0


def test_a_library_that_is_not_there_is_neither_built_nor_available() -> None:
    for backend in (tt.backends.cudnn, tt.backends.mps):
        assert not (backend.is_built() or backend.is_available() or backend.enabled)
    assert tt.accelerator.current_accelerator() is None

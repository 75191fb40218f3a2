"""Module: registering, walking, state, names in the graph, copies; errors in both directions."""

import collections
import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn
from tinytensor.nn.norm_kernel import layer_norm as layer_norm_kernel


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(2, 3)
        self.scale = nn.Parameter(tt.ones(3))
        self.register_buffer("seen", tt.zeros(3))
        self.register_buffer("scratch", tt.zeros(3), persistent=False)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return self.lin(x) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.rest = nn.ModuleList([nn.Linear(3, 3), Block()])
        self.left_out = None
        self.register_module("nothing", None)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return self.rest[0](self.first(x))


NAMES = [
    "first.scale", "first.lin.weight", "first.lin.bias", "rest.0.weight", "rest.0.bias",
    "rest.1.scale", "rest.1.lin.weight", "rest.1.lin.bias",
]  # fmt: skip


# -- walking --------------------------------------------------------------------------------------


def test_parameters_come_with_dotted_names_own_ones_first() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert dict(net.named_parameters("net"))["net.first.scale"] is net.first.scale
    assert list(net.named_parameters(recurse=False)) == []
    assert all(a is b for a, (_, b) in zip(net.parameters(), net.named_parameters(), strict=True))


def test_modules_buffers_and_children_come_with_their_names() -> None:
    net = Net()
    assert [name for name, _ in net.named_modules()] == [
        "", "first", "first.lin", "rest", "rest.0", "rest.1", "rest.1.lin",
    ]  # fmt: skip
    assert [name for name, _ in net.named_modules(prefix="net")][:2] == ["net", "net.first"]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert list(net.children()) == [net.first, net.rest]
    assert [name for name, _ in net.named_buffers()] == [
        "first.seen", "first.scratch", "rest.1.seen", "rest.1.scratch",
    ]  # fmt: skip
    assert len(list(net.buffers())) == 4
    assert [name for name, _ in net.named_modules(memo={net.rest})] == ["", "first", "first.lin"]


def test_what_is_tied_comes_once_unless_asked_for_twice() -> None:
    net = Net()
    net.rest[1].scale = net.first.scale
    net.again = net.first
    assert len(list(net.parameters())) == len(NAMES) - 1
    twice = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert len(twice) == len(NAMES) + 3
    assert len([m for m in net.modules(remove_duplicate=False) if m is net.first]) == 2
    assert [name for name, _ in net.named_children()] == ["first", "rest"]


def test_a_dotted_name_leads_to_its_object() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("rest.1.lin") is net.rest[1].lin
    assert net.get_parameter("rest.1.lin.weight") is net.rest[1].lin.weight
    assert net.get_buffer("first.seen") is net.first.seen


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        ("get_submodule", "first.nope", "Block has no attribute `nope`"),
        ("get_submodule", "first.scale", "`scale` is not an nn.Module"),
        ("get_parameter", "first.lin.nope", "Linear has no attribute `nope`"),
        ("get_parameter", "first.seen", "`seen` is not an nn.Parameter"),
        ("get_buffer", "first.scale", "`scale` is not a buffer"),
        ("get_buffer", "nope", "Net has no attribute `nope`"),
    ],
)
def test_a_dotted_name_that_leads_nowhere_is_named(method: str, name: str, message: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(Net(), method)(name)
    assert str(error.value) == message


def test_apply_visits_children_before_their_parent() -> None:
    seen = []
    net = Net()
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "Block", "Linear", "Linear", "Block", "ModuleList", "Net"]


# -- attributes -----------------------------------------------------------------------------------


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'zork'$"):
        _ = Net().zork
    with pytest.raises(AttributeError, match="zork"):
        del Net().zork


def test_an_attribute_of_one_kind_gives_way_to_one_of_another() -> None:
    module = Block()
    module.lin = nn.Parameter(tt.zeros(1))
    assert "lin" in module._parameters
    assert "lin" not in module._modules
    module.seen = nn.Linear(1, 1)
    assert "seen" not in module.state_dict()
    assert isinstance(module.seen, nn.Linear)
    module.plain = 3
    module.plain = nn.Parameter(tt.zeros(1))
    assert "plain" not in vars(module)
    del module.plain
    assert not hasattr(module, "plain")


def test_a_registered_name_takes_its_own_kind_or_none() -> None:
    module = Block()
    with pytest.raises(TypeError, match=r"cannot assign 'Tensor' as parameter 'scale'"):
        module.scale = tt.zeros(3)
    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module 'lin'"):
        module.lin = 3
    with pytest.raises(TypeError, match=r"cannot assign 'int' as buffer 'seen'"):
        module.seen = 3
    module.scale = module.lin = module.seen = None
    assert list(module.parameters()) == []
    assert list(module.state_dict()) == []
    assert module.scale is module.lin is module.seen is None
    module.seen = tt.ones(2)
    assert list(module.state_dict()) == ["seen"]


@pytest.mark.parametrize("kind", ["parameter", "buffer", "module"])
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (3, TypeError, "name should be a string. Got int"),
        ("a.b", KeyError, 'name can\\\\\'t contain "."'),
        ("", KeyError, "name can\\\\'t be empty"),
        ("forward", KeyError, "attribute 'forward' already exists"),
    ],
)
def test_registering_under_an_impossible_name_says_why(kind, name, error, message) -> None:
    with pytest.raises(error, match=message):
        getattr(nn.Module(), f"register_{kind}")(name, None)


@pytest.mark.parametrize("kind", ["parameter", "buffer", "module"])
def test_registering_something_of_another_kind_says_what_came(kind: str) -> None:
    with pytest.raises(TypeError, match="int"):
        getattr(nn.Module(), f"register_{kind}")("x", 3)


class Forgetful(nn.Module):
    def __init__(self, value: object) -> None:
        self.value = value

    def forward(self, x: object) -> object:
        return x


def test_a_forgotten_super_init_is_said_so() -> None:
    with pytest.raises(
        AttributeError, match=r"cannot assign parameters before Module.__init__\(\) call"
    ):
        Forgetful(nn.Parameter(tt.zeros(1)))
    with pytest.raises(
        AttributeError, match=r"cannot assign module before Module.__init__\(\) call"
    ):
        Forgetful(nn.Linear(1, 1))
    for kind in ("parameter", "buffer", "module"):
        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
            getattr(Forgetful(3), f"register_{kind}")("x", None)
    for use in (lambda m: m(1), lambda m: list(m.parameters()), lambda m: m.zork):
        with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
            use(Forgetful(3))


def test_calling_a_module_without_forward_names_the_class() -> None:
    with pytest.raises(NotImplementedError, match=r'Module \[Module\] is missing the required "fo'):
        nn.Module()(1)


def test_dir_lists_what_is_registered() -> None:
    assert {"lin", "scale", "seen", "forward"} <= set(dir(Block()))
    assert "0" not in dir(nn.ModuleList([nn.Tanh()]))


# -- changing all at once -------------------------------------------------------------------------


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)


def test_requires_grad_and_zero_grad_reach_every_parameter() -> None:
    net = Net()
    net(tt.ones(4, 2)).sum().backward()
    held = net.first.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.first.scale.grad is held
    assert not held.any()
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    net.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_zeroing_gradients_that_are_in_a_graph_cuts_them_off() -> None:
    layer = nn.Linear(2, 1)
    (layer(tt.ones(1, 2)) ** 2).sum().backward(create_graph=True)
    assert layer.weight.grad.requires_grad
    layer.zero_grad(set_to_none=False)
    assert not layer.weight.grad.requires_grad
    assert not layer.weight.grad.any()


def test_casting_reaches_parameters_buffers_and_gradients_but_no_integers() -> None:
    net = Net()
    net.first.register_buffer("count", tt.tensor([3]))
    net(tt.ones(4, 2)).sum().backward()
    scale = net.first.scale
    assert net.double() is net
    assert scale is net.first.scale
    assert scale.dtype is scale.grad.dtype is net.first.seen.dtype is tt.float64
    assert net.first.count.dtype is tt.int64
    assert net.to(tt.float32).first.scale.dtype is tt.float32
    assert net.to("cpu", tt.float64).first.scale.dtype is tt.float64
    assert net.to(tt.zeros(1)).float().first.scale.dtype is tt.float32
    assert net.to(tt.float64, True).first.scale.dtype is tt.float64
    assert net.half().first.scale.dtype is tt.float16
    assert net.to(device="cpu").cpu().first.scale.dtype is tt.float16


def test_casting_to_what_is_no_float_or_elsewhere_is_refused() -> None:
    with pytest.raises(TypeError, match=r"floating point dtypes, but got desired dtype=.*int64"):
        Net().to(tt.int64)
    with pytest.raises(RuntimeError, match="cuda"):
        Net().to("cuda")
    with pytest.raises(TypeError, match="3"):
        Net().to(3)


# -- state ----------------------------------------------------------------------------------------


def test_a_state_dict_holds_parameters_and_persistent_buffers_on_their_own_memory() -> None:
    net = Net()
    state = net.state_dict()
    assert type(state) is collections.OrderedDict
    assert set(state) == {*NAMES, "first.seen", "rest.1.seen"}
    assert not any(value.requires_grad for value in state.values())
    assert not any(isinstance(value, nn.Parameter) for value in state.values())
    state["first.scale"].fill_(7)
    assert net.first.scale.tolist() == [7, 7, 7]
    assert net.state_dict(keep_vars=True)["first.scale"] is net.first.scale
    target: dict = {"old": 1}
    assert net.state_dict(destination=target, prefix="net.") is target
    assert "net.first.scale" in target


def test_a_state_dict_goes_into_another_model_and_comes_back_equal() -> None:
    source, target = Net(), Net()
    memory = target.first.scale._array
    with tt.no_grad():
        source.first.scale.uniform_()
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert target.first.scale._array is memory
    for name, value in source.state_dict().items():
        assert (target.state_dict()[name] == value).all()


def test_loading_casts_takes_numpy_arrays_and_counts_as_a_write() -> None:
    layer = nn.Linear(2, 1)
    y = (layer(tt.ones(1, 2)) * layer.weight).sum()
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3])})
    assert layer.weight.dtype is tt.float32
    assert layer.weight.tolist() == [[1, 2]]
    assert layer.bias.tolist() == [3]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_loading_lists_all_that_is_missing_unexpected_and_misshapen_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    before = net[1].weight.item()
    state = {
        "0.weight": tt.zeros(2, 2),
        "1.weight": tt.zeros(1, 1),
        "1.bias": "text",
        "extra": tt.zeros(1),
        "2.weight": tt.zeros(1),
    }
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value).split("\n\t") == [
        "Error(s) in loading state_dict for Sequential:",
        'Missing key(s) in state_dict: "0.bias". ',
        'Unexpected key(s) in state_dict: "extra", "2.weight". ',
        "size mismatch for 0.weight: copying a param with shape torch.Size([2, 2]) from "
        "checkpoint, the shape in current model is torch.Size([1, 2]).",
        'While copying the parameter named "1.bias", expected a Tensor or NumPy array from '
        "checkpoint but received <class 'str'>",
    ]
    assert net[1].weight.item() == before
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'int'>"):
        net.load_state_dict(3)


def test_loading_not_strictly_reports_but_still_refuses_another_shape() -> None:
    layer = nn.Linear(2, 1)
    result = layer.load_state_dict({"bias": tt.ones(1), "extra": tt.ones(1)}, strict=False)
    assert result.missing_keys == ["weight"]
    assert result.unexpected_keys == ["extra"]
    assert repr(result) == "_IncompatibleKeys(missing_keys=['weight'], unexpected_keys=['extra'])"
    assert layer.bias.item() == 1
    with pytest.raises(RuntimeError, match="size mismatch for bias"):
        layer.load_state_dict({"bias": tt.ones(2)}, strict=False)


def test_loading_by_assignment_takes_the_tensors_themselves() -> None:
    module = Block()
    module.scale.requires_grad_(False)
    state = {name: value.double() for name, value in module.state_dict().items()}
    module.load_state_dict(state, assign=True)
    assert module.scale.dtype is tt.float64
    assert isinstance(module.scale, nn.Parameter)
    assert not module.scale.requires_grad
    assert module.lin.weight.requires_grad
    assert module.seen is state["seen"]
    assert module.lin.weight._array is state["lin.weight"]._array


# -- names in the graph ---------------------------------------------------------------------------


def label_paths(module: nn.Module) -> list[str]:
    return [parameter._label.path for parameter in module.parameters()]


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def scope_of(tensor: tt.Tensor) -> str:
    return repr(tensor.grad_fn.scope)


def test_labels_are_the_names_of_named_parameters_and_named_modules() -> None:
    net = Net()
    assert label_paths(net) == names(net) == NAMES
    assert [m._label.path for m in net.modules()] == [name for name, _ in net.named_modules()]
    assert [m._label.kind for m in net.modules()][:3] == ["Net", "Block", "Linear"]
    assert {p._label.kind for p in net.parameters()} == {"Parameter"}


def test_labels_do_not_depend_on_the_order_of_registration() -> None:
    block = Block()
    outer = nn.Module()
    outer.inner = nn.Module()
    outer.inner.block = block
    assert label_paths(outer) == names(outer)


def test_what_is_recorded_in_a_call_lies_in_the_scope_of_its_module() -> None:
    net = Net()
    x = tt.ones(1, 2)
    y = net(x)
    assert scope_of(y) == "Net / rest.0"
    assert scope_of(net.first(x)) == "first"
    assert tt.ones(1, requires_grad=True).mul(2).grad_fn.scope is None
    assert y.grad_fn.scope.parent.name is net._label


def test_a_call_that_fails_leaves_its_scope() -> None:
    with pytest.raises(RuntimeError):
        nn.Linear(2, 2)(tt.ones(3))
    assert tt.ones(1, requires_grad=True).mul(2).grad_fn.scope is None


def test_each_call_is_a_scope_of_its_own() -> None:
    layer = nn.Linear(2, 2)
    x = tt.ones(1, 2)
    first, second = layer(x), layer(x)
    assert first.grad_fn.scope is not second.grad_fn.scope
    assert first.grad_fn.scope.name is second.grad_fn.scope.name


def test_tied_weights_and_slices_keep_the_first_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    outer = nn.Module()
    outer.net = net
    net[1].weight = net[0].weight
    assert label_paths(outer) == names(outer) == ["net.0.weight", "net.0.bias", "net.1.bias"]
    part = net[1:]
    assert part[0].bias._label.path == "net.1.bias"


def test_a_removed_child_is_free_for_a_new_name() -> None:
    net = Net()
    block = net.first
    net.first = Block()
    assert label_paths(net) == names(net)
    assert label_paths(block) == names(block)
    other = nn.ModuleList([block])
    assert label_paths(other) == names(other)
    scale = block.scale
    del block.scale
    block.other = scale
    assert scale._label.path == "0.other"


def test_a_child_under_two_names_goes_on_under_the_second() -> None:
    net = nn.Module()
    net.a = nn.Linear(1, 1)
    net.b = net.a
    net.a = None
    assert label_paths(net) == names(net) == ["b.weight", "b.bias"]


def test_a_module_inside_itself_has_a_finite_name() -> None:
    parent, child = nn.Module(), nn.Module()
    parent.child = child
    child.parent = parent
    assert child._label.path == "child"
    assert parent._label.path == ""


# -- copies ---------------------------------------------------------------------------------------


def through_pickle(module: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(module))


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_has_its_own_values_names_and_ties(copied) -> None:
    net = Net()
    net.rest[0].bias = net.first.scale
    net.eval()
    twin = copied(net)
    assert type(twin) is Net
    assert not twin.training
    assert twin.rest[0].bias is twin.first.scale
    assert twin.first.scale is not net.first.scale
    assert label_paths(twin) == names(twin) == names(net)
    assert all(isinstance(p, nn.Parameter) for p in twin.parameters())
    for (name, mine), (_, other) in zip(
        net.state_dict().items(), twin.state_dict().items(), strict=True
    ):
        assert (mine == other).all(), name
        assert not np.shares_memory(mine.numpy(), other.numpy()), name
    assert "scratch" not in twin.first.state_dict()
    assert twin(tt.ones(1, 2)).shape == (1, 3)


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copy_of_a_child_starts_its_own_tree(copied) -> None:
    net = Net()
    twin = copied(net.first)
    assert label_paths(twin) == names(twin)
    assert twin.lin._label.parent is twin._label
    assert twin._label.parent is None
    assert label_paths(net) == NAMES
    x = tt.ones(1, 2)
    assert scope_of(twin(x)) == "Block"


def test_a_child_copied_before_its_parent_still_gets_its_name() -> None:
    net = Net()
    child, twin = copy.deepcopy([net.first, net])
    assert twin.first is child
    assert label_paths(twin) == NAMES


def test_a_shallow_copy_shares_the_parameters_and_leaves_their_names() -> None:
    outer = nn.Module()
    outer.net = Net()
    twin = copy.copy(outer.net)
    assert twin.first is outer.net.first
    assert label_paths(outer) == names(outer)


def test_a_dropped_model_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        net = Net()
        gone = [weakref.ref(net), weakref.ref(net.first), weakref.ref(net.first.lin.weight)]
        loss = net(tt.ones(1, 2)).sum()
        loss.backward()
        del net, loss
        assert [reference() for reference in gone] == [None] * 3
    finally:
        gc.enable()


# -- against torch --------------------------------------------------------------------------------


def torch_net(lib):
    """The same small tree in either library."""

    class Leaf(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.ones(2))
            self.register_buffer("seen", lib.zeros(2))
            self.register_buffer("count", lib.tensor([3]))
            self.plain = 3
            self.lin = lib.nn.Linear(1, 1)

        def forward(self, x):
            return self.lin(x)

    return lib.nn.Sequential(Leaf(), lib.nn.Tanh())


def described(module) -> object:
    """All that a module says about itself, without its library."""
    return (
        repr(module),
        list(module.state_dict()),
        [(name, str(p.dtype).split(".")[1]) for name, p in module.named_parameters()],
        [(name, str(b.dtype).split(".")[1]) for name, b in module.named_buffers()],
        [name for name, _ in module.named_modules()],
    )


VALUES = {
    "a parameter": lambda lib: lib.nn.Parameter(lib.ones(1)),
    "a tensor": lambda lib: lib.ones(1),
    "a buffer": lambda lib: lib.nn.Buffer(lib.ones(1)),
    "a module": lambda lib: lib.nn.Tanh(),
    "nothing": lambda lib: None,
    "a number": lambda lib: 4,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("name", ["scale", "seen", "plain", "lin", "new", "nothing"])
def test_each_kind_of_attribute_takes_what_torchs_takes(name, value) -> None:
    torch = pytest.importorskip("torch")
    outcomes = []
    for lib in (tt, torch):
        leaf = torch_net(lib)[0]
        leaf.register_parameter("nothing", None)
        try:
            setattr(leaf, name, value(lib))
        except (TypeError, KeyError) as error:
            outcomes.append((type(error), described(leaf)))
        else:
            outcomes.append((name in vars(leaf), described(leaf)))
    assert outcomes[0] == outcomes[1]


TREE = {
    "replace": ("0.lin", lambda lib: lib.nn.ReLU(), {}),
    "replace at the top": ("1", lambda lib: lib.nn.ReLU(), {}),
    "add": ("0.more", lambda lib: lib.nn.ReLU(), {}),
    "add strictly": ("0.more", lambda lib: lib.nn.ReLU(), {"strict": True}),
    "replace strictly": ("0.lin", lambda lib: lib.nn.ReLU(), {"strict": True}),
    "to a missing place": ("0.no.more", lambda lib: lib.nn.ReLU(), {}),
    "over a number": ("0.plain", lambda lib: lib.nn.ReLU(), {}),
    "over a parameter": ("0.scale", lambda lib: lib.nn.ReLU(), {}),
    "without a name": ("", lambda lib: lib.nn.ReLU(), {}),
    "no module": ("0.lin", lambda lib: 3, {}),
}


@pytest.mark.parametrize(("target", "made", "options"), TREE.values(), ids=TREE.keys())
def test_a_module_is_put_in_a_place_as_in_torch(target, made, options) -> None:
    torch = pytest.importorskip("torch")
    outcomes = []
    for lib in (tt, torch):
        net = torch_net(lib)
        try:
            net.set_submodule(target, made(lib), **options)
        except (AttributeError, ValueError) as error:
            outcomes.append((type(error), str(error), described(net)))
        else:
            outcomes.append(described(net))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "cast",
    [
        lambda m, lib: m.double(),
        lambda m, lib: m.half().float(),
        lambda m, lib: m.to(dtype=lib.float64, device="cpu", non_blocking=True),
        lambda m, lib: m.to(tensor=lib.ones(1, dtype=lib.float64)),
        lambda m, lib: m.type(lib.float64),
        lambda m, lib: m.type("torch.DoubleTensor"),
        lambda m, lib: m.to_empty(device="cpu"),
        lambda m, lib: m._apply(lambda t: t.double()),
        lambda m, lib: m[0]._apply(lambda t: t.double(), recurse=False),
        lambda m, lib: m.to(dtype=lib.int64),
        lambda m, lib: m.to(nothing=3),
        lambda m, lib: m.to_empty(),
    ],
)
def test_casts_change_the_types_that_torchs_change(cast) -> None:
    torch = pytest.importorskip("torch")
    outcomes = []
    for lib in (tt, torch):
        net = torch_net(lib)
        parameter = net[0].scale
        net(lib.ones(1, 1)).sum().backward()
        try:
            assert isinstance(cast(net, lib), lib.nn.Module)
        except TypeError:
            outcomes.append(TypeError)
        else:
            gradient = net[0].lin.weight.grad
            outcomes.append((described(net), str(gradient.dtype).split(".")[1]))
            assert parameter is net[0].scale
    assert outcomes[0] == outcomes[1]


def test_moving_to_a_graphics_processor_is_refused_with_the_cure() -> None:
    with pytest.raises(RuntimeError, match="'cpu' only; leave it out"):
        nn.Tanh().cuda()
    with pytest.raises(RuntimeError, match="cuda"):
        nn.Tanh().to_empty(device="cuda")


# -- what is pickled ------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_copied_lstm_gives_the_same_numbers_and_trains_on_its_own(copied) -> None:
    lstm = nn.LSTM(2, 3, num_layers=2, bidirectional=True, batch_first=True)
    twin = copied(lstm)
    x = tt.rand(2, 4, 2)
    assert (twin(x)[0] == lstm(x)[0]).all()
    twin(x)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())
    assert all(parameter.grad is None for parameter in lstm.parameters())
    assert label_paths(twin) == names(twin)


class WithKernel(nn.Module):
    """Keeps an operation and a kernel as attributes, as a configurable model does."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = tt.tanh
        self.kernel = layer_norm_kernel


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_operations_and_kernels_are_copied_as_their_names(copied) -> None:
    twin = copied(WithKernel())
    assert twin.activation is tt.tanh
    assert twin.kernel is layer_norm_kernel


def test_a_result_with_history_is_not_copied_as_in_torch() -> None:
    layer = nn.Linear(1, 1)
    layer.last = layer(tt.ones(1))
    with pytest.raises(RuntimeError, match="expected a leaf"):
        copy.deepcopy(layer)
    layer.last = layer.last.detach()
    assert copy.deepcopy(layer).last.tolist() == layer.last.tolist()

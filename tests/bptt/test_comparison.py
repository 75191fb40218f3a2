"""A comparison with the LSTM by hand names the first mistake in a backward pass.

The mistakes are planted in the source text of the pass by hand, one line at a time.
"""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinytensor import bptt
from tinytensor.bptt import by_hand, mistakes


def own_problem() -> list[Any]:
    """Arguments for a pass: of sizes and numbers that are not those that compare takes itself."""
    T, N, I, H = 4, 3, 2, 5
    random = np.random.default_rng(0)
    w_ih, w_hh, b = (random.normal(size=(4 * H, *size)) for size in ((I,), (H,), ()))
    x, dy = random.normal(size=(T, N, I)), random.normal(size=(T, N, H))
    h0, c0, dh_last, dc_last = random.normal(size=(4, N, H))
    return [by_hand.forward(x, h0, c0, w_ih, w_hh, b), w_ih, w_hh, dy, dh_last, dc_last]


# ---- what is right ----


def test_the_right_pass_agrees_whatever_the_problem():
    for seed in range(5):
        assert bptt.compare(by_hand.backward, seed=seed)
    own = own_problem()
    assert bptt.compare(by_hand.backward, *own)
    float32 = [a.astype(np.float32) for a in (*own[0], *own[1:])]
    assert bptt.compare(by_hand.backward, by_hand.Forward(*float32[:9]), *float32[9:])


def test_what_is_left_out_is_said_and_not_compared():
    result = bptt.compare(lambda *given: {"db": by_hand.backward(*given).db, "dc": None})
    assert result
    assert str(result) == (
        "All agrees: db. Not returned, so not compared: "
        "dh, dc, di, df, dg, do, dz, dh0, dc0, dx, dw_ih, dw_hh."
    )


def test_any_object_with_the_names_will_do():
    def listed(*given: Any) -> SimpleNamespace:
        right = by_hand.backward(*given)
        return SimpleNamespace(dh=list(right.dh), extra="not looked at")

    assert str(bptt.compare(listed)).startswith("All agrees: dh.")


def test_a_pass_that_writes_to_what_it_is_given_compares_all_the_same():
    def careless(saved: Any, w_ih: Any, w_hh: Any, dy: Any, dh_last: Any, dc_last: Any) -> Any:
        result = by_hand.backward(saved, w_ih, w_hh, dy, dh_last, dc_last)
        for array in (*saved, w_ih, w_hh, dy, dh_last, dc_last):
            array[...] = 0
        return result

    assert bptt.compare(careless)


def test_small_gradients_of_early_steps_are_held_to_their_own_size():
    saved, w_ih, w_hh, dy, dh_last, dc_last = own_problem()
    dy[0] *= 1e-12
    given = (saved, w_ih, 1e-12 * w_hh, dy, dh_last, 0 * dc_last)

    def wrong(*given: Any) -> Any:
        result = by_hand.backward(*given)
        return {"dh": np.concatenate((1.001 * result.dh[:1], result.dh[1:]))}

    result = bptt.compare(wrong, *given)
    assert (result.name, result.t) == ("dh", 0)


# ---- what is wrong ----


def planted(right: str, wrong: str) -> Callable[..., by_hand.Backward]:
    """The pass by hand with one piece of its text changed."""
    source = inspect.getsource(by_hand.backward)
    assert source.count(right) == 1
    names = dict(vars(by_hand))
    exec(source.replace(right, wrong), names)
    return names["backward"]


PLANTED = [
    # text, mistake, where it shows first (value, t, gate), what the hint says
    ("* (1 - np.tanh(c[t]) ** 2)", "", ("dc", 4, None), "tanh', the slope of the tanh at the cell"),
    ("1 - np.tanh(c[t]) ** 2", "1 - c[t] ** 2", ("dc", 4, None), "not 1 - c_t²"),
    ("c_before[t]", "c[t]", ("df", 4, None), "c_t in the place of c_{t-1}"),
    ("c0[None]", "0 * c0[None]", ("df", 0, None), "c0 is missing"),
    ("dy[t] + dh_later", "dy[t]", ("dh", 4, None), "gradient from step t + 1 is missing in dh"),
    ("dz[t] @ w_hh", "0 * dh[t]", ("dh", 3, None), "gradient from step t + 1 is missing in dh"),
    ("dc[t] * f[t]", "0 * f[t]", ("dc", 3, None), "gradient from step t + 1 is missing in dc"),
    ("dc[t] * f[t]", "dc[t]", ("dc", 3, None), "the forget gate is missing between"),
    ("dc[t] * f[t]", "dc[t] * f[t - 1]", ("dc", 3, None), "f_t in the place of f_{t+1}"),
    ("= dh_last, dc_last", "= 0 * dh_last, dc_last", ("dh", 4, None), "dh_last"),
    ("= dh_last, dc_last", "= dh_last, 0 * dc_last", ("dc", 4, None), "dc_last"),
    ("dh[t] * np.tanh(c[t])", "dh[t] * c[t]", ("do", 4, None), "tanh at the cell is missing"),
    ("dc[t] * g[t]", "dc[t] * i[t]", ("di", 4, None), "as i multiplies g"),
    ("di[t] * i[t] * (1 - i[t])", "di[t]", ("dz", 4, "i"), "slope of the sigmoid is missing"),
    ("df[t] * f[t] * (1 - f[t])", "df[t] * (1 - f[t] ** 2)", ("dz", 4, "f"), "slope of tanh in"),
    ("dg[t] * (1 - g[t] ** 2)", "dg[t] * (1 - np.tanh(g[t]) ** 2)", ("dz", 4, "g"), "taken twice"),
    ("dg[t] * (1 - g[t] ** 2)", "dg[t] * g[t] * (1 - g[t])", ("dz", 4, "g"), "place of tanh's"),
    ("(dz_i, dz_f, dz_g, dz_o)", "(dz_i, dz_f, dz_o, dz_g)", ("dz", 4, "g"), "order i f o g"),
    ("(dz_i, dz_f, dz_g, dz_o)", "(dz_i, dz_o, dz_f, dz_g)", ("dz", 4, "f"), "order i o f g"),
    ("dz[t].T @ x[t]", "dz[t].reshape(4 * H, N) @ x[t]", ("dw_ih", None, "i"), "not transposed"),
    ("dz[t].T @ h_before[t]", "dz[t].T @ h[t]", ("dw_hh", None, "i"), "place of h_{t-1}"),
    ("h0[None]", "0 * h0[None]", ("dw_hh", None, "i"), "h0 is missing"),
    ("dw_ih += dz", "dw_ih = dz", ("dw_ih", None, "i"), "(= in the place of +=?)"),
    ("db += dz[t].sum(axis=0)", "db += dz[t].mean(axis=0)", ("db", None, "i"), "a mean in"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "place", "said"), PLANTED)
def test_a_planted_mistake_is_named_with_its_gate_and_step(right, wrong, place, said):
    result = bptt.compare(planted(right, wrong))
    assert not result
    assert (result.name, result.t, result.gate) == place
    assert said in result.hint
    assert f"  hint: {result.hint}\n" in result.message
    assert "All else that differs follows from this mistake." in result.message


@pytest.mark.parametrize(("right", "wrong", "place", "said"), PLANTED)
def test_the_mistake_shows_in_the_gradients_of_the_weights_alone(right, wrong, place, said):
    def weights_only(*given: Any) -> dict[str, Any]:
        result = planted(right, wrong)(*given)
        return {"dw_ih": result.dw_ih, "dw_hh": result.dw_hh, "db": result.db}

    result = bptt.compare(weights_only)
    assert result.name in ("dw_ih", "dw_hh", "db")
    assert said in result.hint


def test_the_message_in_full():
    def one_element(*given: Any) -> by_hand.Backward:
        result = by_hand.backward(*given)
        result.dz[3, 0, 6] += 0.5  # unit 2 of the second of four blocks of H = 4
        return result

    result = bptt.compare(one_element)
    right = by_hand.backward(*comparison_problem())
    expected = right.dz[3, 0, 6]
    assert str(result) == repr(result) == (
        f"dz of the forget gate f at t = 3, sample 0, unit 2: expected {expected:.6g}, "
        f"got {expected + 0.5:.6g}\n"
        "  1 of the 8 elements of dz of the forget gate f at t = 3 differ.\n"
        "  Before it, all agrees: t = 4; at t = 3 dh, do, dc, di, df, dg, dz of i."
    )  # fmt: skip
    assert (result.index, result.expected, result.got) == ((3, 0, 6), expected, expected + 0.5)
    assert result.hint is None


def comparison_problem() -> tuple[Any, ...]:
    """What compare hands to a pass by default."""
    given: list[Any] = []

    def caught(*arguments: Any) -> by_hand.Backward:
        given.extend(arguments)
        return by_hand.backward(*arguments)

    bptt.compare(caught)
    return tuple(given)


def test_the_default_problem_has_sizes_that_differ_and_no_zeros():
    saved, *arrays = comparison_problem()
    assert saved.x.shape == (5, 2, 3)
    assert saved.h.shape == (5, 2, 4)
    assert all((a != 0).all() for a in (*saved, *arrays))


def test_a_transposed_weight_gradient_is_called_that():
    def transposed(*given: Any) -> dict[str, Any]:
        result = by_hand.backward(*given)
        return {**result._asdict(), "dw_hh": result.dw_hh.T}

    result = bptt.compare(transposed)
    assert result.message.startswith("dw_hh: expected shape (16, 4), got (4, 16)\n")
    assert result.hint.startswith("transposed: ")
    assert result.index is None


def test_steps_in_the_order_of_the_walk_are_recognised():
    def appended(*given: Any) -> dict[str, Any]:
        result = by_hand.backward(*given)
        return {name: getattr(result, name)[::-1] for name in ("dh", "dc", "dz")}

    assert "last one first" in bptt.compare(appended).hint


def test_of_two_mistakes_the_first_is_named_and_the_other_announced():
    wrong = planted("c_before[t]", "c[t]")

    def twice(*given: Any) -> by_hand.Backward:
        return wrong(*given)._replace(db=np.ones(16))

    result = bptt.compare(twice)
    assert result.name == "df"
    assert "c_t in the place of c_{t-1}" in result.hint
    assert "there is another one" in result.message


def test_a_value_that_is_no_number_differs():
    def nan(*given: Any) -> dict[str, Any]:
        dh = by_hand.backward(*given).dh
        dh[2, 1, 3] = np.nan
        return {"dh": dh}

    result = bptt.compare(nan)
    assert result.index == (2, 1, 3)
    assert "got nan" in result.message


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match=r"six of by_hand\.backward, got 1"):
        bptt.compare(by_hand.backward, 1)
    with pytest.raises(TypeError, match=r"expected my_backward to return some of dh, .*got tuple"):
        bptt.compare(lambda *given: (1, 2))
    with pytest.raises(TypeError, match="return a dict"):
        bptt.compare(lambda *given: None)
    with pytest.raises(ValueError, match="got dW_hh; rename or leave out"):
        bptt.compare(lambda *given: {"dW_hh": 1})
    _, w_ih, w_hh, dy, h0, c0 = own_problem()
    nothing = by_hand.forward(np.empty((0, 3, 2)), h0, c0, w_ih, w_hh, w_hh[:, 0])
    with pytest.raises(ValueError, match="at least one step"):
        bptt.compare(by_hand.backward, nothing, w_ih, w_hh, dy[:0], h0, c0)


# ---- the table of mistakes ----


def test_the_pass_of_the_table_is_right_when_no_formula_is_exchanged():
    given = comparison_problem()
    right = by_hand.backward(*given)
    for mine, its in zip(mistakes.wrong_backward(given, {}), right, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-14)


def test_every_mistake_in_the_table_is_told_from_all_others():
    given = comparison_problem()
    right = by_hand.backward(*given)
    count = 0
    for hint, results in mistakes.suspects(given, right):
        assert bptt.compare(lambda *given, results=results: results).hint == hint
        count += 1
    assert count > 80

"""What a record prints, and what it says when it is asked for what there is not."""

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import bptt, nn
from tinytensor.bptt import by_hand

T, N, INPUTS, H = 5, 3, 2, 4


def recorded(model, calls=1):
    with bptt.record(model) as rec:
        for _ in range(calls):
            model(tt.randn(T, N, INPUTS))[0].sum().backward()
    return rec


def test_an_empty_record_says_so_and_which_layers_there_would_be():
    with bptt.record(nn.LSTM1997Cell(INPUTS, H)) as rec:
        pass
    assert repr(rec) == "Record(nothing recorded)"
    known = r"recorded \(nn.RNN, nn.GRU, nn.LSTM, their cells\), .* nn.LSTM1997Cell, are not"
    with pytest.raises(KeyError, match=known):
        rec[""]


def test_several_calls_are_numbered_and_very_many_are_cut_short():
    assert "'': RecordedLayer" in repr(recorded(nn.GRU(INPUTS, H)))
    assert "'', calls[1]: RecordedLayer" in repr(recorded(nn.GRU(INPUTS, H), 3))
    text = repr(recorded(nn.GRU(INPUTS, H), 100))
    assert "... 80 more" in text
    assert "calls[0]" in text
    assert "calls[99]" in text
    assert text.count("\n") < 70


def test_a_projection_is_printed_with_its_own_shape():
    view = recorded(nn.LSTM(INPUTS, H, proj_size=2))[""].layer(0)
    assert f"h {view.h.shape}, c, i, f, g, o {view.c.shape}" in repr(view)


def test_a_scan_is_printed_in_a_line():
    text = repr(recorded(nn.LSTM(INPUTS, H))[""].layer(0).scan)
    assert text == "Scan(lstm '', layer 0, forward: h (15, 4), 5 steps)"


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_dir_names_all_arrays(kind):
    view = recorded(kind(INPUTS, H))[""].layer(0)
    own = set(dir(view)) - set(dir(type(view))) - {"scan"}
    arrays = {name for name in own if not name.startswith("_")}
    assert all(isinstance(getattr(view, name), np.ndarray) for name in arrays)
    assert ("c_grad_immediate" in arrays) == (kind is nn.LSTM)
    assert ("q" in arrays) == (kind is nn.GRU)


def test_arrays_asked_of_a_whole_layer_name_the_way_to_them():
    layer = recorded(nn.LSTM(INPUTS, H))[""]
    with pytest.raises(AttributeError, match=r"got 'c'; .*\.layer\(0, \"forward\"\)"):
        _ = layer.c


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda view: view.step_singular_values(0), TypeError, "step_singular_values: .*pass .0,"),
        (lambda view: view.lag_spectrum(1), TypeError, "lag_spectrum: .* got 1; pass .1,"),
        (lambda view: view.step_singular_values([9]), IndexError, "^step_singular_values: "),
        (lambda view: view.lag_spectrum(end=9), IndexError, "^lag_spectrum: "),
        (lambda view: view.lag_spectrum(of="x"), ValueError, "^lag_spectrum: .*of this lstm"),
        (lambda view: view.lag_matrix("x"), ValueError, "^lag_matrix: .*of this lstm"),
        (lambda view: view.truncation(3), TypeError, "a list of whole numbers of steps, got 3"),
        (lambda view: view.truncation([1.5]), TypeError, r"whole numbers of steps, got \[1.5\]"),
        (lambda view: view.weight_grad_norms("x"), KeyError, "weight_grad_norms: .*got 'x'"),
        (
            lambda view: view.weight_grad_steps("weight_hh", by_gate="i"),
            TypeError,
            "by_gate to be True or False, got 'i'",
        ),
    ],
)
def test_a_view_names_the_method_and_the_cure(ask, error, words):
    with pytest.raises(error, match=words):
        ask(recorded(nn.LSTM(INPUTS, H))[""].layer(0))


def test_a_direction_in_the_place_of_the_layer_is_told():
    with pytest.raises(TypeError, match=r"number of a layer, got 'reverse'; .*second"):
        recorded(nn.LSTM(INPUTS, H, bidirectional=True))[""].layer("reverse")


def test_what_methods_return_can_be_imported():
    view = recorded(nn.LSTM(INPUTS, H))[""].layer(0)
    assert isinstance(view.cell_path(), bptt.CellPath)
    assert isinstance(view.c_grad_terms(), bptt.CellTerms)
    assert isinstance(view.lag_spectrum(), bptt.LagSpectrum)
    assert isinstance(view.truncation(), bptt.Truncation)


def test_compare_says_what_are_no_numbers():
    with pytest.raises(TypeError, match=r"saved to be a by_hand\.Forward, got int"):
        bptt.compare(by_hand.backward, *range(6))
    for wrong, kind in (("dy", "<U2"), (1j, "complex128")):
        with pytest.raises(TypeError, match=f"dh to be an array of real numbers, got {kind}"):
            bptt.compare(lambda *given, wrong=wrong: {"dh": wrong})

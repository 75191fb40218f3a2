"""The tasks are those of their papers, and their criteria say what the papers say."""

import math

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import tasks

ALL = [
    tasks.Adding(40),
    tasks.Multiplication(40),
    tasks.TemporalOrder(2, 40),
    tasks.TemporalOrder(3),
    tasks.CopyMemory(7),
    tasks.Echo(3, 12),
    tasks.Parity(5, 9),
    tasks.Parity(5, 9, noise=0.2),
    tasks.EmbeddedReber(),
]


def seeded(seed=0):
    return tt.Generator().manual_seed(seed)


def at(tensor, batch, n):
    """The steps of one sequence."""
    return tensor[: int(batch.lengths[n]), n].numpy()


# ---- What all promise


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_the_same_generator_gives_the_same_sequences_and_another_others(task):
    first, again, other = (task.batch(9, seeded(seed)) for seed in (1, 1, 2))
    assert first.input.tolist() == again.input.tolist()
    assert first.target.tolist() == again.target.tolist()
    assert first.input.tolist() != other.input.tolist()
    tt.manual_seed(1)
    assert task.batch(9).input.tolist() == first.input.tolist()


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_a_generator_goes_on_from_batch_to_batch(task):
    generator = seeded()
    assert task.batch(9, generator).input.tolist() != task.batch(9, generator).input.tolist()


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_shapes_and_types_are_those_that_a_model_needs(task):
    batch = task.batch(9, seeded())
    longest = int(batch.lengths.max())
    assert batch.input.shape == (longest, 9, task.input_size)
    assert batch.input.dtype == tt.float32
    assert (batch.lengths.shape, batch.lengths.dtype) == ((9,), tt.int64)
    ends = batch.target.shape == (9, task.output_size) and batch.target.dtype == tt.float32
    values = batch.target.shape == (longest, 9, task.output_size)
    classes = batch.target.shape == (longest, 9) and batch.target.dtype == tt.int64
    assert ends + values + classes == 1


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_the_default_dtype_is_that_of_the_numbers(task):
    tt.set_default_dtype(tt.float64)
    batch = task.batch(3, seeded())
    assert batch.input.dtype == tt.float64
    assert batch.target.dtype in (tt.float64, tt.int64)


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_beyond_its_end_a_sequence_is_zero(task):
    batch = task.batch(30, seeded())
    for n, length in enumerate(batch.lengths.tolist()):
        assert not batch.input[length:, n].any()


def perfect(batch, task):
    """An output that says just the target."""
    if batch.target.dtype != tt.int64:
        return batch.target
    return tt.nn.functional.one_hot(batch.target.clamp(min=0), task.output_size).float()


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_the_target_itself_is_right_and_the_wrong_answer_is_wrong(task):
    batch = task.batch(9, seeded())
    answer = perfect(batch, task)
    if not isinstance(task, tasks.EmbeddedReber):  # there two symbols may come
        assert task.errors(answer, batch).tolist() == [0.0] * 9
        assert task.correct(answer, batch).tolist() == [True] * 9
    opposite = answer + 1 if batch.target.shape[-1] == 1 else answer.roll(1, -1)
    assert task.correct(opposite, batch).tolist() == [False] * 9


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_an_output_of_another_shape_is_refused(task):
    batch = task.batch(4, seeded())
    with pytest.raises(ValueError, match="errors: expected an output of shape"):
        task.errors(tt.zeros(4, 2, 3, 4), batch)


@pytest.mark.parametrize("task", ALL, ids=repr)
def test_a_task_names_the_settings_that_make_it_again(task):
    again = eval(repr(task), vars(tasks))
    assert (type(again), vars(again)) == (type(task), vars(task))
    assert repr(tasks.Parity(5, 9, 0.2)) == "Parity(shortest=5, longest=9, noise=0.2)"
    assert repr(tasks.TemporalOrder(3)) == "TemporalOrder(relevant=3, length=100)"


# ---- Hochreiter & Schmidhuber 1997, experiments 4 to 6


def lengths_of(task):
    return set(task.batch(2000, seeded()).lengths.tolist())


def test_lengths_are_drawn_from_T_to_a_tenth_more():
    expected = set(range(40, 45))
    assert lengths_of(tasks.Adding(40)) == expected
    assert lengths_of(tasks.Multiplication(40)) == expected
    assert lengths_of(tasks.TemporalOrder(2)) == lengths_of(tasks.TemporalOrder(3))
    assert lengths_of(tasks.TemporalOrder(2)) == set(range(100, 111))


def marked(x, length):
    """The steps that carry a 1, and whether the rest of the markers are as they should be."""
    markers = x[:, 1]
    expected = np.zeros(length)
    expected[[0, -1]] = -1
    places = np.flatnonzero(markers == 1)
    expected[places] = 1
    return places, np.array_equal(markers, expected)


@pytest.mark.parametrize(
    ("task", "low", "combine"),
    [
        (tasks.Adding(40), -1.0, lambda read: 0.5 + sum(read) / 4),
        (tasks.Multiplication(40), 0.0, lambda read: math.prod(read)),
    ],
)
def test_two_numbers_are_marked_and_combined(task, low, combine):
    batch = task.batch(3000, seeded())
    firsts, seconds, unread = set(), set(), 0
    for n, length in enumerate(batch.lengths.tolist()):
        x = at(batch.input, batch, n)
        places, others_are_right = marked(x, length)
        assert others_are_right
        assert len(places) in (1, 2)
        unread += len(places) == 1
        if len(places) == 2:
            firsts.add(int(places[0]))
            seconds.add(int(places[1]))
        expected = combine([float(x[place, 0]) for place in places])
        assert batch.target[n].item() == pytest.approx(expected, abs=1e-6)
    numbers = batch.input[:, :, 0].numpy()
    assert low <= numbers.min() < low + 0.01
    assert 0.99 < numbers.max() < 1
    # The second is one of the first T/2 - 1 that the first has left: at T = 40, of steps 0 to 19.
    assert firsts == set(range(1, 10))
    assert seconds == set(range(2, 20))
    # One or the other is the first step with probability 1/10 + 9/10 1/19; five deviations.
    expected = 1 / 10 + 9 / 10 / 19
    assert abs(unread / 3000 - expected) < 5 * math.sqrt(expected / 3000)


def test_the_trivial_answer_of_adding_has_the_error_that_its_docstring_says():
    target = tasks.Adding(100).batch(20_000, seeded()).target.numpy()
    # The step that can't be marked takes a part of the variance away: 10 % + 0.9 / 49 of X1 or X2.
    variance = np.var(target)
    assert 0.92 / 24 < variance < 1.01 / 24


@pytest.mark.parametrize(
    ("relevant", "places", "lag"),
    [(2, [(10, 20), (50, 60)], 40), (3, [(10, 20), (33, 43), (66, 76)], 24)],
)
def test_the_order_of_x_and_y_is_the_class(relevant, places, lag):
    task = tasks.TemporalOrder(relevant)
    batch = task.batch(2000, seeded())
    seen = [set() for _ in places]
    shortest_lag = 1000
    for n, length in enumerate(batch.lengths.tolist()):
        x = at(batch.input, batch, n)
        assert (x.sum(axis=-1) == 1).all()
        text = "".join(task.SYMBOLS[i] for i in x.argmax(axis=-1))
        assert (text[0], text[-1]) == ("E", "B")
        steps = [t for t, symbol in enumerate(text, start=1) if symbol in "XY"]
        assert len(steps) == relevant
        for step, steps_seen in zip(steps, seen, strict=True):
            steps_seen.add(step)
        assert set(text) - set("XY") <= set("EBabcd")
        assert text.count("E") == text.count("B") == 1
        order = "".join(text[step - 1] for step in steps)
        number = int(order.replace("X", "0").replace("Y", "1"), 2)
        assert batch.target[n].tolist() == [float(k == number) for k in range(2**relevant)]
        shortest_lag = min(shortest_lag, length - steps[-1])
    assert seen == [set(range(low, high + 1)) for low, high in places]
    assert shortest_lag == lag
    assert (batch.target.sum(0) > 0).all()


def test_temporal_order_scales_with_its_length():
    task = tasks.TemporalOrder(2, 20)
    batch = task.batch(500, seeded())
    relevant = batch.input[..., 6:].sum(-1)
    assert relevant.sum(0).tolist() == [2.0] * 500
    steps = set((relevant.nonzero()[:, 0] + 1).tolist())
    assert steps == {2, 3, 4, 10, 11, 12}


def test_right_is_what_the_paper_calls_right():
    one = tt.zeros(1, 1)
    for task, right, wrong in ((tasks.Adding(), 0.0399, 0.0401), (tasks.Parity(), 0.49, 0.51)):
        batch = tasks.Batch(one, one, one)
        assert task.correct(tt.tensor([[-right]]), batch).tolist() == [True]
        assert task.correct(tt.tensor([[wrong]]), batch).tolist() == [False]
    batch = tasks.Batch(one, one, tt.tensor([[1.0, 0.0, 0.0, 0.0]]))
    task = tasks.TemporalOrder()
    assert task.errors(tt.tensor([[0.9, 0.0, 0.25, 0.0]]), batch).item() == 0.25
    assert task.correct(tt.tensor([[0.71, 0.29, 0.0, 0.0]]), batch).tolist() == [True]
    assert task.correct(tt.tensor([[0.9, 0.0, 0.0, 0.31]]), batch).tolist() == [False]


def test_adding_is_solved_when_2000_in_a_row_are_right_and_precise():
    task = tasks.Adding()
    assert not task.solved([])
    assert not task.solved([0.0] * 1999)
    assert task.solved([0.0] * 2000)
    assert task.solved([1.0] * 50 + [0.009] * 2000)
    assert not task.solved([0.011] * 2000)  # all right, but the mean is too large
    assert not task.solved([0.0] * 1999 + [0.041])  # precise, but one is wrong
    assert task.solved(tt.zeros(2000, 1))


def test_temporal_order_is_solved_when_2000_in_a_row_are_right_and_precise():
    task = tasks.TemporalOrder()
    assert task.solved(np.full(2000, 0.09))
    assert not task.solved(np.full(2000, 0.11))
    assert not task.solved([0.0] * 1999 + [0.31])


def test_multiplication_is_solved_when_few_of_2000_are_wrong():
    task = tasks.Multiplication()
    assert task.solved([0.05] * 12 + [0.0] * 1988)
    assert not task.solved([0.05] * 13 + [0.0] * 1987)
    assert task.solved([0.05] * 139 + [0.0] * 1861, wrong=140)
    assert not task.solved([0.05] * 140 + [0.0] * 1860, wrong=140)
    assert not task.solved([0.0] * 1999)


# ---- Embedded Reber grammar


GRAMMAR = r"B(T{0}T|P{0}P)E".format(r"B(TS*X(XT*VPX)*(S|XT*V(V|PX)*)|PT*V)")


def test_known_strings_are_of_the_grammar_and_others_are_not():
    task = tasks.EmbeddedReber()
    known = ["BTBTXSETE", "BPBPVVEPE", "BTBPTTVPXTVVETE", "BPBTSSXXTVPSEPE"]
    assert task.decode(task.encode(known)) == known
    for wrong in ("BTBTXSEPE", "BTBTXSET", "BTBTXSETEE", "TBTXSETE", "BTBTXVETE", ""):
        with pytest.raises(ValueError, match="EmbeddedReber: expected"):
            task.encode([wrong])


def test_strings_are_drawn_with_the_probabilities_of_the_grammar():
    strings = tasks.EmbeddedReber().strings(4000, seeded())
    assert min(map(len, strings)) == 9
    # The two shortest of each half: three free choices after the second symbol.
    shortest = [text for text in strings if len(text) == 9]
    assert set(shortest) == {"BTBTXSETE", "BPBTXSEPE", "BTBPVVETE", "BPBPVVEPE"}
    assert abs(len(shortest) / 4000 - 1 / 4) < 5 * math.sqrt(3 / 16 / 4000)
    for text in strings:
        assert text[1] == text[-2]
        assert text.startswith("B") and text.endswith("E")


def test_input_is_all_but_the_last_symbol_and_target_all_but_the_first():
    task = tasks.EmbeddedReber()
    batch = task.encode(["BTBTXSETE", "BPBPTVVEPE"])
    assert batch.lengths.tolist() == [8, 9]
    assert batch.input[:8, 0].argmax(-1).tolist() == ["BTSXPVE".index(s) for s in "BTBTXSET"]
    assert batch.target[:, 0].tolist() == ["BTSXPVE".index(s) for s in "TBTXSETE"] + [-100]
    assert batch.target[:, 1].tolist() == ["BTSXPVE".index(s) for s in "PBPTVVEPE"]


def test_right_is_that_the_symbols_that_may_come_are_the_most_active():
    task = tasks.EmbeddedReber()
    text = "BTBTXSETE"
    batch = task.encode([text])
    may_come = ["TP", "B", "TP", "SX", "XS", "E", "T", "E"]
    output = tt.zeros(8, 1, 7)
    for step, symbols in enumerate(may_come):
        for place, symbol in enumerate(symbols):
            output[step, 0, "BTSXPVE".index(symbol)] = 1.0 + place
    assert task.errors(output, batch).tolist() == [0]
    assert task.correct(output, batch).tolist() == [True]
    output[6, 0] = 0  # all equal: the T from the beginning is forgotten
    assert task.errors(output, batch).tolist() == [1]
    assert task.correct(output, batch).tolist() == [False]
    output[0, 0, 0] = 1.5  # above one of the two that may come
    assert task.errors(output, batch).tolist() == [2]


def test_errors_beyond_the_end_do_not_count():
    task = tasks.EmbeddedReber()
    short, long = "BTBTXSETE", "BTBTSSSXSETE"
    alone, together = task.encode([short]), task.encode([short, long])
    output = tt.rand(11, 2, 7)
    output[8:, 0] = math.inf
    assert task.errors(output[:8, :1], alone).item() == task.errors(output, together)[0].item()


def test_a_trial_succeeds_when_both_sets_are_without_error():
    task = tasks.EmbeddedReber()
    training, test = task.sets(64, seeded())
    assert not set(task.decode(training)) & set(task.decode(test))
    assert len(training.lengths) == len(test.lengths) == 64
    assert task.solved([0] * 128)
    assert not task.solved([0] * 127 + [1])
    assert not task.solved([])


# ---- Copy memory, echo, parity


def test_copy_memory_is_ten_symbols_a_delay_and_a_delimiter():
    task = tasks.CopyMemory(7)
    batch = task.batch(200, seeded())
    symbols = batch.input.argmax(-1).numpy()
    assert batch.lengths.tolist() == [27] * 200
    assert set(symbols[:10].ravel()) == set(range(8))
    assert (symbols[10:16] == 8).all()  # T - 1 blanks
    assert (symbols[16] == 9).all()
    assert (symbols[17:] == 8).all()
    assert (batch.target[:17] == 8).all()  # T + 10 blanks
    assert (batch.target[17:].numpy() == symbols[:10]).all()


def test_the_baseline_of_copy_memory_is_what_a_model_without_memory_loses():
    task = tasks.CopyMemory(30)
    batch = task.batch(5, seeded())
    certain = 40.0
    scores = tt.zeros(50, 5, 10)
    scores[:40, :, 8] = certain
    scores[40:, :, :8] = certain
    loss = tt.nn.functional.cross_entropy(scores.reshape(-1, 10), batch.target.reshape(-1))
    assert loss.item() == pytest.approx(task.baseline, rel=1e-6)
    assert task.baseline == pytest.approx(10 * math.log(8) / 50)


def test_copy_memory_counts_the_wrong_steps():
    task = tasks.CopyMemory(5)
    batch = task.batch(2, seeded())
    output = perfect(batch, task)
    output[3, 1] = 0
    output[20, 1] = 0
    output[3, 1, 0] = output[20, 1, 9] = 1
    assert task.errors(output, batch).tolist() == [0, 2]
    assert task.solved([0] * 2000)
    assert not task.solved([0] * 1999 + [1])


@pytest.mark.parametrize("delay", [0, 3, 11])
def test_an_echo_comes_after_its_delay(delay):
    batch = tasks.Echo(delay, 12).batch(300, seeded())
    assert set(batch.input.numpy().ravel()) == {0.0, 1.0}
    assert not batch.target[:delay].any()
    assert batch.target[delay:].tolist() == batch.input[: 12 - delay].tolist()


def test_an_echo_is_wrong_if_one_step_is():
    task = tasks.Echo(2, 6)
    batch = task.batch(2, seeded())
    output = batch.target.clone()
    output[4, 1] = 0.6 if batch.target[4, 1] == 0 else 0.4
    assert task.correct(output, batch).tolist() == [True, False]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_parity_is_one_for_an_odd_number_of_ones(noise):
    batch = tasks.Parity(5, 9, noise).batch(500, seeded())
    assert set(batch.lengths.tolist()) == {5, 6, 7, 8, 9}
    for n in range(500):
        x = at(batch.input, batch, n)[:, 0]
        assert (abs(abs(x) - 1) <= noise).all()
        assert (abs(abs(x) - 1) > 0).any() == bool(noise)
        assert batch.target[n].item() == (x > 0).sum() % 2
    assert 0.4 < batch.target.mean().item() < 0.6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.Adding(11), "Adding: expected length >= 12, an int, got 11"),
        (lambda: tasks.Multiplication(50.5), "Multiplication: expected length >= 12, an int"),
        (lambda: tasks.TemporalOrder(4), "expected relevant = 2 or 3, got 4"),
        (lambda: tasks.TemporalOrder(2, 19), "TemporalOrder: expected length >= 20"),
        (lambda: tasks.CopyMemory(0), "CopyMemory: expected delay >= 1"),
        (lambda: tasks.Echo(5, 5), "Echo: expected length >= 6"),
        (lambda: tasks.Parity(5, 4), "Parity: expected longest >= 5"),
        (lambda: tasks.Parity(noise=1.0), "Parity: expected 0 <= noise < 1"),
    ],
)
def test_settings_that_make_no_task_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_task_of_ones_own_has_to_say_what_it_is():
    for act in (lambda: tasks.Task().batch(2), lambda: tasks.Task().errors(tt.ones(1), None)):
        with pytest.raises(NotImplementedError, match="Subclasses of Task"):
            act()

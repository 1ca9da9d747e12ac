"""What networks and windows do not take, and what they say then."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import MinigradError, NameNotFoundError, ShapeError
from models import LSTM, ElmanRNN, build, create_sequences, forecasting_pairs, streams, time_major
from models.errors import DataError, ModelError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inputs": 0, "hidden": 4}, ["inputs is 0"]),
        ({"inputs": 3, "hidden": 2.5}, ["hidden is 2.5"]),
        ({"inputs": 3, "hidden": 4, "topology": "one-to-one"}, ["'one-to-one'", "many-to-one"]),
        ({"inputs": 3, "hidden": 4, "fy": "gelu"}, ["'gelu'", "softmax"]),
        (
            {"inputs": 3, "hidden": 4, "outputs": 2, "topology": "one-to-many"},
            ["inputs is 3", "outputs is 2"],
        ),
        ({"inputs": 3, "hidden": 4, "dtype": np.int64}, ["int64", "float32"]),
    ],
)
@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_sizes_and_words(kind, options, words):
    with pytest.raises(ModelError) as error:
        kind(**options)
    assert all(word in str(error.value) for word in words)
    assert isinstance(error.value, ValueError) and isinstance(error.value, MinigradError)


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (np.zeros((3, 4, 2)), None, ["(4, 2)", "(5, batch)"]),
        (np.zeros((0, 5, 2)), None, ["no steps"]),
        (np.zeros((3, 5, 2)), np.zeros((2, 5, 2)), ["3 steps", "2 of targets"]),
        (np.zeros((3, 5, 2)), np.zeros((3, 5, 1)), ["targets", "batch = 2"]),
        (np.array([[0], [5]]), None, ["class 5", "0 to 4"]),
        (np.array([[0], [1]]), np.array([[0], [-1]]), ["targets", "class -1"]),
    ],
)
def test_shapes_and_classes(inputs, targets, words):
    net = LSTM(inputs=5, hidden=4, embedding=3)
    with pytest.raises(ShapeError) as error:
        net(inputs, targets)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_class_indices_without_an_embedding():
    with pytest.raises(ShapeError, match="embedding"):
        ElmanRNN(inputs=5, hidden=4)(np.array([[0], [1]]))


def test_states_by_wrong_name_or_shape():
    net = ElmanRNN(inputs=5, hidden=4, embedding=3)
    with pytest.raises(NameNotFoundError, match="no state 'c'"):
        net(np.array([[0]]), state={"c": np.zeros((4, 1))})
    with pytest.raises(ShapeError, match=r"\(4, 2\).*\(4, 1\)"):
        net(np.array([[0]]), state={"h": np.zeros((4, 2))})


def test_a_run_without_targets_has_no_loss():
    run = ElmanRNN(inputs=5, hidden=4, embedding=3)(np.array([[0]]))
    with pytest.raises(ModelError, match="targets"):
        _ = run.loss


def test_parameters_are_set_all_or_none():
    net = ElmanRNN(inputs=5, hidden=4, seed=0)
    before = net.parameters["Whh"].value.copy()
    with pytest.raises(ShapeError, match="Wxh"):
        net.set_parameters({"Whh": np.zeros((4, 4)), "Wxh": np.zeros((5, 4))})
    with pytest.raises(NameNotFoundError, match="Whh"):
        net.set_parameters({"Whx": np.zeros((4, 4))})
    assert np.array_equal(net.parameters["Whh"].value, before)


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_descriptions_build_the_network_again(kind):
    net = kind(inputs=5, hidden=4, outputs=3, layers=3, topology="many-to-one", fy="tanh", dtype=np.float32)
    again = build(net.description)
    assert again.description == net.description
    assert {n: p.shape for n, p in again.parameters.items()} == {
        n: p.shape for n, p in net.parameters.items()
    }
    with pytest.raises(ModelError, match="GRU"):
        build({"kind": "GRU"})
    with pytest.raises(ModelError, match="does not fit"):
        build(net.description | {"heads": 8})
    with pytest.raises(ModelError, match="Python function"):
        _ = kind(inputs=5, hidden=4, fy=mg.tanh).description


# -- windows ---------------------------------------------------------------------------------------------


def test_windows_of_note_002():
    windows = create_sequences(np.arange(1, 11), 3)
    assert windows.tolist() == [[k, k + 1, k + 2] for k in range(1, 9)]
    assert time_major(windows)[:, 0].tolist() == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [2, 3, 4, 5, 6, 7, 8, 9],
        [3, 4, 5, 6, 7, 8, 9, 10],
    ]
    inputs, targets = forecasting_pairs(np.arange(1, 15), 10)
    assert inputs[:, 0, 3].tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert targets.tolist() == [[11, 12, 13, 14]]


def test_8327_values_make_8317_outputs():
    """Note 002, lines 152 and 165-175: one output for each of 8317 windows, not one for all."""
    series = np.sin(np.arange(8327.0))
    inputs, targets = forecasting_pairs(series, 10)
    assert inputs.shape == (10, 1, 8317) and targets.shape == (1, 8317)
    net = ElmanRNN(inputs=1, hidden=50, outputs=1, topology="many-to-one", fy="identity", seed=0)
    run = net(inputs, targets)
    assert run.outputs[10].shape == (1, 8317)


@given(N=st.integers(1, 40), length=st.integers(1, 40), features=st.one_of(st.none(), st.integers(1, 3)))
def test_windows_are_views_on_the_series(N, length, features):
    series = np.random.default_rng(N).standard_normal((N,) if features is None else (N, features))
    if length > N:
        with pytest.raises(DataError, match=f"{length} does not fit in a series of {N}"):
            create_sequences(series, length)
        return
    windows = create_sequences(series, length)
    assert windows.base is not None and np.shares_memory(windows, series)
    assert len(windows) == N - length + 1
    for k, window in enumerate(windows):
        assert np.array_equal(window, series[k : k + length])
    if length < N:
        inputs, targets = forecasting_pairs(series, length)
        assert np.shares_memory(inputs, series) and np.shares_memory(targets, series)
        assert inputs.shape[2] == targets.shape[1] == N - length
        for k in range(N - length):
            assert np.array_equal(inputs[:, :, k].reshape(-1), series[k : k + length].reshape(-1))
            assert np.array_equal(targets[:, k], np.atleast_1d(series[k + length]))


@given(N=st.integers(2, 60), steps=st.integers(1, 9), columns=st.integers(1, 5))
def test_streams_go_on_where_they_ended(N, steps, columns):
    tokens = np.arange(N)
    if columns * steps + 1 > N:
        with pytest.raises(DataError, match=str(columns * steps + 1)):
            streams(tokens, steps, columns)
        return
    windows = list(streams(tokens, steps, columns))
    for inputs, targets in windows:
        assert inputs.shape == targets.shape == (steps, columns)
        assert np.array_equal(targets, inputs + 1)
        assert np.shares_memory(inputs, tokens)
    for (before, _), (after, _) in pairwise(windows):
        assert np.array_equal(after[0], before[-1] + 1)
    seen = np.concatenate([inputs.ravel() for inputs, _ in windows])
    assert len(set(seen.tolist())) == seen.size > N - 1 - columns * steps


@pytest.mark.parametrize(
    ("series", "length", "words"),
    [
        ([1.0, 2.0], 0, ["length is 0"]),
        ([1.0, 2.0], True, ["length is True"]),
        ([1.0, np.nan, 3.0, np.inf], 2, ["index 1", "nan", "1 more"]),
        (["a", "b"], 1, ["dtype"]),
        ([[[1.0]]], 1, ["(1, 1, 1)"]),
        ([], 1, ["series of 0"]),
    ],
)
def test_series_that_are_none(series, length, words):
    with pytest.raises(DataError) as error:
        create_sequences(series, length)
    assert all(word in str(error.value) for word in words), str(error.value)

"""A drawing in characters reads back as the same diagram; a changed one is refused or read as changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cli.model import BUILT_IN, load
from tests.visualize.networks import gru, peephole, random_graph, stacked
from visualize import parse
from visualize.characters import draw_text
from visualize.diagram import CARRY, FOLD, FUNCTION, JOIN, OPERATION, PRODUCT, VALUE, Diagram, Symbol, Wire
from visualize.errors import DrawingError, DrawingSyntaxError
from visualize.fold import fold
from visualize.staircase import staircase
from visualize.view import hand, primitives


@pytest.mark.parametrize("model", ["elman", "lstm"])
@pytest.mark.parametrize("steps", range(1, 9))
def test_elman_and_lstm_read_back_at_every_length(model, steps):
    diagram = hand([load(model, steps=steps)])
    assert parse(draw_text(diagram)).isomorphic(diagram)


@pytest.mark.parametrize("model", sorted(BUILT_IN))
def test_every_topology_reads_back(model):
    for steps in (1, 3):
        diagram = hand([load(model, steps=steps)])
        assert parse(draw_text(diagram)).isomorphic(diagram)


@pytest.mark.parametrize("network", [gru, peephole, stacked])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_networks_that_nobody_told_the_layout_about_read_back(network, steps):
    diagram = hand([network(steps)])
    assert parse(draw_text(diagram)).isomorphic(diagram)


@pytest.mark.parametrize("model", ["elman", "lstm"])
@pytest.mark.parametrize("how", ["auto", "step", "never"])
def test_folded_drawings_read_back(model, how):
    diagram = fold(hand([load(model, steps=12)]), how)
    text = draw_text(diagram)
    assert parse(text).isomorphic(diagram)
    assert ("… ×9" in text) == (how == "auto")
    assert (">" in text) == (how == "step")


@pytest.mark.parametrize("model", ["elman", "lstm"])
def test_the_primitive_view_reads_back(model):
    diagram = primitives([load(model, steps=2)])
    assert parse(draw_text(diagram)).isomorphic(diagram)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 26))
def test_random_recorded_graphs_read_back(seed, operations):
    with np.errstate(all="ignore"):
        diagram = hand([random_graph(seed, operations)])
    assert parse(draw_text(diagram)).isomorphic(diagram)


_NAMES = st.text(st.sampled_from("abcWh_09 +*#[](){}⟨⟩|-.,'`<>\"\\\n\tü中א"), min_size=1, max_size=6)


@st.composite
def diagrams(draw: st.DrawFn) -> Diagram:
    """Any diagram of up to 60 symbols: not only those that a recorded graph gives."""
    count = draw(st.integers(1, 60))
    symbols: list[Symbol] = []
    wires: list[Wire] = []
    for i in range(count):
        kinds = [VALUE] if i == 0 else [VALUE, PRODUCT, FUNCTION, FUNCTION, OPERATION, OPERATION, JOIN]
        kind = draw(st.sampled_from(kinds))
        if kind == VALUE:
            text, arity = draw(_NAMES), draw(st.integers(0, min(1, i)))
        elif kind == PRODUCT:
            text, arity = draw(_NAMES), 1
        elif kind == FUNCTION:
            text, arity = draw(st.sampled_from(["tanh", "sig+b", "1-", "at 0:4", "^2"])), 1
        elif kind == OPERATION:
            text = draw(st.sampled_from(["*", "+", "-", "/", "maximum", "where"]))
            arity = 3 if text == "where" else 2
        else:
            text, arity = "#", 2
        symbols.append(Symbol(i, kind, text))
        for position in range(arity):
            # Mostly what was made lately, as in a program; sometimes anything.
            back = draw(st.integers(1, min(i, 4)) | st.integers(1, i))
            wires.append(Wire(i - back, i, position))
    used = {w.source for w in wires} | {w.target for w in wires}
    if not used:
        return Diagram(symbols[:1], [])
    return Diagram(symbols, wires).subset(used)


@settings(max_examples=40, deadline=None)
@given(diagrams())
def test_any_diagram_reads_back_with_any_names(diagram):
    text = draw_text(diagram)
    assert parse(text).isomorphic(diagram)


@settings(max_examples=30, deadline=None)
@given(diagrams())
def test_the_staircase_always_has_room(diagram):
    assert parse(staircase(diagram)).isomorphic(diagram)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_diagram_is_isomorphic_to_itself_in_another_order_and_to_nothing_less(data):
    diagram = data.draw(diagrams())
    count = len(diagram.symbols)
    order = data.draw(st.permutations(range(count)))
    symbols: list[Symbol] = [None] * count  # type: ignore[list-item]
    for s in diagram.symbols:
        symbols[order[s.id]] = Symbol(order[s.id], s.kind, s.text)
    shuffled = Diagram(symbols, [Wire(order[w.source], order[w.target], w.position) for w in diagram.wires])
    assert diagram.isomorphic(shuffled) and shuffled.isomorphic(diagram)
    if diagram.wires:
        gone = data.draw(st.sampled_from(diagram.wires))
        smaller = Diagram(diagram.symbols, [w for w in diagram.wires if w is not gone])
        assert not diagram.isomorphic(smaller)


def test_the_order_of_inputs_matters_where_it_matters():
    above = "[a].\n   #-[c]\n[b]'"
    below = "[b].\n   #-[c]\n[a]'"
    assert not parse(above).isomorphic(parse(below))
    assert parse(above.replace("#", "(*)")).isomorphic(parse(below.replace("#", "(*)")))


def test_an_lstm_step_stays_within_60_columns_and_20_rows():
    text = draw_text(hand([load("lstm", steps=1)])).splitlines()
    assert max(map(len, text)) <= 60
    assert len(text) <= 20
    two = draw_text(hand([load("lstm", steps=2)])).splitlines()
    assert max(map(len, two)) - max(map(len, text)) <= 60  # what another step adds
    assert len(two) <= 20


@pytest.mark.parametrize("model", ["elman", "lstm"])
def test_carries_are_straight_and_time_runs_to_the_right(model):
    diagram = parse(draw_text(hand([load(model, steps=4)])))
    for name in ("h", "c") if model == "lstm" else ("h",):
        places = [
            s.place for s in diagram.symbols if s.kind == VALUE and s.text == name and s.step is not None
        ]
        states = sorted(
            (s.step, s.place)
            for s in diagram.symbols
            if s.text == name and s.kind == VALUE and s.step is not None
        )
        if name == "c" and model == "lstm":
            assert len(states) == 5
        assert places
        assert len({line for _, (line, _) in states}) == 1
        assert [column for _, (_, column) in states] == sorted(column for _, (_, column) in states)


def test_steps_are_counted_by_the_states():
    loss = load("elman", steps=3)
    drawn = parse(draw_text(hand([loss])))
    assert [s.step for s in drawn.symbols if s.text == "h"] == [0, 1, 2, 3]
    assert sorted(s.step for s in drawn.symbols if s.text == "p") == [1, 2, 3]
    assert sorted(s.step for s in drawn.symbols if s.text == "x") == [1, 2, 3]


# -- mutations ---------------------------------------------------------------------------------------

_LSTM = draw_text(hand([load("lstm", steps=1)]))


def _wire_cells(text: str) -> list[tuple[int, int]]:
    found = []
    for row, line in enumerate(text.splitlines()):
        inside = False
        for column, sign in enumerate(line):
            if sign in "[{(":
                inside = True
            elif sign in "]})":
                inside = False
            elif not inside and sign in "-|.,`'+":
                found.append((row, column))
    return found


def _changed(text: str, cell: tuple[int, int], sign: str) -> str:
    lines = text.splitlines()
    row, column = cell
    lines[row] = lines[row][:column] + sign + lines[row][column + 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize("cell", _wire_cells(_LSTM))
def test_a_broken_wire_or_a_missing_corner_is_refused(cell):
    with pytest.raises(DrawingSyntaxError) as caught:
        parse(_changed(_LSTM, cell, " "))
    # The place is at the break or beside it.
    assert abs(caught.value.line - 1 - cell[0]) <= 1 or "leads nowhere" in str(caught.value)
    assert "expected" in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_wire_cells(_LSTM)), st.sampled_from("-|.,`'+><^v#"))
def test_a_changed_wire_is_refused_or_read_as_what_it_now_says(cell, sign):
    changed = _changed(_LSTM, cell, sign)
    if changed == _LSTM:
        return
    original = parse(_LSTM)
    try:
        read = parse(changed)
    except DrawingError:
        return
    # It may still be the same drawing (an arrow along a wire, a junction for a corner where three meet); any
    # other reading has to be drawn back as just that.
    if not read.isomorphic(original):
        assert parse(draw_text(read)).isomorphic(read)


@pytest.mark.parametrize("cell", _wire_cells(_LSTM))
def test_a_wire_that_is_turned_is_refused(cell):
    sign = _LSTM.splitlines()[cell[0]][cell[1]]
    for other in {"-": "|", "|": "-"}.get(sign, "-|"):
        try:
            read = parse(_changed(_LSTM, cell, other))
        except DrawingSyntaxError:
            continue
        # Only a corner or a junction beside may stand for one another without changing what is said.
        assert read.isomorphic(parse(_LSTM))


@pytest.mark.parametrize(
    ("drawing", "line", "column", "expected"),
    [
        ("[a]--\n      [b]-{W}-[c]", 1, 6, "a symbol, a wire, a corner or a junction"),
        ("[a]-{W}--  -[b]", 1, 10, "a symbol, a wire, a corner or a junction"),
        ("[a]->>-{W}-[b]", 1, 5, "one arrow"),
        ("[a]-><-{W}-[b]", 1, 5, "one arrow"),
        ("[a]-<-{W}-[b]", 1, 4, "left side"),
        ("[a]-(*)-[b]", 1, 5, "two for an operation"),
        ("[a]-+-{W}-[b]", 1, 5, "three or four"),
        ("[a]-{W-[b]", 1, 8, "'}' first"),
        ("[a]-{W", 1, 5, "'}'"),
        ("[a]-W}-[b]", 1, 5, "a symbol in brackets"),
        ("[]-{W}-[b]", 1, 1, "a name inside"),
        ("[a]-{W}-[b]\n  ?", 2, 3, "a symbol in brackets, a wire or a blank"),
        ("[a]-.\n    |\n    |", 3, 5, "a symbol, a wire"),
        ("[a]-|{W}-[b]", 1, 4, "a crossing"),
        ("", 1, 1, "a value [x]"),
    ],
)
def test_a_drawing_that_does_not_read_says_where_and_what_was_expected(drawing, line, column, expected):
    with pytest.raises(DrawingSyntaxError) as caught:
        parse(drawing)
    assert (caught.value.line, caught.value.column) == (line, column), str(caught.value)
    assert expected in str(caught.value)


def test_a_drawing_that_reads_both_ways_asks_for_an_arrow():
    upright = "[a]\n |\n{W}\n |\n[b]"
    with pytest.raises(DrawingSyntaxError, match=r"either way.*arrow"):
        parse(upright)
    assert str(parse("[a]\n v\n{W}\n |\n[b]")).startswith("[a] -> {W}")
    assert str(parse("[a]\n ^\n{W}\n |\n[b]")).startswith("[b] -> {W}")


def test_a_circle_is_refused():
    with pytest.raises(DrawingSyntaxError, match=r"circle|both ways|nothing gives"):
        parse(",-(*)-{W}.\n|  |     |\n| [x]    |\n`--------'")


def test_a_frame_around_a_cell_carries_nothing():
    framed = ",-------------.\n|             |\n+-[a]-{W}-[b]-+\n|             |\n`-------------'"
    with pytest.raises(DrawingSyntaxError):
        parse(framed)  # a wire that ends at the frame from inside leads nowhere
    crossing = (
        "  ,-------------.\n  |             |\n>-+-[a]-{W}-[b]-+->\n  |             |\n  `-------------'"
    )
    assert parse(crossing).isomorphic(parse(">-[a]-{W}-[b]->"))
    assert parse(crossing.replace("+", "|")).isomorphic(parse(">-[a]-{W}-[b]->"))


def test_crossings_are_not_junctions():
    crossing = "[a]-|-{W}-[c]\n    |\n   [b]"
    with pytest.raises(DrawingSyntaxError):
        parse(crossing)
    wired = "    ,-{V}-[d]\n    |\n[a]-|-{W}-[c]\n    |\n[b]-'"
    assert sorted(str(parse(wired)).splitlines()) == ["[a] -> {W}", "[b] -> {V}", "{V} -> [d]", "{W} -> [c]"]
    joined = wired.replace("[a]-|-{W}", "[a]-+-{W}")
    with pytest.raises(DrawingSyntaxError, match=r"both .* give to one wire"):
        parse(joined)


def test_carries_and_folds_have_their_own_signs():
    read = parse(">-[h]-{W}-(… ×47)-[h]->")
    assert [s.kind for s in read.symbols] == [VALUE, PRODUCT, FOLD, VALUE, CARRY, CARRY]


def test_too_much_is_refused_with_an_offer_to_fold():
    with mg.step(1):
        x = mg.constant(np.ones((2, 1)), name="x")
        for _ in range(2000):
            x = mg.tanh(x)
    with pytest.raises(DrawingError, match="fold"):
        draw_text(hand([x]))

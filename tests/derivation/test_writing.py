"""Writing: what is printed is the notes' derivation, and the checker accepts it, for any graph."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cli.model import BUILT_IN, load
from minigrad.derivation import check, paths, read, write
from minigrad.derivation.repair import canonical_text
from minigrad.derivation.syntax import Equation, Name, render, transform
from minigrad.errors import NotConnectedError, NotScalarError, TooManyPathsError

from . import graphs
from .common import draws, source


def normalised(text: str) -> set[str]:
    """The equations of a text with the notes' slips mended, and order and spelling made alike."""
    slips = {"d_pre": "dh_pre", "adwes": "dwes"}

    def mend(part):
        return Name(slips[part.text], part.step) if isinstance(part, Name) and part.text in slips else part

    found = set()
    for line in read(text.replace("dz[:?]", "dz[:H]").replace("dz[?:]", "dz[H:]")).equations:
        equation = line.equation
        found.add(
            canonical_text(Equation(tuple(transform(s, mend) for s in equation.sides), equation.operators))
        )
    return found


@pytest.mark.parametrize("model", ["elman", "lstm"])
def test_what_is_printed_is_the_derivation_of_note_000(model):
    by_hand = normalised(
        "\n".join(x for x in source(f"note-000-{model}").split("\n") if not x.startswith("df("))
    )
    printed = normalised(write(load(model)).text)
    assert by_hand == printed
    assert len(printed) == {"elman": 11, "lstm": 27}[model]


@pytest.mark.parametrize("model", sorted(BUILT_IN))
@pytest.mark.parametrize("form", ["text", "leibniz", "per step"])
def test_the_checker_accepts_what_is_printed(model, form):
    losses = draws(model)
    written = write(losses[0], per_step=form == "per step")
    report = check(written.leibniz if form == "leibniz" else written.text, losses, repairs=False)
    assert report.ok, str(report)
    assert {f.verdict for f in report.lines} == {"right"}
    assert {g.name for g in report.gradients} == set(mg.Graph(losses[0]).parameters)


@pytest.mark.parametrize("graph", graphs.ALL, ids=lambda g: g.__name__)
@pytest.mark.parametrize("form", ["text", "leibniz", "per step"])
def test_and_so_for_graphs_that_are_not_shipped(graph, form):
    loss = graph()
    written = write(loss, per_step=form == "per step")
    report = check(written.leibniz if form == "leibniz" else written.text, loss, repairs=False)
    assert report.ok, str(report)
    assert {f.verdict for f in report.lines} <= {"right", "not-tested"}
    if graph is not graphs.deep:
        assert {f.verdict for f in report.lines} == {"right"}
    assert len(report.gradients) == len(mg.Graph(loss).parameters)


def test_several_columns():
    for graph in (graphs.gru, graphs.peephole):
        loss = graph(columns=3)
        assert check(write(loss).text, loss, repairs=False).ok


@pytest.mark.parametrize(
    "graph", [graphs.gru, graphs.peephole, graphs.stacked, graphs.classes, graphs.crossed]
)
def test_steps_that_read_alike_are_printed_once(graph):
    short, long = write(graph(steps=3)), write(graph(steps=6))
    assert short.general and long.general
    assert [len(x.split(" = ")[0]) for x in short.text.split("\n")] == [
        len(x.split(" = ")[0]) for x in long.text.split("\n")
    ]


def test_crossed_carries_get_names_of_their_own():
    text = write(graphs.crossed()).text
    assert "da_next =" in text and "db_next =" in text and "+ da_next" in text


def test_a_loss_at_the_last_step_has_its_own_heading():
    text = write(load("rnn-many-to-one")).text
    assert text.startswith("t = T\ndy = y - y_true\n") and "\nt = T..1\n" in text


def test_a_graph_that_does_not_roll_is_written_unrolled():
    written = write(graphs.skip())
    assert not written.general
    assert "dh[2] = " in written.text and "dL/dW = dL/dW (t = 1) + dL/dW (t = 2)" in written.text


@st.composite
def recurrent(draw):
    """A random recurrent graph: a few states, each a random function of states, inputs and parameters."""
    seed = draw(st.integers(0, 10_000))
    states = draw(st.integers(1, 2))
    steps = draw(st.integers(2, 4))
    columns = draw(st.sampled_from([1, 1, 3]))
    recipe = [
        [
            (draw(st.sampled_from(["tanh", "sigmoid", "gate", "square", "mix"])), draw(st.booleans()))
            for _ in range(2)
        ]
        for _ in range(states)
    ]
    every = draw(st.booleans())
    return seed, states, steps, columns, recipe, every


def built(spec):
    seed, count, steps, columns, recipe, every = spec
    random = np.random.default_rng(seed)
    parameters: dict[str, mg.Node] = {}

    def weight(name, *shape):
        if name not in parameters:
            parameters[name] = mg.parameter(0.5 * random.normal(size=shape), name=name)
        return parameters[name]

    states = [mg.constant(random.normal(size=(4, columns)), name=f"s{'ab'[k]}", step=0) for k in range(count)]
    losses = []
    for t in range(1, steps + 1):
        with mg.step(t):
            x = mg.constant(random.normal(size=(3, columns)), name="x")
            new = []
            for k, cell in enumerate(recipe):
                v = weight(f"W{k}", 4, 3) @ x + weight(f"b{k}", 4, 1)
                for j, (kind, named) in enumerate(cell):
                    u = weight(f"U{k}{j}", 4, 4) @ states[(k + j) % count]
                    if kind == "tanh":
                        v = mg.tanh(u + v)
                    elif kind == "sigmoid":
                        v = mg.sigmoid(v) * u
                    elif kind == "gate":
                        g = mg.sigmoid(u + v)
                        v = g * states[k] + (1 - g) * mg.tanh(v)
                    elif kind == "square":
                        v = 0.1 * v**2 - u / 2
                    else:
                        v = mg.concat([v[:2], u[2:]]) - weight(f"p{k}{j}", 4, 1) * v
                    if named:
                        v = v.named(f"v{'ab'[k]}{'xy'[j]}")
                new.append(mg.tanh(v).named(f"s{'ab'[k]}"))
            states = new
            if every or t == steps:
                y = mg.constant(random.normal(size=(4, columns)), name="y")
                losses.append(mg.squared_error(weight("V", 4, 4) @ states[-1], y).named("L"))
    return losses[0] if len(losses) == 1 else mg.accumulate(*losses).named("L")


@settings(max_examples=25, deadline=None)
@given(recurrent())
def test_what_is_printed_is_accepted_for_random_graphs(spec):
    loss = built(spec)
    for text in (write(loss).text, write(loss, per_step=True).text):
        report = check(text, loss, repairs=False)
        assert report.ok and {f.verdict for f in report.lines} == {"right"}, f"{text}\n{report}"


def test_paths():
    loss = load("lstm-many-to-one", steps=2)
    written = paths(loss, mg.Graph(loss)["h", 1])
    (equation,) = written.equations
    assert len(equation.sides[1].terms) == 4  # through o, f, i and c_hat, as note 002 has it
    assert check(written.text, loss).ok
    with pytest.raises(TooManyPathsError, match="more than 3 paths"):
        paths(loss, mg.Graph(loss)["h", 1], limit=3)
    with pytest.raises(NotConnectedError):
        paths(loss, mg.constant(1.0))


def test_what_has_no_derivation():
    with pytest.raises(NotScalarError):
        write(mg.parameter(np.ones((2, 1))))
    with pytest.raises(ValueError, match="no parameter"):
        write(mg.constant(1.0))


def test_other_forms():
    written = write(load("lstm"))
    assert written.latex.count("\\\\") == len([r for r in written.rows if r.exact]) - 1
    assert written.latex.count("{") == written.latex.count("}")
    assert written._repr_latex_().startswith("$") and written._repr_markdown_().startswith("$$")
    page = written.html
    body = page[page.index("<table") : page.index("</table>") + 8]
    rows = ET.fromstring(body)
    assert len(rows) == 27 and "dWf" in {row.attrib["data-nodes"] for row in rows}
    loss = (mg.parameter(2.0, name="<script>") * 3.0).named("L")
    assert "<script>" not in write(loss).html


def test_the_leibniz_form_names_its_steps():
    text = write(load("elman")).leibniz
    assert "dL/dh[t] = Why^T ⋅ dL/do[t] + Whh^T ⋅ dL/dh_pre[t+1]\n" in text
    assert "dL/dWhh = sum t from 1 to T dL/dh_pre[t] ⋅ h[t-1]^T\n" in text
    assert render(read(text).equations[0].equation) == "dL/do[t] = p[t] - y[t]"

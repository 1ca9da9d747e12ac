"""Pictures: what a drawing holds, that carries are straight, that names are text, that files are safe."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cli.model import load
from tests.visualize.networks import gru, peephole, stacked
from visualize import draw, parse
from visualize.diagram import FOLD
from visualize.drawing import DIRECTIONS
from visualize.errors import DrawingError, RendererError, WouldOverwriteError
from visualize.render import render
from visualize.summary import gradients, summarize

SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="no dot on this machine")


def _groups(svg: str, kind: str) -> dict[str, ET.Element]:
    root = ET.fromstring(svg)
    return {
        g.get("id", ""): g
        for g in root.iter(f"{SVG}g")
        if g.get("id") and kind in (g.get("class") or "").split()
    }


def _center(group: ET.Element) -> tuple[float, float]:
    numbers = [
        [float(x) for x in re.findall(r"-?\d+\.?\d*", element.get("d") or element.get("points") or "")]
        for element in group
        if element.tag in (f"{SVG}path", f"{SVG}polygon")
    ]
    for element in group:
        if element.tag == f"{SVG}ellipse":
            return float(element.get("cx", 0)), float(element.get("cy", 0))
    flat = numbers[0]
    return (min(flat[::2]) + max(flat[::2])) / 2, (min(flat[1::2]) + max(flat[1::2])) / 2


@pytest.mark.parametrize("dot", ["", pytest.param("dot", marks=needs_dot)])
@pytest.mark.parametrize("model", ["elman", "lstm"])
def test_both_renderers_give_the_picture(model, dot, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DOT", dot)
    drawing = draw(load(model, steps=2))
    root = ET.fromstring(drawing.svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "Graph of L"
    assert "h[1] to Whh" in root.find(f"{SVG}desc").text or model == "lstm"
    assert len(_groups(drawing.svg, "symbol")) == len(drawing.diagram.symbols)
    assert len(_groups(drawing.svg, "wire")) == len(drawing.diagram.wires)
    for group in [*_groups(drawing.svg, "symbol").values(), *_groups(drawing.svg, "wire").values()]:
        assert group.find(f"{SVG}title").text
    assert len(_groups(drawing.svg, "step")) == 2


@pytest.mark.parametrize("dot", ["", pytest.param("dot", marks=needs_dot)])
@pytest.mark.parametrize(("model", "states"), [("elman", "h"), ("lstm", "hc")])
def test_carries_are_straight_lines_from_step_to_step(model, states, dot, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DOT", dot)
    drawing = draw(load(model, steps=4))
    symbols = _groups(drawing.svg, "symbol")
    for name in states:
        carried = [s for s in drawing.diagram.symbols if s.text == name and s.kind == "value" and s.step]
        assert len(carried) == 4
        for symbol in carried[:-1]:
            for wire in (w for w in drawing.diagram.wires if w.source == symbol.id):
                target = drawing.diagram.symbols[wire.target]
                if target.step == symbol.step + 1:
                    (_, y0), (_, y1) = (_center(symbols[f"n{s.id}"]) for s in (symbol, target))
                    assert abs(y0 - y1) < 1


def test_steps_stand_side_by_side_in_the_order_of_time():
    drawing = draw(load("lstm", steps=4))
    edges = []
    for step in range(1, 5):
        group = _groups(drawing.svg, "step")[f"step{step}"]
        outline = next(e for e in group if e.tag in (f"{SVG}path", f"{SVG}polygon"))
        text = outline.get("d") or outline.get("points") or ""
        xs = [float(x) for x in re.findall(r"(-?\d+\.?\d*)[, ]-?\d+\.?\d*", text)]
        edges.append((min(xs), max(xs)))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(edges))


_PICTURES = [
    *[(m, t, {"direction": d}) for m in ("elman", "lstm") for t in (2, 3, 50) for d in DIRECTIONS],
    *[
        (m, 3, o)
        for m in ("elman", "lstm")
        for o in ({"fold": "step"}, {"values": True, "direction": "both"})
    ],
    *[(m, 2, {"view": "primitive"}) for m in ("elman", "lstm", "gru")],
    *[(m, 3, {}) for m in ("gru", "peephole", "stacked")],
]


@pytest.mark.parametrize(("model", "steps", "options"), _PICTURES)
def test_no_symbols_overlap_and_no_wire_runs_through_one(model, steps, options):
    networks = {"gru": gru, "peephole": peephole, "stacked": stacked}
    loss = networks[model](steps) if model in networks else load(model, steps=steps)
    drawing = draw(loss, **options)
    boxes = {key: _box(group) for key, group in _groups(drawing.svg, "symbol").items()}
    for a, b in itertools.combinations(boxes, 2):
        assert not _overlap(boxes[a], boxes[b])
    for group in _groups(drawing.svg, "wire").values():
        ends = {group.get("data-source"), group.get("data-target")}
        for x, y in _along(group):
            for key, (x0, y0, x1, y1) in boxes.items():
                if key not in ends:
                    assert not (x0 + 2 < x < x1 - 2 and y0 + 2 < y < y1 - 2), (key, ends)


def _box(group: ET.Element) -> tuple[float, float, float, float]:
    for element in group:
        if element.tag == f"{SVG}ellipse":
            cx, cy, rx, ry = (float(element.get(k, 0)) for k in ("cx", "cy", "rx", "ry"))
            return cx - rx, cy - ry, cx + rx, cy + ry
        if element.tag == f"{SVG}rect":
            x, y, width, height = (float(element.get(k, 0)) for k in ("x", "y", "width", "height"))
            return x, y, x + width, y + height
        if element.tag in (f"{SVG}path", f"{SVG}polygon"):
            flat = [
                float(x) for x in re.findall(r"-?\d+\.?\d*", element.get("d") or element.get("points") or "")
            ]
            return min(flat[::2]), min(flat[1::2]), max(flat[::2]), max(flat[1::2])
    return 0, 0, 0, 0


def _overlap(a, b) -> bool:
    return a[0] < b[2] - 0.5 and b[0] < a[2] - 0.5 and a[1] < b[3] - 0.5 and b[1] < a[3] - 0.5


def _along(group: ET.Element):
    path = next(e for e in group if e.tag == f"{SVG}path").get("d", "")
    flat = [float(x) for x in re.findall(r"-?\d+\.?\d*", path)]
    points = list(zip(flat[::2], flat[1::2], strict=True))
    for k in range(0, len(points) - 3, 3):  # cubic curves
        p = points[k : k + 4]
        for t in np.linspace(0, 1, 12):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield tuple(sum(w * q[i] for w, q in zip(weights, p, strict=True)) for i in (0, 1))


@pytest.mark.parametrize("model", ["elman", "lstm"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_compact_view_is_the_drawing_in_characters_as_svg(model, direction):
    drawing = draw(load(model, steps=3), view="compact", direction=direction)
    root = ET.fromstring(drawing.svg)
    assert "plate" in root.get("class", "").split()
    assert ("gradients" in root.get("class", "").split()) == (direction == "backward")
    symbols = _groups(drawing.svg, "symbol")
    assert len(symbols) == len(drawing.diagram.symbols)
    assert float(root.get("width", 0)) < 1300 and float(root.get("height", 0)) < 320
    boxes = {key: _box(group) for key, group in symbols.items()}
    for a, b in itertools.combinations(boxes, 2):
        assert not _overlap(boxes[a], boxes[b])
    states = [s for s in drawing.diagram.symbols if s.text == "h" and s.kind == "value"]
    assert len({boxes[f"n{s.id}"][1] for s in states}) == 1
    wires = _groups(drawing.svg, "wire")
    drawn = {
        (g.get("data-source"), t) for g in root.iter(f"{SVG}g") for t in g.get("data-target", "").split()
    }
    assert drawn == {(f"n{w.source}", f"n{w.target}") for w in drawing.diagram.wires}
    assert wires
    with pytest.raises(DrawingError, match="view='hand'"):
        draw(load(model, steps=1), view="compact", direction="both")


def test_forward_and_backward_have_the_same_coordinates():
    loss = load("lstm", steps=2)
    places = []
    for direction in ("forward", "backward"):
        drawing = draw(loss, direction=direction)
        places.append({key: _box(g) for key, g in _groups(drawing.svg, "symbol").items()})
    for key, box in places[0].items():
        np.testing.assert_allclose(box, places[1][key], atol=0.5)
    assert "dh[2]" in draw(loss, direction="backward").svg
    assert ">h[2]<" not in draw(loss, direction="backward").svg


def test_what_has_no_gradient_is_shown_as_not_computed():
    drawing = draw(load("lstm", steps=1), direction="backward")
    inputs = [s for s in drawing.diagram.symbols if s.text == "x"]
    group = _groups(drawing.svg, "symbol")[f"n{inputs[0].id}"]
    assert "uncomputed" in group.get("class", "").split()
    assert "gradient: not computed" in group.find(f"{SVG}title").text
    assert "no gradient computed" in draw(load("lstm", steps=1), direction="both", values=True).svg


def test_values_show_ranges_of_values_and_gradients():
    loss = load("elman", steps=2)
    drawing = draw(loss, values=True, direction="both")
    h = mg.Graph(loss)["h", 2]
    own = gradients([loss], [h])[h.serial]
    np.testing.assert_allclose(own, mg.grad(loss, h))
    assert summarize(h.value).range in drawing.svg
    assert summarize(own).range in drawing.svg
    strip = summarize(h.value).colors
    assert all(color in drawing.svg for color in strip)


def test_summaries_of_odd_arrays():
    assert summarize(np.zeros((0, 3))).range == "empty"
    assert summarize(2.0).range == "2"
    assert summarize([np.nan, 1.0]).colors[0] == "#808080"
    assert len(summarize(np.arange(1000.0)).strip) == 12
    assert summarize(np.arange(24.0)).strip[0] == 0.5  # averages over stretches of two


@pytest.mark.parametrize("network", [lambda n: load("lstm", steps=n), gru])
def test_long_sequences_fold_whole_steps(network):
    drawing = draw(network(15))
    folds = [s for s in drawing.diagram.symbols if s.kind == FOLD]
    assert folds and all(s.text == "… ×12" for s in folds)
    assert {s.step for s in drawing.diagram.symbols if s.step} == {1, 2, 15}
    assert not any(s.kind == FOLD for s in draw(network(10)).diagram.symbols)
    assert not any(s.kind == FOLD for s in draw(network(15), fold="never").diagram.symbols)
    assert {s.step for s in draw(network(15), fold="step").diagram.symbols} <= {1, 2}


def test_steps_that_differ_are_not_folded():
    h = mg.constant(np.ones((2, 1)), name="h", step=0)
    W = mg.parameter(np.eye(2), name="W")
    for t in range(1, 16):
        with mg.step(t):
            h = (mg.sigmoid if t == 7 else mg.tanh)(W @ h).named("h")
    drawing = draw(mg.sum(h))
    assert not any(s.kind == FOLD for s in drawing.diagram.symbols)


def test_a_penalty_on_the_parameters_is_drawn():
    W = mg.parameter(np.eye(2), name="W")
    with mg.step(1):
        y = (W @ mg.constant(np.ones((2, 1)), name="x")).named("y")
        loss = mg.squared_error(y, np.zeros((2, 1))) + mg.sum(W * W)
    drawn = draw(loss).diagram
    assert sum("W" in s.text for s in drawn.symbols) >= 2


_EVIL = [
    "<script>alert(1)</script>", 'a"b', "a'b", "a\\b\\n\\N", "a\nb", "node", "digraph", "strict", "<b>x</b>",
    "&amp;", "שלום", "\u202eevil", "a]b", "(f)", "{W}", "x" * 10_000, "a\x00b", "🎉", "\ud800", " ", "]]>",
    "%s{{x}}", "#", "… ×3", "//", "[", "a|b", "中文",
]  # fmt: skip


@pytest.mark.parametrize("dot", ["", pytest.param("dot", marks=needs_dot)])
@pytest.mark.parametrize("name", _EVIL, ids=range(len(_EVIL)))
def test_hostile_names_come_out_as_text_in_every_format(name, dot, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGRAD_DOT", dot)
    x = mg.constant(np.ones((2, 1)), name=name, step=1)
    W = mg.parameter(np.eye(2), name=name)
    with mg.step(1):
        y = mg.tanh(W @ x + mg.parameter(np.ones((2, 1)), name=name)).named(name)
    for values in (False, True):
        drawing = draw(y, values=values, direction="both", title=name)
        plain = draw(y).text
        root = ET.fromstring(drawing.svg)  # well-formed
        assert not [e for e in root.iter() if e.tag.endswith(("script", "}b", "image"))]
        assert len(_groups(drawing.svg, "symbol")) == 4
    compact = ET.fromstring(draw(y, view="compact", title=name).svg)
    assert not [e for e in compact.iter() if e.tag.endswith(("script", "}b", "image"))]
    assert len(plain.splitlines()) == 1
    from visualize import parse

    assert len(parse(plain).symbols) == 4
    for form in ("svg", "dot", "txt", *(("png", "pdf") if dot else ())):
        assert draw(y, tmp_path / f"picture.{form}").save(tmp_path / f"picture.{form}").stat().st_size > 0


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=30))
def test_any_name_gives_a_well_formed_picture(name):
    x = mg.constant(np.ones((2, 1)), name=name, step=1)
    with mg.step(1):
        y = mg.tanh(x).named(name)
    drawing = draw(y)
    ET.fromstring(drawing.svg)
    assert len(_groups(drawing.svg, "symbol")) == 3


@needs_dot
def test_every_format_by_the_files_ending(tmp_path):
    drawing = draw(load("elman", steps=2))
    beginnings = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"// drawn", "txt": b" "}
    for form, beginning in beginnings.items():
        path = drawing.save(tmp_path / f"elman.{form}")
        assert path.read_bytes().startswith(beginning)
        drawing.save(path)  # it may be written again
    with pytest.raises(DrawingError, match=r"\.svg, \.png, \.pdf, \.dot or \.txt"):
        drawing.save(tmp_path / "elman.jpeg")


def test_without_dot_png_says_what_to_install(monkeypatch):
    monkeypatch.setenv("MINIGRAD_DOT", "")
    with pytest.raises(RendererError, match="apt install graphviz"):
        render("digraph { a }", "png")


def test_a_file_of_someone_else_is_left_alone(tmp_path):
    path = tmp_path / "mine.svg"
    path.write_text("<svg/>")
    with pytest.raises(WouldOverwriteError, match="was not written by minigrad"):
        draw(load("elman", steps=1), path)
    assert path.read_text() == "<svg/>"
    draw(load("elman", steps=1), path, overwrite=True)
    assert path.stat().st_size > 1000
    with pytest.raises(FileNotFoundError):
        draw(load("elman", steps=1), tmp_path / "no" / "such.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.svg"]  # nothing half written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "x"}, "view is"),
        ({"direction": "up"}, "direction is"),
        ({"fold": "no"}, "fold is"),
    ],
)
def test_an_unknown_option_says_what_there_is(options, message):
    with pytest.raises(DrawingError, match=message):
        draw(load("elman", steps=1), **options)
    with pytest.raises(DrawingError, match="a node or a list of nodes"):
        draw([3])  # type: ignore[list-item]


def test_ten_thousand_nodes_offer_to_fold():
    loss = load("lstm", steps=400)
    with pytest.raises(DrawingError, match="fold='auto'"):
        draw(loss, view="primitive", fold="never").svg
    folded = draw(loss, view="primitive")
    assert len(folded.diagram.symbols) < 300
    assert "… ×397" in folded.svg


@pytest.mark.parametrize("name", ["elman", "lstm", "lstm-many-to-one"])
def test_characters_show_gradients_in_the_places_of_the_values(name):
    loss = load(name, steps=2)
    forward, backward, both = (
        draw(loss, direction=direction).text for direction in ("forward", "backward", "both")
    )
    assert "[dh]" in backward and "[h]" not in backward and "{dWhy}" in backward
    assert "[dp]" not in backward  # no gradient flows through the probabilities
    assert both == f"{forward}\n\n{backward}"
    # The same symbols and wires, under other names; and all of it reads back.
    shapes = [
        sorted((s.kind, len(d.inputs(s.id)), len(d.outputs(s.id))) for s in d.symbols)
        for d in (parse(forward), parse(backward))
    ]
    assert shapes[0] == shapes[1]
    assert len(parse(both).symbols) == 2 * len(shapes[0])


def test_characters_have_no_room_for_numbers():
    with pytest.raises(DrawingError, match="SVG"):
        _ = draw(load("elman", steps=1), values=True).text


def test_the_recorded_gradient_is_a_graph_like_any_other():
    loss = load("elman", steps=2)
    gradient = mg.grad(loss, mg.Graph(loss)["Whh"], create_graph=True)
    drawing = draw(gradient, fold="never")
    assert {"dh", "dh_pre", "dWhh"} <= {s.text for s in drawing.diagram.symbols}
    from visualize import parse

    assert parse(drawing.text).symbols
    ET.fromstring(drawing.svg)


def test_a_drawing_shows_itself_in_a_notebook():
    drawing = draw(load("elman", steps=1))
    assert drawing._repr_svg_() == drawing.svg
    assert set(drawing._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}


# -- the command line --------------------------------------------------------------------------------


def _minigrad(*arguments: str, cwd=None) -> subprocess.CompletedProcess[str]:
    program = "from minigrad.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_draw_run_and_draw_again(tmp_path):
    shown = _minigrad("draw", "lstm", "--steps", "2", cwd=tmp_path)
    assert shown.returncode == 0 and "(sig+bf) (sig+bi)" in shown.stdout
    assert _minigrad("draw", "lstm", "--steps", "2", "-o", "lstm.txt", cwd=tmp_path).returncode == 0
    ran = _minigrad("run", "lstm.txt", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "L = " in ran.stdout and "Wf" in ran.stdout
    again = _minigrad("draw", "lstm.txt", cwd=tmp_path)
    assert again.stdout.rstrip() == shown.stdout.rstrip()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "bad.txt"), "bad.txt: line 2, column 1"),
        (("run", "none.txt"), "none.txt: No such file"),
        (("draw", "elman", "-o", "mine.svg"), "was not written by minigrad"),
        (("draw", "elmann"), "did you mean elman"),
        (("report", "elman", "-o", "mine.svg"), "was not written by minigrad"),
        (("report", "elman", "--derivation", "binary.txt"), "binary.txt: not a text in UTF-8"),
        (("draw", "elman", "-o", "no/such.svg"), "no/such.svg: there is no folder no"),
        (("draw", "elman", "--view", "compact", "-o", "a.png"), "a.png: the compact view"),
        (("draw", "elman", "--values"), "write an SVG"),
    ],
)
def test_mistakes_are_one_message_and_status_2(tmp_path, arguments, message):
    (tmp_path / "bad.txt").write_text("[x]-{W}-[y]\n)")
    (tmp_path / "mine.svg").write_text("mine")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    done = _minigrad(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "mine.svg").read_text() == "mine"

"""Reading: both dialects, every spelling, and whatever else may be in a file."""

from __future__ import annotations

import builtins
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.derivation import reader
from minigrad.derivation.reader import NotationError, decode, parse, read, read_file
from minigrad.derivation.syntax import Derivative, Equation, Name, Step, render, walk


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dWhh+=dh_pre*h[n-1]^T", "dWhh += dh_pre * h[t-1]^T"),
        ("dWhh += dh_pre · h_{t-1}ᵀ", "dWhh += dh_pre ⋅ h[t-1]^T"),
        ("dWhh += dh_pre @ hₜ₋₁.T", "dWhh += dh_pre @ h[t-1]^T"),
        ("dh_pre = (1 − h**2) ∘ dh", "dh_pre = (1 - h²) ⊙ dh"),
        ("dh_pre = (1 - h^2)dh", "dh_pre = (1 - h²)dh"),
        ("∂L/∂Whh = ∂L/∂h2 ⋅ ∂h2/∂Whh", "dL/dWhh = dL/dh2 ⋅ dh2/dWhh"),
        ("dL / dWhh (t=2) = dL/dh[2]", "dL/dWhh (t = 2) = dL/dh[2]"),
        ("dL/dWhh = Σ_{t=1}^{T} dL/dht ⋅ ht-1ᵀ", "dL/dWhh = sum t from 1 to T dL/dht ⋅ h[t-1]^T"),
        ("dL/dWhh = ∑_t dL/dh[t]", "dL/dWhh = sum t from 1 to T dL/dh[t]"),
        ("f(x)' = 2x", "f(x)' = 2x"),
        ("f(2)' = 2(2) = 4", "f(2)' = 2(2) = 4"),
        ("dh = dz[:?]", "dh = dz[:?]"),
        ("dh = dz[0:4, :]", "dh = dz[0:4, :]"),
        ("z = vstack({h_0, transpose(x_1)})", "z = vstack({h_0, transpose(x_1)})"),
        ("a = sum(x, axis=0, keepdims=True) / -2", "a = sum(x, axis=0, keepdims=True) / -2"),
        ("dx := W^T * dy", "dx = W^T * dy"),
        ("dL/dh = dL/dz[:4]", "dL/dh = dL/dz[:4]"),
        ("y = `a b`[t-1] + `where`", "y = `a b`[t-1] + `where`"),
    ],
)
def test_spellings(typed, meant):
    assert render(parse(typed)) == meant


def test_a_square_is_not_another_variable():
    """Python's `\\w` matches ², and NFKC turns h² into h2."""
    squared = parse("a = h² * x³")
    names = [p.text for p in walk(squared.sides[1]) if isinstance(p, Name)]
    assert names == ["h", "x"]


def test_lines_that_continue():
    text = read(
        "dL/dy_2 * dy_2/dh_1 +\ndL/dy_2 * dy_2/dh_1\n= dL/dh_1\n\ndz = Wf^T * dfg +\n     Wi^T * dig\ndh = dz"
    )
    assert [(line.number, line.last) for line in text.equations] == [(1, 3), (5, 6), (7, 7)]


def test_clauses_openings_and_endings():
    text = read(
        "Thus, dL/dWhh = dL/dh2 ⋅ dh2/dWhh where dh2/dWhh = K;\n"
        "tensor f_1 = sigmoid(z_f_1);  # a gate\n1. do = p - y"
    )
    assert [render(line.equation) for line in text.equations] == [
        "dL/dWhh = dL/dh2 ⋅ dh2/dWhh", "dh2/dWhh = K", "f_1 = sigmoid(z_f_1)", "do = p - y",
    ]  # fmt: skip
    assert [line.thus for line in text.equations] == [True, False, False, False]


def test_headings_models_and_names():
    text = read(
        "# model: lstm-many-to-one, 2 steps\nwhere f is fg, i is ig\n"
        "T = 2\ndo = p - y\nt = T..1\ndh = dz\nT = 1\ndc = c"
    )
    assert (text.model, text.steps, text.aliases) == ("lstm-many-to-one", 2, {"f": "fg", "i": "ig"})
    assert [line.section for line in text.equations] == ["2", None, "1"]


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("dh = Why^T * (do + dh", 21, "ends where a value"),
        ("dh = Why^T ** * do", 14, "does not fit here"),
        ("dh = Why^T $ do", 11, "has no meaning"),
        ("dh = do[banana]", 5, "time step"),
    ],
)
def test_where_reading_stops(line, column, words):
    with pytest.raises(NotationError, match=words) as caught:
        parse(line)
    assert caught.value.column == column


def test_nothing_is_dropped_in_silence():
    """A line that looks like an equation and is none is reported, not passed over as prose."""
    for broken in ("dh = Why^T * (do + dh", "do = p - ", "dWhy += * h^T", "dh = $x", "dh == do"):
        (line,) = read(broken + "\n\nProse follows here.").equations
        assert line.kind == "not-understood" and line.reason


# -- adversaries -------------------------------------------------------------------------------------

HOSTILE = [
    "(" * 5000 + "x" + ")" * 5000,
    "x = " + "(" * 900 + "x" + ")" * 900,
    "x = " + "-" * 3000 + "1",
    "x = h" + "^T" * 1900,
    "x = h" + "'" * 3000,
    "x = " + "^".join(["9"] * 1500),
    "x = 9^9^9^9^9^9^9",
    "x = h" + "[" * 1500,
    "x = " + "f(" * 700 + "1" + ")" * 700,
    "x = " + "+".join(["h"] * 1900),
    "dL/dW = sum t from 1 to 999999999 h[t]",
    "x = __import__('os').system('true')",
    "x = open('/etc/passwd')",
    "x = eval(h)",
    "x = h.__class__",
    "a = \u202eabc\u202c + \u200b1",
    "h\u0302 = 1 \u0338= 2",
    "\ufeffdo = p - y",
    "x = " + "9" * 3000,
    "x = 1e999999",
    "x = h²²²²²²²²²²²²²²²²²²",
    "=" * 4000,
    "=" * 40 + "a",
    "where " * 600,
    "a where " * 500 + "= 1",
    "x = h[t-99999999999999999999]",
    "x = h_{" + "t" * 19 + "}",
    "d = d/d/d/d/d = d",
    "dd/dd = dd",
    "x = ``",
    "x = {" * 1000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_end_well(text, monkeypatch):
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("code was evaluated")

    from .common import checked

    checked("do = p - x\ndh = tanh(q)\nq = f(h)\nf(x) = x\ndh = dz[:?]")  # imports are done before
    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr(os, "system", forbidden)
    start = time.perf_counter()
    if read(text).equations:
        report = checked(text, "elman")
        assert all(f.verdict != "right" for f in report.lines)
    assert time.perf_counter() - start < 20


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read(text):
    for line in read(text).lines:
        assert line.kind in ("equation", "not-understood", "skipped")


SCRAPS = [
    "do",
    "p",
    "dh",
    "h",
    "y",
    "Whh",
    "dL/dh2",
    "(",
    ")",
    "[",
    "]",
    "t-1",
    ":?",
    "^T",
    "²",
    "'",
    "+",
    "-",
    "*",
    "/",
    "⋅",
    "1",
    "2",
    "tanh(",
    "concat({",
    "}",
    ",",
    "`x`",
]
SCRAPS += [" = ", " += ", " where ", "sum t from 1 to 2 ", " (t = 1)", "\n", " "]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SCRAPS), max_size=14))
def test_scraps_of_notation_are_judged_without_a_crash(scraps):
    from .common import checked

    text = "".join(scraps)
    if read(text).equations:
        report = checked(text, "elman", repairs=False)
        report.to_dict()
        assert str(report)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_decoded(data):
    read(decode(data))


def test_every_unicode_category():
    import sys
    import unicodedata

    kinds = {}
    for code in range(sys.maxunicode):
        kinds.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    for characters in kinds.values():
        for character in characters[:2] + characters[-2:]:
            read(f"d{character}h = p {character} y\n{character} = 1\nx = {character}")


def test_encodings(tmp_path):
    text = "dh_pre = (1 - h²) * dh\n"
    for name, data in {
        "utf8": text.encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf16": text.encode("utf-16"),
        "latin": text.encode("latin-1"),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        (line,) = read(read_file(path)).equations
        assert render(line.equation) == text.strip(), name


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(NotationError, match="binary"):
        read_file(path)


def test_ten_megabytes(tmp_path):
    prose = (
        "It was the best of times, it was the worst of times, a = b they said" + ", and so on" * 12 + ".\n"
    )
    prose *= 10_000_000 // len(prose)
    wall = "x" * 10_000_000
    equations = "do = p - y\n" * 1000
    start = time.perf_counter()
    assert len(read(prose + equations).equations) == 1000
    read(wall)
    read("=" * 10_000_000)
    assert time.perf_counter() - start < 60
    with pytest.raises(NotationError, match="this is no derivation"):
        read("do = p - y\n" * (reader.MAX_LINES + 1))


# -- what is written is read again -------------------------------------------------------------------

NAMES = st.sampled_from(["h", "x", "Whh", "og_pre", "c_hat", "o"]).map(Name)
STEPPED = st.builds(
    Name, st.sampled_from(["h", "c"]), st.builds(Step, st.just("t"), st.sampled_from([-1, 1]))
)


def trees():
    from minigrad.derivation.syntax import Call, Negative, Number, Power, Product, Sum, Transpose

    atoms = NAMES | STEPPED | st.integers(0, 9).map(lambda n: Number(float(n)))

    def grow(inner):
        pair = st.tuples(inner, inner)
        return (
            pair.flatmap(lambda p: st.tuples(st.just(1), st.sampled_from([1, -1])).map(lambda s: Sum(p, s)))
            | pair.flatmap(lambda p: st.sampled_from("*⋅@/").map(lambda o: Product(p, (o,))))
            | inner.map(Transpose)
            | inner.map(Negative)
            | inner.map(lambda x: Power(x, Number(2.0)))
            | inner.map(lambda x: Call("tanh", (x,)))
        )

    return st.recursive(atoms, grow, max_leaves=10)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_what_is_rendered_reads_back_as_the_same(tree):
    equation = Equation((Name("y"), tree), ("=",))
    again = parse(render(equation))
    assert render(again) == render(equation)
    assert parse(render(again)) == again


def test_a_derivative_reads_back():
    equation = parse("dL/dWhh (t = 2) = dL/dh2 ⋅ dh2/dWhh")
    assert isinstance(equation.sides[0], Derivative)
    assert parse(render(equation)) == equation

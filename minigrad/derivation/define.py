"""Lines that give a name to a value which the model does not call so.

``z2 = matmul(Wxh, x2) + ...`` comes to the same as a node of the graph: from there on `z2` is that node, and
``dL/dz2`` has a true value.  ``q = dh * og`` comes to the same as a gradient: it is right, under another
name.  What matches nothing is kept as the text's own value, and is tested where it is used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from .context import Truth
from .evaluate import STRICT, Array, EvaluationError, NotAtThisStep, Reading, Value, evaluate
from .goals import ACCEPTED
from .reader import Line
from .syntax import Expression

if TYPE_CHECKING:
    from .judge import Finding, Judge, Target

Values = dict[tuple[int, "int | None"], Value]


def define(
    judge: Judge,
    index: int,
    line: Line,
    target: Target,
    sides: list[Expression],
    general: bool,
    finding: Finding,
) -> None:
    """Judge a definition, and bind its name."""
    name = target.base
    assert line.equation is not None
    base, step = _base_and_step(judge, name, general)
    if step is not None and _counterpart(judge, base, step):
        judge._judge(index, line, line.equation, finding)  # now a value that the model has
        return
    adding = line.equation.operators[0] != "="
    points = judge.points(line, index, general)
    unknown = judge.unknown_functions(sides[-1])
    error: EvaluationError | None = None
    chosen: tuple[Values, Reading, str, dict[int | None, int] | None] | None = None
    for functions in judge.bindings(unknown):
        judge.facts.functions.update(functions)
        for reading in (STRICT, Reading(inputs_as_rows=True)):
            try:
                values = _values(points, sides[-1], reading, step)
            except EvaluationError as failed:
                error = error or failed
                continue
            kind, match = "", None
            if not adding:
                kind, match = _match(judge, values, name)
            if chosen is None or (match is not None and chosen[3] is None):
                chosen = (values, reading, kind, match)
        if chosen is not None and chosen[3] is not None:
            break
        for function in functions:
            judge.facts.functions.pop(function, None)
    if chosen is None:
        assert error is not None
        raise error
    values, reading, kind, match = chosen
    for side in sides[1:-1]:
        _same(points, side, values, step)
    for function in unknown:
        if function in judge.facts.functions:
            finding.notes.append(f"with {function} = {judge.facts.functions[function]}, as in this model")
            if judge.facts.functions[function] == "identity":
                judge.identities[base] = function
    finding.used = reading
    finding.reading = reading.describe()
    finding.meaning = "own"
    if match is not None and kind == "value":
        for t, place in match.items():
            judge.vocabulary.bind(base, t, place)
        finding.verdict = "right-as" if finding.reading else "right"
        finding.exact = finding.equation if finding.reading else ""
        finding.matched, finding.error = _called(judge, match, ""), 0.0
        finding.nodes = [judge.worlds[0].nodes[i].label for i in match.values()]
        return
    _keep(judge, base if not general else name, index, values, adding, sides[-1])
    if match is not None:
        finding.verdict = "right-as" if finding.reading else "right"
        finding.matched, finding.error = _called(judge, match, "gradient of "), 0.0
        if name.startswith("d"):
            for t, place in match.items():
                judge.vocabulary.bind(base[1:], t, place)
        return
    finding.verdict = "not-tested"
    finding.reason = f"`{name}` is no value of the model; it is tested where it is used"


def _base_and_step(judge: Judge, name: str, general: bool) -> tuple[str, int | None]:
    """Take ``z2`` for z at step 2 where the model has a step 2."""
    split = re.fullmatch(r"(.+?)_?(\d{1,9})", name)
    if not general and split and int(split[2]) in (*judge.worlds[0].steps, judge.worlds[0].first - 1):
        return split[1], int(split[2])
    return name, None


def _counterpart(judge: Judge, base: str, step: int) -> bool:
    """Bind ``z2`` to the node of step 2 that corresponds to what `z1` was found to be."""
    bound = judge.vocabulary.bound.get(base)
    if not bound or step in bound:
        return False
    world = judge.worlds[0]
    t, place = next(iter(bound.items()))
    node = world.nodes[place]
    here = [
        i
        for i, n in enumerate(world.nodes)
        if n.step == step and n.primitive is node.primitive and n.shape == node.shape
    ]
    there = [
        i
        for i, n in enumerate(world.nodes)
        if n.step == t and n.primitive is node.primitive and n.shape == node.shape
    ]
    if len(here) != len(there):
        return False
    judge.vocabulary.bind(base, step, here[there.index(place)])
    return True


def _values(points: list[Truth], side: Expression, reading: Reading, step: int | None) -> Values:
    values: Values = {}
    missing: EvaluationError | None = None
    for point in points:
        try:
            value = evaluate(side, point, reading)
        except NotAtThisStep as error:
            missing = error
            continue
        except EvaluationError as error:
            if error.kind == "columns":
                continue
            raise
        values[point.index, point.t if step is None else step] = value
    if not values:
        raise missing or EvaluationError("undefined", "this has no value anywhere", side.span)
    return values


def _match(judge: Judge, values: Values, name: str) -> tuple[str, dict[int | None, int] | None]:
    """Find the nodes, one for each step, that have these values, or gradients, in every world."""
    steps = list(dict.fromkeys(t for _, t in values))
    order = ("total", "value") if name.startswith("d") else ("value", "total")
    for kind in order:
        found: dict[int | None, int] = {}
        for t in steps:
            here = {k: v.array for (k, s), v in values.items() if s == t}
            place = _place(judge, here, kind, t)
            if place is None:
                break
            found[t] = place
        else:
            return kind, found
    return "", None


def _place(judge: Judge, here: dict[int, Array], kind: str, t: int | None) -> int | None:
    """Return the node whose value, or gradient, is nearest to the values, if equal up to rounding."""
    first = min(here)
    best, nearest, named = None, 1e-12, False
    for i, node in enumerate(judge.worlds[first].nodes):
        if node.shape != here[first].shape or (t is not None and node.step is not None and node.step != t):
            continue
        if kind == "total" and i not in judge.worlds[first].gradients:
            continue
        off = 0.0
        for k, value in here.items():
            truth = judge.worlds[k].value(i) if kind == "value" else judge.worlds[k].total(i)
            off = max(off, _distance(value, truth))
            if off > nearest:
                break
        better = off < nearest - 1e-14 or (off <= nearest and node.name is not None and not named)
        if better or (best is None and off < nearest):
            best, nearest, named = i, off, node.name is not None
    return best


def _distance(a: Array, b: Array) -> float:
    if a.shape != b.shape or not a.size or b.dtype.kind not in "fiu":
        return np.inf
    size = float(np.max(np.abs(b)))
    return float(np.max(np.abs(a - b))) / size if size > 0 else np.inf


def _close(a: Array, b: Array) -> bool:
    if a.shape != b.shape or not a.size:
        return False
    size = float(np.max(np.abs(b)))
    return size > 0 and float(np.max(np.abs(a - b))) <= ACCEPTED * size


def _same(points: list[Truth], side: Expression, values: Values, step: int | None) -> None:
    for key, value in _values(points, side, STRICT, step).items():
        if key in values and not _close(value.array, values[key].array):
            raise EvaluationError("wrong", "the sides of this definition differ", side.span)


def _called(judge: Judge, match: dict[int | None, int], prefix: str) -> str:
    place = next(iter(match.values()))
    node = judge.worlds[0].nodes[place]
    called = node.name if node.name is not None else f"an unnamed value ({node.label})"
    if prefix and node.name is not None:
        return f"the same as d{node.name}"
    return f"{prefix}{called}" if prefix else f"value of {called}"


def _keep(judge: Judge, name: str, index: int, values: Values, adding: bool, side: Expression) -> None:
    facts = judge.facts
    for (k, t), value in values.items():
        before = facts.own.get((k, name, t)) if adding else None
        if before is not None and before.array.shape != value.array.shape:
            was, found = (" x ".join(map(str, x.array.shape)) for x in (before, value))
            raise EvaluationError("shape", f"`{name}` is {was} so far, and {found} is added to it", side.span)
    judge.vocabulary.define(name)
    if any(t is not None for _, t in values):
        judge.vocabulary.own_general.add(name)
    for (k, t), value in values.items():
        before = facts.own.get((k, name, t)) if adding else None
        facts.own[k, name, t] = value if before is None else Value(before.array + value.array)
    facts.own_line[name] = index

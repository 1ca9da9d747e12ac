"""How good the checker is, measured: systematic slips in right derivations, and harmless rewritings.

    python -m minigrad.derivation.study            the whole study, as a table
    python -m minigrad.derivation.study --quick    a tenth of it

A slip is one change of one line of a derivation that is right: an operator, a factor, a term, a transpose,
a sign, an index, a name, a power, brackets, a bound, `+=`.  Whether it changes values is decided apart
from the checker, by evaluating both lines on the true values of their names.  Counted is how many
value-changing slips come back as right (none may), how many value-keeping rewritings come back as anything
else (none may), how many slips get a repair that has been checked, and how often the first repair is the
line as it was.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minigrad.node import Node

from .checker import check
from .evaluate import STRICT, EvaluationError, evaluate
from .judge import Judge
from .reader import Line, Text, parse_line, read
from .repair import canonical_text
from .syntax import (
    Call,
    Derivative,
    Equation,
    Expression,
    Name,
    Negative,
    Number,
    Power,
    Product,
    Slice,
    Step,
    Sum,
    Transpose,
    children,
    render,
    with_children,
)
from .truth import World, redrawn, worlds_of


@dataclass
class Mutant:
    """A line after one slip, or after a rewriting; `kind` says which."""

    line: int
    kind: str
    equation: Equation
    text: Text


@dataclass
class Count:
    """What came of the mutants of one derivation."""

    slips: int = 0
    harmless: int = 0  # slips that change no value
    accepted: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    caught: int = 0
    repaired: int = 0
    first: int = 0
    among: int = 0
    unrepaired: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)  # repaired, but the first is another line
    rewritings: int = 0
    rejected: list[str] = field(default_factory=list)
    loosely: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def __add__(self, other: Count) -> Count:
        total = Count()
        for name, value in vars(self).items():
            theirs = getattr(other, name)
            setattr(total, name, max(value, theirs) if name == "slowest" else value + theirs)
        return total


# -- slips -------------------------------------------------------------------------------------------


def slips(
    tree: Expression, names: dict[str, list[str]], stepped: frozenset[str]
) -> Iterator[tuple[str, Expression]]:
    """Yield what one slip can make of a side.

    `names` gives for each name others of the same shape, `stepped`
    are the names that may carry an index counted from t.
    """
    yield from _slips_here(tree, names, stepped)
    if isinstance(tree, Derivative):
        return
    parts = children(tree)
    for i, part in enumerate(parts):
        for kind, changed in slips(part, names, stepped):
            yield kind, with_children(tree, (*parts[:i], changed, *parts[i + 1 :]))


def _slips_here(
    tree: Expression, names: dict[str, list[str]], stepped: frozenset[str]
) -> Iterator[tuple[str, Expression]]:
    match tree:
        case Name():
            for other in names.get(tree.text, [])[:3]:
                yield "another name", replace(tree, text=other)
            yield "transpose added", Transpose(tree)
            digit = re.fullmatch(r"(.*\D)(\d)", tree.text)
            if digit and digit[1] in stepped:
                for k in (int(digit[2]) - 1, int(digit[2]) + 1):
                    yield "index", replace(tree, text=f"{digit[1]}{max(k, 0)}")
            for offset in (-1, 1) if tree.text in stepped else ():
                base = tree.step.offset if tree.step is not None and tree.step.base == "t" else 0
                if tree.step is None or tree.step.base == "t":
                    step = Step("t", base + offset) if base + offset else None
                    yield "index", replace(tree, step=step)
            if len(tree.text) > 3:
                yield "misspelt", replace(tree, text=tree.text[:2] + tree.text[3:])
        case Derivative():
            text = tree.wrt.text
            if text[-1:].isdigit():
                yield "index", replace(tree, wrt=replace(tree.wrt, text=f"{text[:-1]}{int(text[-1]) + 1}"))
            if tree.of.text != "L" and tree.of.text[-1:].isdigit():
                k = int(tree.of.text[-1])
                yield "index", replace(tree, of=replace(tree.of, text=f"{tree.of.text[:-1]}{k - 1}"))
        case Transpose():
            yield "transpose lost", tree.operand
        case Call(function="transpose"):
            yield "transpose lost", tree.arguments[0]
        case Power():
            yield "power lost", tree.base
            yield "another power", replace(tree, exponent=Number(3))
        case Call(function="squared"):
            yield "power lost", tree.arguments[0]
        case Call(function="tanh"):
            yield "function lost", tree.arguments[0]
            yield "another function", replace(tree, function="sigmoid")
        case Number(value=1):
            yield "another number", Number(2)
        case Slice() if len(tree.bounds) == 1:
            start, stop = tree.bounds[0]
            yield "the other slice", replace(tree, bounds=((stop, start),))
            yield "slice lost", tree.operand
        case Sum():
            yield from _sum_slips(tree)
        case Product():
            yield from _product_slips(tree)


def _sum_slips(tree: Sum) -> Iterator[tuple[str, Expression]]:
    for i in range(len(tree.terms)):
        signs = [*tree.signs]
        signs[i] = -signs[i]
        yield "sign", replace(tree, signs=tuple(signs))
        terms = tree.terms[:i] + tree.terms[i + 1 :]
        left = tree.signs[:i] + tree.signs[i + 1 :]
        rest: Expression = Sum(terms, left) if len(terms) > 1 else terms[0]
        yield "term lost", rest if len(terms) > 1 or left[0] > 0 else Negative(rest)
    if len(tree.terms) == 2 and tree.signs[1] > 0:
        yield "operator", Product(tree.terms, ("*",))
    yield "term doubled", Sum((*tree.terms, tree.terms[-1]), (*tree.signs, tree.signs[-1]))


def _product_slips(tree: Product) -> Iterator[tuple[str, Expression]]:
    for i, factor in enumerate(tree.factors):
        factors = tree.factors[:i] + tree.factors[i + 1 :]
        operators = tree.operators[1:] if i == 0 else tree.operators[: i - 1] + tree.operators[i:]
        yield "factor lost", factors[0] if len(factors) == 1 else Product(factors, operators)
        if isinstance(factor, Sum):
            yield "brackets lost", _without_brackets(tree, i)
    for i in range(len(tree.operators)):
        left = _joined(tree.factors[: i + 1], tree.operators[:i])
        right = _joined(tree.factors[i + 1 :], tree.operators[i + 1 :])
        yield "operator", Sum((left, right), (1, 1))
        swapped = [*tree.factors]
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        yield "factors swapped", replace(tree, factors=tuple(swapped))
    doubled = (*tree.factors, tree.factors[-1])
    yield "factor doubled", Product(doubled, (*tree.operators, tree.operators[-1]))


def _joined(factors: tuple[Expression, ...], operators: tuple[str, ...]) -> Expression:
    return factors[0] if len(factors) == 1 else Product(factors, operators)


def _without_brackets(tree: Product, i: int) -> Expression:
    """Write ``a * (1 - b) * c`` without its brackets: ``a * 1 - b * c``."""
    inner = tree.factors[i]
    assert isinstance(inner, Sum)
    first = _joined((*tree.factors[:i], inner.terms[0]), tree.operators[:i])
    last = _joined((inner.terms[-1], *tree.factors[i + 1 :]), tree.operators[i:])
    return Sum((first, *inner.terms[1:-1], last), inner.signs)


# -- rewritings --------------------------------------------------------------------------------------


def rewritings(tree: Expression) -> Iterator[tuple[str, Expression]]:
    """Yield other ways to write a side that come to the same."""
    if isinstance(tree, Product):
        for i in range(len(tree.operators)):
            swapped = [*tree.factors]
            swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
            yield "commuted", replace(tree, factors=tuple(swapped))
        for i, factor in enumerate(tree.factors):
            if isinstance(factor, Sum) and set(tree.operators) <= {"*", "⋅"}:
                terms = tuple(
                    Product((*tree.factors[:i], term, *tree.factors[i + 1 :]), tree.operators)
                    for term in factor.terms
                )
                yield "distributed", Sum(terms, factor.signs)
        if len(tree.factors) == 2:
            yield (
                "transpose of the product",
                Transpose(Product((Transpose(tree.factors[1]), Transpose(tree.factors[0])), tree.operators)),
            )
        if len(tree.factors) > 2:
            yield (
                "bracketed",
                Product((tree.factors[0], Product(tree.factors[1:], tree.operators[1:])), tree.operators[:1]),
            )
    if isinstance(tree, Sum):
        yield "terms reversed", Sum(tree.terms[::-1], tree.signs[::-1])
        yield "negated twice", Negative(Sum(tree.terms, tuple(-s for s in tree.signs)))
    if isinstance(tree, Power) and tree.exponent == Number(2):
        yield "square as product", Product((tree.base, tree.base), ("*",))
    if isinstance(tree, Call) and tree.function == "tanh":
        yield "another spelling", replace(tree, function="hyperbolic_tangent")
    if isinstance(tree, Name):
        yield "transposed twice", Transpose(Transpose(tree))
    if isinstance(tree, Derivative):
        return
    parts = children(tree)
    for i, part in enumerate(parts):
        for kind, changed in rewritings(part):
            yield kind, with_children(tree, (*parts[:i], changed, *parts[i + 1 :]))


# -- the study ---------------------------------------------------------------------------------------


class Study:
    """The mutants of one derivation and what the checker says of them."""

    def __init__(self, source: str, losses: Sequence[Node]) -> None:
        self.losses = [redrawn(losses[0], seed) for seed in (0, 1, 2)] if len(losses) == 1 else list(losses)
        self.text = read(source)
        self.base = check(self.text, self.losses)
        if not self.base.ok:
            raise ValueError(f"the derivation to start from is not right:\n{self.base}")
        self.worlds = worlds_of(self.losses)
        self.judge = Judge(self.text, self.worlds)
        self.judge.judge_all()
        self.names = same_shapes(self.worlds[0])
        steps = self.worlds[0].names
        bases = {n for n in steps if None not in steps[n]} | set(self.judge.vocabulary.bound)
        self.stepped = frozenset(bases | {"d" + n for n in bases})
        self.places = [i for i, line in enumerate(self.text.lines) if line.equation is not None]

    def values(self, index: int, line: Line, tree: Expression) -> list[Any] | None:
        """Evaluate a side on true values, exactly as written; None if it comes to nothing."""
        general = self.judge.is_general(line)
        assert line.equation is not None
        target = self.judge.target(line.equation.sides[0])
        goals = (
            self.judge.goals(target, line, index, general)
            if target.kind in ("gradient", "value", "local")
            else []
        )
        result = []
        for point in self.judge.points(line, index, general):
            try:
                truth = goals[0].truth(point) if goals else None
                goal = truth.shape if truth is not None else ()
                result.append(evaluate(tree, point, STRICT, goal).array)
            except EvaluationError as error:
                if error.kind == "columns":
                    continue
                return None
        return result

    def same(self, index: int, line: Line, a: Expression, b: Expression) -> bool:
        """Whether two sides come to the same wherever the line is tested."""
        left, right = self.values(index, line, a), self.values(index, line, b)
        if left is None or right is None:
            return False
        for x, y in zip(left, right, strict=True):
            if x.ndim == 3 and x.shape[0] == 1:
                x = x[0]
            if y.ndim == 3 and y.shape[0] == 1:
                y = y[0]
            if x.shape != y.shape:
                return False
            size = float(np.max(np.abs(x))) if x.size else 0.0
            if float(np.max(np.abs(x - y), initial=0.0)) > 1e-9 * size:
                return False
        return True

    def _equations(self) -> Iterator[tuple[int, int, Line, Equation]]:
        """Yield the lines ``left = right`` about a value or a derivative: number, place, line, equation."""
        for index, place in enumerate(self.places):
            line = self.text.lines[place]
            equation = line.equation
            assert equation is not None
            if len(equation.sides) == 2 and self.judge.target(equation.sides[0]).kind in (
                "gradient",
                "local",
                "value",
            ):
                yield index, place, line, equation

    def mutants(self) -> Iterator[Mutant]:
        """Yield every slip in every line."""
        for index, place, line, equation in self._equations():
            seen = {render(equation)}
            made: list[tuple[str, Equation]] = [
                (kind, Equation((equation.sides[0], side), equation.operators))
                for kind, side in slips(equation.sides[1], self.names, self.stepped)
            ]
            made.append(
                ("sign", Equation((equation.sides[0], Negative(equation.sides[1])), equation.operators))
            )
            if self.judge.is_general(line) and line.section is None:
                other = "+=" if equation.operators == ("=",) else "="
                made.append(("`=` and `+=`", Equation(equation.sides, (other,))))
            for kind, changed in made:
                written = render(changed)
                if written in seen:
                    continue
                seen.add(written)
                try:
                    reread = parse_line(written)[0]
                except ValueError:
                    continue
                yield Mutant(index, kind, reread, self.with_line(place, reread))

    def with_line(self, place: int, equation: Equation) -> Text:
        """Return the text with one line replaced."""
        lines = [*self.text.lines]
        lines[place] = replace(lines[place], equation=equation, text=render(equation))
        return replace(self.text, lines=lines)

    def run(self, part: float = 1.0, seed: int = 0, progress: bool = False) -> Count:
        """Try all slips and all rewritings, or a random part of them."""
        count = Count()
        chosen = random.Random(seed)
        for mutant in self.mutants():
            if chosen.random() < part:
                self._slip(mutant, count)
                if progress and count.slips % 100 == 0:
                    print(f"  {count.slips} slips", file=sys.stderr)
        for mutant in self.rewritten(lambda: chosen.random() < part):
            self._rewriting(mutant, count)
        return count

    def _slip(self, mutant: Mutant, count: Count) -> None:
        place = self.places[mutant.line]
        original = self.text.lines[place]
        assert original.equation is not None
        count.slips += 1
        count.kinds[mutant.kind] += 1
        operators = original.equation.operators == mutant.equation.operators
        if operators and self.same(
            mutant.line, original, original.equation.sides[1], mutant.equation.sides[1]
        ):
            count.harmless += 1
            self._harmless(mutant, count)
            return
        start = time.perf_counter()
        report = check(mutant.text, self.losses)
        count.slowest = max(count.slowest, time.perf_counter() - start)
        finding = report.lines[mutant.line]
        written = f"{render(mutant.equation)}    [{mutant.kind}; was {render(original.equation)}]"
        if finding.verdict == "right" and report.ok:
            count.accepted.append(written)
            return
        if finding.verdict == "right-as" and report.ok:
            count.loose.append(f"{written} -> {finding.reading}")
            return
        count.caught += 1
        culprit = finding if finding.is_bad else next((f for f in report.lines if f.is_bad), finding)
        wanted = canonical_text(original.equation)
        offered = [canonical_text(s.equation) for s in culprit.suggestions if s.equation is not None]
        if not offered:
            count.unrepaired.append(f"{written} -> {finding.verdict}: {finding.reason}")
            return
        count.repaired += 1
        count.first += offered[0] == wanted
        count.among += wanted in offered
        if offered[0] != wanted:
            count.other.append(f"{written} -> {culprit.suggestions[0].text}")

    def _harmless(self, mutant: Mutant, count: Count) -> None:
        report = check(mutant.text, self.losses, repairs=False)
        count.rewritings += 1
        if not report.ok:
            count.rejected.append(f"{render(mutant.equation)}    [{mutant.kind}]")

    def rewritten(self, wanted: Callable[[], bool] = lambda: True) -> Iterator[Mutant]:
        """Yield the text with one line rewritten, or one intermediate renamed, introduced or inlined.

        `wanted` is asked before each.
        """
        for index, place, line, equation in self._equations():
            seen = {render(equation)}
            for kind, side in rewritings(equation.sides[1]):
                changed = Equation((equation.sides[0], side), equation.operators)
                written = render(changed)
                if written in seen or not wanted() or not self.same(index, line, equation.sides[1], side):
                    continue
                seen.add(written)
                reread = parse_line(written)[0]
                yield Mutant(index, kind, reread, self.with_line(place, reread))
            yield from (m for m in self._restructured(index, place, line, equation) if wanted())

    def _restructured(self, index: int, place: int, line: Line, equation: Equation) -> Iterator[Mutant]:
        left, side = equation.sides
        general = self.judge.is_general(line) and line.section is None
        if general and isinstance(side, Product) and len(side.factors) > 1 and "/" not in side.operators:
            head = side.factors[:-1]
            rest = Equation(
                (left, Product((Name("aux"), side.factors[-1]), side.operators[-1:])), equation.operators
            )
            extra = replace(
                line, equation=Equation((Name("aux"), _joined(head, side.operators[:-1])), ("=",)), text="aux"
            )
            lines = [*self.text.lines]
            lines[place : place + 1] = [extra, replace(line, equation=rest, text=render(rest))]
            yield Mutant(index, "intermediate introduced", rest, replace(self.text, lines=lines))
        target = self.judge.target(left)
        if (
            not general
            or target.kind != "gradient"
            or not isinstance(left, Name)
            or self.judge.carried(target.base)
        ):
            return
        if self.judge.is_parameter(target.base) or equation.operators != ("=",):
            return
        renamed = self._everywhere(left.text, Name("d" + left.text[1:].upper() + "q"), None)
        yield Mutant(index, "renamed", equation, renamed)
        inlined = self._everywhere(left.text, side, place)
        yield Mutant(index, "inlined", equation, inlined)

    def _everywhere(self, name: str, by: Expression, without: int | None) -> Text:
        from .syntax import transform

        def change(part: Expression) -> Expression:
            return by if isinstance(part, Name) and part.text == name and part.step is None else part

        lines = []
        for k, line in enumerate(self.text.lines):
            if k == without:
                continue
            if line.equation is not None:
                sides = tuple(transform(s, change) for s in line.equation.sides)
                changed = Equation(sides, line.equation.operators)
                line = replace(line, equation=changed, text=render(changed))
            lines.append(line)
        return replace(self.text, lines=lines)

    def _rewriting(self, mutant: Mutant, count: Count) -> None:
        count.rewritings += 1
        report = check(mutant.text, self.losses, repairs=False)
        if not report.ok:
            bad = [f"{f.equation}: {f.verdict} {f.reason}" for f in report.lines if f.is_bad]
            count.rejected.append(f"{render(mutant.equation)}    [{mutant.kind}] {bad}")
        elif any(f.verdict == "right-as" for f in report.lines) and not any(
            f.verdict == "right-as" for f in self.base.lines
        ):
            count.loosely.append(f"{render(mutant.equation)}    [{mutant.kind}]")


def same_shapes(world: World) -> dict[str, list[str]]:
    """Return for each value, and each gradient, the names of others of the same shape."""
    shapes: dict[tuple[Any, bool], list[str]] = {}
    for name, places in world.names.items():
        node = world.nodes[next(reversed(places.values()))]
        if node.dtype.kind == "f" and node.ndim:
            shapes.setdefault((node.shape, None in places), []).append(name)
    result: dict[str, list[str]] = {}
    for names in shapes.values():
        for i, name in enumerate(names):
            others = names[i + 1 :] + names[:i]
            result[name] = others
            result["d" + name] = ["d" + other for other in others]
    return result


def report(counts: dict[str, Count]) -> str:
    """Return the results as a table in Markdown."""
    total = Count()
    columns = "derivation, slips, change no value, accepted, right only as, caught, repaired, "
    columns += "first is the original, among those shown, rewritings, rejected"
    rows = [f"| {columns.replace(', ', ' | ')} |", "|" + "---|" * 11]
    for count in counts.values():
        total = total + count
    for name, c in [*counts.items(), ("all", total)]:
        share = [f"{100 * x / max(c.caught, 1):.1f} %" for x in (c.repaired, c.first, c.among)]
        rows.append(
            f"| {name} | {c.slips} | {c.harmless} | {len(c.accepted)} | {len(c.loose)} | {c.caught} | "
            f"{' | '.join(share)} | {c.rewritings} | {len(c.rejected)} |"
        )
    rows.append("")
    rows.append(f"Slowest check with its repairs: {total.slowest:.2f} s.")
    return "\n".join(rows)


def main() -> None:
    """Run the study on the shipped derivations and on what `derive` prints for other networks."""
    from minigrad.cli.derivations import DRAWS, shipped
    from minigrad.cli.model import load

    from .checker import steps_named
    from .writer import write

    parser = argparse.ArgumentParser(description="Measure the derivation checker by systematic slips.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the mutants")
    parser.add_argument("--details", action="store_true", help="list every mutant that fell short")
    options = parser.parse_args()
    sources: dict[str, tuple[str, str]] = {}
    known = shipped()
    for name in ("elman", "lstm", "many-to-one-2", "many-to-one-4"):
        text = known[name].read_text(encoding="utf-8")
        sources[name] = (text, str(read(text).model))
    for name in ("rnn-many-to-many", "lstm-many-to-one", "elman-two-layers"):
        sources[f"{name} (derived)"] = (write(load(name)).text, name)
    counts = {}
    for name, (text, model) in sources.items():
        steps = steps_named(read(text)) or 3
        losses = [load(model, steps=steps, columns=c, seed=s) for c, s in DRAWS]
        started = time.perf_counter()
        counts[name] = Study(text, losses).run(0.1 if options.quick else 1.0)
        seconds = time.perf_counter() - started
        print(f"{name}: {counts[name].slips} slips, {seconds:.0f} s", file=sys.stderr)
    print(report(counts))
    if options.details:
        for name, c in counts.items():
            for what in ("accepted", "rejected", "loose", "unrepaired", "other", "loosely"):
                for item in getattr(c, what):
                    print(f"{name}  {what}: {item}")


if __name__ == "__main__":
    main()

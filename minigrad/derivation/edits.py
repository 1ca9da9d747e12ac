"""All single edits of a tree: what one slip of the pen can have changed, undone.

An edit has a cost: a transpose, a sign or a neighbouring time index is cheap, another name costs more the
less it resembles the one that stands there, a new factor or term costs most.  Nothing here knows which
edit is right; each is tried numerically by `repair`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from .evaluate import loosened
from .syntax import (
    Call,
    Derivative,
    Expression,
    Name,
    Negative,
    Number,
    Open,
    Power,
    Prime,
    Product,
    Slice,
    Span,
    Step,
    Sum,
    TimeSum,
    Transpose,
    children,
    render,
    summed,
    with_children,
)

FUNCTIONS = ("tanh", "sigmoid", "softmax", "exp", "log", "squared")


@dataclass(frozen=True, slots=True)
class Edit:
    """A tree after one edit; `span` is where in the text it was made."""

    tree: Expression
    cost: float
    change: str
    span: Span


Edits: TypeAlias = Iterator[Edit]


@dataclass(frozen=True)
class Pool:
    """The names that may be put in: values and gradients, each with the step it may carry."""

    values: tuple[Name, ...]
    gradients: tuple[Name, ...]
    dialect: str = "program"  # how a gradient is spelled
    used: frozenset[str] = frozenset()  # names that stand somewhere in the text
    extras: tuple[Expression, ...] = ()  # calls that stand somewhere in the text, such as tanh(c) or act(z2)'
    inner: Pool | None = None  # what may stand under a sum over t
    wrt: Name | None = None  # what the left side is the gradient with respect to
    terms: tuple[
        Expression, ...
    ] = ()  # products of a parameter and a value, for equations of the forward pass

    @property
    def names(self) -> tuple[Name, ...]:
        """Return all names that may be put in."""
        return self.gradients + self.values

    def spelled(self, name: Name) -> Expression:
        """Return a gradient in the dialect of the text."""
        if self.dialect == "leibniz" and name in self.gradients:
            return Derivative(Name("L"), Name(name.text[1:], name.step))
        return name


@functools.lru_cache(maxsize=100_000)
def likeness(a: str, b: str) -> float:
    """How alike two names are, from 0 to 1."""
    return difflib.SequenceMatcher(None, a, b).ratio()


def edits(tree: Expression, pool: Pool, top: bool = True) -> Edits:
    """Yield the trees that one edit makes of `tree`."""
    yield from _here(tree, pool, top)
    parts = children(tree)
    if isinstance(tree, Derivative):
        return
    if isinstance(tree, TimeSum) and pool.inner is not None:
        pool = pool.inner
    for i, part in enumerate(parts):
        for edit in edits(part, pool, isinstance(tree, Sum | TimeSum)):
            changed = with_children(tree, (*parts[:i], edit.tree, *parts[i + 1 :]))
            yield replace(edit, tree=_flat(changed))


def _flat(tree: Expression) -> Expression:
    """Merge a product that has become a factor of a product, or a sum a term of a sum."""
    if (
        isinstance(tree, Product)
        and any(isinstance(f, Product) for f in tree.factors)
        and "/" not in tree.operators
    ):
        factors: list[Expression] = []
        operators: list[str] = []
        for i, factor in enumerate(tree.factors):
            if i:
                operators.append(tree.operators[i - 1])
            if isinstance(factor, Product) and i == 0:
                factors += factor.factors
                operators += factor.operators
            else:
                factors.append(factor)
        return Product(tuple(factors), tuple(operators), span=tree.span)
    return tree


def _here(tree: Expression, pool: Pool, top: bool) -> Edits:
    span = tree.span
    match tree:
        case Name():
            yield from _name(tree, pool)
            yield Edit(Transpose(tree), 1.0, "a transpose", span)
            yield Edit(Power(tree, Number(2)), 1.3, "a square", span)
            one_minus = Sum((Number(1), tree), (1, -1))
            yield Edit(one_minus, 1.5, f"1 - {render(tree)}", span)
            for function in FUNCTIONS:
                yield Edit(Call(function, (tree,)), 1.6, f"{function} of it", span)
        case Transpose():
            yield Edit(tree.operand, 0.9, "no transpose", span)
        case Number():
            if tree.value == 1:
                for name in pool.values:
                    for extra in (name, Power(name, Number(2))):
                        slope = Sum((tree, extra), (1, -1))
                        yield Edit(slope, 1.4 - 0.1 * (name.text in pool.used), f"1 - {render(extra)}", span)
            for value in (0.0, 1.0, 2.0, 0.5):
                if value != tree.value:
                    yield Edit(Number(value), 1.3, f"{value:g} for {tree.value:g}", span)
        case Power():
            yield Edit(tree.base, 1.2, "no power", span)
            if isinstance(tree.exponent, Number) and tree.exponent.value != 2:
                yield Edit(replace(tree, exponent=Number(2)), 1.0, "a square", span)
            yield Edit(Sum((Number(1), tree), (1, -1)), 1.4, f"1 - {render(tree)}", span)
        case Call():
            yield from _call(tree)
        case Prime():
            yield Edit(tree.operand, 1.2, "no derivative", span)
        case Derivative():
            yield from _derivative(tree, pool)
        case Negative():
            yield Edit(tree.operand, 1.0, "the sign", span)
            yield Edit(Sum((Number(1), tree.operand), (1, -1)), 1.2, f"1 - {render(tree.operand)}", span)
        case Sum():
            yield from _sum(tree)
            for term in pool.terms:
                yield Edit(
                    summed([*tree.terms, term], [*tree.signs, 1]), 1.8, f"the term {render(term)}", span
                )
        case Product():
            yield from _product(tree)
        case Slice():
            yield from _slice(tree)
    if not isinstance(tree, Number):
        if top and not isinstance(tree, Negative):
            yield Edit(Negative(tree), 1.1, "the sign", span)
        loose = loosened(tree) if top else tree
        if loose != tree:
            yield Edit(loose, 1.0, "grouping", span)
    if top:
        if not isinstance(tree, Name):
            for function in FUNCTIONS:
                yield Edit(Call(function, (tree,)), 1.7, f"{function} of it all", span)
        if isinstance(tree, Name | Derivative):
            for bounds in ((None, Open()), (Open(), None)):
                yield Edit(Slice(tree, (bounds,)), 1.6, "a slice", span)
            for term in pool.terms:
                yield Edit(Sum((tree, term), (1, 1)), 1.8, f"the term {render(term)}", span)
    if isinstance(tree, Product) or top:
        yield from _insert_factor(tree, pool)


def _name(tree: Name, pool: Pool) -> Edits:
    span = tree.span
    steps: list[Step | None] = [None, Step("t", -1), Step("t", 1)]
    if tree.step is not None:
        steps += [Step(tree.step.base, tree.step.offset - 1), Step(tree.step.base, tree.step.offset + 1)]
    for step in steps:
        if step != tree.step:
            yield Edit(replace(tree, step=step), 1.0, "the time index", span)
    digits = len(tree.text) - len(tree.text.rstrip("0123456789"))
    if tree.step is None and 0 < digits < 6:
        base, k = tree.text[:-digits], int(tree.text[-digits:])
        for other in (k - 1, k + 1):
            if other >= 0:
                yield Edit(replace(tree, text=f"{base}{other}"), 1.0, "the time index", span)
    for name in pool.names:
        if (name.text, name.step) == (tree.text, tree.step) or (
            name.step is not None and name.text == tree.text
        ):
            continue
        cost = 1.3 + (1 - likeness(name.text, tree.text)) + 0.3 * (name.step != tree.step)
        cost += 0.5 * (pool.dialect == "leibniz" and name.text not in pool.used)
        if tree.step is not None and name.step is None:
            yield Edit(replace(name, step=tree.step, span=span), cost - 0.3, f"`{name.text}`", span)
        yield Edit(replace(name, span=span), cost, f"`{render(name)}`", span)


def _derivative(tree: Derivative, pool: Pool) -> Edits:
    span = tree.span
    for edit in _name(tree.wrt, Pool((), ())):
        if isinstance(edit.tree, Name) and (
            edit.tree.step is None or edit.tree.step.base != "t" or tree.wrt.step
        ):
            yield Edit(replace(tree, wrt=edit.tree), edit.cost, edit.change, span)
    for edit in _name(tree.of, Pool((), ())):
        if isinstance(edit.tree, Name) and (
            edit.tree.step is None or edit.tree.step.base != "t" or tree.of.step
        ):
            yield Edit(replace(tree, of=edit.tree), edit.cost, edit.change, span)
    for name in pool.values:
        cost = 1.3 + (1 - likeness(name.text, tree.wrt.text)) + 0.5 * (name.text not in pool.used)
        yield Edit(replace(tree, wrt=name), cost, f"`{render(name)}`", span)
        yield Edit(replace(tree, of=name), cost + 0.2, f"`{render(name)}`", span)
    if tree.at is not None:
        for k in (-1, 1):
            step = Step(tree.at.base, tree.at.offset + k)
            yield Edit(replace(tree, at=step), 1.0, "the time index", span)
        yield Edit(replace(tree, at=None), 1.1, "the whole gradient", span)
    yield Edit(Transpose(tree), 1.0, "a transpose", span)


def _call(tree: Call) -> Edits:
    if tree.function == "transpose" and len(tree.arguments) == 1:
        yield Edit(tree.arguments[0], 0.9, "no transpose", tree.span)
        return
    if len(tree.arguments) == 1:
        for function in FUNCTIONS:
            if function != tree.function:
                yield Edit(
                    replace(tree, function=function), 1.2, f"{function} for {tree.function}", tree.span
                )
        yield Edit(tree.arguments[0], 1.2, f"no {tree.function}", tree.span)
        yield Edit(Prime(tree), 1.2, "the derivative", tree.span)
        yield Edit(Power(tree, Number(2)), 1.2, "a square", tree.span)
        yield Edit(Sum((Number(1), tree), (1, -1)), 1.4, f"1 - {render(tree)}", tree.span)
    yield Edit(Transpose(tree), 1.0, "a transpose", tree.span)
    if len(tree.arguments) > 1:
        for i in range(len(tree.arguments) - 1):
            swapped = list(tree.arguments)
            swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
            yield Edit(replace(tree, arguments=tuple(swapped)), 1.2, "the order", tree.span)


def _sum(tree: Sum) -> Edits:
    terms, signs = list(tree.terms), list(tree.signs)
    for i, term in enumerate(terms):
        flipped = [*signs[:i], -signs[i], *signs[i + 1 :]]
        yield Edit(summed(terms, flipped), 1.0, "a sign", term.span)
        rest = summed(terms[:i] + terms[i + 1 :], signs[:i] + signs[i + 1 :])
        yield Edit(rest, 1.5, f"no {render(term)}", term.span)
        for j in range(i + 1, len(terms)):  # a sum where a product was meant
            if j != i + 1:
                continue
            joined = _joined(terms[i], terms[j])
            yield Edit(
                summed([*terms[:i], joined, *terms[j + 1 :]], [*signs[:i], signs[i], *signs[j + 1 :]]),
                1.6, "a product", terms[j].span,
            )  # fmt: skip
            nested = Product((terms[i], terms[j]), ("*",))
            yield Edit(
                summed([*terms[:i], nested, *terms[j + 1 :]], [*signs[:i], signs[i], *signs[j + 1 :]]),
                1.65, "a product", terms[j].span,
            )  # fmt: skip
            quotient = Product((terms[i], terms[j]), ("/",))
            yield Edit(
                summed([*terms[:i], quotient, *terms[j + 1 :]], [*signs[:i], signs[i], *signs[j + 1 :]]),
                2.0, "a quotient", terms[j].span,
            )  # fmt: skip
    # a * b + c * d, where a * (b + c) * d or (a * b + c) * d was meant
    for i in range(len(terms) - 1):
        left, right = terms[i], terms[i + 1]
        lf = left.factors if isinstance(left, Product) else (left,)
        lo = left.operators if isinstance(left, Product) else ()
        rf = right.factors if isinstance(right, Product) else (right,)
        ro = right.operators if isinstance(right, Product) else ()
        for a in range(len(lf)):
            for b in range(len(rf)):
                if a == 0 and b == len(rf) - 1:
                    continue
                inner = Sum((_part(lf[a:], lo[a:]), _part(rf[: b + 1], ro[:b])), (1, signs[i + 1]))
                whole = _part((*lf[:a], inner, *rf[b + 1 :]), (*lo[:a], *ro[b:]))
                yield Edit(
                    summed([*terms[:i], whole, *terms[i + 2 :]], [*signs[: i + 1], *signs[i + 2 :]]),
                    1.2 if a == len(lf) - 1 and b == 0 else 1.5, "grouping", tree.span,
                )  # fmt: skip


def _part(factors: tuple[Expression, ...], operators: tuple[str, ...]) -> Expression:
    return factors[0] if len(factors) == 1 else Product(factors, operators[: len(factors) - 1])


def _joined(a: Expression, b: Expression) -> Expression:
    af, ao = (a.factors, a.operators) if isinstance(a, Product) else ((a,), ())
    bf, bo = (b.factors, b.operators) if isinstance(b, Product) else ((b,), ())
    return Product((*af, *bf), (*ao, "*", *bo))


def _product(tree: Product) -> Edits:
    factors, operators = tree.factors, tree.operators
    for i, factor in enumerate(factors):
        rest = factors[:i] + factors[i + 1 :]
        others = operators[:i] + operators[i + 1 :] if i < len(operators) else operators[:-1]
        if i == 0:
            others = operators[1:]
        yield Edit(_part(rest, others), 1.5, f"no {render(factor)}", factor.span)
        if isinstance(factor, Sum):
            # (a + b) * c, where a + b * c was meant
            terms = list(factor.terms)
            if i == 0:
                last = _joined(terms[-1], _part(factors[1:], operators[1:]))
                yield Edit(summed([*terms[:-1], last], list(factor.signs)), 1.3, "grouping", tree.span)
            elif i == len(factors) - 1:
                first = _joined(_part(factors[:-1], operators[:-1]), terms[0])
                yield Edit(summed([first, *terms[1:]], list(factor.signs)), 1.3, "grouping", tree.span)
    for i, operator in enumerate(operators):
        swapped = list(factors)
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        yield Edit(replace(tree, factors=tuple(swapped)), 1.2, "the order", tree.span)
        other = "*" if operator == "/" else "/"
        changed = (*operators[:i], other, *operators[i + 1 :])
        yield Edit(replace(tree, operators=changed), 1.2, f"`{other}`", factors[i + 1].span)
        for alternative in {"@", "⊙"} - {operator}:
            changed = (*operators[:i], alternative, *operators[i + 1 :])
            yield Edit(replace(tree, operators=changed), 1.5, f"`{alternative}`", factors[i + 1].span)
        left = _part(factors[: i + 1], operators[:i])
        right = _part(factors[i + 1 :], operators[i + 1 :])
        for sign in (1, -1):
            split = Sum((left, right), (1, sign))
            yield Edit(split, 1.6, f"`{'+' if sign > 0 else '-'}`", factors[i + 1].span)
            if len(factors) > 2:  # only the two neighbours
                pair = Sum((factors[i], factors[i + 1]), (1, sign))
                narrowed = (*factors[:i], pair, *factors[i + 2 :])
                yield Edit(
                    _part(narrowed, operators[:i] + operators[i + 1 :]), 1.8, f"`{'+' if sign > 0 else '-'}`",
                    factors[i + 1].span,
                )  # fmt: skip
        # h1 / dWhh, where dh1 / dWhh was meant
        above, below = factors[i], factors[i + 1]
        if (
            operator == "/"
            and isinstance(above, Name)
            and isinstance(below, Name)
            and below.text.startswith("d")
        ):
            whole = (above.span[0], below.span[1])
            derivative = Derivative(above, Name(below.text[1:], below.step), span=whole)
            narrowed = (*factors[:i], derivative, *factors[i + 2 :])
            yield Edit(_part(narrowed, operators[:i] + operators[i + 1 :]), 0.9, "`d`", whole)
    for i in range(1, len(factors)):  # a (b c)
        if len(factors) > 2 and i < len(factors) - 1:
            inner = Product(factors[i:], operators[i:])
            yield Edit(Product((*factors[:i], inner), operators[:i]), 1.4, "grouping", tree.span)


def _slice(tree: Slice) -> Edits:
    if len(tree.bounds) != 1:
        return
    start, stop = tree.bounds[0]
    yield Edit(replace(tree, bounds=((stop, start),)), 1.0, "the other end", tree.span)
    for bounds in ((None, Open()), (Open(), None)):
        yield Edit(replace(tree, bounds=(bounds,)), 1.2, "the bounds", tree.span)
    yield Edit(tree.operand, 1.5, "no slice", tree.span)


def _insert_factor(tree: Expression, pool: Pool) -> Edits:
    factors, operators = (tree.factors, tree.operators) if isinstance(tree, Product) else ((tree,), ())
    times = operators[0] if operators and operators[0] not in ("/", "") else "*"
    names = pool.values + tuple(
        Name(v.text, Step("t", -1)) for v in pool.values if v.step is None and pool.dialect == "program"
    )
    for name in names:
        mentioned = any(isinstance(p, Name) and p.text == name.text for f in factors for p in _leaves(f))
        cost = 2.0 - 0.2 * mentioned - 0.1 * (name.text in pool.used) + 0.1 * (name.step is not None)
        slope = Sum((Number(1), Power(name, Number(2))), (1, -1))
        variants: tuple[tuple[Expression, float], ...] = (
            (name, 0.0),
            (Transpose(name), 0.1),
            (slope, 0.2),
            (Sum((Number(1), name), (1, -1)), 0.2),
            (Power(name, Number(2)), 0.4),
        )
        for extra, more in variants:
            what = f"the factor {render(extra)}"
            yield Edit(Product((*factors, extra), (*operators, times)), cost + more, what, tree.span)
            yield Edit(Product((extra, *factors), (times, *operators)), cost + more + 0.01, what, tree.span)
        if len(factors) > 1:
            grouped = Product((Transpose(name), Product(factors, operators)), (times,))
            yield Edit(grouped, cost + 0.15, f"the factor {render(name)}^T", tree.span)
    for extra in pool.extras:
        what = f"the factor {render(extra)}"
        yield Edit(Product((*factors, extra), (*operators, times)), 1.75, what, tree.span)
        yield Edit(Product((extra, *factors), (times, *operators)), 1.76, what, tree.span)
        if len(factors) > 1:
            between = Product((factors[0], extra, *factors[1:]), (times, *operators))
            yield Edit(between, 1.77, what, tree.span)
    last = factors[-1]
    if pool.wrt is not None and isinstance(last, Derivative):
        local = Derivative(last.wrt, pool.wrt)
        yield Edit(
            Product((*factors, local), (*operators, times)), 1.7, f"the factor {render(local)}", tree.span
        )
    for name in pool.gradients:
        spelled = pool.spelled(name)
        what = f"the factor {render(spelled)}"
        yield Edit(Product((*factors, spelled), (*operators, times)), 2.1, what, tree.span)
        yield Edit(Product((spelled, *factors), (times, *operators)), 2.11, what, tree.span)


def _leaves(tree: Expression) -> Iterator[Expression]:
    from .syntax import walk

    return walk(tree)

"""A written derivation in other forms: Leibniz' letters, LaTeX, Markdown, MathML.

All of them are made of the same trees as the text; `latex` and `mathml` set any tree of the notation, also
one that a person wrote.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from .syntax import (
    Call,
    Derivative,
    Equation,
    Expression,
    Listing,
    Name,
    Negative,
    Number,
    Open,
    Power,
    Prime,
    Product,
    Slice,
    Step,
    Sum,
    TimeSum,
    Transpose,
    render,
    summed,
    transform,
)

if TYPE_CHECKING:
    from .writer import Derivation, Row

# -- Leibniz -----------------------------------------------------------------------------------------


def leibniz(derivation: Derivation) -> str:
    """Write a derivation with dL/dh for dh: steps named, arrivals from t + 1 in place, sums over t."""
    if (
        any(row.heading.strip() for row in derivation.rows)
        and derivation.loss is not None
        and derivation.general
    ):
        from .writer import write

        derivation = write(derivation.loss, per_step=True)
    carries = {row.name: row for row in derivation.rows if row.kind == "carry"}
    sums: dict[str, list[Expression]] = {}
    whole: dict[str, Expression] = {}
    lines: list[str] = []
    for row in derivation.rows:
        if row.equation is None:
            lines.append(row.text)
            continue
        left, right = row.equation.sides
        if row.kind == "contribution" and derivation.general:
            sums.setdefault(row.name, []).append(_lettered(right, derivation))
            whole[row.name] = left
            continue
        if row.kind == "carry":
            continue
        if row.kind == "total" and derivation.general and row.name in carries:
            right = _with_arrival(right, left, carries[row.name])
        lines.append(
            render(
                Equation((_lettered(left, derivation), _lettered(right, derivation)), row.equation.operators)
            )
        )
    for name, row in carries.items():
        if not any(other.kind == "total" and other.name == name for other in derivation.rows):
            assert row.equation is not None
            left, right = row.equation.sides
            lines.append(
                render(Equation((_lettered(left, derivation), _lettered(_later(right), derivation)), ("=",)))
            )
    if sums:
        lines.append("")
    for name, bodies in sums.items():
        total = TimeSum("t", Step("", derivation.steps[0]), Step("T", 0), summed(bodies, [1] * len(bodies)))
        lines.append(render(Equation((_lettered(whole[name], derivation), total), ("=",))))
    text = "\n".join(lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _with_arrival(right: Expression, left: Expression, carry: Row) -> Expression:
    """Put what arrives from t + 1 in the place of the carry that the total adds."""
    assert carry.equation is not None
    terms = list(right.terms) if isinstance(right, Sum) else [right]
    signs = list(right.signs) if isinstance(right, Sum) else [1]
    target = carry.equation.sides[0]
    kept = [(t, s) for t, s in zip(terms, signs, strict=True) if t not in (left, target)]
    arrival = _later(carry.equation.sides[1])
    return summed([t for t, _ in kept] + [arrival], [s for _, s in kept] + [1])


def _later(tree: Expression) -> Expression:
    def move(part: Expression) -> Expression:
        if isinstance(part, Name) and (part.step is None or part.step.base == "t"):
            offset = (part.step.offset if part.step else 0) + 1
            return Name(part.text, Step("t", offset) if offset else Step("t", 0), part.quoted)
        return part

    return transform(tree, move)


def _lettered(tree: Expression, derivation: Derivation) -> Expression:
    """Spell gradients dL/dh, give every stepped name its step, and multiply with a dot."""
    stepped = derivation.stepped

    def base(name: Name) -> str:
        return name.text[1:] if name.text.startswith("d") and name.text[1:] in stepped else name.text

    def change(part: Expression) -> Expression:
        if isinstance(part, Name):
            text = part.text
            gradient = text.startswith("d") and text not in stepped and not part.quoted
            step = part.step
            if derivation.general:
                if base(part) not in stepped:
                    step = None
                elif step is None:
                    step = Step("t", 0)
            name = Name(text[1:] if gradient else text, step, part.quoted)
            return Derivative(Name("L"), name) if gradient and text != "dL" else name
        if isinstance(part, Product):
            return Product(part.factors, tuple("⋅" if o == "*" else o for o in part.operators))
        return part

    if isinstance(tree, Derivative):
        return tree
    return _keeping_derivatives(tree, change)


def _keeping_derivatives(tree: Expression, change: object) -> Expression:
    from .syntax import children, with_children

    if isinstance(tree, Derivative):
        return tree
    parts = children(tree)
    if parts:
        tree = with_children(tree, tuple(_keeping_derivatives(p, change) for p in parts))
    return change(tree)  # type: ignore[operator, no-any-return]


# -- LaTeX -------------------------------------------------------------------------------------------

_SUM, _PRODUCT, _UNARY, _POSTFIX, _ATOM = range(1, 6)
_LETTERS = {
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "theta",
    "lambda",
    "mu",
    "sigma",
    "phi",
    "psi",
    "omega",
}
_SPECIAL = str.maketrans({"_": r"\_", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$", "{": r"\{", "}": r"\}"})


def latex(tree: Expression | Equation) -> str:
    r"""Set a tree in LaTeX.

    >>> from minigrad.derivation.reader import parse
    >>> latex(parse("dWhh += dh_pre * h[t-1]^T"))
    '\\mathrm{d}W_{hh} \\mathrel{+}= \\mathrm{d}h_{\\text{pre}}\\, h_{t-1}^\\top'
    """
    if isinstance(tree, Equation):
        return _latex_equation(tree, "")
    return _tex(tree)[0]


def _latex_equation(equation: Equation, align: str) -> str:
    signs = {"=": f"{align}=", "+=": rf"{align}\mathrel{{+}}=", "-=": rf"{align}\mathrel{{-}}="}
    text = _tex(equation.sides[0])[0]
    for operator, side in zip(equation.operators, equation.sides[1:], strict=True):
        text += f" {signs[operator]} {_tex(side)[0]}"
    return text


def _split_name(text: str) -> tuple[str, list[str], bool]:
    """Part ``c_hat_pre`` into c, [pre], and whether it wears a hat."""
    base, *rest = text.split("_")
    if not base:
        return text, [], False
    hat = "hat" in rest or "tilde" in rest
    rest = [part for part in rest if part and part not in ("hat", "tilde")]
    weights = re.fullmatch(r"([A-Zb])([a-z]{1,3})", base)
    if weights:
        base, rest = weights[1], [weights[2], *rest]
    return base, rest, hat


def _tex_name(name: Name, derivative_of: bool = False) -> str:
    text = name.text
    prefix = ""
    if text.startswith("d") and len(text) > 1 and not derivative_of and not name.quoted:
        prefix, text = r"\mathrm{d}", text[1:]
    if not re.fullmatch(r"[^\W\d]\w*", text):
        return prefix + rf"\text{{{text.translate(_SPECIAL)}}}"
    base, subs, hat = _split_name(text)
    if base.lower() in _LETTERS:
        base = "\\" + base
    elif len(base) > 1:
        base = rf"\mathit{{{base}}}"
    if hat:
        base = rf"\hat{{{base}}}"
    lower = [s if len(s) <= 2 else rf"\text{{{s}}}" for s in subs]
    if name.step is not None:
        lower.append(str(name.step))
    return prefix + base + (f"_{{{', '.join(lower)}}}" if lower else "")


def _tex_bound(written: tuple[str, int], least: int) -> str:
    return rf"\left({written[0]}\right)" if written[1] < least else written[0]


def _tex(tree: Expression) -> tuple[str, int]:
    match tree:
        case Number():
            return render(tree), _ATOM
        case Name():
            return _tex_name(tree), _ATOM
        case Derivative():
            text = rf"\frac{{\partial {_tex_name(tree.of, True)}}}{{\partial {_tex_name(tree.wrt, True)}}}"
            return (rf"\left.{text}\right|_{{t={tree.at}}}" if tree.at else text), _ATOM
        case Negative():
            return "-" + _tex_bound(_tex(tree.operand), _UNARY), _UNARY
        case Sum():
            text = ""
            for i, (term, sign) in enumerate(zip(tree.terms, tree.signs, strict=True)):
                written = _tex_bound(_tex(term), _PRODUCT)
                text += (f" {'+' if sign > 0 else '-'} " if i else ("" if sign > 0 else "-")) + written
            return text, _SUM
        case Product():
            return _tex_product(tree), _PRODUCT
        case Power():
            return f"{_tex_bound(_tex(tree.base), _POSTFIX)}^{{{_tex(tree.exponent)[0]}}}", _POSTFIX
        case Transpose():
            return _tex_bound(_tex(tree.operand), _POSTFIX) + r"^\top", _POSTFIX
        case Prime():
            return _tex_bound(_tex(tree.operand), _POSTFIX) + "'", _POSTFIX
        case Call():
            return _tex_call(tree), _ATOM
        case Listing():
            return r"\{" + ", ".join(_tex(item)[0] for item in tree.items) + r"\}", _ATOM
        case Slice():
            bounds = ", ".join(f"{_tex_end(a)}:{_tex_end(b)}" for a, b in tree.bounds)
            return f"{_tex_bound(_tex(tree.operand), _POSTFIX)}_{{[{bounds}]}}", _POSTFIX
        case TimeSum():
            return rf"\sum_{{{tree.variable}={tree.first}}}^{{{tree.last}}} {_tex(tree.body)[0]}", _SUM
    raise TypeError(tree)


def _tex_end(bound: Expression | Open | None) -> str:
    return "" if bound is None else "?" if isinstance(bound, Open) else _tex(bound)[0]


def _tex_product(tree: Product) -> str:
    text, number = _tex_bound(_tex(tree.factors[0]), _PRODUCT + 1), isinstance(tree.factors[0], Number)
    signs = {"⊙": r" \odot ", "/": " / ", "⋅": r"\, ", "@": r"\, ", "*": r"\, ", "": r"\, "}
    for operator, factor in zip(tree.operators, tree.factors[1:], strict=True):
        written = _tex_bound(_tex(factor), _PRODUCT + 1)
        sign = r"\, " if number and operator == "⊙" else signs[operator]
        text, number = text + sign + written, False
    return text


def _tex_call(tree: Call) -> str:
    parts = [_tex(a)[0] for a in tree.arguments]
    known = {"tanh": r"\tanh", "sigmoid": r"\sigma", "exp": r"\exp", "log": r"\log"}
    if tree.function == "transpose" and len(parts) == 1:
        return rf"{_tex_bound(_tex(tree.arguments[0]), _POSTFIX)}^\top"
    if tree.function in ("concat", "vstack") and not tree.options:
        return r"\begin{bmatrix} " + r" \\ ".join(parts) + r" \end{bmatrix}"
    name = known.get(tree.function, rf"\operatorname{{{tree.function.translate(_SPECIAL)}}}")
    return rf"{name}\left({', '.join(parts)}\right)"


def latex_body(derivation: Derivation) -> str:
    """Return the equations, aligned at the equals sign, without an environment around them."""
    lines = []
    for row in derivation.rows:
        if row.exact is not None:
            lines.append(_latex_equation(row.exact, "&"))
        elif row.heading.strip():
            lines.append(rf"&\text{{{row.heading.strip().translate(_SPECIAL)}:}}")
    return " \\\\\n".join(lines)


def latex_document(derivation: Derivation) -> str:
    """Return the derivation as an ``align*`` environment."""
    return f"\\begin{{align*}}\n{latex_body(derivation)}\n\\end{{align*}}\n"


def markdown(derivation: Derivation) -> str:
    """Return the derivation as Markdown with display mathematics."""
    title = f"## {derivation.title}\n\n" if derivation.title else ""
    return f"{title}$$\n\\begin{{aligned}}\n{latex_body(derivation)}\n\\end{{aligned}}\n$$\n"


# -- MathML ------------------------------------------------------------------------------------------


def mathml(tree: Expression | Equation) -> str:
    """Set a tree in MathML, without the ``<math>`` around it."""
    if isinstance(tree, Equation):
        text = _ml(tree.sides[0])[0]
        for operator, side in zip(tree.operators, tree.sides[1:], strict=True):
            text += f"<mo>{operator}</mo>{_ml(side)[0]}"
        return f"<mrow>{text}</mrow>"
    return _ml(tree)[0]


def _ml_name(name: Name, derivative_of: bool = False) -> str:
    text = name.text
    prefix = ""
    if text.startswith("d") and len(text) > 1 and not derivative_of and not name.quoted:
        prefix, text = '<mi mathvariant="normal">d</mi>', text[1:]
    base, subs, hat = _split_name(text) if re.fullmatch(r"[^\W\d]\w*", text) else (text, [], False)
    # A name of several letters would stand upright, and `dog` would be one word.
    slanted = ' style="font-style: italic"' if len(base) > 1 else ""
    body = f"<mi{slanted}>{escape(base)}</mi>"
    if hat:
        body = f'<mover accent="true">{body}<mo>^</mo></mover>'
    lower = [f"<mi>{escape(s)}</mi>" if len(s) <= 2 else f"<mtext>{escape(s)}</mtext>" for s in subs]
    if name.step is not None:
        lower.append(_ml_step(name.step))
    if lower:
        body = f"<msub>{body}<mrow>{'<mo>,</mo>'.join(lower)}</mrow></msub>"
    return f"<mrow>{prefix}{body}</mrow>" if prefix else body


def _ml_step(step: Step) -> str:
    if not step.base:
        return f"<mn>{step.offset}</mn>"
    if not step.offset:
        return f"<mi>{step.base}</mi>"
    return f"<mi>{step.base}</mi><mo>{'+' if step.offset > 0 else '−'}</mo><mn>{abs(step.offset)}</mn>"


def _ml_bound(written: tuple[str, int], least: int) -> str:
    return f"<mrow><mo>(</mo>{written[0]}<mo>)</mo></mrow>" if written[1] < least else written[0]


def _ml(tree: Expression) -> tuple[str, int]:
    match tree:
        case Number():
            return f"<mn>{render(tree)}</mn>", _ATOM
        case Name():
            return _ml_name(tree), _ATOM
        case Derivative():
            above, below = _ml_name(tree.of, True), _ml_name(tree.wrt, True)
            text = f"<mfrac><mrow><mo>∂</mo>{above}</mrow><mrow><mo>∂</mo>{below}</mrow></mfrac>"
            if tree.at:
                at = f"<mrow><mi>t</mi><mo>=</mo>{_ml_step(tree.at)}</mrow>"
                text = f"<msub><mrow>{text}<mo>|</mo></mrow>{at}</msub>"
            return text, _ATOM
        case Negative():
            return f"<mrow><mo>−</mo>{_ml_bound(_ml(tree.operand), _UNARY)}</mrow>", _UNARY
        case Sum():
            text = ""
            for i, (term, sign) in enumerate(zip(tree.terms, tree.signs, strict=True)):
                if i or sign < 0:
                    text += f"<mo>{'+' if sign > 0 else '−'}</mo>"
                text += _ml_bound(_ml(term), _PRODUCT)
            return f"<mrow>{text}</mrow>", _SUM
        case Product():
            text = _ml_bound(_ml(tree.factors[0]), _PRODUCT + 1)
            for operator, factor in zip(tree.operators, tree.factors[1:], strict=True):
                between = {"⊙": "<mo>⊙</mo>", "/": "<mo>/</mo>"}.get(operator, '<mspace width="0.2em"/>')
                text += between + _ml_bound(_ml(factor), _PRODUCT + 1)
            return f"<mrow>{text}</mrow>", _PRODUCT
        case Power():
            return f"<msup>{_ml_bound(_ml(tree.base), _POSTFIX)}{_ml(tree.exponent)[0]}</msup>", _POSTFIX
        case Transpose():
            return (
                f'<msup>{_ml_bound(_ml(tree.operand), _POSTFIX)}<mi mathvariant="normal">T</mi></msup>',
                _POSTFIX,
            )
        case Prime():
            return f"<msup>{_ml_bound(_ml(tree.operand), _POSTFIX)}<mo>′</mo></msup>", _POSTFIX
        case Call():
            parts = "<mo>,</mo>".join(_ml(a)[0] for a in tree.arguments)
            name = "σ" if tree.function == "sigmoid" else escape(tree.function)
            return f"<mrow><mi>{name}</mi><mo>(</mo>{parts}<mo>)</mo></mrow>", _ATOM
        case Listing():
            parts = "<mo>,</mo>".join(_ml(a)[0] for a in tree.items)
            return f"<mrow><mo>{{</mo>{parts}<mo>}}</mo></mrow>", _ATOM
        case Slice():
            bounds = "<mo>,</mo>".join(f"{_ml_end(a)}<mo>:</mo>{_ml_end(b)}" for a, b in tree.bounds)
            return (
                f"<msub>{_ml_bound(_ml(tree.operand), _POSTFIX)}"
                f"<mrow><mo>[</mo>{bounds}<mo>]</mo></mrow></msub>",
                _POSTFIX,
            )
        case TimeSum():
            summation = (
                f"<munderover><mo>∑</mo><mrow><mi>{tree.variable}</mi><mo>=</mo>{_ml_step(tree.first)}</mrow>"
                f"<mrow>{_ml_step(tree.last)}</mrow></munderover>"
            )
            return f"<mrow>{summation}{_ml(tree.body)[0]}</mrow>", _SUM
    raise TypeError(tree)


def _ml_end(bound: Expression | Open | None) -> str:
    return "" if bound is None else "<mo>?</mo>" if isinstance(bound, Open) else _ml(bound)[0]


def table(derivation: Derivation) -> str:
    """Return the equations as an HTML table with MathML, one row each, with the nodes they are about."""
    rows = []
    for row in derivation.rows:
        if row.exact is None:
            if row.heading.strip():
                rows.append(f'<tr><th colspan="3">{escape(row.heading.strip())}</th></tr>')
            continue
        left = mathml(row.exact.sides[0])
        right = "".join(_ml(side)[0] for side in row.exact.sides[1:])
        operator = row.exact.operators[0]
        rows.append(
            f'<tr data-nodes="{escape(" ".join(row.nodes))}"><td><math>{left}</math></td>'
            f"<td><math><mo>{operator}</mo></math></td><td><math>{right}</math></td></tr>"
        )
    return '<table class="derivation">\n' + "\n".join(rows) + "\n</table>"


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.05rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table.derivation {{ border-collapse: collapse; }}
table.derivation td {{ padding: 0.25rem 0.4rem; vertical-align: middle; }}
table.derivation td:first-child {{ text-align: right; }}
table.derivation th {{ text-align: left; padding-top: 1rem; }}
math {{ font-size: 1.15em; }}
</style>
</head>
<body>
<h1>{title}</h1>
{table}
</body>
</html>
"""


def html(derivation: Derivation) -> str:
    """Return the derivation as a self-contained page."""
    title = escape(derivation.title or "Backward pass")
    return _PAGE.format(title=title, table=table(derivation))

"""What symbols and wires say when pointed at, and all wires in words for those who cannot see them."""

from __future__ import annotations

from visualize.diagram import PRODUCT, Diagram, Symbol
from visualize.dot import Numbers, has_gradient, shown_text, symbol_id, wire_id
from visualize.summary import summarize


def tooltips(diagram: Diagram, numbers: Numbers) -> tuple[dict[str, str], dict[str, str]]:
    """Return what each symbol and each wire says when pointed at, by id."""
    of_symbols = {symbol_id(s): _tooltip(s, numbers) for s in diagram.symbols}
    of_wires = {}
    for number, wire in enumerate(diagram.wires):
        source, target = diagram.symbols[wire.source], diagram.symbols[wire.target]
        head = f"{_named(source)} → {_named(target)}"
        tail = _tooltip(source, numbers, head=False)
        of_wires[wire_id(number)] = f"{head}\n{tail}" if tail else head
        if has_gradient(source):
            of_wires[wire_id(number)] += f"\nback along it: part of d{_named(source)}"
    return of_symbols, of_wires


def _named(symbol: Symbol) -> str:
    return " ".join(shown_text(line, 200) for line in symbol.label.split("\n"))


def _tooltip(symbol: Symbol, numbers: Numbers, head: bool = True) -> str:
    lines: list[str] = []
    if head:
        lines.append(_named(symbol) if symbol.kind != PRODUCT else f"{_named(symbol)} (parameter)")
        folded = [n.label for n in symbol.nodes[:-1] if n.name]
        if folded:
            lines.append("folded in: " + ", ".join(shown_text(label, 200) for label in folded))
    value, gradient = numbers.of(symbol)
    if value is not None:
        shape = " × ".join(map(str, value.shape)) or "scalar"
        lines.append(f"value: {shape}, {value.range}")
        if gradient is not None:
            lines.append(f"gradient: {gradient.range}")
        elif numbers.gradients_known or not has_gradient(symbol):
            lines.append("gradient: not computed")
    for parameter in symbol.parameters:
        what = shown_text(parameter.label, 200)
        lines.append(f"{what}: {' × '.join(map(str, parameter.shape))}, {summarize(parameter.value).range}")
        own = numbers.gradients.get(parameter.serial)
        if own is not None:
            lines.append(f"d{what}: {own.range}")
    return "\n".join(lines)


def edge_list(diagram: Diagram, limit: int = 2000) -> str:
    """Return the wires as text, for those who cannot see the picture."""
    lines = [
        f"{_named(diagram.symbols[w.source])} to {_named(diagram.symbols[w.target])}"
        for w in diagram.wires[:limit]
    ]
    if len(diagram.wires) > limit:
        lines.append(f"and {len(diagram.wires) - limit} more")
    return "; ".join(lines)

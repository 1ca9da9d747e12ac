"""Folding a long drawing: the first two steps, `… ×N` for whole steps that are all alike, the last.

Only whole steps are folded, and only after they have been compared; folding single operations would draw
loops that are not there.  One step alone, with the states that enter and leave it, is the rolled drawing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visualize.diagram import CARRY, FOLD, VALUE, Diagram, Symbol, Wire
from visualize.errors import DrawingError

# Up to this many steps are drawn one by one.
UNFOLDED = 10


def fold(diagram: Diagram, how: str) -> Diagram:
    """Fold a diagram over time.

    Parameters
    ----------
    how : str
        ``never``; ``auto``: where there are more than ten steps and the ones between are alike; ``step``:
        one step with the states that it takes over and hands on.

    Raises
    ------
    DrawingError
        For another `how`, or if one step is asked of a drawing without steps.
    """
    if how == "never":
        return diagram
    if how == "auto":
        return _fold_middle(diagram)
    if how == "step":
        return _one_step(diagram)
    raise DrawingError(f"fold is 'auto', 'never' or 'step', not {how!r}")


def _working_steps(diagram: Diagram) -> list[int]:
    """Return the steps in which something is computed; the initial state's step is not one."""
    return sorted({s.step for s in diagram.symbols if s.step is not None and diagram.inputs(s)})


def _signatures(diagram: Diagram) -> dict[int, list[Any]]:
    """Return for each step what is in it and what it is wired to, in terms that do not name the step."""
    written = [symbol.written for symbol in diagram.symbols]
    found: dict[int, list[Any]] = {}
    for symbol in diagram.symbols:
        step = symbol.step
        if step is None:
            continue
        inputs = [
            (written[s.id], "" if s.step is None else str(s.step - step)) for s in diagram.inputs(symbol)
        ]
        if len(inputs) > 1 and not symbol.ordered:
            inputs.sort()
        found.setdefault(step, []).append((written[symbol.id], inputs))
    return {step: sorted(entries) for step, entries in found.items()}


def _fold_middle(diagram: Diagram) -> Diagram:
    steps = _working_steps(diagram)
    if len(steps) <= UNFOLDED or steps != list(range(steps[0], steps[-1] + 1)):
        return diagram
    first, last = steps[1], steps[-1]
    signatures = _signatures(diagram)
    middle = range(first + 1, last)
    if any(signatures[step] != signatures[first] for step in middle):
        return diagram
    inside = {s.id for s in diagram.symbols if s.step is not None and first < s.step < last}
    kept = [s for s in diagram.symbols if s.id not in inside]
    new = {s.id: i for i, s in enumerate(kept)}
    symbols = [replace(s, id=new[s.id]) for s in kept]
    folds: dict[tuple[str, int | None], int] = {}
    wires = []
    text = f"… ×{len(middle)}"

    def lane(wire: Wire) -> tuple[str, int | None]:
        """Tell what is carried: a state's name, or something that all steps hand to one symbol."""
        target = diagram.symbols[wire.target]
        source = diagram.symbols[wire.source]
        # Steps that all feed one symbol behind them (the total loss) are one fold of their own.
        return source.written, new.get(wire.target) if target.step is None else None

    def fold_of(wire: Wire) -> int:
        key = lane(wire)
        if key not in folds:
            folds[key] = len(symbols)
            symbols.append(Symbol(len(symbols), FOLD, text, None, diagram.symbols[wire.source].nodes))
        return folds[key]

    for wire in diagram.wires:
        entering, leaving = wire.target in inside, wire.source in inside
        if not entering and not leaving:
            wires.append(Wire(new[wire.source], new[wire.target], wire.position))
        elif entering and not leaving:
            i = fold_of(Wire(wire.source, wire.target))
            if diagram.symbols[wire.source].step is not None:
                wires.append(Wire(new[wire.source], i))
        elif leaving and not entering:
            wires.append(Wire(fold_of(wire), new[wire.target], wire.position))
    # Many folded steps may feed one symbol, the total loss: their fold feeds it once.
    once = {(w.source, w.target) if symbols[w.source].kind == FOLD else w: w for w in wires}
    return _without_idle_folds(Diagram(symbols, once.values()))


def _without_idle_folds(diagram: Diagram) -> Diagram:
    """Drop folds that nothing comes out of, and count the inputs of each symbol anew."""
    keep = [s.id for s in diagram.symbols if s.kind != FOLD or diagram.outputs(s)]
    smaller = diagram.subset(keep)
    wires = []
    for symbol in smaller.symbols:
        wires += [Wire(s.id, symbol.id, position) for position, s in enumerate(smaller.inputs(symbol))]
    return Diagram(smaller.symbols, wires)


def _one_step(diagram: Diagram) -> Diagram:
    steps = _working_steps(diagram)
    if not steps:
        raise DrawingError("fold='step' needs time steps: record each step inside `with mg.step(t):`")
    step = steps[min(1, len(steps) - 1)]
    inside = {s.id for s in diagram.symbols if s.step == step}
    entering = {
        w.source for w in diagram.wires if w.target in inside and w.source not in inside
    }  # the states of the step before
    leaving = sorted(
        {
            w.source
            for w in diagram.wires
            if w.source in inside and w.target not in inside and diagram.symbols[w.target].step is not None
        }
    )
    kept = sorted(inside | entering)
    new = {old: i for i, old in enumerate(kept)}
    symbols = [replace(diagram.symbols[old], id=i) for old, i in new.items()]
    wires = [
        Wire(new[w.source], new[w.target], w.position)
        for w in diagram.wires
        if w.source in new and w.target in inside
    ]
    for old in leaving:
        source = diagram.symbols[old]
        i = len(symbols)
        shown = f"{source.text}[{step}]" if source.kind == VALUE else source.label
        symbols.append(Symbol(i, CARRY, ">", step, source.nodes, shown=f"{shown} →"))
        wires.append(Wire(new[old], i))
    return Diagram(symbols, wires)

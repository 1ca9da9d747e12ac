"""A diagram is symbols and the wires between them, however it came about: recorded, read or made.

It knows nothing of coordinates and nothing of files.  The view that draws a recorded graph, the reader of
drawings in characters, the SVG and the layout of characters all meet here, so that a drawing that was
written and read again can be held against the one that it was made from (`Diagram.isomorphic`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from visualize.errors import DrawingError

if TYPE_CHECKING:
    from minigrad import Node

VALUE, PRODUCT, FUNCTION, OPERATION, JOIN, CARRY, FOLD = (
    "value",
    "product",
    "function",
    "operation",
    "join",
    "carry",
    "fold",
)

# Written in parentheses and applied to several values; everything else in parentheses takes one.
INFIX = {"*": "multiply", "+": "add", "-": "subtract", "/": "divide", "@": "matmul", "^": "power"}
NAMED_OPERATIONS = (
    "maximum", "minimum", "where", "greater", "greater_equal", "less", "less_equal", "equal",
    "concat", "stack", "take", "put", "take_along_axis", "put_along_axis", "cross_entropy", "squared_error",
    "accumulate",
)  # fmt: skip
COMMUTATIVE = frozenset({"*", "+", "maximum", "minimum", "equal", "accumulate"})


def is_operation(text: str) -> bool:
    """Whether what stands in parentheses takes several values: ``*``, ``+``, ``maximum`` ..."""
    return text in INFIX or text.partition(" ")[0] in NAMED_OPERATIONS


@dataclass(frozen=True)
class Symbol:
    """One symbol of a drawing.

    Attributes
    ----------
    id : int
        Its place in `Diagram.symbols`.
    kind : str
        ``value [h]``, ``product {Whh}``, ``function (tanh+bh)``, ``operation (*)``, ``join #``,
        ``carry >`` (a state that enters or leaves the drawing) or ``fold (… ×47)``.
    text : str
        What stands inside the brackets.
    step : int or None
        The time step it belongs to.
    nodes : tuple of Node
        The recorded nodes it stands for, in the order of recording; empty for a drawing that was read.
    place : (int, int) or None
        Line and column, from 1, of a drawing that was read.
    """

    id: int
    kind: str
    text: str
    step: int | None = None
    nodes: tuple[Node, ...] = field(default=(), compare=False, repr=False)
    place: tuple[int, int] | None = field(default=None, compare=False)
    shown: str = field(default="", compare=False)
    parameters: tuple[Node, ...] = field(default=(), compare=False, repr=False)

    @property
    def written(self) -> str:
        """The symbol as characters."""
        if self.kind == VALUE:
            return f"[{self.text}]"
        if self.kind == PRODUCT:
            return f"{{{self.text}}}"
        if self.kind == JOIN:
            return "#"
        if self.kind == CARRY:
            return ">"
        return f"({self.text})"

    @property
    def label(self) -> str:
        """The symbol as a picture names it: ``h[2]`` for a value, else what stands in its brackets."""
        return self.shown or (self.written if self.kind in (JOIN, CARRY) else self.text)

    @property
    def node(self) -> Node | None:
        """The recorded node whose value leaves the symbol."""
        return self.nodes[-1] if self.nodes else None

    @property
    def ordered(self) -> bool:
        """Whether the order of its inputs matters."""
        return self.kind == JOIN or (self.kind == OPERATION and self.text not in COMMUTATIVE)


@dataclass(frozen=True)
class Wire:
    """A wire from one symbol to another; `position` is its place among the inputs of the target."""

    source: int
    target: int
    position: int = 0


class Diagram:
    """Symbols and wires.

    Parameters
    ----------
    symbols : iterable of Symbol
        ``symbols[i].id == i``.
    wires : iterable of Wire
        Without a cycle.

    Raises
    ------
    DrawingError
        If the wires make a cycle or name a symbol that is not there.

    Examples
    --------
    >>> from visualize import parse
    >>> diagram = parse("[x]-{W}-(tanh+b)-[h]")
    >>> print(diagram)
    [x] -> {W}
    {W} -> (tanh+b)
    (tanh+b) -> [h]
    """

    def __init__(self, symbols: Iterable[Symbol], wires: Iterable[Wire]) -> None:
        self.symbols = tuple(symbols)
        self.wires = tuple(wires)
        count = len(self.symbols)
        self._inputs: list[list[Wire]] = [[] for _ in range(count)]
        self._outputs: list[list[Wire]] = [[] for _ in range(count)]
        for wire in self.wires:
            if not (0 <= wire.source < count and 0 <= wire.target < count):
                raise DrawingError(f"a wire names symbol {max(wire.source, wire.target)} of {count}")
            self._inputs[wire.target].append(wire)
            self._outputs[wire.source].append(wire)
        for wires_in in self._inputs:
            wires_in.sort(key=lambda wire: wire.position)
        self.order = self._topological()

    def _topological(self) -> tuple[int, ...]:
        waiting = [len(wires) for wires in self._inputs]
        ready = [i for i, n in enumerate(waiting) if not n]
        ready.reverse()
        order = []
        while ready:
            i = ready.pop()
            order.append(i)
            for wire in reversed(self._outputs[i]):
                waiting[wire.target] -= 1
                if not waiting[wire.target]:
                    ready.append(wire.target)
        if len(order) < len(self.symbols):
            stuck = next(s for s in self.symbols if waiting[s.id])
            raise DrawingError(f"the wires make a cycle through {stuck.written}{_at(stuck)}")
        return tuple(order)

    def inputs(self, symbol: Symbol | int) -> list[Symbol]:
        """Return the symbols wired into `symbol`, in order."""
        symbols = self.symbols
        i = symbol if isinstance(symbol, int) else symbol.id
        return [symbols[wire.source] for wire in self._inputs[i]]

    def outputs(self, symbol: Symbol | int) -> list[Symbol]:
        """Return the symbols that `symbol` is wired into; one that takes it twice appears twice."""
        i = symbol if isinstance(symbol, int) else symbol.id
        return [self.symbols[wire.target] for wire in self._outputs[i]]

    @property
    def steps(self) -> tuple[int, ...]:
        """The time steps, in order."""
        return tuple(sorted({s.step for s in self.symbols if s.step is not None}))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of their first use."""
        names: dict[str, None] = {}
        for i in self.order:
            for name in parameter_names(self.symbols[i]):
                names.setdefault(name)
        return tuple(names)

    def subset(self, keep: Iterable[int]) -> Diagram:
        """Return the diagram of some of the symbols and the wires between them."""
        kept = sorted(set(keep))
        new = {old: i for i, old in enumerate(kept)}
        return Diagram(
            (replace(self.symbols[old], id=i) for old, i in new.items()),
            (
                Wire(new[w.source], new[w.target], w.position)
                for w in self.wires
                if w.source in new and w.target in new
            ),
        )

    def build(self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """Run the diagram and return the live graph: see `visualize.build.build`."""
        from visualize.build import build

        return build(self, parameters, inputs)

    def draw_text(self) -> str:
        """Return the diagram as a drawing in characters, which `parse` reads back."""
        from visualize.characters import draw_text

        return draw_text(self)

    def _repr_svg_(self) -> str | None:
        from visualize.dot import Numbers
        from visualize.plate import plate

        return plate(self, Numbers(), "A diagram")

    def __str__(self) -> str:
        return "\n".join(
            f"{self.symbols[w.source].written} -> {self.symbols[w.target].written}"
            for i in self.order
            for w in self._outputs[i]
        ) or "\n".join(s.written for s in self.symbols)

    def __repr__(self) -> str:
        return f"<diagram of {len(self.symbols)} symbols, {len(self.wires)} wires>"

    # -- the same drawing? ---------------------------------------------------------------------------

    def isomorphic(self, other: Diagram) -> bool:
        """Whether the two are the same drawing: same symbols, wired in the same way.

        Where the order of inputs matters (``#``, ``(-)``, ``(/)`` ...) it has to agree as well.

        >>> from visualize import parse
        >>> parse("[a]-{W}-[b]").isomorphic(parse("[a]-{V}-[b]"))
        False
        """
        if len(self.symbols) != len(other.symbols) or len(self.wires) != len(other.wires):
            return False
        return _match(self, other, [s.written for s in self.symbols], [s.written for s in other.symbols])

    def _refine(self, colors: list[Any], table: dict[Any, int]) -> list[Any]:
        refined = []
        for symbol in self.symbols:
            i = symbol.id
            into = [(w.position if symbol.ordered else 0, colors[w.source]) for w in self._inputs[i]]
            out = [
                (w.position if self.symbols[w.target].ordered else 0, colors[w.target])
                for w in self._outputs[i]
            ]
            key = (colors[i], tuple(sorted(into)), tuple(sorted(out)))
            refined.append(table.setdefault(key, len(table)))
        return refined


def _match(a: Diagram, b: Diagram, first: list[Any], second: list[Any]) -> bool:
    """Colour refinement, and where colours repeat, one symbol set apart at a time (McKay 1981)."""
    classes = 0
    while True:
        table: dict[Any, int] = {}
        first, second = a._refine(first, table), b._refine(second, table)
        if sorted(first) != sorted(second):
            return False
        if len(table) == classes:
            break
        classes = len(table)
    members: dict[int, list[int]] = defaultdict(list)
    for i, color in enumerate(second):
        members[color].append(i)
    repeated = next((color for color in sorted(members) if len(members[color]) > 1), None)
    if repeated is None:
        return _same_wires(a, b, dict(zip(first, range(len(first)), strict=True)), second)
    one = first.index(repeated)
    apart = [-1 if i == one else color for i, color in enumerate(first)]
    return any(
        _match(a, b, apart, [-1 if i == candidate else color for i, color in enumerate(second)])
        for candidate in members[repeated]
    )


def _same_wires(a: Diagram, b: Diagram, of_color: dict[int, int], colors: list[int]) -> bool:
    def key(diagram: Diagram, wire: Wire, ids: list[int]) -> tuple[int, int, int]:
        ordered = diagram.symbols[wire.target].ordered
        return ids[wire.source], ids[wire.target], wire.position if ordered else 0

    to_a = [of_color[color] for color in colors]
    own = list(range(len(a.symbols)))
    return sorted(key(a, w, own) for w in a.wires) == sorted(key(b, w, to_a) for w in b.wires)


def parameter_names(symbol: Symbol) -> list[str]:
    """Return the parameters that a symbol brings with it: ``{Whh}`` and the bias of ``(tanh+bh)``."""
    if symbol.kind == PRODUCT:
        return [symbol.text.removeprefix("@").removesuffix("^T")]
    if symbol.kind == FUNCTION:
        function, sign, operand = split_function(symbol.text)
        inside = operand or function
        if sign and sign != "^" and not is_number(inside):
            return [inside]
    return []


def split_function(text: str) -> tuple[str, str, str]:
    """Split what stands in the parentheses of a function: ``tanh+bh`` into ``tanh``, ``+``, ``bh``.

    ``+b``, ``*w`` and ``1-`` have the operand on the side where it stands, and no function.
    """
    if text[:1] in INFIX and len(text) > 1:
        return "", text[0], text[1:]
    if text[-1:] in INFIX and len(text) > 1:
        return text[:-1], text[-1], ""
    function, plus, bias = text.partition("+")
    if plus and function and bias and " " not in function:
        return function, "+", bias
    return text, "", ""


def is_number(text: str) -> bool:
    """Whether the text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _at(symbol: Symbol) -> str:
    return f" (line {symbol.place[0]}, column {symbol.place[1]})" if symbol.place else ""

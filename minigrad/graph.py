"""What stands behind a node: all nodes in the order of recording, and look-up by name and step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minigrad.errors import NameNotFoundError, nearest
from minigrad.node import Node
from minigrad.sweep import ancestors, nodes_of


class Graph:
    """The graph behind one node or several.

    Parameters
    ----------
    outputs : Node or sequence of Node
        Where to start; the graph holds them and all nodes behind them.

    Attributes
    ----------
    outputs : tuple of Node
    nodes : tuple of Node
        In the order of recording, which is a topological order.
    parameters : dict of str to Node
        The parameters by label (``Whh``; the n-th unnamed one is ``parameter_n``), in the order of recording.
    inputs : tuple of Node
        The constants.
    steps : tuple of int
        The time steps, in order.

    Examples
    --------
    >>> import minigrad as mg
    >>> with mg.step(1):
    ...     h = mg.tanh(mg.parameter(0.5, name="w") * 2).named("h")
    >>> graph = mg.Graph(h)
    >>> graph["h", 1] is h
    True
    >>> graph
    Graph of h[1]: 4 nodes, 1 parameter (w), step 1
    """

    def __init__(self, outputs: Node | Sequence[Node]) -> None:
        self.outputs = tuple(nodes_of(outputs, "Graph: the outputs"))
        self.nodes = tuple(ancestors(self.outputs))
        self.parameters: dict[str, Node] = {}
        for node in self.nodes:
            if node.is_parameter:
                label = node.label if node.name is not None else f"parameter_{len(self.parameters) + 1}"
                while label in self.parameters:
                    label += "'"  # two parameters of one name
                self.parameters[label] = node
        self.inputs = tuple(node for node in self.nodes if node.is_leaf and not node.requires_grad)
        self.steps = tuple(sorted({node.step for node in self.nodes if node.step is not None}))
        self._named: dict[tuple[str, int | None], Node] = {}
        for node in self.nodes:
            if node.name is not None:
                self._named[node.name, node.step] = node  # the latest of a name is the one that counts

    def __getitem__(self, key: str | tuple[str, int | None]) -> Node:
        """Return the node of a name (without a step), or of a name and a step.

        Raises
        ------
        NameNotFoundError
            If there is none; the message offers the nearest names.
        """
        name, step = (key, None) if isinstance(key, str) else key
        node = self._named.get((name, step))
        if node is not None:
            return node
        steps = sorted(t for n, t in self._named if n == name and t is not None)
        if steps and step is None:
            raise NameNotFoundError(
                f"{name} stands at {_ranges(steps)}; say which, as in graph[{name!r}, {steps[-1]}]"
            )
        if steps:
            raise NameNotFoundError(f"no {name}[{step}] in this graph: {name} stands at {_ranges(steps)}")
        if (name, None) in self._named:
            raise NameNotFoundError(f"{name} belongs to no step here; write graph[{name!r}]")
        known = {n for n, _ in self._named}
        label = name if step is None else f"{name}[{step}]"
        raise NameNotFoundError(f"no {label} in this graph: {nearest(name, known)}")

    def named(self, name: str) -> dict[int | None, Node]:
        """Return all nodes of a name by their step, in order; empty if there is none."""
        steps = [t for n, t in self._named if n == name]
        return {t: self._named[name, t] for t in sorted(steps, key=lambda t: (t is not None, t or 0))}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of recording."""
        return tuple(dict.fromkeys(node.name for node in self.nodes if node.name is not None))

    def __contains__(self, key: object) -> bool:
        if isinstance(key, Node):
            return any(node is key for node in self.nodes)
        return (key if isinstance(key, tuple) else (key, None)) in self._named

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        outputs = ", ".join(node.label for node in self.outputs)
        count = len(self.parameters)
        listed = f" ({', '.join(self.parameters)})" if 0 < count <= 12 else ""
        steps = f", {_ranges(list(self.steps))}" if self.steps else ""
        parameters = f"{count} parameter{'' if count == 1 else 's'}{listed}"
        return f"Graph of {outputs}: {len(self.nodes)} nodes, {parameters}{steps}"


def _ranges(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]}"
    if steps == list(range(steps[0], steps[-1] + 1)):
        return f"steps {steps[0]} to {steps[-1]}"
    return f"steps {', '.join(map(str, steps))}"

"""What every recurrent network here shares: its parameters, and how it is unrolled over a sequence.

A network is a cell, which its subclass writes down equation by equation, and the unrolling around it: the
initial state, the layers, the read-out, the losses, and which steps have a read-out at all (the topologies
of note 002):

    many-to-many    an input and a loss at every step
    many-to-one     an input at every step, one read-out and one loss at the last
    one-to-many     an input at the first step, `y[0]`; each output is the next input; a loss at every step

Everything is recorded from what minigrad exports, in the notes' letters, with column vectors: a vector is
`(features, batch)`, a layer `W @ x + b`. The first layer has the notes' names; the second adds `_ii` to them
(`Whh_ii`, `h_ii`), the third `_iii`, since a number would read as a time step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

import minigrad as mg
from minigrad.errors import NameNotFoundError, ShapeError, nearest
from models.checks import check_inputs, check_targets, check_vector, one_of, value_of
from models.errors import ModelError
from models.unrolled import Unrolled, layer_suffix

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[[mg.Node], mg.Node]
State: TypeAlias = Mapping[str, "mg.Node | Array"]
Cell: TypeAlias = Callable[..., tuple[mg.Node, ...]]
Sequences: TypeAlias = "mg.Node | Array | Sequence[mg.Node | Array]"

TOPOLOGIES = ("many-to-many", "many-to-one", "one-to-many")
FUNCTIONS: dict[str, Function] = {
    "identity": lambda o: o,
    "tanh": mg.tanh,
    "sigmoid": mg.sigmoid,
    "relu": mg.relu,
    "exp": mg.exp,
}


class Recurrent(ABC):
    """A recurrent network of one or more layers with a read-out; the base of `ElmanRNN` and `LSTM`.

    Parameters
    ----------
    inputs : int
        Size of an input vector, or the number of classes if there is an embedding.
    hidden : int
        Size H of the state of each layer.
    outputs : int, optional
        Size of an output vector; by default that of an input.
    embedding : int, optional
        Size of the embedding `Wex`; without it the inputs go straight in (note 002).
    layers : int
        Number of layers; each reads the `h` of the layer below at the same step.
    topology : {"many-to-many", "many-to-one", "one-to-many"}
        Which steps have an input, a read-out and a loss.
    fy : str or callable
        The output function: "softmax" (with cross-entropy), or "identity", "tanh", "sigmoid", "relu", "exp"
        or any function of a node (with half the squared error, so that `dy = y - y_true`).
    initial_state : {"zero", "learned"}
        What the state before the first step is when none is given. A learned one is a parameter `h_init (H,
        1)`.
    seed : int, optional
        Of the initial weights. The same seed gives the same weights, up to rounding, in every dtype.
    dtype : dtype
        Of all parameters, float64 or float32.

    Attributes
    ----------
    parameters : dict of str to Node
        By name, in a fixed order.

    Raises
    ------
    ModelError
        If sizes or words are not among those above.
    """

    kind: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int | None = None,
        *,
        embedding: int | None = None,
        layers: int = 1,
        topology: str = "many-to-many",
        fy: str | Function = "softmax",
        initial_state: str = "zero",
        seed: int | None = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        outputs = inputs if outputs is None else outputs
        sizes = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "layers": layers}
        if embedding is not None:
            sizes["embedding"] = embedding
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
                raise ModelError(f"{self.kind}: {name} is {size!r}; expected a whole number of at least 1")
        one_of(self.kind, "topology", topology, TOPOLOGIES)
        one_of(self.kind, "initial_state", initial_state, ("zero", "learned"))
        if not callable(fy):
            one_of(self.kind, "fy", fy, ("softmax", *FUNCTIONS))
        if topology == "one-to-many" and inputs != outputs:
            raise ModelError(
                f"{self.kind}: one-to-many feeds each output back as an input, so their sizes must agree; "
                f"inputs is {inputs} and outputs is {outputs}"
            )
        self.inputs, self.hidden, self.outputs = int(inputs), int(hidden), int(outputs)
        self.embedding = None if embedding is None else int(embedding)
        self.layers = int(layers)
        self.topology = topology
        self.fy = fy
        self.initial_state = initial_state
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ModelError(f"{self.kind}: dtype is {self.dtype}; expected float32 or float64")
        self.parameters: dict[str, mg.Node] = {}
        random = np.random.default_rng(seed)
        for name, shape in self._shapes():
            self.parameters[name] = mg.parameter(self._initial(name, shape, random), name=name)

    # -- what a subclass says ------------------------------------------------------------------------

    @abstractmethod
    def _cell_shapes(self, size: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield name and shape of each parameter of a layer that reads `size` features."""

    @abstractmethod
    def _cell(self, suffix: str) -> Cell:
        """Return one step of a layer, parameters at hand: from its input and states to its new states."""

    @abstractmethod
    def _embed(self, inputs: mg.Node) -> mg.Node:
        """Record what the first layer reads, from one-hot columns or class indices."""

    @property
    @abstractmethod
    def input_name(self) -> str:
        """The notes' name of what comes in at a step."""

    # -- parameters ----------------------------------------------------------------------------------

    def _shapes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        size = self.inputs
        if self.embedding is not None:
            yield "Wex", (self.embedding, self.inputs)
            size = self.embedding
        for layer in range(1, self.layers + 1):
            suffix = layer_suffix(layer)
            for name, shape in self._cell_shapes(size):
                yield name + suffix, shape
            if self.initial_state == "learned":
                for name in self.state_names:
                    yield f"{name}_init{suffix}", (self.hidden, 1)
            size = self.hidden
        yield "Why", (self.outputs, self.hidden)
        yield "by", (self.outputs, 1)

    def _initial(self, name: str, shape: tuple[int, int], random: np.random.Generator) -> Array:
        if name.startswith("b") or name.split("_")[0] in self.state_names:
            # A forget gate that is open at first lets gradients through (Gers et al. 2000).
            return np.full(shape, 1.0 if name.startswith("bf") else 0.0, self.dtype)
        if name == "Wex":
            return random.standard_normal(shape).astype(self.dtype)
        bound = 1 / math.sqrt(shape[1])
        return random.uniform(-bound, bound, shape).astype(self.dtype)

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Overwrite the values of parameters, in place.

        Parameters
        ----------
        values : mapping of str to array
            By name; each of the parameter's own shape. Parameters not named keep their values.

        Raises
        ------
        NameNotFoundError
            If the network has no such parameter.
        ShapeError
            If a shape differs; no parameter is changed then.
        """
        for name, value in values.items():
            if name not in self.parameters:
                known = nearest(name, self.parameters)
                raise NameNotFoundError(f"{self.kind} has no parameter {name!r}; {known}")
            if np.shape(value) != self.parameters[name].shape:
                raise ShapeError(
                    f"{name}: the network has shape {self.parameters[name].shape}, "
                    f"the value given {np.shape(value)}"
                )
        for name, value in values.items():
            self.parameters[name].value[...] = value

    def values(self) -> dict[str, Array]:
        """Return the arrays of all parameters by name; the arrays themselves, not copies."""
        return {name: node.value for name, node in self.parameters.items()}

    @property
    def description(self) -> dict[str, Any]:
        """All that is needed to build the network again, but for its weights: plain words and numbers.

        Raises
        ------
        ModelError
            If the output function is a Python function without a name here.
        """
        if callable(self.fy):
            raise ModelError(
                f"{self.kind}: fy is a Python function, which cannot be written to a file; "
                f"use one of {', '.join(FUNCTIONS)} by name"
            )
        return {
            "kind": self.kind,
            "inputs": self.inputs,
            "hidden": self.hidden,
            "outputs": self.outputs,
            "embedding": self.embedding,
            "layers": self.layers,
            "topology": self.topology,
            "fy": self.fy,
            "initial_state": self.initial_state,
            "dtype": self.dtype.name,
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Build a network from a `description`, with fresh weights (`models.build` picks the class)."""
        return cls(**{name: value for name, value in description.items() if name != "kind"})

    def __repr__(self) -> str:
        embedding = "" if self.embedding is None else f", embedding={self.embedding}"
        layers = "" if self.layers == 1 else f", layers={self.layers}"
        count = sum(node.size for node in self.parameters.values())
        return (
            f"{self.kind}(inputs={self.inputs}, hidden={self.hidden}, outputs={self.outputs}"
            f"{embedding}{layers}, {self.topology}, {self.dtype.name}): {count:,} weights"
        )

    # -- unrolling -----------------------------------------------------------------------------------

    def __call__(
        self,
        inputs: Sequences,
        targets: Sequences | None = None,
        state: State | None = None,
        *,
        steps: int | None = None,
    ) -> Unrolled:
        """Unroll the network over a sequence and record it.

        Parameters
        ----------
        inputs : array, Node, or sequence of either
            Time-major: `(T, inputs, B)`, or class indices `(T, B)` for a network with an embedding
            (recorded as `take`; one-hot columns as a matrix product). A Node is indexed by recorded
            operations, so that the same call works under `mg.compile`. One-to-many takes the input of the
            first step alone, `(inputs, B)` or `(B,)`.
        targets : array, Node, or sequence of either, optional
            Of every step with a loss: `(T, outputs, B)`, or class indices `(T, B)` for softmax; many-to-one
            takes that of the last step alone, `(outputs, B)` or `(B,)`.
        state : mapping of str to array or Node, optional
            The initial state `(H, B)` by name (``{"h": h0}``, ``{"h": h0, "c": c0}``); what is not given is
            zero or learned.
        steps : int, optional
            For one-to-many without targets: how many steps.

        Returns
        -------
        Unrolled

        Raises
        ------
        ShapeError
            If inputs, targets or states do not fit; the message says which.

        Examples
        --------
        >>> import numpy as np
        >>> from models import ElmanRNN
        >>> net = ElmanRNN(inputs=5, hidden=4, embedding=3, seed=0)
        >>> run = net(np.array([[0], [3]]), targets=np.array([[3], [1]]))
        >>> run.loss.backward()
        >>> net.parameters["Whh"].grad.shape
        (4, 4)
        """
        feedback = self.topology == "one-to-many"
        if feedback:
            first = self._first_input(inputs)
            batch = first.shape[-1]
            count = steps if targets is None else len(targets)
            if count is None or count < 1:
                raise ModelError(f"{self.kind}: one-to-many needs targets, or a number of steps (steps=...)")
        else:
            count, batch = check_inputs(self, inputs)
        if targets is not None:
            check_targets(self, targets, count, batch)

        run = Unrolled()
        current = self._initial_states(state, batch)
        run.states = {name: {0: node} for name, node in current.items()}
        cells = self._cells()
        for t in range(1, count + 1):
            with mg.step(t):
                if not feedback:
                    x = self._at(inputs, t, self.input_name)
                else:
                    x = first if t == 1 else run.outputs[t - 1]
                h = self._layers(cells, x, current)
                for name, node in current.items():
                    run.states[name][t] = node
                if self.topology == "many-to-one" and t < count:
                    continue
                o, answer = self._read_out(h)
                run.outputs[t] = answer
                if targets is not None:
                    run.losses[t] = self._loss(o, answer, targets, t)
        return run

    def step(self, x: Array, state: State | None = None) -> tuple[Array, dict[str, Array]]:
        """Run one step on numbers alone, recording nothing: for sampling and forecasting.

        Parameters
        ----------
        x : ndarray
            The input of the step, `(inputs, B)` or class indices `(B,)`.
        state : mapping, optional
            The state before it.

        Returns
        -------
        answer : ndarray, shape (outputs, B)
            Probabilities, or `y`.
        state : dict of str to ndarray
            The state after it.
        """
        with mg.no_grad():
            x = np.asarray(x)
            node = mg.constant(x if x.ndim == 1 else x.astype(self.dtype, copy=False))
            current = self._initial_states(state, x.shape[-1])
            _, answer = self._read_out(self._layers(self._cells(), node, current))
        return answer.value, {name: node.value for name, node in current.items()}

    def _cells(self) -> list[tuple[Cell, list[str]]]:
        """Return each layer's cell and the names of its states."""
        suffixes = map(layer_suffix, range(1, self.layers + 1))
        return [(self._cell(suffix), [name + suffix for name in self.state_names]) for suffix in suffixes]

    def _layers(
        self, cells: list[tuple[Cell, list[str]]], x: mg.Node, current: dict[str, mg.Node]
    ) -> mg.Node:
        """Record one step of all layers; replaces the states in `current`, returns the topmost `h`."""
        if self.embedding is not None:
            x = self._embed(x)
        for cell, names in cells:
            after = cell(x, *[current[name] for name in names])
            current.update(zip(names, after, strict=True))
            x = after[0]
        return x

    def _read_out(self, h: mg.Node) -> tuple[mg.Node, mg.Node]:
        o = self.parameters["Why"] @ h + self.parameters["by"]
        if self.fy == "softmax":
            o.named("o")
            return o, mg.softmax(o).named("p")
        if self.fy == "identity":
            return o, o.named("y")  # y = matmul(Why, h) + by: one value, one name
        function = self.fy if callable(self.fy) else FUNCTIONS[self.fy]
        return o.named("o"), function(o).named("y")

    def _loss(self, o: mg.Node, answer: mg.Node, targets: Sequences, t: int) -> mg.Node:
        name = "y" if self.fy == "softmax" else "y_true"
        if self.topology != "many-to-one":
            target = self._at(targets, t, name)
        elif isinstance(targets, mg.Node):
            target = targets if targets.name is not None else targets.named(name)
        else:
            target = mg.constant(self._numbers(targets), name=name)
        if self.fy == "softmax":
            return mg.cross_entropy(o, target).named("L")
        return mg.squared_error(answer, target).named("L")

    def _at(self, sequence: Sequences, t: int, name: str) -> mg.Node:
        """Return row t of a sequence as a node: recorded if the sequence is one, else a leaf."""
        row = sequence[t - 1]
        if isinstance(row, mg.Node):
            return row if row.name is not None else row.named(name)
        return mg.constant(self._numbers(row), name=name)

    def _numbers(self, values: Any) -> Array:
        array = np.asarray(values)
        return array if array.dtype.kind in "iu" and array.ndim == 1 else array.astype(self.dtype, copy=False)

    # -- initial state -------------------------------------------------------------------------------

    def state_shapes(self, batch: int) -> dict[str, tuple[int, int]]:
        """Return the shape of every state by name, for a batch of that many columns."""
        return {
            name + layer_suffix(layer): (self.hidden, batch)
            for layer in range(1, self.layers + 1)
            for name in self.state_names
        }

    def _initial_states(self, given: State | None, batch: int) -> dict[str, mg.Node]:
        given = given or {}
        shapes = self.state_shapes(batch)
        for name in given:
            if name not in shapes:
                raise NameNotFoundError(f"{self.kind} has no state {name!r}; {nearest(name, shapes)}")
        return {name: self._initial_state(name, given.get(name), shape) for name, shape in shapes.items()}

    def _initial_state(self, name: str, given: mg.Node | Array | None, shape: tuple[int, int]) -> mg.Node:
        if given is not None:
            if value_of(given).shape != shape:
                raise ShapeError(
                    f"{self.kind}: the initial state {name} has shape {value_of(given).shape}; "
                    f"expected (hidden, batch) = {shape}"
                )
            if isinstance(given, mg.Node):
                return given
            return mg.constant(np.asarray(given).astype(self.dtype, copy=False), name=name, step=0)
        if self.initial_state == "zero":
            return mg.constant(np.zeros(shape, self.dtype), name=name, step=0)
        base, _, layer = name.partition("_")
        learned = self.parameters[f"{base}_init" + (f"_{layer}" if layer else "")]
        with mg.step(0):
            return mg.broadcast_to(learned, shape).named(name)

    # -- checks --------------------------------------------------------------------------------------

    def _first_input(self, inputs: Sequences) -> mg.Node:
        value = value_of(inputs)
        check_vector(self.kind, "the inputs of step 1", value, self.inputs, self.embedding is not None)
        # Later steps multiply Wex by probabilities, so the first is one-hot too: all steps are alike.
        if isinstance(inputs, mg.Node):
            return inputs if value.ndim == 2 else mg.one_hot(inputs, self.inputs, axis=0)
        if value.ndim == 1:
            value = np.eye(self.inputs, dtype=self.dtype)[:, value]
        # It stands where the output of a step before would: every step then reads y[t-1] (or p[t-1]).
        name = "p" if self.fy == "softmax" else "y"
        return mg.constant(value.astype(self.dtype, copy=False), name=name, step=0)

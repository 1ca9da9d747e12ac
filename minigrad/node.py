"""A node is a value and how it came about; recording order is a topological order.

Everything in minigrad is a reading of the nodes that running a program leaves behind: gradients,
equations, drawings, compiled programs.  A node knows its inputs and nothing of its users, so a graph is
freed with the last reference to its output, and nothing here walks a graph recursively.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.errors import (
    AxisError,
    IntegerGradientError,
    NotScalarError,
    TracingError,
    UnsupportedError,
)

if TYPE_CHECKING:
    import weakref

    from minigrad.primitives import Primitive

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = "Node | ArrayLike"
Axis: TypeAlias = "int | tuple[int, ...] | None"
Attributes: TypeAlias = Mapping[str, Any]

_NO_ATTRIBUTES: dict[str, Any] = {}
_next_serial = itertools.count(1).__next__


class Observer(Protocol):
    """Something that looks at values and gradients as they come about."""

    def __call__(self, node: Node) -> None:
        """Look at a node that was just recorded."""

    def gradient(self, node: Node, users: Sequence[Node], g: Array) -> None:
        """Look at the gradient of a node, which came from its users."""


class _State(threading.local):
    """What recording depends on, apart for each thread."""

    step: int | None = None
    recording: bool = True
    # Looks at each node as it is recorded, and at its gradient (anomaly detection); None almost always.
    observer: Observer | None = None
    # Under tracing a program may not look at values; the text says who traces.
    tracing: str | None = None


state = _State()


class Node:
    """A value and how it came about.

    Nodes are made by `parameter`, `constant` and the functions of `minigrad`; there is no other way to
    make one.

    Attributes
    ----------
    value : ndarray
        The number or numbers.
    primitive : Primitive or None
        The operation that computed the value; None for a leaf.
    inputs : tuple of Node
        What the operation was applied to, in order.
    attributes : mapping
        What else it was told: ``axis``, ``shape``, ``index`` ...; all values are hashable.
    name : str or None
        What equations, drawings and errors call it.
    step : int or None
        The time step in which it was recorded.
    serial : int
        Its place in the order of recording.
    requires_grad : bool
        Whether a gradient flows from it to a parameter.
    grad : ndarray or None
        Filled by `backward`, for parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> x = mg.constant(np.ones((3, 1)), name="x")
    >>> W = mg.parameter(np.ones((2, 3)), name="W")
    >>> with mg.step(3):
    ...     h = mg.tanh(W @ x).named("h")
    >>> h
    h[3] = tanh f64[2,1]
    """

    __slots__ = (
        "__weakref__",
        "attributes",
        "grad",
        "inputs",
        "name",
        "primitive",
        "requires_grad",
        "serial",
        "softmax",
        "step",
        "value",
    )

    value: Array
    primitive: Primitive | None
    inputs: tuple[Node, ...]
    attributes: Attributes
    name: str | None
    step: int | None
    serial: int
    requires_grad: bool
    grad: Array | None
    # The softmax of this node, if one is recorded and alive: (axis, reference).  It lets the gradient of
    # cross_entropy be `p - y` with the very p that the program computed.
    softmax: tuple[int, weakref.ref[Node]] | None

    def __init__(self) -> None:
        raise UnsupportedError(
            "Node() is not for direct use: make leaves with mg.parameter(array, name=...) or "
            "mg.constant(array, name=...), everything else by computing with them"
        )

    # -- what it is ----------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """The number of axes of the value."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """The number of entries of the value."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.value.dtype

    @property
    def is_leaf(self) -> bool:
        """Whether it was given and not computed."""
        return self.primitive is None

    @property
    def is_parameter(self) -> bool:
        """Whether it is a leaf whose gradient `backward` fills."""
        return self.primitive is None and self.requires_grad

    @property
    def label(self) -> str:
        """Its name as equations and errors write it: ``h[3]``, ``Whh``, or the operation's name."""
        if self.name is not None:
            name = self.name
        elif self.primitive is not None:
            name = self.primitive.name
        else:
            name = "parameter" if self.requires_grad else "constant"
        return name if self.step is None else f"{name}[{self.step}]"

    def named(self, name: str) -> Node:
        """Set the name and return the node itself, so that a name can be given where a value is made.

        >>> import minigrad as mg
        >>> mg.exp(mg.constant(0.0)).named("e").name
        'e'
        """
        self.name = _checked_name(name)
        return self

    def __repr__(self) -> str:
        kind = self.dtype.kind + str(self.dtype.itemsize * 8) if self.dtype.kind != "b" else "bool"
        shape = ",".join(map(str, self.shape))
        if self.primitive is not None:
            how = self.primitive.name
        else:
            how = "parameter" if self.requires_grad else "constant"
        label = f"{self.label} = " if self.name is not None else ""
        where = f" (step {self.step})" if self.name is None and self.step is not None else ""
        return f"{label}{how} {kind}[{shape}]{where}"

    # -- gradients -----------------------------------------------------------------------------------

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add the gradient of this node to `grad` of every parameter behind it.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient that arrives at this node, of its shape; 1 for a scalar.

        Raises
        ------
        NotScalarError
            If the node is not a scalar and no gradient is given.
        NotConnectedError
            If no parameter stands behind it.

        Examples
        --------
        >>> import minigrad as mg
        >>> w = mg.parameter(3.0, name="w")
        >>> (w * w).backward()
        >>> w.grad
        array(6.)
        """
        from minigrad import autodiff

        autodiff.backward(self, gradient)

    # -- numbers out ---------------------------------------------------------------------------------

    def item(self) -> float:
        """Return the value of a node of one entry as a Python number.

        Raises
        ------
        NotScalarError
            If it has more entries, or none.
        """
        return _one_number(self, ".item()")  # type: ignore[no-any-return]

    def __float__(self) -> float:
        return float(_one_number(self, "float(...)"))

    def __int__(self) -> int:
        return int(_one_number(self, "int(...)"))

    def __bool__(self) -> bool:
        return bool(_one_number(self, "a condition"))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        # Without this, numpy would quietly build an array of objects.
        raise UnsupportedError(
            f"{self.label} would leave the recorded graph by becoming an array: "
            "write node.value for its numbers, or compute with minigrad's functions"
        )

    def __len__(self) -> int:
        if not self.value.ndim:
            raise UnsupportedError(f"len() of {self.label}, which has no axes")
        return len(self.value)

    def __iter__(self) -> Iterator[Node]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: object) -> bool:
        # Python would fall back to ==, which asks whether two nodes are one, and answer False.
        raise UnsupportedError(f"`in` on {self.label}: look into node.value, or compare with mg.equal")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise UnsupportedError(
            f"{self.label}[...] = ... would overwrite a value that the graph remembers: "
            "use mg.where, mg.concat or mg.stack to make a new one"
        )

    # -- operators and methods: each is the function of the same name ------------------------------------

    def __add__(self, other: Operand) -> Node:
        return _functions.add(self, other)

    def __radd__(self, other: Operand) -> Node:
        return _functions.add(other, self)

    def __sub__(self, other: Operand) -> Node:
        return _functions.subtract(self, other)

    def __rsub__(self, other: Operand) -> Node:
        return _functions.subtract(other, self)

    def __mul__(self, other: Operand) -> Node:
        return _functions.multiply(self, other)

    def __rmul__(self, other: Operand) -> Node:
        return _functions.multiply(other, self)

    def __truediv__(self, other: Operand) -> Node:
        return _functions.divide(self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return _functions.divide(other, self)

    def __matmul__(self, other: Operand) -> Node:
        return _functions.matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Node:
        return _functions.matmul(other, self)

    def __pow__(self, other: Operand) -> Node:
        return _functions.power(self, other)

    def __rpow__(self, other: Operand) -> Node:
        return _functions.power(other, self)

    def __neg__(self) -> Node:
        return _functions.negative(self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return _functions.abs(self)

    def __gt__(self, other: Operand) -> Node:
        return _functions.greater(self, other)

    def __ge__(self, other: Operand) -> Node:
        return _functions.greater_equal(self, other)

    def __lt__(self, other: Operand) -> Node:
        return _functions.less(self, other)

    def __le__(self, other: Operand) -> Node:
        return _functions.less_equal(self, other)

    def __getitem__(self, index: Any) -> Node:
        return _functions.getitem(self, index)

    @property
    def T(self) -> Node:
        """The value with its axes reversed, as in numpy."""
        return _functions.permute_dims(self)

    def transpose(self, *axes: int) -> Node:
        """Permute the axes; reverse them if none are given (`minigrad.permute_dims`)."""
        return _functions.permute_dims(self, axes or None)

    def reshape(self, *shape: int | Sequence[int]) -> Node:
        """Give the value another shape (`minigrad.reshape`); one size may be -1."""
        if len(shape) == 1 and not isinstance(shape[0], SupportsIndex):
            return _functions.reshape(self, shape[0])
        return _functions.reshape(self, shape)  # type: ignore[arg-type]

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Node:
        """Sum over axes (`minigrad.sum`)."""
        return _functions.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Node:
        """Average over axes (`minigrad.mean`)."""
        return _functions.mean(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Node:
        """Take the largest entry over axes (`minigrad.max`)."""
        return _functions.max(self, axis, keepdims)

    # -- numpy's protocols ---------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Node:
        from minigrad import numpy_protocols

        return numpy_protocols.call_ufunc(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        from minigrad import numpy_protocols

        return numpy_protocols.call_function(function, args, options)


_new = Node.__new__


def record(
    primitive: Primitive, value: Any, inputs: tuple[Node, ...], attributes: Attributes = _NO_ATTRIBUTES
) -> Node:
    """Make the node of an operation that has been carried out.  For primitives, not for users."""
    if type(value) is not np.ndarray:
        value = np.asarray(value)  # numpy turns results without axes into scalars
    current = state
    node = _new(Node)
    node.value = value
    node.name = node.grad = node.softmax = None
    node.step = current.step
    node.serial = _next_serial()
    if current.recording:
        node.primitive = primitive
        node.inputs = inputs
        node.attributes = attributes
        for operand in inputs:
            if operand.requires_grad:
                # Behind a comparison or stop_gradient, parameters are out of a gradient's reach.
                node.requires_grad = primitive.is_differentiable
                break
        else:
            node.requires_grad = False
    else:
        node.primitive = None
        node.inputs = ()
        node.attributes = _NO_ATTRIBUTES
        node.requires_grad = False
    if current.observer is not None:
        current.observer(node)
    return node


def _leaf(value: Array, name: str | None, step: int | None, requires_grad: bool) -> Node:
    node = _new(Node)
    node.value = value
    node.primitive = node.grad = node.softmax = None
    node.inputs = ()
    node.attributes = _NO_ATTRIBUTES
    node.name = name if name is None else _checked_name(name)
    node.step = step
    node.serial = _next_serial()
    node.requires_grad = requires_grad
    return node


def parameter(value: ArrayLike, name: str | None = None, step: int | None = None) -> Node:
    """Make a leaf that is to be learned: `backward` fills its `grad`.

    Parameters
    ----------
    value : array_like
        Floating point numbers of any shape; they are copied, the dtype is kept.
    name : str, optional
        What to call it, ``"Whh"``.
    step : int, optional
        For an initial state that is learned: the step before the first, 0.  Parameters belong to no step
        otherwise, also inside ``with step(t)``.

    Raises
    ------
    IntegerGradientError
        If the value is not floating point.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> mg.parameter(np.zeros((4, 3), np.float32), name="Wxh")
    Wxh = parameter f32[4,3]
    """
    array = _checked_array(value, name, "parameter")
    if array.dtype.kind not in "fc":
        what = name or "the value"
        raise IntegerGradientError(
            f"parameter: {what} is {array.dtype}, and only floating point numbers have gradients: "
            f"pass np.asarray({name or 'value'}, dtype=np.float64)"
        )
    return _leaf(np.array(array), name, _checked_step(step), True)


def constant(value: ArrayLike, name: str | None = None, step: int | None = None) -> Node:
    """Make a leaf that is given: an input, a target, an initial state.

    Parameters
    ----------
    value : array_like
        Numbers of any shape and dtype.  An array is used as it is, without a copy.
    name : str, optional
        What to call it, ``"x"``.
    step : int, optional
        The time step that it belongs to; by default the one of the enclosing ``with step(t)``.

    Examples
    --------
    >>> import minigrad as mg
    >>> with mg.step(2):
    ...     mg.constant([[1.0], [2.0]], name="x")
    x[2] = constant f64[2,1]
    """
    array = _checked_array(value, name, "constant")
    return _leaf(array, name, state.step if step is None else _checked_step(step), False)


class step:
    """Label everything recorded inside with the time step `t` (steps count from 1).

    >>> import minigrad as mg
    >>> with mg.step(1):
    ...     h = mg.tanh(mg.constant(0.5)).named("h")
    >>> h.label
    'h[1]'
    """

    __slots__ = ("before", "t")

    def __init__(self, t: int | None) -> None:
        self.t = _checked_step(t)

    def __enter__(self) -> None:
        self.before = state.step
        state.step = self.t

    def __exit__(self, *exception: object) -> None:
        state.step = self.before


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: what comes out are leaves with nothing behind them.

    >>> import minigrad as mg
    >>> w = mg.parameter(2.0, name="w")
    >>> with mg.no_grad():
    ...     (w * 3).is_leaf
    True
    """
    before = state.recording
    state.recording = False
    try:
        yield
    finally:
        state.recording = before


@contextmanager
def tracing(who: str) -> Iterator[None]:
    """Refuse every question about values, as a program that will run on other values must not ask."""
    before = state.tracing
    state.tracing = who
    try:
        yield
    finally:
        state.tracing = before


def _one_number(node: Node, what: str) -> Any:
    """Return the one entry of a node for `what` the program does with it."""
    _no_values_under_tracing(node, what)
    if node.value.size != 1:
        raise NotScalarError(
            f"{what} needs one number, and {node.label} has shape {node.shape}: reduce it first (mg.sum, "
            "mg.max), or take all of its numbers with node.value"
        )
    return node.value.item()


def _no_values_under_tracing(node: Node, what: str) -> None:
    if state.tracing is not None:
        raise TracingError(
            f"{state.tracing}: the function asks for the value of {node.label} ({what}); a program that is "
            "traced once must not depend on values: use mg.where(condition, a, b), or run it uncompiled"
        )


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise UnsupportedError(f"a node's name is a non-empty string, not {name!r}")
    return name


def _checked_step(t: int | None) -> int | None:
    if t is None:
        return None
    if isinstance(t, bool) or not isinstance(t, (int, np.integer)):
        raise UnsupportedError(f"a time step is an integer, not {t!r}")
    return int(t)


def _checked_array(value: ArrayLike, name: str | None, maker: str) -> Array:
    if isinstance(value, Node):
        raise UnsupportedError(
            f"{maker}: {value.label} is a node already; pass node.value to start anew from its numbers"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "fciub":
        raise UnsupportedError(
            f"{maker}: {name or 'the value'} has dtype {array.dtype}; expected numbers, "
            "such as np.asarray(value, dtype=np.float64)"
        )
    return array


def checked_axis(axis: int, ndim: int, what: str) -> int:
    """Return `axis` counted from the front, or raise an `AxisError` that names `what`."""
    try:
        axis = index(axis)
    except TypeError:
        raise UnsupportedError(f"{what}: an axis is an integer, not {axis!r}") from None
    if not -ndim <= axis < ndim:
        raise AxisError(f"{what}: axis {axis} does not exist, the value has {ndim} axes")
    return axis % ndim


from minigrad import primitives as _functions  # noqa: E402  (they are made of nodes, and nodes call them)

"""What the properties are drawn from: shapes that broadcast, axes, indices, and for every primitive its uses.

`USES[name]` draws a function made of one primitive and arrays to apply it to, away from the points where the
derivative jumps, so that finite differences are a fair witness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg

Draw = Callable[..., Any]


class Use(NamedTuple):
    """A function of one primitive, and where to evaluate it."""

    function: Callable[..., Any]
    arrays: list[np.ndarray]


seeds = st.integers(0, 2**20)


def shapes(min_dims=0, max_dims=3, min_side=0, max_side=3):
    """Shapes, empty ones and those of one entry among them."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def numbers(seed: int, kind: str, *wanted: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays of the wanted shapes.

    ``any`` number; ``positive``: 0.5 to 2; ``distinct``: no two within 0.1 of each other, over all
    arrays, nor of zero, so that a small difference changes no order.
    """
    random = np.random.default_rng(seed)
    if kind == "any":
        return [random.normal(size=shape) for shape in wanted]
    if kind == "positive":
        return [random.uniform(0.5, 2, size=shape) for shape in wanted]
    sizes = [int(np.prod(shape)) for shape in wanted]
    total = sum(sizes)
    ladder = (random.permutation(total) - total // 2 + 0.5) * 0.3 + random.uniform(-0.05, 0.05, total)
    parts = np.split(ladder, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, wanted, strict=True)]


def axes_of(ndim: int):
    """Axis arguments as numpy takes them: none, one, negative, several."""
    if not ndim:
        return st.none()
    single = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim).map(tuple)
    return st.none() | single | several


def elementwise(function: Callable[..., Any], kind: str = "any"):
    """A function of one operand."""

    @st.composite
    def draw_use(draw: Draw) -> Use:
        return Use(function, numbers(draw(seeds), kind, draw(shapes())))

    return draw_use()


def broadcast(function: Callable[..., Any], kind: str = "any", count: int = 2):
    """A function of operands that are broadcast against each other."""

    @st.composite
    def draw_use(draw: Draw) -> Use:
        together = draw(
            hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
        )
        return Use(function, numbers(draw(seeds), kind, *together.input_shapes))

    return draw_use()


@st.composite
def reductions(draw: Draw, function: Callable[..., Any], kind: str = "any", min_side: int = 0) -> Use:
    shape = draw(shapes(min_side=min_side))
    axis, keepdims = draw(axes_of(len(shape))), draw(st.booleans())
    return Use(lambda x: function(x, axis=axis, keepdims=keepdims), numbers(draw(seeds), kind, shape))


@st.composite
def along_axis(draw: Draw, function: Callable[..., Any]) -> Use:
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return Use(lambda x: function(x, axis=axis), numbers(draw(seeds), "any", shape))


@st.composite
def matmuls(draw: Draw) -> Use:
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    ahead = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=1, min_side=1, max_side=2))
    a, b = ((*ahead.input_shapes[0], n, k), (*ahead.input_shapes[1], k, m))
    if draw(st.booleans()):
        a = draw(st.sampled_from([a, (k,)]))
        b = draw(st.sampled_from([b, (k,)]))
    return Use(mg.matmul, numbers(draw(seeds), "any", a, b))


@st.composite
def powers(draw: Draw) -> Use:
    exponent = draw(st.sampled_from([-2, -1, -0.5, 0, 0.5, 1, 2, 3, 2.5]))
    return Use(lambda x: x**exponent, numbers(draw(seeds), "positive", draw(shapes())))


@st.composite
def reshapes(draw: Draw) -> Use:
    shape = draw(shapes())
    other = draw(st.permutations(shape))
    wanted = draw(st.sampled_from([tuple(other), (int(np.prod(shape)),), (1, *other)]))
    return Use(lambda x: mg.reshape(x, wanted), numbers(draw(seeds), "any", shape))


@st.composite
def permutations(draw: Draw) -> Use:
    shape = draw(shapes())
    axes = draw(st.none() | st.permutations(range(len(shape))))
    if axes is not None:
        axes = [axis - len(shape) * draw(st.integers(0, 1)) for axis in axes]
    return Use(lambda x: mg.permute_dims(x, axes), numbers(draw(seeds), "any", shape))


@st.composite
def broadcasts(draw: Draw) -> Use:
    shape = draw(shapes(max_dims=2))
    wanted = tuple(draw(st.integers(0, 3)) if n == 1 else n for n in shape)
    ahead = draw(shapes(max_dims=1))
    return Use(lambda x: mg.broadcast_to(x, (*ahead, *wanted)), numbers(draw(seeds), "any", shape))


@st.composite
def concats(draw: Draw) -> Use:
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sides = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = []
    for side in sides:
        part = list(shape)
        part[axis] = side
        parts.append(tuple(part))
    return Use(lambda *xs: mg.concat(xs, axis=axis), numbers(draw(seeds), "any", *parts))


@st.composite
def stacks(draw: Draw) -> Use:
    shape, count = draw(shapes(max_dims=2)), draw(st.integers(1, 4))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    return Use(lambda *xs: mg.stack(xs, axis=axis), numbers(draw(seeds), "any", *[shape] * count))


@st.composite
def accumulates(draw: Draw) -> Use:
    shape, count = draw(shapes(max_dims=2)), draw(st.integers(1, 5))
    return Use(mg.accumulate, numbers(draw(seeds), "any", *[shape] * count))


@st.composite
def splits(draw: Draw) -> Use:
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    bounds = sorted(draw(st.lists(st.integers(0, shape[axis]), max_size=3)))

    def function(x: Any) -> Any:
        parts = mg.split(x, bounds, axis)
        return mg.concat([(i + 1.0) * part for i, part in enumerate(parts)], axis)

    return Use(function, numbers(draw(seeds), "any", shape))


@st.composite
def slices(draw: Draw) -> Use:
    shape = draw(shapes(min_dims=1, min_side=1))
    index = draw(hnp.basic_indices(shape, allow_newaxis=True))
    return Use(lambda x: x[index], numbers(draw(seeds), "any", shape))


@st.composite
def scatters(draw: Draw) -> Use:
    """The adjoint of slicing is reached as the gradient of a slice that is not linear in its operand."""
    use = draw(slices())
    return Use(lambda x: mg.grad(mg.sum(use.function(x) ** 3), x, create_graph=True), use.arrays)


@st.composite
def takes(draw: Draw) -> Use:
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    entries = st.integers(0, shape[axis] - 1)
    indices = draw(hnp.arrays(np.int64, draw(shapes(max_dims=2)), elements=entries))
    return Use(lambda x: mg.take(x, indices, axis), numbers(draw(seeds), "any", shape))


@st.composite
def puts(draw: Draw) -> Use:
    use = draw(takes())
    return Use(lambda x: mg.grad(mg.sum(use.function(x) ** 3), x, create_graph=True), use.arrays)


@st.composite
def gathers(draw: Draw) -> Use:
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    picked = list(shape)
    picked[axis] = draw(st.integers(0, 3))
    indices = draw(hnp.arrays(np.int64, tuple(picked), elements=st.integers(0, shape[axis] - 1)))
    return Use(lambda x: mg.take_along_axis(x, indices, axis), numbers(draw(seeds), "any", shape))


@st.composite
def gather_adjoints(draw: Draw) -> Use:
    use = draw(gathers())
    return Use(lambda x: mg.grad(mg.sum(use.function(x) ** 3), x, create_graph=True), use.arrays)


@st.composite
def wheres(draw: Draw) -> Use:
    together = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3))
    condition = draw(hnp.arrays(bool, together.input_shapes[0]))
    arrays = numbers(draw(seeds), "any", *together.input_shapes[1:])
    return Use(lambda a, b: mg.where(condition, a, b), arrays)


@st.composite
def cross_entropies(draw: Draw) -> Use:
    """Classes, a distribution, or a distribution that is itself computed, along any axis."""
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    kind = draw(st.sampled_from(["classes", "probabilities", "computed"]))
    (logits,) = numbers(draw(seeds), "any", shape)
    random = np.random.default_rng(draw(seeds))
    if kind == "classes":
        rest = tuple(np.delete(shape, axis))
        target = random.integers(0, shape[axis], size=rest)
    else:
        target = np.moveaxis(
            random.dirichlet(np.ones(shape[axis]), size=tuple(np.delete(shape, axis))), -1, axis
        )
    if kind == "computed":
        return Use(lambda o, y: mg.cross_entropy(o, y, axis), [logits, target])
    return Use(lambda o: mg.cross_entropy(o, target, axis), [logits])


@st.composite
def squared_errors(draw: Draw) -> Use:
    shape = draw(shapes())
    return Use(mg.squared_error, numbers(draw(seeds), "any", shape, shape))


@st.composite
def casts(draw: Draw) -> Use:
    """To more digits and back: less than float64 would leave nothing for differences to see."""
    arrays = numbers(draw(seeds), "any", draw(shapes()))
    return Use(lambda x: mg.astype(mg.astype(x, np.longdouble) * 2.0, np.float64), arrays)


def _mask(compare: Callable[..., Any]) -> Callable[..., Any]:
    """A comparison has no derivative: it is checked where it chooses the derivative of something else."""
    return lambda a, b: compare(a, b) * a + b


USES: dict[str, Any] = {
    "add": broadcast(mg.add),
    "subtract": broadcast(mg.subtract),
    "multiply": broadcast(mg.multiply),
    "divide": broadcast(mg.divide, "positive"),
    "power": broadcast(mg.power, "positive"),
    "maximum": broadcast(mg.maximum, "distinct"),
    "minimum": broadcast(mg.minimum, "distinct"),
    "negative": elementwise(mg.negative),
    "scalar_power": powers(),
    "exp": elementwise(mg.exp),
    "log": elementwise(mg.log, "positive"),
    "sqrt": elementwise(mg.sqrt, "positive"),
    "abs": elementwise(mg.abs, "distinct"),
    "sign": elementwise(lambda x: mg.sign(x) * x, "distinct"),
    "tanh": elementwise(mg.tanh),
    "sigmoid": elementwise(mg.sigmoid),
    "relu": elementwise(mg.relu, "distinct"),
    "where": wheres(),
    "greater": broadcast(_mask(mg.greater), "distinct"),
    "greater_equal": broadcast(_mask(mg.greater_equal), "distinct"),
    "less": broadcast(_mask(mg.less), "distinct"),
    "less_equal": broadcast(_mask(mg.less_equal), "distinct"),
    "equal": broadcast(_mask(mg.equal), "distinct"),
    "stop_gradient": elementwise(lambda x: x * (x > mg.stop_gradient(x)) + x, "any"),
    "astype": casts(),
    "astype_integer": elementwise(lambda x: x * mg.astype(mg.astype(x > 0, np.int64), x.dtype), "distinct"),
    "accumulate": accumulates(),
    "matmul": matmuls(),
    "sum": reductions(mg.sum),
    "mean": reductions(mg.mean, min_side=1),
    "max": reductions(mg.max, kind="distinct", min_side=1),
    "softmax": along_axis(mg.softmax),
    "log_softmax": along_axis(mg.log_softmax),
    "cross_entropy": cross_entropies(),
    "squared_error": squared_errors(),
    "reshape": reshapes(),
    "permute_dims": permutations(),
    "broadcast_to": broadcasts(),
    "concat": concats(),
    "stack": stacks(),
    "getitem": slices() | splits(),
    "scatter": scatters(),
    "take": takes(),
    "put": puts(),
    "take_along_axis": gathers(),
    "put_along_axis": gather_adjoints(),
    "one_hot": elementwise(
        lambda x: x[..., None] * mg.one_hot(mg.astype(x > 0, np.int64), 2, axis=-1), "distinct"
    ),
}

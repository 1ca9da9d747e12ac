"""What is written means what was computed: read as Python, the text of an expression has its value."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.primitives import ATOM, PRIMITIVES, SUM
from tests.minigrad.strategies import USES

RANDOM = np.random.default_rng(0)
LEAVES = {name: mg.constant(RANDOM.uniform(0.5, 1.5, size=(3, 3)), name=name) for name in "ABC"}

BINARY = [mg.add, mg.subtract, mg.multiply, mg.matmul, lambda a, b: a / (2.0 + mg.tanh(b))]
UNARY = [
    mg.negative,
    mg.tanh,
    mg.sigmoid,
    lambda x: mg.exp(mg.tanh(x)),
    lambda x: x**2,
    lambda x: x**3,
    lambda x: (2.0 + mg.tanh(x)) ** -1,
    lambda x: x.T,
]

expressions = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(LEAVES.get),
    lambda inner: (
        st.builds(lambda f, a, b: f(a, b), st.sampled_from(BINARY), inner, inner)
        | st.builds(lambda f, a: f(a), st.sampled_from(UNARY), inner)
    ),
    max_leaves=8,
)


def written(node, latex=False):
    """Return the text of a node and how tightly it binds."""
    if node.primitive is None:
        return (node.name or repr(node.item())), ATOM
    operands = [written(x, latex) for x in node.inputs]
    return node.primitive.write(operands, node.attributes, latex), node.primitive.precedence


def read(text):
    """Evaluate a written expression as Python."""
    python = text.replace("²", "**2").replace("^T", ".T")
    python = re.sub(r"\^(\(?-?\d+\)?)", r"**\1", python)
    names = {name: node.value for name, node in LEAVES.items()}
    functions = {"tanh": np.tanh, "exp": np.exp, "sigmoid": mg.sigmoid}
    return eval(python, {"__builtins__": {}}, {**names, **functions})


@settings(max_examples=400)
@given(expressions)
def test_a_written_expression_read_again_has_the_same_value(node):
    text, _ = written(node)
    scale = max(np.abs(x.value).max() for x in mg.Graph(node))
    np.testing.assert_allclose(read(text), node.value, rtol=1e-9, atol=1e-12 * scale, err_msg=text)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda A, B, C: A * (B @ C), "A * (B @ C)"),
        (lambda A, B, C: A @ B @ C, "A @ B @ C"),
        (lambda A, B, C: A @ (B @ C), "A @ (B @ C)"),
        (lambda A, B, C: A - (B - C), "A - (B - C)"),
        (lambda A, B, C: A - B - C, "A - B - C"),
        (lambda A, B, C: (A + B) * C, "(A + B) * C"),
        (lambda A, B, C: A / (B * C), "A / (B * C)"),
        (lambda A, B, C: (1 - A**2) * B, "(1.0 - A²) * B"),
        (lambda A, B, C: A @ B.T, "A @ B^T"),
        (lambda A, B, C: (A + B).T, "(A + B)^T"),
        (lambda A, B, C: (-A) ** 2, "(-A)²"),
        (lambda A, B, C: A**-1, "A^(-1)"),
        (lambda A, B, C: mg.concat([A, B]), "concat(A, B)"),
        (lambda A, B, C: mg.stack([A, B], 1), "stack(A, B, axis=1)"),
        (lambda A, B, C: A[0, 1:, None], "A[0, 1:, None]"),
        (lambda A, B, C: A[..., ::2], "A[..., ::2]"),
        (lambda A, B, C: mg.sum(A * B, 1), "sum(A * B, axis=1)"),
        (lambda A, B, C: mg.accumulate(A, B - C, C), "A + B - C + C"),
        (lambda A, B, C: mg.reshape(A, (9,)), "reshape(A, (9,))"),
        (lambda A, B, C: A > B + C, "A > B + C"),
    ],
)
def test_how_it_is_written(make, text):
    assert written(make(*LEAVES.values()))[0] == text


@settings(max_examples=60)
@given(expressions)
def test_latex_is_balanced(node):
    text, _ = written(node, latex=True)
    assert text.count("{") == text.count("}") and text.count(r"\left(") == text.count(r"\right)")


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_primitive_writes_its_uses_in_text_and_latex(name):
    @settings(max_examples=5)
    @given(USES[name])
    def check(use):
        graph = mg.Graph(use.function(*[mg.parameter(x) for x in use.arrays]))
        node = next(node for node in graph if node.primitive is PRIMITIVES[name])
        operands = [(f"x{i} + y", SUM) for i in range(len(node.inputs))]
        for latex in (False, True):
            text = node.primitive.write(operands, node.attributes, latex)
            assert text.count("(") == text.count(")") and text.count("{") == text.count("}")
            assert "x0" in text

    check()

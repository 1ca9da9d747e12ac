"""Optimizers: how gradients change parameters, in place, with a state that can be stored and read back.

A parameter's array stays the same object, so that whoever holds it (a compiled program, say) sees it change.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import MinigradError, NameNotFoundError, ShapeError, nearest
from minigrad.node import Node

Array = NDArray[Any]


class OptimizerError(MinigradError, ValueError):
    """A setting or a state that no optimizer can work with."""


class Optimizer(ABC):
    """Changes parameters by their gradients; the base of `SGD` and `Adam`.

    Attributes
    ----------
    parameters : dict of str to Node
    learning_rate : float
        May be set between steps.
    """

    # Names of the arrays kept for each parameter, of its shape and dtype.
    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Mapping[str, Node] | Iterable[Node], learning_rate: float) -> None:
        if not isinstance(parameters, Mapping):
            parameters = {node.label: node for node in parameters}
        if not parameters:
            raise OptimizerError(f"{type(self).__name__}: there are no parameters to optimize")
        _positive(type(self).__name__, "learning_rate", learning_rate)
        self.parameters = dict(parameters)
        self.learning_rate = learning_rate
        self._count = 0
        self._slots = {
            slot: {name: np.zeros_like(node.value) for name, node in self.parameters.items()}
            for slot in self.slots
        }

    def step(self, gradients: Mapping[str, Array] | None = None) -> None:
        """Change every parameter once.

        Parameters
        ----------
        gradients : mapping of str to ndarray, optional
            By the parameters' names; `grad` of each, as `backward` leaves it, if not given. A parameter
            without a gradient stays as it is.

        Raises
        ------
        NameNotFoundError
            If a gradient belongs to no parameter.
        ShapeError
            If a gradient does not have its parameter's shape.
        """
        if gradients is None:
            gradients = {n: node.grad for n, node in self.parameters.items() if node.grad is not None}
        for name, gradient in gradients.items():
            if name not in self.parameters:
                raise NameNotFoundError(f"no parameter is called {name!r}; {nearest(name, self.parameters)}")
            if np.shape(gradient) != self.parameters[name].shape:
                raise ShapeError(
                    f"the gradient of {name} has shape {np.shape(gradient)}, "
                    f"the parameter {self.parameters[name].shape}"
                )
        self._count += 1
        for name, gradient in gradients.items():
            self._update(self.parameters[name].value, gradient, {s: a[name] for s, a in self._slots.items()})

    @abstractmethod
    def _update(self, value: Array, gradient: Array, slots: Mapping[str, Array]) -> None:
        """Change `value` and the slots in place."""

    def state(self) -> dict[str, Array]:
        """Return all that the next step depends on but parameters and settings, as arrays by dotted name."""
        arrays = {
            f"{s}.{name}": array for s, by_name in self._slots.items() for name, array in by_name.items()
        }
        return {"count": np.array(self._count), **arrays}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        OptimizerError
            If an array is missing, left over, or of another shape or dtype.
        """
        own = self.state()
        for name in {**own, **state}:
            if name not in state or name not in own:
                where = "missing" if name in own else "not of this optimizer"
                raise OptimizerError(f"{type(self).__name__}: in its state, {name} is {where}")
            if state[name].shape != own[name].shape or state[name].dtype.kind != own[name].dtype.kind:
                raise OptimizerError(
                    f"{type(self).__name__}: {name} is {state[name].dtype} {state[name].shape} in the state; "
                    f"expected {own[name].dtype} {own[name].shape}"
                )
        self._count = int(state["count"])
        for slot, by_name in self._slots.items():
            for name, array in by_name.items():
                array[...] = state[f"{slot}.{name}"]


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for (Polyak 1964, as PyTorch writes it).

    Parameters
    ----------
    parameters : mapping of str to Node, or iterable of Node
    learning_rate : float
    momentum : float
        Share of the last direction that is kept, from 0 to below 1.

    Examples
    --------
    >>> import minigrad as mg
    >>> w = mg.parameter([1.0], name="w")
    >>> SGD({"w": w}, learning_rate=0.1).step({"w": w.value})
    >>> w.value
    array([0.9])
    """

    slots = ("direction",)

    def __init__(
        self,
        parameters: Mapping[str, Node] | Iterable[Node],
        learning_rate: float = 0.1,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(parameters, learning_rate)
        if not 0 <= momentum < 1:
            raise OptimizerError(f"SGD: momentum is {momentum}; expected 0 or more and below 1")
        self.momentum = momentum

    def _update(self, value: Array, gradient: Array, slots: Mapping[str, Array]) -> None:
        direction = slots["direction"]
        direction *= self.momentum
        direction += gradient
        value -= value.dtype.type(self.learning_rate) * direction


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square (Kingma & Ba 2015).

    Parameters
    ----------
    parameters : mapping of str to Node, or iterable of Node
    learning_rate : float
    betas : tuple of float
        What the two running means keep at each step.
    eps : float
        Keeps the division finite.

    Examples
    --------
    >>> import minigrad as mg
    >>> w = mg.parameter([1.0], name="w")
    >>> Adam({"w": w}, learning_rate=0.1).step({"w": w.value})
    >>> w.value.round(6)
    array([0.9])
    """

    slots = ("mean", "square")

    def __init__(
        self,
        parameters: Mapping[str, Node] | Iterable[Node],
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate)
        if not all(0 <= beta < 1 for beta in betas):
            raise OptimizerError(f"Adam: betas are {betas}; expected both 0 or more and below 1")
        _positive("Adam", "eps", eps)
        self.betas = betas
        self.eps = eps

    def _update(self, value: Array, gradient: Array, slots: Mapping[str, Array]) -> None:
        mean, square = slots["mean"], slots["square"]
        one, two = self.betas
        mean *= one
        mean += (1 - one) * gradient
        square *= two
        square += (1 - two) * gradient * gradient
        # Both corrections for the zero start, folded into the rate.
        rate = self.learning_rate * math.sqrt(1 - two**self._count) / (1 - one**self._count)
        eps = self.eps * math.sqrt(1 - two**self._count)
        value -= rate * mean / (np.sqrt(square) + eps)


def _positive(who: str, name: str, number: float) -> None:
    if not (math.isfinite(number) and number > 0):
        raise OptimizerError(f"{who}: {name} is {number}; expected a positive number")

"""Optimizers: how parameters move once their gradients are known. In place, and without allocating anything.

Every optimizer keeps one or two arrays for each parameter, and one for scratch, all made at the beginning. A
step is a handful of numpy calls that write into them and into ``parameter.value``, so that a compiled program
(`minigrad.compile`) reads the new values where they are. The update rules, and what weight decay means in
each, are those of `torch.optim`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

import numpy as np

from minigrad.errors import NameNotFoundError, NotConnectedError, ShapeError, UnsupportedError, nearest
from minigrad.node import Array, Node

Parameters: TypeAlias = Mapping[str, Node] | Sequence[Node]
Gradients: TypeAlias = Mapping[str, Array] | Sequence[Array]

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSProp", "clip_by_norm", "clip_by_value"]


class Optimizer(ABC):
    """What all optimizers share: their parameters, and a state by name.

    Parameters
    ----------
    parameters : mapping of str to Node, or sequence of Node
        What to update; unnamed ones in a sequence go by their position.
    learning_rate : float
        May be changed between steps.
    weight_decay : float
        Adds ``weight_decay * parameter`` to each gradient (L2 regularization); decoupled in `AdamW`.

    Attributes
    ----------
    count : int
        Steps taken.

    Raises
    ------
    UnsupportedError
        If something is not a parameter, or a number is out of range.
    """

    # The arrays kept for each parameter, by the letters of the papers.
    keeps: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Parameters, learning_rate: float, weight_decay: float = 0.0) -> None:
        if isinstance(parameters, Mapping):
            self.parameters = dict(parameters)
        else:
            nodes = list(parameters)
            labels = [getattr(node, "label", "?") for node in nodes]
            self.parameters = {
                label if labels.count(label) == 1 else f"{label}_{i}": node
                for i, (label, node) in enumerate(zip(labels, nodes, strict=True))
            }
        kind = type(self).__name__
        for name, node in self.parameters.items():
            if not isinstance(node, Node) or not node.is_parameter:
                raise UnsupportedError(f"{kind}: {name} is not a parameter; make it with mg.parameter(array)")
        if not self.parameters:
            raise UnsupportedError(f"{kind}: no parameters to update")
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        _at_least_zero(kind, learning_rate=learning_rate, weight_decay=weight_decay)
        self.count = 0
        self._arrays: dict[str, dict[str, Array]] = {
            letter: {name: np.zeros(node.shape, node.dtype) for name, node in self.parameters.items()}
            for letter in self._kept()
        }
        self._scratch = {
            name: (np.empty(node.shape, node.dtype), np.empty(node.shape, node.dtype))
            for name, node in self.parameters.items()
        }

    def _kept(self) -> tuple[str, ...]:
        return self.keeps

    def step(self, gradients: Gradients | None = None) -> None:
        """Update every parameter once.

        Parameters
        ----------
        gradients : mapping of str to array, or sequence of array, optional
            In the form of the parameters, such as a compiled step gives them; by default what
            `Node.backward` has left in ``.grad``. They are not changed.

        Raises
        ------
        NotConnectedError
            If a parameter has no gradient.
        NameNotFoundError
            If there is a gradient for something that is not optimized.
        ShapeError
            If a gradient has another shape than its parameter; nothing is updated then.
        """
        found = self._gradients(gradients)
        self.count += 1
        for name, node in self.parameters.items():
            g = found[name]
            first, second = self._scratch[name]
            if self.weight_decay and self._decays_gradient():
                np.multiply(node.value, self.weight_decay, out=second)
                g = np.add(g, second, out=second)
            self._update(name, node.value, g, first, second)

    def _decays_gradient(self) -> bool:
        return True

    @abstractmethod
    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        """Move one parameter in place; `g` may be `more`, which may be overwritten once g has been read."""

    def _gradients(self, gradients: Gradients | None) -> Mapping[str, Array]:
        kind = type(self).__name__
        found: dict[str, Array]
        if gradients is None:
            found = {}
            for name, node in self.parameters.items():
                if node.grad is None:
                    raise NotConnectedError(
                        f"{kind}: {name} has no gradient; call loss.backward() before, or pass gradients"
                    )
                found[name] = node.grad
        elif isinstance(gradients, Mapping):
            for name in gradients:
                if name not in self.parameters:
                    known = nearest(name, self.parameters)
                    raise NameNotFoundError(f"{kind}: a gradient for {name}, which is not optimized; {known}")
            for name in self.parameters:
                if name not in gradients:
                    raise NotConnectedError(f"{kind}: no gradient for {name} among those given")
            found = dict(gradients)
        else:
            if len(gradients) != len(self.parameters):
                raise ShapeError(f"{kind}: {len(gradients)} gradients for {len(self.parameters)} parameters")
            found = dict(zip(self.parameters, gradients, strict=True))
        for name, node in self.parameters.items():
            if np.shape(found[name]) != node.shape:
                raise ShapeError(
                    f"{kind}: {name} has shape {node.shape}, its gradient {np.shape(found[name])}"
                )
        return found

    def zero_grad(self) -> None:
        """Forget the gradients in ``.grad``, which add up otherwise."""
        for node in self.parameters.values():
            node.grad = None

    # -- state, for checkpoints ------------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
        """Return all that the next step depends on besides the parameters, as copies by name (``m.Whh``)."""
        arrays = {
            f"{letter}.{name}": array.copy()
            for letter, kept in self._arrays.items()
            for name, array in kept.items()
        }
        return {"count": np.array(self.count), **arrays}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take up a state that `state` has given.

        Raises
        ------
        NameNotFoundError
            If something is missing, or is not of this optimizer.
        ShapeError
            If a shape differs. Nothing is changed in either case.
        """
        kind = type(self).__name__
        expected = {
            f"{letter}.{name}": array for letter, kept in self._arrays.items() for name, array in kept.items()
        }
        for name in ("count", *expected):
            if name not in arrays:
                raise NameNotFoundError(f"{kind}: the state has no {name}; {nearest(name, arrays)}")
        for name, array in arrays.items():
            if name != "count" and name not in expected:
                raise NameNotFoundError(f"{kind} keeps no {name}; {nearest(name, expected)}")
            if name != "count" and np.shape(array) != expected[name].shape:
                raise ShapeError(
                    f"{kind}: {name} has shape {expected[name].shape}, the state's {np.shape(array)}"
                )
        for name, array in expected.items():
            array[...] = arrays[name]
        self.count = int(arrays["count"])


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964; Nesterov 1983 if asked for).

    Examples
    --------
    >>> import minigrad as mg
    >>> w = mg.parameter([2.0], name="w")
    >>> optimizer = mg.optimizers.SGD([w], learning_rate=0.25)
    >>> mg.sum(w * w).backward()
    >>> optimizer.step()
    >>> w.value
    array([1.])
    """

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        _at_least_zero("SGD", momentum=momentum)
        if nesterov and not momentum:
            raise UnsupportedError("SGD: nesterov=True needs a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov
        super().__init__(parameters, learning_rate, weight_decay)

    def _kept(self) -> tuple[str, ...]:
        return ("v",) if self.momentum else ()

    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        if self.momentum:
            v = self._arrays["v"][name]
            np.multiply(v, self.momentum, out=v)
            np.add(v, g, out=v)
            if self.nesterov:
                np.multiply(v, self.momentum, out=scratch)
                g = np.add(g, scratch, out=scratch)
            else:
                g = v
        np.multiply(g, self.learning_rate, out=scratch)
        np.subtract(value, scratch, out=value)


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015): steps of about the learning rate, whatever the gradient's scale.

    Parameters
    ----------
    betas : (float, float)
        How slowly the means of the gradient and of its square forget.
    epsilon : float
        Added to the root of the mean square.
    """

    keeps = ("m", "v")

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        kind = type(self).__name__
        _at_least_zero(kind, epsilon=epsilon)
        if not all(0 <= beta < 1 for beta in betas):
            raise UnsupportedError(f"{kind}: betas are {betas}; expected two numbers from 0 to below 1")
        self.betas, self.epsilon = betas, epsilon
        super().__init__(parameters, learning_rate, weight_decay)

    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        m, v = self._arrays["m"][name], self._arrays["v"][name]
        b, c = self.betas
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - c, out=scratch)
        np.multiply(v, c, out=v)
        np.add(v, scratch, out=v)
        np.multiply(g, 1 - b, out=scratch)
        np.multiply(m, b, out=m)
        np.add(m, scratch, out=m)
        np.sqrt(v, out=scratch)
        np.multiply(scratch, 1 / math.sqrt(1 - c**self.count), out=scratch)
        np.add(scratch, self.epsilon, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, self.learning_rate / (1 - b**self.count), out=scratch)
        np.subtract(value, scratch, out=value)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): the parameters themselves shrink."""

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, epsilon, weight_decay)

    def _decays_gradient(self) -> bool:
        return False

    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        np.multiply(value, 1 - self.learning_rate * self.weight_decay, out=value)
        super()._update(name, value, g, scratch, more)


class RMSProp(Optimizer):
    """Divide the gradient by a running root mean square of it (Tieleman & Hinton 2012, lecture 6.5).

    Parameters
    ----------
    decay : float
        How slowly the mean square forgets.
    epsilon : float
        Added to the root.
    momentum : float
        Of the steps.
    """

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float = 0.01,
        decay: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        _at_least_zero("RMSProp", epsilon=epsilon, momentum=momentum)
        if not 0 <= decay < 1:
            raise UnsupportedError(f"RMSProp: decay is {decay}; expected a number from 0 to below 1")
        self.decay, self.epsilon, self.momentum = decay, epsilon, momentum
        super().__init__(parameters, learning_rate, weight_decay)

    def _kept(self) -> tuple[str, ...]:
        return ("v", "u") if self.momentum else ("v",)

    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        v = self._arrays["v"][name]
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - self.decay, out=scratch)
        np.multiply(v, self.decay, out=v)
        np.add(v, scratch, out=v)
        np.sqrt(v, out=scratch)
        np.add(scratch, self.epsilon, out=scratch)
        np.divide(g, scratch, out=scratch)
        if self.momentum:
            u = self._arrays["u"][name]
            np.multiply(u, self.momentum, out=u)
            np.add(u, scratch, out=u)
            np.multiply(u, self.learning_rate, out=scratch)
        else:
            np.multiply(scratch, self.learning_rate, out=scratch)
        np.subtract(value, scratch, out=value)


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of all its squares so far (Duchi, Hazan & Singer 2011)."""

    keeps = ("s",)

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float = 0.01,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        _at_least_zero("Adagrad", epsilon=epsilon)
        self.epsilon = epsilon
        super().__init__(parameters, learning_rate, weight_decay)

    def _update(self, name: str, value: Array, g: Array, scratch: Array, more: Array) -> None:
        s = self._arrays["s"][name]
        np.multiply(g, g, out=scratch)
        np.add(s, scratch, out=s)
        np.sqrt(s, out=scratch)
        np.add(scratch, self.epsilon, out=scratch)
        np.divide(g, scratch, out=scratch)
        np.multiply(scratch, self.learning_rate, out=scratch)
        np.subtract(value, scratch, out=value)


# -- clipping ----------------------------------------------------------------------------------------


def clip_by_norm(gradients: Gradients, largest: float) -> float:
    """Scale all gradients together, in place, so that their norm is at most `largest` (Pascanu et al. 2013).

    Parameters
    ----------
    gradients : mapping or sequence of array
    largest : float
        The largest Euclidean norm of all entries of all gradients.

    Returns
    -------
    float
        The norm before; not finite if a gradient is not, and then nothing is scaled.

    Examples
    --------
    >>> import numpy as np
    >>> import minigrad as mg
    >>> g = np.array([3.0, 4.0])
    >>> float(mg.optimizers.clip_by_norm([g], 1.0)), g
    (5.0, array([0.6, 0.8]))
    """
    if not largest > 0:
        raise UnsupportedError(f"clip_by_norm: the largest norm is {largest}; expected a number above 0")
    arrays = list(gradients.values()) if isinstance(gradients, Mapping) else list(gradients)
    norm = math.sqrt(math.fsum(_sum_of_squares(g) for g in arrays))
    if math.isfinite(norm) and norm > largest:
        scale = largest / norm
        for g in arrays:
            np.multiply(g, scale, out=g)
    return norm


def _sum_of_squares(g: Array) -> float:
    # Along the rows: a gradient may be a slice of a larger one, whose entries do not follow each other.
    if g.ndim < 2 or g.flags.c_contiguous:
        flat = g.reshape(-1)
        return float(np.dot(flat, flat))
    return float(np.einsum("ij,ij->", g, g)) if g.ndim == 2 else float(np.square(g).sum())


def clip_by_value(gradients: Gradients, largest: float) -> None:
    """Move every entry of the gradients, in place, to where it is nearest between -largest and largest."""
    if not largest > 0:
        raise UnsupportedError(f"clip_by_value: the largest value is {largest}; expected a number above 0")
    for g in gradients.values() if isinstance(gradients, Mapping) else gradients:
        np.clip(g, -largest, largest, out=g)


def _at_least_zero(kind: str, **numbers: float) -> None:
    for name, number in numbers.items():
        if not (number >= 0 and math.isfinite(number)):
            raise UnsupportedError(f"{kind}: {name} is {number}; expected a finite number of at least 0")

"""Note 002's forecaster: a many-to-one network reads the last values of a series and answers with the next.

It is trained on all windows of the training part at once (one column a window, as the note describes),
judged on the part after it, and set beside two forecasts that cost nothing: the last value again, and the
value one season ago.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import optimizers
from models import LSTM, ElmanRNN
from models.errors import DataError, TrainingError
from models.recurrent import Recurrent
from models.series import Scaling, extend, predict, root_mean_square, season
from models.settings import MODELS
from models.steps import make_step
from models.windows import forecasting_pairs

Array = NDArray[Any]


@dataclass(frozen=True)
class Forecast:
    """A series, what the network made of it, and how good that is; all values in the series' own units.

    Attributes
    ----------
    values : ndarray, shape (N,)
        The series.
    cut : int
        Where the part begins that was not trained on.
    length : int
        Values in a window; before the first whole window there is no fit.
    fit : ndarray, shape (N - length,)
        The network's answer for each value from index `length` on, from the true values before it.
    future : ndarray, shape (horizon,)
        What it expects after the end, each value fed back.
    period : int
        The season, found in the training part.
    errors : dict of str to float
        Root mean square errors on the part not trained on: of the `network`, the `last` value, the value
        one `season` ago.
    """

    values: Array
    cut: int
    length: int
    fit: Array
    future: Array
    period: int
    errors: dict[str, float]


class Forecaster:
    """A many-to-one network for one series.

    Parameters
    ----------
    values : array, shape (N,)
        The series.
    model : {"lstm", "elman"}
    length : int
        Values the network reads before it answers.
    hidden : int
    test : float
        Share at the end that is not trained on.
    learning_rate, clip : float
    seed : int
    compiled : bool

    Raises
    ------
    DataError
        If too few values are left to train on, or to test on.
    """

    def __init__(
        self,
        values: Array,
        *,
        model: str = "lstm",
        length: int = 10,
        hidden: int = 50,
        test: float = 0.2,
        learning_rate: float = 0.01,
        clip: float = 1.0,
        seed: int = 0,
        compiled: bool = True,
    ) -> None:
        if model not in MODELS:
            raise DataError(f"model is {model!r}; expected one of {', '.join(MODELS)}")
        if not 0 < test < 1:
            raise DataError(f"the share to test on is {test}; expected one between 0 and 1")
        self.values = np.asarray(values, np.float64)
        self.length = length
        self.cut = len(self.values) - max(1, round(len(self.values) * test))
        if self.cut <= length + 1:
            raise DataError(
                f"of {len(self.values)} values {max(self.cut, 0)} are to train on; windows of {length} need "
                f"at least {length + 2}: use a longer series or a shorter --length"
            )
        self.scaling = Scaling.learned_from(self.values[: self.cut])
        scaled = self.scaling.apply(self.values)
        inputs, targets = forecasting_pairs(scaled[: self.cut], length)
        # The last of the training windows are not learned from: they say when to stop.
        learned = inputs.shape[2] - max(1, inputs.shape[2] // 5)
        self.inputs, self.targets = inputs[:, :, :learned], targets[:, :learned]
        self.stop_inputs, self.stop_targets = inputs[:, :, learned:], targets[:, learned:]
        self.all_inputs, _ = forecasting_pairs(np.append(scaled, 0.0), length)  # a window for every answer
        kind: type[LSTM] | type[ElmanRNN] = MODELS[model]
        self.net: Recurrent = kind(
            1, hidden, 1, topology="many-to-one", fy="identity", seed=seed, dtype=np.float64
        )
        self.optimizer = optimizers.Adam(self.net.parameters, learning_rate=learning_rate)
        self.learning_rate, self.clip = learning_rate, clip
        self._step = make_step(self.net, compiled)

    def train(self, epochs: int) -> Iterator[tuple[int, float]]:
        """Train on all windows `epochs` times and keep the weights that forecast the later windows best.

        Yields the epoch and the root mean square error on those later windows of the training part, in scaled
        units. Nothing of the part that is tested on is looked at.

        Raises
        ------
        TrainingError
            If the loss is not finite any more.
        """
        count = self.inputs.shape[2]
        zero = {name: np.zeros(shape) for name, shape in self.net.state_shapes(count).items()}
        best, kept = math.inf, self.net.values()
        for epoch in range(1, epochs + 1):
            loss, gradients, _ = self._step(self.inputs, self.targets, zero)
            mean = {name: g / count for name, g in gradients.items()}
            norm = optimizers.clip_by_norm(mean, self.clip or math.inf)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise TrainingError(f"epoch {epoch}: the loss is {loss:g}; a smaller --learning-rate helps")
            self.optimizer.learning_rate = self.learning_rate * (1 - 0.95 * (epoch - 1) / epochs)
            self.optimizer.step(mean)
            error = root_mean_square(predict(self.net, self.stop_inputs) - self.stop_targets)
            if error < best:
                best, kept = error, {name: array.copy() for name, array in self.net.values().items()}
            yield epoch, error
        self.net.set_parameters(kept)

    def forecast(self, horizon: int) -> Forecast:
        """Return the fit, the errors and what comes next."""
        fit = self.scaling.undo(predict(self.net, self.all_inputs)[0])[: len(self.values) - self.length]
        last = self.scaling.apply(self.values[-self.length :])
        future = self.scaling.undo(extend(self.net, last, horizon)) if horizon else np.empty(0)
        period = season(self.values[: self.cut])
        truth = self.values[self.cut :]
        ago = max(period, 1)
        guesses = {
            "network": fit[self.cut - self.length :],
            "last": self.values[self.cut - 1 : -1],
            "season": self.values[self.cut - ago : len(self.values) - ago],
        }
        errors = {name: root_mean_square(guess - truth) for name, guess in guesses.items()}
        return Forecast(self.values, self.cut, self.length, fit, future, period, errors)


def draw_forecast(result: Forecast, name: str, path: Path) -> None:
    """Plot the series, the fit and the forecast; the ending of `path` says the format."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    count = len(result.values)
    axes.axvspan(result.cut - 0.5, count - 0.5, color="#f0f0f0", label="not trained on")
    axes.plot(range(count), result.values, color="#525252", linewidth=1.2, label=name)
    axes.plot(range(result.length, count), result.fit, color="#3182bd", linewidth=1, label="one value ahead")
    if result.future.size:
        beyond = [*result.values[-1:], *result.future]
        axes.plot(range(count - 1, count + len(result.future)), beyond, color="#d94801", label="forecast")
    axes.set_xlim(0, count + len(result.future))
    axes.set_xlabel("value")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", ncols=4, frameon=False)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))  # room for the legend
    figure.savefig(path)

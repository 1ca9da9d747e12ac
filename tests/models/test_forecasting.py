"""The forecaster of note 002: better than what costs nothing, where there is something to learn."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import DataError, TrainingError
from models.forecasting import Forecaster, draw_forecast
from models.series import extend, predict, read_column

SUNSPOTS = Path(__file__).parents[2] / "examples" / "data" / "sunspots.csv"


def test_the_sunspots_beat_both_naive_forecasts(tmp_path):
    _, values = read_column(SUNSPOTS, "SUNACTIVITY")
    forecaster = Forecaster(values, hidden=16, seed=0)
    errors = [error for _, error in forecaster.train(120)]
    result = forecaster.forecast(horizon=12)
    assert len(errors) == 120
    assert result.period == 11
    assert result.errors["network"] < 0.75 * min(result.errors["last"], result.errors["season"])
    assert result.fit.shape == (len(values) - 10,) and result.future.shape == (12,)
    for ending in ("png", "svg", "pdf"):
        draw_forecast(result, "sunspots", tmp_path / f"plot.{ending}")
        assert (tmp_path / f"plot.{ending}").stat().st_size > 2000


@pytest.mark.parametrize("model", ["lstm", "elman"])
def test_every_answer_is_made_of_the_values_before_it(model):
    """No value of the future reaches a fit, and none of the part tested on the scaling or the weights."""
    values = np.sin(np.arange(60.0)) + 3
    changed = values.copy()
    changed[50:] = 100.0
    results = []
    for series in (values, changed):
        forecaster = Forecaster(series, model=model, length=5, hidden=6, test=0.2)
        list(forecaster.train(5))
        results.append(forecaster.forecast(0))
    assert results[0].cut == 48
    # Index k of the fit is value k + 5: up to value 50 nothing has changed.
    assert np.array_equal(results[0].fit[:46], results[1].fit[:46])
    assert not np.allclose(results[0].fit[46:], results[1].fit[46:])


def test_a_forecast_feeds_itself():
    _, values = read_column(SUNSPOTS)
    forecaster = Forecaster(values, length=4, hidden=5)
    window = forecaster.scaling.apply(values[-4:])
    by_hand = []
    for _ in range(3):
        by_hand.append(predict(forecaster.net, np.array(window[-4:]).reshape(4, 1, 1))[0, 0])
        window = np.append(window, by_hand[-1])
    assert np.allclose(extend(forecaster.net, forecaster.scaling.apply(values[-4:]), 3), by_hand, rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 300}, ["windows of 300", "302"]),
        ({"test": 1.5}, ["1.5"]),
        ({"model": "arima"}, ["'arima'", "lstm"]),
    ],
)
def test_what_cannot_be_forecast(options, words):
    _, values = read_column(SUNSPOTS)
    with pytest.raises(DataError) as error:
        Forecaster(values, **options)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_explosion_is_said():
    _, values = read_column(SUNSPOTS)
    forecaster = Forecaster(values, hidden=4, learning_rate=1e300, clip=0)
    with pytest.raises(TrainingError, match="learning-rate"), np.errstate(all="ignore"):
        list(forecaster.train(5))

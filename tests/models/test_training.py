"""Training learns; stopped, killed and resumed it makes the very same weights."""

import json
import os
import random as python_random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from models import LSTM
from models.checkpoint import load
from models.errors import CheckpointError, DataError, ModelError, TrainingError
from models.runs import BEST, CHECKPOINT, CURVE, LOG, Run, find, read_log
from models.sampling import bits_per_character, sample
from models.settings import Settings
from models.text import Vocabulary, entropy
from models.training import Trainer

ALICE = Path(__file__).parents[2] / "examples" / "data" / "alice.txt"
TEXT = ALICE.read_text()[:6000]
SMALL = Settings(hidden=8, embed=4, steps=8, batch=4, epochs=2, seed=3)


def weights(trainer):
    return {name: array.copy() for name, array in trainer.net.values().items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def uninterrupted():
    trainer = Trainer(TEXT, SMALL)
    list(trainer.updates())
    return weights(trainer), trainer


def test_the_same_seed_gives_the_same_weights(uninterrupted):
    again = Trainer(TEXT, SMALL)
    list(again.updates())
    assert same(weights(again), uninterrupted[0])
    assert again.history == uninterrupted[1].history


@pytest.mark.parametrize("model", ["lstm", "elman"])
@pytest.mark.parametrize("compiled", [True, False])
def test_it_learns(model, compiled):
    settings = Settings(
        model=model, hidden=24, embed=8, steps=16, batch=4, epochs=8, learning_rate=0.02, compiled=compiled
    )
    trainer = Trainer(TEXT, settings)
    before = trainer.validation_bits()
    list(trainer.updates())
    after = trainer.validation_bits()
    assert before > 5
    assert after < entropy(trainer.validation_tokens) - 0.5
    assert trainer.history[-1]["validation"] == after


@pytest.mark.parametrize("layers", [1, 2])
def test_the_compiled_step_is_the_recorded_one(layers):
    """Not to the bit (sums are taken in another order) but to rounding, over a whole run in float64."""
    ends = []
    for compiled in (True, False):
        settings = Settings(
            hidden=8, embed=4, steps=8, batch=4, epochs=1, layers=layers, dtype="float64", compiled=compiled
        )
        trainer = Trainer(TEXT, settings)
        updates = list(trainer.updates())
        ends.append((weights(trainer), [u.bits for u in updates]))
    assert ends[0][1] == pytest.approx(ends[1][1], rel=1e-9)
    for name, array in ends[0][0].items():
        np.testing.assert_allclose(array, ends[1][0][name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "adagrad", "sgd"])
@pytest.mark.parametrize("stop", [1, 84])
def test_interrupted_and_resumed_is_uninterrupted(tmp_path, optimizer, stop):
    settings = Settings(hidden=8, embed=4, steps=8, batch=4, epochs=2, seed=3, optimizer=optimizer)
    whole = Trainer(TEXT, settings)
    list(whole.updates())
    first = Run.begin(tmp_path, TEXT, settings)
    for update in first.updates(stop=lambda: first.trainer.number == stop, save_every=10**9):
        last = update.number
    assert last == stop
    second = Run.resume(tmp_path, TEXT)
    assert second.trainer.number == stop
    numbers = [update.number for update in second.updates()]
    assert numbers == list(range(stop + 1, whole.number + 1))
    assert same(weights(second.trainer), weights(whole))
    assert second.trainer.history == whole.history
    assert [line["update"] for line in read_log(tmp_path)] == list(range(1, whole.number + 1))


def test_killed_at_random_moments(tmp_path, uninterrupted):
    """Killed without warning again and again, at any point, writing included: nothing lost, the same end."""
    directory = tmp_path / "run"
    random = python_random.Random(0)
    kills = 0
    while kills < int(os.environ.get("MINIGRAD_KILLS", "50")):
        child = os.fork()
        if child == 0:  # the run: begun or resumed, saving all the time
            status = 1
            try:
                begun = (directory / CHECKPOINT).exists()
                run = Run.resume(directory, TEXT) if begun else Run.begin(directory, TEXT, SMALL)
                for _ in run.updates(save_every=2):
                    pass
                status = 0
            finally:
                os._exit(status)
        time.sleep(random.uniform(0.005, 0.12))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        kills += 1
        if (directory / CHECKPOINT).exists():
            load(directory / CHECKPOINT)
    begun = (directory / CHECKPOINT).exists()
    run = Run.resume(directory, TEXT) if begun else Run.begin(directory, TEXT, SMALL)
    list(run.updates())
    assert same(weights(run.trainer), uninterrupted[0])
    assert run.trainer.history == uninterrupted[1].history
    assert sorted(os.listdir(directory)) == sorted([CHECKPOINT, BEST, LOG])
    updates = [line["update"] for line in read_log(directory)]
    assert updates == list(range(1, uninterrupted[1].number + 1))


def test_what_a_run_leaves_behind(tmp_path):
    run = Run.begin(tmp_path, TEXT, SMALL)
    list(run.updates())
    run.draw_curve()
    assert sorted(os.listdir(tmp_path)) == sorted([CHECKPOINT, BEST, LOG, CURVE])
    validations = [line["validation"] for line in read_log(tmp_path) if "validation" in line]
    assert validations == [entry["validation"] for entry in run.trainer.history] and len(validations) == 2
    best = load(find(tmp_path))
    tokens = run.trainer.validation_tokens
    assert bits_per_character(best.net, tokens) == min(validations)
    assert best.about["vocabulary"] == run.trainer.vocabulary.characters


def test_more_epochs_than_first_meant(tmp_path):
    run = Run.begin(tmp_path, TEXT, SMALL)
    list(run.updates())
    longer = Run.resume(tmp_path, TEXT, epochs=3)
    assert {update.epoch for update in longer.updates()} == {3}
    assert len(longer.trainer.history) == 3


def test_runs_that_cannot_be(tmp_path):
    run = Run.begin(tmp_path, TEXT, SMALL)
    next(run.updates(save_every=1))
    with pytest.raises(CheckpointError, match="--resume"):
        Run.begin(tmp_path, TEXT, SMALL)
    with pytest.raises(CheckpointError, match="another text"):
        Run.resume(tmp_path, TEXT[::-1])
    with pytest.raises(CheckpointError, match="no training run"):
        Run.resume(tmp_path / "nowhere", TEXT)
    with pytest.raises(DataError, match="1000 characters"):
        Run.begin(tmp_path / "short", TEXT[:1000], Settings())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / LOG).write_text("a diary")
    with pytest.raises(CheckpointError, match=r"log\.jsonl exists"):
        Run.begin(tmp_path / "mine", TEXT, SMALL)
    assert (tmp_path / "mine" / LOG).read_text() == "a diary"
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Run.begin(tmp_path / "file", TEXT, SMALL)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hiden": 3}, ["'hiden'", "hidden"]),
        ({"hidden": 0}, ["hidden is 0"]),
        ({"hidden": "big"}, ["hidden is 'big'"]),
        ({"hidden": True}, ["hidden is True"]),
        ({"model": "gru"}, ["'gru'", "lstm"]),
        ({"learning_rate": -1.0}, ["learning_rate is -1.0"]),
        ({"learning_rate": float("nan")}, ["learning_rate is nan"]),
        ({"validation": 1.5}, ["validation is 1.5"]),
        ({"clip": -1}, ["clip is -1"]),
    ],
)
def test_settings_that_are_none(values, words):
    with pytest.raises(ModelError) as error:
        Settings.from_mapping(values)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_loss_that_explodes_is_said():
    trainer = Trainer(TEXT, Settings(hidden=8, embed=4, steps=8, batch=4, learning_rate=1e38, clip=0, seed=1))
    with pytest.raises(TrainingError, match="learning-rate"), np.errstate(all="ignore"):
        list(trainer.updates())


def test_samples():
    vocabulary = Vocabulary("abc\n")
    net = LSTM(inputs=4, hidden=4, embedding=3, seed=0)
    net.set_parameters({"by": np.array([[0.0], [9.0], [0.0], [0.0]])})
    assert sample(net, vocabulary, 20, temperature=0) == "a" * 20
    one, two = (sample(net, vocabulary, 50, "ab", 3.0, seed=5) for _ in range(2))
    assert one == two and len(one) == 50 and len(set(one)) > 1
    with pytest.raises(DataError, match="'z'"):
        sample(net, vocabulary, 5, "z")
    with pytest.raises(DataError, match="temperature"):
        sample(net, vocabulary, 5, temperature=-1)


def test_a_log_torn_by_a_kill_is_read_to_its_last_whole_line(tmp_path):
    (tmp_path / LOG).write_text(json.dumps({"update": 1}) + "\n" + '{"upda')
    assert read_log(tmp_path) == [{"update": 1}]

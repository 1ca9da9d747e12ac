"""Checkpoints come back as they were, and what is none is refused with the reason."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

from models import LSTM, ElmanRNN
from models import checkpoint as module
from models.checkpoint import Checkpoint, load, save
from models.errors import CheckpointError
from tests.models.oracles import random_network


def example(kind=LSTM):
    net = random_network(kind(inputs=5, hidden=4, outputs=6, embedding=3, layers=2, dtype=np.float32))
    return Checkpoint(net, {"carry.h": np.arange(6.0).reshape(2, 3)}, {"vocabulary": "abc", "number": 7})


@pytest.mark.parametrize("kind", [ElmanRNN, LSTM])
def test_round_trip(tmp_path, kind):
    path = tmp_path / "net.safetensors"
    stored = example(kind)
    save(path, stored)
    again = load(path)
    assert again.net.description == stored.net.description
    assert again.about == stored.about
    for name, array in stored.net.values().items():
        assert np.array_equal(array, again.net.values()[name])
    assert np.array_equal(again.arrays["carry.h"], stored.arrays["carry.h"])
    assert os.listdir(tmp_path) == [path.name]


def rewritten(path, change):
    """The file with its arrays and metadata changed by hand."""
    arrays, metadata = module.read_tensors(path)
    change(arrays, metadata)
    path.write_bytes(to_bytes(arrays, metadata))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a, m: a.pop("Wf_ii"), ["Wf_ii is missing"]),
        (lambda a, m: a.update(Wf=np.zeros((4, 8), np.float32)), ["Wf", "(4, 8)", "(4, 7)"]),
        (lambda a, m: a.update(Wf=a["Wf"].astype(np.float64)), ["Wf", "float64", "float32"]),
        (lambda a, m: a.update(Wz=np.zeros(3)), ["Wz"]),
        (lambda a, m: m.update(version="2"), ["version 2", "newer minigrad"]),
        (lambda a, m: m.update(version="one"), ["version one"]),
        (lambda a, m: m.update(format="pt"), ["no checkpoint", "inspect"]),
        (lambda a, m: m.clear(), ["no checkpoint"]),
        (lambda a, m: m.update(model="{"), ["description"]),
        (lambda a, m: m.update(model="[1]"), ["description"]),
        (lambda a, m: m.update(model=json.dumps({"kind": "GRU"})), ["GRU"]),
        (lambda a, m: m.pop("about"), ["about"]),
    ],
)
def test_refused_with_the_reason(tmp_path, change, words):
    path = tmp_path / "net.safetensors"
    save(path, example())
    rewritten(path, change)
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert all(word in str(error.value) for word in [path.name, *words]), str(error.value)


def test_truncated_anywhere(tmp_path):
    path = tmp_path / "net.safetensors"
    save(path, example())
    data = path.read_bytes()
    for size in {0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="damaged"):
            load(path)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(100), b"\x80\x04K\x01.", bytes(range(1, 99))])
def test_other_files(tmp_path, data):
    """A zip (as PyTorch writes), a pickle, noise: none is opened any further."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert ("safetensors.torch.save_file" in str(error.value)) == (data[:1] in (b"P", b"\x80"))
    with pytest.raises(CheckpointError, match="directory"):
        load(tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    """A limit on the size of files stands in for the disk: writing fails half way, as on a full one."""
    path = tmp_path / "net.safetensors"
    save(path, example())
    before = path.read_bytes()
    program = f"""
import resource, signal
from tests.models.test_checkpoint import example, save, CheckpointError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save({str(path)!r}, example())
except CheckpointError as error:
    print(error)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert "could not be written" in done.stdout and "intact" in done.stdout, done.stdout + done.stderr
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
    load(path)


def test_killed_while_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    save(path, example())
    before = path.read_bytes()
    for point in ("fsync", "replace"):
        with monkeypatch.context() as patched:

            def killed(*arguments):
                raise KeyboardInterrupt

            patched.setattr(os, point, killed)
            with pytest.raises(KeyboardInterrupt):
                save(path, example(ElmanRNN))
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]

"""The commands about models: what they write, say and refuse, through the entry point itself."""

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minigrad.cli
from minigrad.cli.model import BUILT_IN, ModelLoadError, load
from minigrad.errors import NameNotFoundError, NotScalarError
from models import LSTM, by_hand
from models.runs import CHECKPOINT, CURVE, LOG
from models.settings import Settings
from models.torch_weights import to_torch

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"
SMALL = ["--hidden", "8", "--embed", "4", "--steps", "8", "--batch", "4", "--epochs", "1"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command as from the shell, in an empty directory; gives exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["minigrad", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            minigrad.cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (0 if code is None else code), captured.out, captured.err

    return command


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text((DATA / "alice.txt").read_text()[:6000])
    return path


def test_train_sample_export_inspect(run, text):
    status, out, _ = run("train", text, "--out", "run", *SMALL, "--sample-every", "1")
    assert status == 0 and "held out" in out and "3-gram" in out
    assert max(map(len, out.splitlines())) <= 80
    assert {CHECKPOINT, LOG, CURVE} <= set(os.listdir("run"))

    status, one, _ = run("sample", "run", "--prompt", "Alice", "--length", "40", "--seed", "1")
    assert status == 0 and one.startswith("Alice") and len(one.rstrip("\n")) <= 45
    assert run("sample", "run", "--prompt", "Alice", "--length", "40", "--seed", "1")[1] == one

    status, out, _ = run("inspect", "run", "--draw", "net.svg")
    assert status == 0 and "Wf" in out and "{Wf}" in out and "8×12" in out
    assert Path("net.svg").read_text().lstrip().startswith("<?xml")
    assert max(map(len, out.splitlines())) <= 80

    assert run("export", "run", "--format", "torch", "--out", "t.safetensors")[0] == 0
    assert load_file("t.safetensors")["rnn.weight_hh_l0"].shape == (32, 8)
    status, out, _ = run("inspect", "t.safetensors")
    assert status == 0 and "PyTorch" in out and "{Wf}" in out
    status, _, err = run("export", "run", "--format", "torch", "--out", "t.safetensors")
    assert status == 2 and "--overwrite" in err
    assert run("export", "run", "--format", "torch", "--out", "t.safetensors", "--overwrite")[0] == 0


def test_export_onnx(run, text):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert run("train", text, "--out", "run", *SMALL)[0] == 0
    assert run("export", "run", "--out", "net.onnx")[0] == 0
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["inputs", "h0", "c0"]


def test_settings_from_a_file_and_the_command_line(run, text):
    Path("settings.toml").write_text(
        'model = "elman"\nhidden = 8\nembed = 4\nsteps = 8\nbatch = 4\nepochs = 3\n'
    )
    status, out, _ = run("train", text, "--config", "settings.toml", "--epochs", "1", "--sample-every", "0")
    assert status == 0 and "ElmanRNN(" in out and "1/1" in out
    Path("settings.toml").write_text("hiden = 8\n")
    status, _, err = run("train", text, "--config", "settings.toml", "--out", "other")
    assert status == 2 and "'hiden'" in err and "hidden" in err
    Path("settings.toml").write_text("hidden = \n")
    assert "no TOML" in run("train", text, "--config", "settings.toml", "--out", "other")[2]


def test_interrupted_and_resumed(run, text):
    """Ctrl-C in another process: it ends the step, saves, says how to go on; the log then is whole."""
    command = [sys.executable, "-c", "from minigrad.cli import main; main()"]
    command += ["train", str(text), "--out", "run", *SMALL[:-2], "--epochs", "5000"]
    child = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not Path("run", LOG).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "--resume" in out and not err
    done = len(Path("run", LOG).read_text().splitlines())
    last = json.loads(Path("run", LOG).read_text().splitlines()[-1])
    assert last["update"] == done
    status, _, err = run("train", text, "--out", "run", "--resume", "--hidden", "9")
    assert status == 2 and "--hidden" in err
    status, out, _ = run("train", text, "--out", "run", "--resume", "--epochs", str(last["epoch"]))
    assert status == 0 and f"after update {done:,}" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere.txt"], ["nowhere.txt", "No such file"]),
        (["train", "empty.txt"], ["empty.txt", "empty"]),
        (["train", "binary.txt"], ["binary.txt", "binary"]),
        (["train", "short.txt"], ["2113", "--batch"]),
        (["train", "text.txt", "--encoding", "klingon"], ["klingon"]),
        (["train", "text.txt", "--model", "gru"], ["'gru'", "lstm, elman"]),
        (["train", "text.txt", "--resume"], ["no training run"]),
        (["train", "text.txt", "--out", "text.txt", "--batch", "2"], ["text.txt"]),
        (["sample", "nowhere"], ["nowhere", "No such file"]),
        (["sample", "text.txt"], ["text.txt", "damaged"]),
        (["sample", "."], ["no training run"]),
        (["inspect", "weights.safetensors"], ["no recurrent layer", "head"]),
        (["export", "gru.safetensors"], ["no checkpoint"]),
        (["export", "run", "--format", "tf"], ["'tf'", "onnx"]),
        (["forecast", "text.txt"], ["text.txt"]),
        (["forecast", "holes.csv"], ["row 3", "'b'", "missing"]),
        (["forecast", "holes.csv", "--column", "c"], ["no column 'c'", "a, b"]),
        (["forecast", "holes.csv", "--column", "a"], ["need at least"]),
        (["forecast", "holes.csv", "--out", "plot.gif"], [".png"]),
        (["forecast", "holes.csv", "--encoding", "klingon"], ["klingon"]),
        (["demo", "--text", "short.txt"], ["20,000"]),
        (["demo", "--text", "monotonous.txt"], ["nothing to learn"]),
    ],
)
def test_refusals(run, text, arguments, words):
    Path("empty.txt").write_bytes(b"")
    Path("binary.txt").write_bytes(bytes(range(256)) * 100)
    Path("short.txt").write_text("abc" * 10)
    Path("monotonous.txt").write_text("a" * 30_000)
    Path("holes.csv").write_text("a,b\n1,2\n3,\n4,5\n")
    save_file({"head.weight": np.zeros((2, 3))}, "weights.safetensors")
    save_file(to_torch(LSTM(3, 4)), "gru.safetensors")
    before = set(os.listdir("."))
    status, _, err = run(*arguments)
    assert status == 2
    assert all(word in err for word in words), err
    assert err.startswith("minigrad: ") and "Traceback" not in err
    assert set(os.listdir(".")) - before <= {"run"}, "something was written before the refusal"


def test_forecast(run):
    status, out, _ = run(
        "forecast", DATA / "sunspots.csv", "--epochs", "30", "--hidden", "8", "--horizon", "5"
    )
    assert status == 0 and "the value 11 before" in out
    assert max(map(len, out.splitlines())) <= 80
    assert Path("forecast.png").stat().st_size > 5000
    status, _, err = run("forecast", DATA / "sunspots.csv")
    assert status == 2 and "--overwrite" in err


def test_demo(run, monkeypatch):
    status, out, _ = run("demo", "--seconds", "2")
    assert status == 0
    assert {"elman.svg", "lstm.svg"} == set(os.listdir("demo"))
    assert "✗" not in out and out.count("✓") == 20
    assert "did you mean `dh_pre`" in out and "3-gram" in out
    assert max(map(len, out.splitlines())) <= 80
    # A hand derivation (or a recorded gradient) that is wrong by one factor is noticed.
    right = by_hand.elman

    def wrong(*arguments):
        result = right(*arguments)
        return result._replace(gradients=result.gradients | {"Whh": result.gradients["Whh"] * (1 + 1e-8)})

    monkeypatch.setattr(by_hand, "elman", wrong)
    status, out, _ = run("demo", "--seconds", "1")
    assert status == 1
    assert out.count("✗") == 1 and "differs" in out


def test_help_names_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(f" {name} " in out for name in ("demo", "train", "sample", "export", "inspect", "forecast"))


# -- the models that other commands load -----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("steps", [1, 3, 4])
@pytest.mark.parametrize("columns", [1, 2])
def test_built_in_networks(name, steps, columns):
    one, two = (load(name, steps, columns, seed=5) for _ in range(2))
    assert one.shape == () and one.value == two.value
    other = load(name, steps, columns, seed=6)
    assert one.value != other.value
    one.backward()


def test_a_function_of_the_users_own(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "import minigrad as mg\n"
        "import numpy as np\n"
        "W = mg.parameter(np.eye(2), name='W')\n"
        "def fixed():\n    return mg.sum(W)\n"
        "def unrolled(steps):\n"
        "    h = mg.constant(np.ones((2, 1)), name='h', step=0)\n"
        "    for t in range(1, steps + 1):\n"
        "        with mg.step(t):\n"
        "            h = mg.tanh(W @ h).named('h')\n"
        "    return mg.sum(h)\n"
        "def vector():\n    return W\n"
        "def number():\n    return 3.0\n"
        "def broken():\n    return 1 / 0\n"
        "def shapes():\n    return W @ np.ones((3, 1))\n"
        "def needy(loss):\n    return loss\n"
    )
    assert load(f"{path}:fixed").value == 2
    assert load(f"{path}:unrolled").inputs[0].label == "h[3]"
    assert load(f"{path}:unrolled", steps=5).inputs[0].label == "h[5]"
    for function, error, words in (
        ("vector", NotScalarError, ["(2, 2)", "scalar"]),
        ("number", ModelLoadError, ["float", "node"]),
        ("broken", ModelLoadError, ["net.py:17", "ZeroDivisionError"]),
        ("shapes", ModelLoadError, ["net.py:19", "matmul"]),
        ("needy", ModelLoadError, ["'loss'"]),
        ("unroled", NameNotFoundError, ["unrolled"]),
    ):
        with pytest.raises(error) as raised:
            load(f"{path}:{function}")
        assert all(word in str(raised.value) for word in words), str(raised.value)
    path.write_text("def broken(:\n")
    with pytest.raises(ModelLoadError, match=r"net\.py:1"):
        load(f"{path}:broken")
    with pytest.raises(ModelLoadError, match="no such file"):
        load(f"{tmp_path / 'other.py'}:f")
    with pytest.raises(NameNotFoundError, match="lstm"):
        load("lsmt")
    with pytest.raises(ModelLoadError, match="0 steps"):
        load("lstm", steps=0)


def test_the_command_line_has_the_defaults_of_the_settings():
    """They stand in two places, in the settings and where `--help` reads them."""
    from minigrad.cli.training import train

    parameters = inspect.signature(train).parameters
    for field in dataclasses.fields(Settings):
        assert parameters[field.name].default == field.default, field.name

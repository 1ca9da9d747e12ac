"""What an LSTM remembers and an Elman network of the same size does not: the adding problem.

A network reads pairs of a random number and a mark; two of the numbers are marked, and after the last pair
it is asked for their sum (Hochreiter & Schmidhuber 1997, section 5.4). Answering 1 always, the mean, gives an
error of 1/6. To do better, the first marked number must be kept over half of the sequence or more, and to
learn that, the gradient has to reach back to it. `mg.contributions` shows whether it does: how much of the
gradient of the recurrent weights comes from each time step.

    python examples/adding_problem.py           half a minute; writes examples/figures/adding_problem.svg
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import minigrad as mg
from models import LSTM, ElmanRNN, Recurrent, build
from models.steps import make_step

HERE = Path(__file__).parent


def problem(random, steps, columns):
    """Numbers and marks `(T, 2, B)`, one mark in each half, and the sums of the marked numbers `(1, B)`."""
    numbers = random.uniform(0, 1, (steps, columns))
    marks = np.zeros((steps, columns))
    each = np.arange(columns)
    marks[random.integers(0, steps // 2, columns), each] = 1
    marks[random.integers(steps // 2, steps, columns), each] = 1
    return np.stack([numbers, marks], axis=1), (numbers * marks).sum(axis=0, keepdims=True)


def recurrent_part(net: Recurrent, gradient, name):
    """The columns that meet h[t-1]: all of Whh, the first H of a gate's matrix."""
    return gradient if name == "Whh" else gradient[:, : net.hidden]


def reach(net: Recurrent, inputs, targets):
    """Norm of each time step's contribution to the gradient of the recurrent weights, by step."""
    # In float64: in float32 the Elman network's gradient is rounded to zero long before the first step.
    exact = build(net.description | {"dtype": "float64"})
    exact.set_parameters(net.values())
    loss = exact(inputs, targets).loss
    names = ["Whh"] if isinstance(net, ElmanRNN) else ["Wf", "Wi", "Wc", "Wo"]
    squares = np.zeros(len(inputs))
    for name in names:
        for t, addend in mg.contributions(loss, exact.parameters[name]).items():
            # Step 1 meets h[0], which is zero here: it has no share.
            squares[t - 1] += np.sum(recurrent_part(net, addend, name) ** 2)
    return np.sqrt(squares)


def learn(net: Recurrent, steps, columns, updates, learning_rate, seed):
    """Train on fresh problems all the time; returns the errors on problems kept apart."""
    random = np.random.default_rng(seed)
    kept = problem(np.random.default_rng(10**6), steps, 500)
    zero = {name: np.zeros(shape, net.dtype) for name, shape in net.state_shapes(columns).items()}
    step = make_step(net, compiled=True)
    optimizer = mg.optimizers.Adam(net.parameters, learning_rate=learning_rate)
    curve = []
    for update in range(updates + 1):
        if update % 50 == 0:
            answer = net(kept[0]).outputs[steps].value
            curve.append((update, float(np.mean((answer - kept[1]) ** 2))))
        inputs, targets = problem(random, steps, columns)
        _, gradients, _ = step(inputs.astype(net.dtype), targets.astype(net.dtype), zero)
        mean = {name: g / columns for name, g in gradients.items()}
        mg.optimizers.clip_by_norm(mean, 1.0)
        optimizer.step(mean)
    return np.array(curve)


def main() -> None:
    """Train both, print the errors, draw both curves and how far the gradients reach."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60, help="length of a sequence")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--columns", type=int, default=50, help="sequences of one update")
    parser.add_argument("--learning-rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "figures" / "adding_problem.svg")
    options = parser.parse_args()

    probe = problem(np.random.default_rng(7), options.steps, 50)
    figure = Figure(figsize=(10, 4), layout="constrained")
    errors, gradients = figure.subplots(1, 2)
    print(f"adding problem over {options.steps} steps; answering 1 always has an error of {1 / 6:.4f}")
    for kind, color in ((ElmanRNN, "#d94801"), (LSTM, "#2171b5")):
        net = kind(
            2, options.hidden, 1, topology="many-to-one", fy="identity", seed=options.seed, dtype=np.float32
        )
        before = reach(net, *probe)
        began = time.perf_counter()
        curve = learn(
            net, options.steps, options.columns, options.updates, options.learning_rate, options.seed
        )
        spent = time.perf_counter() - began
        after = reach(net, *probe)
        verdict = "solves it" if curve[-1, 1] < 0.01 else "does not solve it"
        print(
            f"{net.kind:9} of {options.hidden}: error {curve[-1, 1]:.4f} after {options.updates} updates, "
            f"{spent:.0f} s: {verdict}; step 2 has "
            f"{before[1] / before[-1]:.1e} of the last step's share of the gradient untrained, "
            f"{after[1] / after[-1]:.1e} trained"
        )
        errors.semilogy(curve[:, 0], curve[:, 1], color=color, label=net.kind)
        t = np.arange(2, options.steps + 1)
        for share, style, when in ((before, ":", "untrained"), (after, "-", "trained")):
            label = f"{net.kind}, {when}"
            gradients.semilogy(t, share[1:] / share[-1], color=color, linestyle=style, label=label)
    errors.axhline(1 / 6, color="#969696", linestyle="--", linewidth=1, label="answering 1 always")
    errors.set_xlabel("updates")
    errors.set_ylabel("mean squared error on problems kept apart")
    gradients.set_xlabel("time step t")
    gradients.set_ylabel("norm of its contribution to the gradient\nof the recurrent weights (last step = 1)")
    for axes in (errors, gradients):
        axes.grid(alpha=0.3)
        axes.legend()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out)
    print(f"drawn to {options.out}")


if __name__ == "__main__":
    with threadpool_limits(1, user_api="blas"):  # small products; and the same sums on every run
        main()

"""The benchmark: agreement first, then all competitors in turn, A B C A B C, and the medians."""

from __future__ import annotations

import gc
import os
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter, sleep
from typing import Any

from benchmarks import ours, peers
from benchmarks.expert import expert
from benchmarks.problem import SIZES, Problem, Step, agree, hand_written

COMPETITORS: dict[str, Callable[[Problem], Step]] = {
    "hand-written numpy": hand_written,
    "expert numpy": expert,
    "minigrad compiled": ours.compiled,
    "minigrad eager": ours.eager,
    "HIPS autograd": peers.hips_autograd,
    "MyGrad": peers.mygrad,
    "torch from primitives": peers.torch_from_primitives,
    "torch nn": peers.torch_nn,
    "JAX jit + scan": peers.jax_scan,
}
PRODUCTS = "its matrix products alone"

ALL = [(model, size) for model in ("lstm", "elman") for size in ("tiny", "small", "medium", "large")] + [
    ("forecaster", "forecaster")
]
QUICK = [("lstm", "tiny"), ("elman", "tiny"), ("lstm", "small"), ("elman", "small")]


def measure(model: str, size: str, seconds: float, least: int = 5, threads: int = 1) -> dict[str, Any]:
    """Time every competitor on one problem.

    Returns
    -------
    dict
        ``milliseconds``: the median for each; ``runs``: how many of each; ``absent``: why others are not
        there.
    """
    q = Problem(model, SIZES[size])
    reference = hand_written(q)()
    steps: dict[str, Callable[[], Any]] = {}
    absent: dict[str, str] = {}
    for name, make in COMPETITORS.items():
        if size == "large" and name in ("HIPS autograd", "MyGrad"):
            absent[name] = "left out at large: too slow to wait for"
            continue
        try:
            step = make(q)
        except ImportError:
            absent[name] = "not installed"
            continue
        different = agree(step, reference)
        if different is not None:
            absent[name] = f"WRONG: {different}"
            continue
        steps[name] = step
    steps[PRODUCTS] = ours.products_alone(q)
    return {
        "model": model,
        "size": size,
        **interleaved(steps, seconds, least, pause=0.05 if threads > 1 else 0.0),
        "absent": absent,
    }


def interleaved(
    steps: dict[str, Callable[[], Any]], seconds: float, least: int, pause: float
) -> dict[str, Any]:
    """Run all in turn until `seconds` have passed; return the median of each.

    Before each timed run there is one that is not counted: in training, too, a step follows a step, and not
    another library. With several threads there is a pause as well, since one library's threads go on
    spinning for a while when its work is done, on a core that the next one needs.
    """
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    # A slow one is not run as often as a fast one, but a fast one is run in every round.
    started = perf_counter()
    rounds = 0
    gc.collect()
    gc.disable()
    try:
        while rounds < least or perf_counter() - started < seconds:
            for name, step in steps.items():
                slow = times[name] and times[name][-1] > 0.2 and rounds >= least and rounds % 3
                if slow:
                    continue
                sleep(pause)
                step()
                start = perf_counter()
                step()
                times[name].append(perf_counter() - start)
            rounds += 1
            if rounds % 20 == 0:
                gc.collect()
    finally:
        gc.enable()
    return {
        "milliseconds": {name: 1e3 * statistics.median(t) for name, t in times.items()},
        "fastest": {name: 1e3 * min(t) for name, t in times.items()},
        "runs": {name: len(t) for name, t in times.items()},
    }


def table(results: list[dict[str, Any]]) -> str:
    """Return the medians, and each competitor's time over that of the compiled program."""
    lines = []
    for result in results:
        q = SIZES[result["size"]]
        lines.append(f"\n{result['model']}, {q}: milliseconds a step, and how many times the compiled one's")
        times = result["milliseconds"]
        ours_ = times.get("minigrad compiled")
        for name in (*COMPETITORS, PRODUCTS):
            if name in times:
                ratio = f"{times[name] / ours_:8.2f}" if ours_ else ""
                lines.append(f"  {name:<28}{times[name]:>10.3f}{ratio}   ({result['runs'][name]} runs)")
            else:
                lines.append(f"  {name:<28}{result['absent'].get(name, 'absent')}")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """Return what a reader of the numbers has to know."""
    import platform

    import numpy as np
    from threadpoolctl import threadpool_info

    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    blas = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    packages = {}
    for name in ("numpy", "autograd", "mygrad", "torch", "jax"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": sys.version.split()[0],
        "numpy_simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
        "blas": blas,
        "coretype": os.environ.get("OPENBLAS_CORETYPE", "default"),
        "packages": packages,
    }

"""How cost grows: in steps of time, in nodes; compile time; memory."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks import ours
from benchmarks.problem import SIZES, Problem


def in_time(lengths: tuple[int, ...] = (25, 100, 1_000, 10_000)) -> list[dict[str, Any]]:
    """Compile and run the tiny LSTM over longer and longer sequences."""
    rows = []
    for T in lengths:
        q = Problem("lstm", replace(SIZES["tiny"], T=T))
        net, loss = ours.network(q)
        program = mg.compile(loss, net.parameters)
        start = perf_counter()
        executable = program.program(q.tokens, q.targets)
        compiling = perf_counter() - start
        program(q.tokens, q.targets)
        times = []
        for _ in range(max(5, 4_000 // T)):
            start = perf_counter()
            program(q.tokens, q.targets)
            times.append(perf_counter() - start)
        rows.append(
            {
                "T": T,
                "compile_s": compiling,
                "record_s": executable.seconds["record"],
                "us_per_step": 1e6 * float(np.median(times)) / T,
                "buffers_mb": executable.bytes / 1e6,
            }
        )
    return rows


def in_nodes(counts: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)) -> list[dict[str, Any]]:
    """Record, differentiate and free a chain of nodes in the eager engine."""
    rows = []
    for count in counts:
        w = mg.parameter(np.ones(4), name="w")
        gc.collect()
        start = perf_counter()
        x = w
        for _ in range(count // 2):
            x = mg.tanh(x * 0.999)
        recorded = perf_counter()
        mg.sum(x).backward()
        differentiated = perf_counter()
        del x
        freed = perf_counter()
        rows.append(
            {
                "nodes": count,
                "record_us": 1e6 * (recorded - start) / count,
                "backward_us": 1e6 * (differentiated - recorded) / count,
                "free_us": 1e6 * (freed - differentiated) / count,
            }
        )
    return rows


def allocations(model: str = "lstm", size: str = "small") -> dict[str, Any]:
    """Return what one compiled step allocates at most, in bytes, and how large its buffers are."""
    q = Problem(model, SIZES[size])
    step = ours.compiled(q)
    step()
    tracemalloc.start()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "model": model,
        "size": size,
        "allocated_in_a_step": peak,
        "buffers": step.program.program(q.tokens, q.targets).bytes,  # type: ignore[attr-defined]
    }


def peak_memory(model: str, size: str, competitors: tuple[str, ...], T: int | None = None) -> dict[str, Any]:
    """Return by how much each competitor's process grows over its imports, in MB, each in a fresh process."""
    found: dict[str, Any] = {}
    for name in competitors:
        command = [sys.executable, "-m", "benchmarks.growth", name, model, size, str(T or 0)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[name] = float(done.stdout) if done.returncode == 0 else "not installed"
    return found


def _measure_peak(name: str, model: str, size: str, T: int) -> float:
    from benchmarks.run import COMPETITORS

    small = Problem(model, replace(SIZES[size], B=1, T=2))
    COMPETITORS[name](small)()  # imports, thread pools
    q = Problem(model, replace(SIZES[size], T=T) if T else SIZES[size])
    before = _peak_kb()
    step = COMPETITORS[name](q)
    for _ in range(3):
        step()
    return (_peak_kb() - before) / 1024


def _peak_kb() -> int:
    """Return the largest size of this process so far; a child inherits what getrusage says."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(_measure_peak(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))

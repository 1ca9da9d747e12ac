"""`python -m benchmarks`: all competitors, for each number of threads in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller problems, under two minutes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", metavar="MODEL:SIZE", help="such as lstm:small elman:tiny")
    parser.add_argument("--seconds", type=float, help="how long to run each problem")
    parser.add_argument("--out", type=Path, default=Path("bench.json"), help="where to write the numbers")
    parser.add_argument("--no-growth", action="store_true", help="leave out growth, compile time and memory")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments)
    results: dict[str, Any] = {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for threads in arguments.threads:
        if threads > cores:
            print(f"{threads} threads: this machine has {cores} cores, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "part.json"
            command = [sys.executable, "-m", "benchmarks", "--child", str(threads), "--out", str(out)]
            command += ["--quick"] if arguments.quick else []
            command += ["--no-growth"] if arguments.no_growth or results else []
            command += ["--seconds", str(arguments.seconds)] if arguments.seconds else []
            command += ["--only", *arguments.only] if arguments.only else []
            done = subprocess.run(command, check=False)
            if done.returncode:
                return done.returncode
            results[str(threads)] = json.loads(out.read_text())
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {arguments.out}")
    return 0


def child(arguments: argparse.Namespace) -> int:
    from benchmarks import run_limits

    run_limits.limit(arguments.child)  # before numpy is loaded
    from benchmarks import growth, run

    problems = run.QUICK if arguments.quick else run.ALL
    if arguments.only:
        problems = [tuple(word.split(":", 1)) for word in arguments.only]  # type: ignore[misc]
    found: dict[str, Any] = {"machine": run.machine(), "problems": []}
    print(
        f"\n== {arguments.child} thread{'s' if arguments.child > 1 else ''}: {json.dumps(found['machine'])}"
    )
    seconds = arguments.seconds or (2.0 if arguments.quick else 20.0)
    for model, size in problems:
        result = run.measure(
            model,
            size,
            seconds,
            least=3 if arguments.quick or size == "large" else 5,
            threads=arguments.child,
        )
        found["problems"].append(result)
        print(run.table([result]), flush=True)
    if not arguments.no_growth:
        lengths = (25, 100, 1_000) if arguments.quick else (25, 100, 1_000, 10_000)
        counts = (1_000, 10_000, 100_000) if arguments.quick else (1_000, 10_000, 100_000, 1_000_000)
        found["growth_in_time"] = growth.in_time(lengths)
        print("\ncompiled tiny LSTM over T steps:")
        for row in found["growth_in_time"]:
            print(
                f"  T {row['T']:>6}: {row['us_per_step']:7.2f} us a step, {row['buffers_mb']:.2f} MB, "
                f"compiled in {row['compile_s']:.3f} s ({row['record_s']:.3f} s of it recording)"
            )
        found["growth_in_nodes"] = growth.in_nodes(counts)
        print("\neager chain of nodes, microseconds a node:")
        for row in found["growth_in_nodes"]:
            print(
                f"  {row['nodes']:>9,}: record {row['record_us']:.2f}, backward {row['backward_us']:.2f}, "
                f"free {row['free_us']:.2f}"
            )
        found["allocations"] = [growth.allocations("lstm", size) for size in ("tiny", "small", "medium")]
        print("\nallocated in one compiled step:")
        for row in found["allocations"]:
            print(
                f"  {row['model']} {row['size']}: {row['allocated_in_a_step']:,} bytes at most; "
                f"its buffers hold {row['buffers']:,}"
            )
        if not arguments.quick:
            names = (
                "minigrad compiled",
                "minigrad eager",
                "torch from primitives",
                "torch nn",
                "JAX jit + scan",
            )
            found["peak_memory_mb"] = growth.peak_memory("lstm", "medium", names)
            print("\npeak memory of lstm medium over that of a trivial problem, MB:")
            for name, size in found["peak_memory_mb"].items():
                print(f"  {name:<28}{size if isinstance(size, str) else f'{size:.0f}'}")
    arguments.out.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.report bench.json`: the numbers of a run as the tables of docs/speed.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.problem import SIZES

SHORT = {
    "minigrad compiled": "compiled",
    "expert numpy": "expert",
    "hand-written numpy": "by hand",
    "minigrad eager": "eager",
    "HIPS autograd": "autograd",
    "MyGrad": "MyGrad",
    "torch from primitives": "torch, primitives",
    "torch nn": "torch nn",
    "JAX jit + scan": "JAX scan",
    "its matrix products alone": "products alone",
}


def tables(results: dict[str, Any]) -> str:
    """Return Markdown: the machine, milliseconds, ratios, growth, memory, for every number of threads."""
    lines: list[str] = []
    for threads, found in results.items():
        machine = found["machine"]
        blas = ", ".join(
            f"{b['internal_api']} {b['version']} ({b['architecture']} kernels)" for b in machine["blas"]
        )
        packages = ", ".join(f"{name} {v}" for name, v in machine["packages"].items())
        lines += [
            f"### {threads} thread{'s' if threads != '1' else ''}",
            "",
            f"{machine['cpu']}, {machine['cores']} core(s) for the process; {blas}; "
            f"`OPENBLAS_CORETYPE` {machine['coretype']}; Python {machine['python']}, {packages}.",
            "",
            "Milliseconds a step (median of interleaved runs):",
            "",
            "| | " + " | ".join(SHORT.values()) + " |",
            "|---|" + "---:|" * len(SHORT),
        ]
        lines += [_row(p, lambda t, _: f"{t:.3g}" if t < 100 else f"{t:.0f}") for p in found["problems"]]
        lines += [
            "",
            "The same over the compiled step's time (above 1: the compiled step is faster):",
            "",
            "| | " + " | ".join(SHORT.values()) + " |",
            "|---|" + "---:|" * len(SHORT),
        ]
        lines += [_row(p, lambda t, ours: f"{t / ours:.2f}") for p in found["problems"]]
        lines.append("")
        lines += _rest(found)
    return "\n".join(lines)


# (what, competitor, model and size, least ratio of its time over the compiled step's, at 1 / 2 threads)
TARGETS: list[tuple[str, str, str, dict[str, float]]] = [
    ("hand-written numpy", "lstm", "tiny", {"1": 6, "2": 6}),
    ("hand-written numpy", "lstm", "small", {"1": 1.4, "2": 2}),
    ("hand-written numpy", "lstm", "medium", {"1": 1.1, "2": 1.5}),
    *[
        ("expert numpy", model, size, {"1": 1 / 1.05, "2": 1 / 1.05})
        for model in ("lstm", "elman")
        for size in ("tiny", "small", "medium", "large")
    ],
    ("expert numpy", "forecaster", "forecaster", {"1": 1 / 1.05, "2": 1 / 1.05}),
    *[
        ("its matrix products alone", model, size, {"1": 1 / 1.2})
        for model in ("lstm", "elman")
        for size in ("medium", "large")
    ],
    *[
        (name, model, size, {"1": 1, "2": 1})
        for name in ("torch from primitives", "HIPS autograd", "MyGrad", "JAX jit + scan")
        for model in ("lstm", "elman")
        for size in ("tiny", "small", "medium", "large")
    ],
    ("torch nn", "lstm", "tiny", {"1": 1, "2": 1}),
    ("torch nn", "lstm", "large", {"1": 1, "2": 1}),
]


def targets(results: dict[str, Any]) -> str:
    """Return Markdown: every target with what the run gave, the missed ones in bold."""
    lines = [
        "| against | problem | threads | its time over the compiled step's | at least |",
        "|---|---|---:|---:|---:|",
    ]
    for name, model, size, least in TARGETS:
        for threads, wanted in least.items():
            found = [
                p["milliseconds"]
                for p in results.get(threads, {}).get("problems", ())
                if (p["model"], p["size"]) == (model, size) and name in p["milliseconds"]
            ]
            if found:
                ratio = found[0][name] / found[0]["minigrad compiled"]
                shown = f"{ratio:.2f}" if ratio >= wanted else f"**{ratio:.2f}**"
                place = model if model == size else f"{model} {size}"
                lines.append(f"| {SHORT[name]} | {place} | {threads} | {shown} | {wanted:.2f} |")
    return "\n".join(lines)


def _row(problem: dict[str, Any], shown: Any) -> str:
    q = SIZES[problem["size"]]
    name = problem["model"] if problem["model"] == q.name else f"{problem['model']} {q.name}"
    times = problem["milliseconds"]
    cells = [shown(times[k], times["minigrad compiled"]) if k in times else "" for k in SHORT]
    return f"| {name} | " + " | ".join(cells) + " |"


def _rest(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "growth_in_time" in found:
        lines += [
            "Growth in time (compiled LSTM, tiny):",
            "",
            "| T | µs a step | compile, s | of it recording, s | buffers, MB |",
            "|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {r['T']:,} | {r['us_per_step']:.2f} | {r['compile_s']:.2f} | {r['record_s']:.2f} "
            f"| {r['buffers_mb']:.2f} |"
            for r in found["growth_in_time"]
        ]
        lines += [
            "",
            "Growth in nodes (eager chain), µs a node:",
            "",
            "| nodes | record | backward | free |",
            "|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {r['nodes']:,} | {r['record_us']:.2f} | {r['backward_us']:.2f} | {r['free_us']:.2f} |"
            for r in found["growth_in_nodes"]
        ]
        lines += ["", "Allocated in one compiled step, at most (tracemalloc), beside its buffers:", ""]
        lines += [
            f"- {r['model']} {r['size']}: {r['allocated_in_a_step']:,} bytes; buffers {r['buffers']:,} bytes"
            for r in found["allocations"]
        ]
        lines.append("")
    if "peak_memory_mb" in found:
        lines += ["Growth of the process over a trivial problem, LSTM medium, MB:", ""]
        lines += [
            f"- {name}: {mb if isinstance(mb, str) else format(mb, '.0f')}"
            for name, mb in found["peak_memory_mb"].items()
        ]
        lines.append("")
    return lines


if __name__ == "__main__":
    found_ = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json").read_text())
    print(f"{targets(found_)}\n\n{tables(found_)}")

"""`python -m benchmarks.where [MODEL:SIZE ...]`: where a compiled step's time goes, call by call.

The program that the compiler wrote is run again with a clock around each of its calls, apart for what runs
once and for each loop over the steps. The clock's own cost is measured on a call of nothing, and taken off.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks.ours import compiled
from benchmarks.problem import SIZES, Problem


def clocked(
    source: str, names: dict[str, Any], spent: dict[tuple[str, str], list[float]]
) -> Callable[[], None]:
    """Return the program with a clock around each call; it adds to `spent` by place and function."""
    names = dict(names)
    lines, loop, place = [], 0, "once"
    for line in source.splitlines():
        if line.startswith("    for"):
            loop += 1
        place = f"loop {loop}" if line.startswith("        ") else "once"
        called, bracket, rest = line.partition("(")
        function = called.strip()
        if bracket and function in names:
            alias = f"{function}__{place.replace(' ', '_')}"
            names[alias] = with_clock(names[function], spent[place, function])
            line = f"{called[: len(called) - len(function)]}{alias}({rest}"
        lines.append(line)
    exec("\n".join(lines), names)
    run: Callable[[], None] = names["run"]
    return run


def with_clock(function: Callable[..., Any], spent: list[float]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        start = perf_counter()
        function(*arguments)
        spent.append(perf_counter() - start)

    return call


def report(model: str, size: str, seconds: float = 5.0) -> None:
    q = Problem(model, SIZES[size or model])
    program = compiled(q).program.program(q.tokens, q.targets)  # type: ignore[attr-defined]
    program((q.tokens, q.targets))
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    run = clocked(program.source, program.names, spent)
    run()
    nothing: list[float] = []
    idle = with_clock(lambda: None, nothing)
    for _ in range(10_000):
        idle()
    clock = sorted(nothing)[len(nothing) // 2]
    for times in spent.values():
        times.clear()
    start, runs = perf_counter(), 0
    while perf_counter() - start < seconds or runs < 3:
        run()
        runs += 1
    totals = {key: 1e3 * (sum(times) - clock * len(times)) / runs for key, times in spent.items() if times}
    whole = sum(totals.values())
    print(f"\n{model} {size}: {whole:.3f} ms in the calls of a step, of {runs} runs")
    print(f"  {'where':<8}{'call':<20}{'calls':>7}{'ms':>10}{'share':>8}")
    for (place, function), total in sorted(totals.items(), key=lambda item: -item[1]):
        if total > 0.01 * whole:
            count = len(spent[place, function]) // runs
            print(f"  {place:<8}{function:<20}{count:>7}{total:>10.3f}{100 * total / whole:>7.1f}%")


def main() -> None:
    for name in sys.argv[1:] or ["lstm:tiny", "lstm:medium"]:
        model, _, size = name.partition(":")
        if (size or model) not in SIZES:
            sys.exit(
                f"no size {size or model!r}; there are {', '.join(SIZES)}, as in lstm:medium, or forecaster"
            )
        report(model, size)


if __name__ == "__main__":
    main()

"""`minigrad doctor`: what limits speed on this machine, and which setting helps.

The matrix products of a compiled step are numpy's BLAS. Which kernels it took, and how many threads, is
decided when numpy is imported, from the CPU and the environment; nothing tells a user when it took the
wrong ones.
So they are looked up, held against what the CPU can do, and measured, since only a clock decides.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import typer

# What OpenBLAS needs of a CPU for its SkylakeX kernels, as numpy names it.
AVX512 = frozenset({"AVX512F", "AVX512CD", "AVX512BW", "AVX512DQ", "AVX512VL"})
# OpenBLAS kernels for x86 that leave AVX-512 unused.
WITHOUT_AVX512 = frozenset(
    {
        "Haswell",
        "Zen",
        "Sandybridge",
        "Nehalem",
        "Prescott",
        "Core2",
        "Excavator",
        "Steamroller",
        "Piledriver",
    }
)

_PRODUCTS = """
import time
import numpy as np
W, h, o = (np.ones(s, np.float32) for s in ((2048, 512), (512, 64), (2048, 64)))
best = 1e9
for _ in range(12):
    start = time.perf_counter()
    for _ in range(8):
        np.dot(W, h, o)
    best = min(best, (time.perf_counter() - start) / 8)
print(best)
"""


@dataclass
class Diagnosis:
    """What was found, and what to do about it.

    Attributes
    ----------
    facts : list of (str, str)
        What limits speed here, by subject.
    advice : list of (str, str)
        A setting, and why; settings are of the form ``NAME=value``.
    warnings : list of str
        What may go wrong as things are set.
    """

    facts: list[tuple[str, str]] = field(default_factory=list)
    advice: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def diagnose(
    pools: list[dict[str, Any]],
    features: frozenset[str],
    cores: int,
    environment: Mapping[str, str],
    cpu: str,
) -> Diagnosis:
    """Hold what BLAS does against what the CPU can do.

    Parameters
    ----------
    pools : list of dict
        What `threadpoolctl.threadpool_info` reports.
    features : frozenset of str
        The instruction sets of the CPU, as numpy names them.
    cores : int
        How many this process may use.
    environment : mapping of str to str
    cpu : str
        The name of the CPU.
    """
    found = Diagnosis()
    has_avx512 = features >= AVX512
    simd = "AVX-512" if has_avx512 else "AVX2" if "AVX2" in features else "no AVX2"
    found.facts.append(("CPU", f"{cpu}: {cores} core{'s' if cores != 1 else ''}, {simd}"))
    blas = [pool for pool in pools if pool.get("user_api") == "blas"]
    if not blas:
        found.facts.append(("BLAS", "numpy reports none; matrix products may run without one"))
        found.advice.append(
            (
                "pip install --force-reinstall numpy",
                "numpy's own packages come with OpenBLAS; this one has no BLAS",
            )
        )
    for pool in blas:
        kernels = pool.get("architecture") or "unknown"
        name = f"{pool.get('internal_api')} {pool.get('version')}"
        found.facts.append(("BLAS", f"{name}, kernels for {kernels}, {_count(pool, 'thread')}"))
        asked = environment.get("OPENBLAS_CORETYPE")
        if pool.get("internal_api") == "openblas" and has_avx512 and kernels in WITHOUT_AVX512:
            found.advice.append(
                (
                    "OPENBLAS_CORETYPE=SkylakeX",
                    f"OpenBLAS took its {kernels} kernels (AVX2), and this CPU has AVX-512",
                )
            )
        if asked and asked.lower() == "skylakex" and not has_avx512:
            found.warnings.append(
                "OPENBLAS_CORETYPE=SkylakeX is set, and this CPU has no AVX-512: products crash; unset it"
            )
        threads = pool.get("num_threads") or 1
        if threads > cores:
            found.advice.append(
                (
                    f"OPENBLAS_NUM_THREADS={cores}",
                    f"{threads} threads share {cores} cores and wait for each other",
                )
            )
        elif threads < cores:
            why = next(
                (f"{n} is set" for n in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if n in environment),
                "so set",
            )
            found.advice.append(
                (f"OPENBLAS_NUM_THREADS={cores}", f"{threads} of {cores} cores are used for products ({why})")
            )
    return found


def _count(pool: Mapping[str, Any], thing: str) -> str:
    number = pool.get("num_threads") or 1
    return f"{number} {thing}{'s' if number != 1 else ''}"


def measured(setting: str | None) -> float | None:
    """Return the seconds of one product in a fresh process with a setting; None if that process died."""
    environment = dict(os.environ)
    if setting and "=" in setting:
        name, _, value = setting.partition("=")
        environment[name] = value
    done = subprocess.run(
        [sys.executable, "-c", _PRODUCTS], env=environment, capture_output=True, text=True, check=False
    )
    return float(done.stdout) if done.returncode == 0 else None


def doctor(
    measure: bool = typer.Option(True, help="Measure what each setting gains, in a process of its own."),
) -> None:
    """Say what limits the speed of products here, and which setting helps."""
    from rich.console import Console

    console = Console(highlight=False)
    found = diagnose(*_look())
    width = max(len(subject) for subject, _ in found.facts)
    for subject, fact in found.facts:
        console.print(f"{subject:<{width}}  {fact}", soft_wrap=True, markup=False)
    usual = measured(None) if measure else None
    work = 2 * 2048 * 512 * 64
    if usual is not None:
        speed = work / usual / 1e9
        console.print(
            f"{'Speed':<{width}}  {speed:.0f} GFLOP/s in float32 (2048 x 512 by 512 x 64)", soft_wrap=True
        )
    console.print()
    for warning in found.warnings:
        console.print(f"[bold red]Careful:[/] {warning}", soft_wrap=True)
    if not found.advice and not found.warnings:
        console.print("Nothing to mend: BLAS uses the kernels and the cores that are here.")
    for setting, why in found.advice:
        console.print(f"[bold]{setting}[/]", soft_wrap=True)
        console.print(f"    {why}.", soft_wrap=True, markup=False)
        helps = True
        if measure and "=" in setting and usual is not None:
            then = measured(setting)
            if then is None:
                helps = False
                console.print("    A process with this setting died: leave it.", soft_wrap=True)
            else:
                helps = usual / then > 1.03
                verdict = "worth setting" if helps else "no gain here: leave it"
                console.print(f"    Measured: {usual / then:.2f} times as fast; {verdict}.", soft_wrap=True)
        if "=" in setting and helps:
            console.print(
                f"    It has to be set before Python starts: {setting} python train.py",
                soft_wrap=True,
                markup=False,
            )


def _look() -> tuple[list[dict[str, Any]], frozenset[str], int, Mapping[str, str], str]:
    """Return what `diagnose` wants to know of this machine."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.dot(np.ones((2, 2)), np.ones((2, 2)))  # BLAS is there once it has been used
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as flags  # type: ignore[import-not-found]

        features = frozenset(name for name, has in flags.items() if has)
    except ImportError:  # pragma: no cover
        found = np.show_config(mode="dicts")["SIMD Extensions"]
        features = frozenset(found["baseline"] + found["found"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threadpool_info(), features, cores, os.environ, _cpu_name()


def _cpu_name() -> str:
    import platform

    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(doctor)

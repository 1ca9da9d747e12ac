"""How many cores a process may use; it has to be said before numpy and its peers are loaded."""

from __future__ import annotations

import os


def limit(threads: int) -> None:
    """Keep this process, with whatever its libraries start, to so many cores; numpy is not loaded by then."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[:threads]))

"""`python -m benchmarks.layouts`: why columns in the loops and rows in the sums, measured on this machine.

The recurrent product of an LSTM step in both layouts, forward and backward, and what laying out a step anew
costs.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from benchmarks.problem import SIZES


def microseconds(call: Callable[[], object], seconds: float = 0.05) -> float:
    """Return the time of the fastest of several stretches of calls."""
    call()
    start = perf_counter()
    call()
    count = max(1, int(seconds / 5 / max(perf_counter() - start, 1e-7)))
    best = float("inf")
    for _ in range(7):
        start = perf_counter()
        for _ in range(count):
            call()
        best = min(best, (perf_counter() - start) / count)
    return 1e6 * best


def main() -> None:
    print(f"{'microseconds a step':<22}{'columns W @ h':>15}{'rows h @ W^T':>15}", end="")
    print(f"{'back, columns':>15}{'back, rows':>15}{'to rows':>10}")
    for name in ("tiny", "small", "medium", "large"):
        size = SIZES[name]
        H, B = size.H, size.B
        rng = np.random.default_rng(0)
        W = rng.standard_normal((4 * H, H)).astype(np.float32)
        WT = np.ascontiguousarray(W.T)
        h, d = (rng.standard_normal((n, B)).astype(np.float32) for n in (H, 4 * H))
        h_rows, d_rows = np.ascontiguousarray(h.T), np.ascontiguousarray(d.T)
        a, a_rows = np.empty((4 * H, B), np.float32), np.empty((B, 4 * H), np.float32)
        b, b_rows = np.empty((H, B), np.float32), np.empty((B, H), np.float32)
        times = [
            microseconds(lambda W=W, h=h, a=a: np.dot(W, h, a)),
            min(
                microseconds(lambda W=W, h=h_rows, a=a_rows: np.dot(h, W.T, a)),
                microseconds(lambda WT=WT, h=h_rows, a=a_rows: np.dot(h, WT, a)),
            ),
            microseconds(lambda WT=WT, d=d, b=b: np.dot(WT, d, b)),
            microseconds(lambda W=W, d=d_rows, b=b_rows: np.dot(d, W, b)),
            microseconds(lambda a=a, a_rows=a_rows: np.copyto(a_rows, a.T)),
        ]
        print(
            f"{name:<22}{times[0]:>15.1f}{times[1]:>15.1f}{times[2]:>15.1f}{times[3]:>15.1f}{times[4]:>10.1f}"
        )


if __name__ == "__main__":
    main()

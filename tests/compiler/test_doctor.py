"""The doctor holds what BLAS does against what the CPU can do, and recommends nothing that would crash."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from minigrad.cli import doctor

CAN = doctor.AVX512 | {"AVX2"}


def pool(**changes: Any) -> dict[str, Any]:
    return {
        "user_api": "blas",
        "internal_api": "openblas",
        "version": "0.3.31",
        "architecture": "Haswell",
        "num_threads": 2,
    } | changes


def settings(*arguments: Any) -> list[str]:
    return [setting for setting, _ in doctor.diagnose(*arguments, "a CPU").advice]


def test_avx2_kernels_on_an_avx512_cpu() -> None:
    assert settings([pool()], frozenset(CAN), 2, {}) == ["OPENBLAS_CORETYPE=SkylakeX"]
    assert settings([pool(architecture="SkylakeX")], frozenset(CAN), 2, {}) == []


@pytest.mark.parametrize("missing", sorted(doctor.AVX512))
def test_never_avx512_kernels_on_a_cpu_that_lacks_part_of_it(missing: str) -> None:
    assert settings([pool()], frozenset(CAN - {missing}), 2, {}) == []
    found = doctor.diagnose([pool()], frozenset({"AVX2"}), 2, {"OPENBLAS_CORETYPE": "SkylakeX"}, "a CPU")
    assert "unset it" in found.warnings[0]


def test_other_libraries_are_left_alone() -> None:
    assert settings([pool(internal_api="mkl", architecture=None)], frozenset(CAN), 2, {}) == []


def test_threads_against_cores() -> None:
    can = frozenset({"AVX2"})
    assert settings([pool(num_threads=8)], can, 4, {}) == ["OPENBLAS_NUM_THREADS=4"]
    assert settings([pool(num_threads=1)], can, 4, {"OMP_NUM_THREADS": "1"}) == ["OPENBLAS_NUM_THREADS=4"]
    assert settings([], can, 4, {}) == ["pip install --force-reinstall numpy"]


def test_the_command_names_the_blas_in_use() -> None:
    import typer

    app = typer.Typer()
    doctor.register(app)
    result = CliRunner().invoke(app, ["--no-measure"])
    assert result.exit_code == 0
    assert "BLAS" in result.output
    assert "CPU" in result.output

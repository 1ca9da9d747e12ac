# Everything that `make` does here it sets up itself, from Python 3.11+, git and make alone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test check bench bench-quick clean

help:
	@echo "make demo         both networks on a real text: gradients against the hand derivations, drawings, training"
	@echo "make test         the test suite"
	@echo "make check        tests, ruff, mypy --strict and the examples of the README (what CI runs)"
	@echo "make bench        compiled, eager and hand-written programs beside their peers (sets the peers up)"
	@echo "make bench-quick  the same, small, in under two minutes"
	@echo "make clean        remove what make made"

# The stamps record that an environment holds what pyproject.toml asks for today.
$(VENV)/.user: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("minigrad needs Python 3.11 or newer; this is " + sys.version.split()[0] + \
	    " (make PYTHON=python3.12 chooses another)" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.user
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,onnx]'
	@touch $@

demo: $(VENV)/.user
	$(BIN)/minigrad demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

check:
	bash .ci/run

BENCH_VENV ?= .venv-bench
BENCH := $(BENCH_VENV)/bin

# The peers need large packages, and so an environment of their own; one that cannot be had is a line in the table.
$(BENCH_VENV)/.peers: pyproject.toml
	@test -x $(BENCH)/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH)/python -m pip install --quiet --disable-pip-version-check --editable .
	-$(BENCH)/python -m pip install --quiet --disable-pip-version-check autograd
	-$(BENCH)/python -m pip install --quiet --disable-pip-version-check mygrad
	-$(BENCH)/python -m pip install --quiet --disable-pip-version-check jax
	-$(BENCH)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	@touch $@

bench: $(BENCH_VENV)/.peers
	$(BENCH)/python -m benchmarks

bench-quick: $(BENCH_VENV)/.peers
	$(BENCH)/python -m benchmarks --quick

clean:
	rm -rf $(VENV) $(BENCH_VENV) demo-out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

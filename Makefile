# One environment, made once and remade when pyproject.toml or the pins change.
#   make demo     the whole job on real data, from an empty checkout
#   make test     the fast tests          make test-slow    the slow ones
#   make lint     ruff and mypy           make test-oldest  the fast tests on the oldest torch we claim
#   make test-triton  the GPU kernel in Triton's interpreter, and through its compiler
# PYTHON chooses the interpreter that makes the environments: make test PYTHON=python3.12
# WORKERS says how many processes run the tests at once, two if nothing is said: make test WORKERS=8

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
OLDEST := .venv-oldest
TRITON := .venv-triton
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-oldest test-triton lint clean

demo: $(VENV)/.installed
	$(BIN)/counterflow demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow

test-oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest -n $(WORKERS) --dist worksteal

# One thread: the interpreter hands tiny arrays to NumPy, one program after the other.
test-triton: $(TRITON)/.installed
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 $(TRITON)/bin/python -m pytest tests/gpu

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OLDEST) $(TRITON) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet -c constraints-oldest.txt -e '.[dev]'
	touch $@

$(TRITON)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(TRITON)
	$(TRITON)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,triton]'
	touch $@

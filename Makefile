# Needs Python 3.11 or later, git and make; everything else lands in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed

.PHONY: help demo test check lint bench bench-own bench-curves docs clean

help:
	@echo "make demo    run blueprints/review.lua and print its result"
	@echo "make test    run the tests"
	@echo "make check   format, lint, types, import order, Lua, tests: what CI runs"
	@echo "make bench   do the same works on swarm and its peers; bench/results.md"
	@echo "make bench-own, bench-curves   every figure of our own; how they grow, in pictures"
	@echo "make docs    write the reference anew, from the code"
	@echo "make clean   remove what the others made"

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "swarm needs Python 3.11 or later, and $(PYTHON) is `$(PYTHON) --version 2>&1`: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "preparing $(VENV) (once)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/swarm run blueprints/review.lua --input @blueprints/data/review.json

test: $(STAMP)
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --max-worker-restart 0

lint: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports
	@$(BIN)/swarm check blueprints/*.lua blueprints/*.json

check: lint test

bench: $(STAMP)
	@$(BIN)/python -m bench.side_by_side

bench-own: $(STAMP)
	@for file in bench/*_bench.py; do $(BIN)/python -m "bench.$$(basename "$$file" .py)" || exit 1; done

bench-curves: $(STAMP)
	@$(BIN)/python -m bench.curves

docs: $(STAMP)
	@$(BIN)/python -m docs.generate

clean:
	@rm -rf $(VENV) .bench build dist .coverage .hypothesis .import_linter_cache .pytest_cache .ruff_cache

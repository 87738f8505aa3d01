# Every target sets up what it needs: a fresh clone, GNU make and Python 3.11+ are enough.
#
#   make test                      in .venv, created on first use
#   make test PYTHON=python3.12    with another interpreter
#   make test VENV=~/envs/madnas   in another environment, created unless it exists

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
# The stamp holds the path of the checkout that is installed: one environment may serve several checkouts in turn, and
# testing another one's code by mistake would be silent.
STAMP := $(VENV)/.madnas-checkout
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.DEFAULT_GOAL := help
.PHONY: help setup design-demo test test-all lint format bench tables clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## create the environment and install madnas with its development tools

# Output goes to stderr, so that `make design-demo > table.txt` holds the table alone.
$(STAMP): pyproject.toml
	@test -x $(BIN)/pip || { $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "madnas needs Python 3.11 or newer; $(PYTHON) is not: make PYTHON=python3.12, say" >&2; exit 1; }; \
		$(PYTHON) -m venv $(VENV) >&2; }
	@echo "installing madnas and what it needs into $(VENV) (once; with torch this is several gigabytes) ..." >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]' >&2
	@echo $(CURDIR) > $@

design-demo: $(STAMP) ## design a network for 4.5 GMACs and 29 M parameters
	$(BIN)/madnas design --flops 4.5G --params 29M --rho 0.5

test: $(STAMP) ## run the default tests (no GPU, no network)
	$(BIN)/pytest -n $(JOBS) --dist worksteal

test-all: $(STAMP) ## run the slow tests too
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not gpu"

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure how fast designing, scaling, training and scoring are
	$(BIN)/python benchmarks/design.py
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python benchmarks/skip_mlp.py
	$(BIN)/python -m benchmarks.zen
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.benchmark

tables: $(STAMP) ## solve every design recipe and rewrite the generated parts of the documentation
	$(BIN)/python -m benchmarks.recipe_table
	$(BIN)/python -m benchmarks.scaling_table
	$(BIN)/python -m benchmarks.zen_table
	$(BIN)/python -m benchmarks.search_table
	$(BIN)/python -m benchmarks.train_table
	$(BIN)/python -m benchmarks.restructure_table
	$(BIN)/python -m benchmarks.npu_table
	$(BIN)/python -m benchmarks.paper_table
	$(BIN)/python -m benchmarks.task_table
	$(BIN)/python benchmarks/readme.py

clean: ## remove the environment and everything generated
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

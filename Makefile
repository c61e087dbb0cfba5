# Everything a newcomer or a contributor runs. `make` alone lists it.
# Options: PORT=8000 (serve), ARGS="..." (passed on), MINUTES=30 (soak), PYTHON=python3.12 (setup).

BIN := .venv/bin
PYTHON_BIN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup serve test lab bench lint format soak claims clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and install the pinned packages (nothing to do the second time)
	@sh scripts/setup.sh test

serve: setup ## open the workbench in the browser (PORT=8000, ARGS=--no-browser)
	@$(BIN)/workbench serve $(if $(PORT),--port $(PORT)) $(ARGS)

test: setup ## run the whole test suite, three files at a time (ARGS="-k kd" for a part)
	@$(PYTHON_BIN) -m pytest -q --durations=15 -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lab: setup ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS) notebooks

bench: ## measure every budget (ARGS="import_time" for one of them)
	@sh scripts/setup.sh bench,test
	@$(PYTHON_BIN) scripts/bench.py $(ARGS)

lint: setup ## ruff (rules and format) and mypy --strict
	@$(PYTHON_BIN) -m ruff check .
	@$(PYTHON_BIN) -m ruff format --check .
	@$(PYTHON_BIN) -m mypy workbench widgets/workbench_widgets scripts $(wildcard benchmarks/*.py)

format: setup ## let ruff rewrite what it can
	@$(PYTHON_BIN) -m ruff check --fix .
	@$(PYTHON_BIN) -m ruff format .

soak: setup ## kills in a row; then the slow tests for MINUTES (30), watching what is left over
	@$(PYTHON_BIN) -m pytest -q -m soak tests
	@$(PYTHON_BIN) scripts/soak.py --minutes $(or $(MINUTES),30)

claims: setup ## train the papers' recipes for several seeds and check what they claim (half an hour)
	@$(PYTHON_BIN) -m pytest -q -m claim tests/recipes

clean: ## remove caches and build output (.venv and your runs stay)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find workbench widgets tests benchmarks scripts notebooks -type d \
		\( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
	@echo "Removed caches and build output. To start anew: rm -r .venv"

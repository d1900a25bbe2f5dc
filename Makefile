# aitrading: `make` lists what can be done. Everything runs in .venv, which `make setup` builds.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON_IN_VENV := .venv/bin/python
JOBS ?= 2
ARGS ?=

# Compiled kernels stay inside the checkout, so that a clone owes nothing to the home folder.
export NUMBA_CACHE_DIR ?= $(CURDIR)/.cache/kernels
# pyright runs on the node of the lock, and does not ask a registry whether it is the newest.
export PYRIGHT_PYTHON_GLOBAL_NODE = 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
# Nothing here tells anybody that it is used.
export DO_NOT_TRACK = true
export DAGSTER_DISABLE_TELEMETRY = 1
export FEAST_USAGE = False
export MLFLOW_DISABLE_TELEMETRY = true

.PHONY: help setup demo test lint bench battery simulate up down job contracts lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.installed ## make .venv with everything in it (needs Python 3.11 only)

.venv/.installed: pyproject.toml requirements.lock deploy/setup/install.sh
	@deploy/setup/install.sh

demo: setup ## train on real hours, trade the rest on paper; ONCE=1, DATA=file SYMBOL=name ARGS="--zone ..."
	@$(PYTHON_IN_VENV) -m deploy.local.demo $(if $(ONCE),--once) $(if $(DATA),--data "$(DATA)") $(if $(SYMBOL),--symbol "$(SYMBOL)") $(ARGS)

test: setup ## run the tests; JOBS=4 for more at once, ARGS="-k spread" to choose
	@$(PYTHON_IN_VENV) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: setup ## check style, types and the direction of imports
	@echo "==> ruff check" && .venv/bin/ruff check
	@echo "==> ruff format" && .venv/bin/ruff format --check
	@echo "==> pyright" && .venv/bin/pyright --pythonpath $(PYTHON_IN_VENV)
	@echo "==> lint-imports" && .venv/bin/lint-imports --no-logo

bench: setup ## measure speed and write docs/performance.md
	@$(PYTHON_IN_VENV) tests/performance/bench.py $(ARGS)

battery: ## prove the learning pipeline on planted and absent signals (comes later)
	@echo "make battery comes with the whole battery: until then tests/ml puts the gates to the test."

simulate: ## run the whole platform against simulated faults (comes later)
	@echo "make simulate comes with the fault simulator: until then tests/e2e kills every process."

up: setup ## start the platform on this machine: servers, pipelines, loop; until Ctrl-C
	@$(PYTHON_IN_VENV) -m deploy.local up $(ARGS)

down: setup ## stop what `make up` started elsewhere
	@$(PYTHON_IN_VENV) -m deploy.local down $(ARGS)

job: setup ## run a job of the running platform: JOB=ingest, retrain (UNTIL=2017-09-01), backtest
	@$(PYTHON_IN_VENV) -m deploy.local job "$(JOB)" $(if $(UNTIL),--until "$(UNTIL)") $(ARGS)

contracts: setup ## generate realtime/contracts/*_pb2.py from the .proto files
	@$(PYTHON_IN_VENV) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. realtime/contracts/*.proto

lock: setup ## rewrite requirements.lock from pyproject.toml; UPGRADE=1 for newer versions
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile pyproject.toml \
	  --universal --python-version 3.11 --all-extras --generate-hashes --quiet --system-certs \
	  --constraint deploy/setup/ceilings.txt --override deploy/setup/overrides.txt $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	@git diff --stat -- requirements.lock || true

clean: ## remove .venv, caches and the demo's report
	@rm -rf .venv .cache .pytest_cache .ruff_cache .import_linter_cache .coverage build dist var/demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

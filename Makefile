# Everything a person or CI runs. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := .venv/bin/python -m pip --disable-pip-version-check -q

.PHONY: help demo up test test-browser test-fast coverage lint format bench lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/run ## Run the main job on the shipped real data and print the report
	.venv/bin/lrs-bridge up --demo --exit --data-dir .demo

up: .venv/run ## Serve on this machine until Ctrl-C (data in ./lrs-bridge-data)
	.venv/bin/lrs-bridge up

test: .venv/dev ## Run the tests
	.venv/bin/python -m pytest -m "not browser"

test-browser: .venv/dev ## Run the tests of the pages in a real Chromium, which must be installed
	.venv/bin/python -m pytest -m browser

test-fast: .venv/dev ## Run the tests that start no process tree
	.venv/bin/python -m pytest -m "not slow and not browser"

coverage: .venv/dev ## Run the tests and show which branches they leave out
	.venv/bin/python -m pytest --cov --cov-branch --cov-report=term-missing:skip-covered

lint: .venv/dev ## Check style, types, imports and spelling
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/codespell

format: .venv/dev ## Rewrite the code in the house format
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/dev ## Measure against the bars of the design (bench/README.md)
	.venv/bin/python -m bench

lock: .venv/dev ## Resolve the locked dependencies anew
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 -c requirements.lock --group dev pyproject.toml -o requirements-dev.lock

clean: ## Remove what these targets made
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The stamps say which lock the environment was made from; a changed lock makes it anew.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "lrs-bridge needs Python 3.11 or newer; none was found. Install one, or: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making the environment in .venv with $(PYTHON) ..."
	@# Debian parts ensurepip from Python; where it is missing, the pip that is there puts one in.
	$(PYTHON) -m venv .venv || { $(PYTHON) -m venv --clear --without-pip .venv && \
		$(PYTHON) -m pip --python .venv/bin/python install -q pip; }

.venv/run: .venv/bin/python requirements.lock pyproject.toml
	@echo "Installing the locked dependencies ..."
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps -e .
	@touch .venv/run

.venv/dev: .venv/run requirements-dev.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch .venv/dev

# Everything a person or CI runs. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP := .venv/bin/python -m pip --disable-pip-version-check -q
RT := /usr/share/request-tracker5/libexec/rt-server

.PHONY: help demo up test test-browser test-fast test-rt moodle moodle-plugin moodle-lint moodle-phpunit \
	coverage lint format bench yardstick lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: .venv/run ## Run the main job on the shipped real data, then on a simulated company whose truth is known
	.venv/bin/lrs-bridge up --demo --exit --data-dir .demo
	.venv/bin/lrs-bridge up --demo simulated --exit --data-dir .demo/simulated

up: .venv/run ## Serve on this machine until Ctrl-C (data in ./lrs-bridge-data)
	.venv/bin/lrs-bridge up

test: .venv/dev .systems/ready ## Run the tests
	.venv/bin/python -m pytest -m "not browser and not rt and not moodle"

test-browser: .venv/dev ## Run the tests of the pages in a real Chromium, which must be installed
	.venv/bin/python -m pytest -m browser

replay: .venv/dev ## Poll a year of a real ServiceNow each hour, with and without faults (minutes)
	LRS_BRIDGE_REPLAY_EVERY=1h .venv/bin/python -m pytest -rP --show-capture=stdout tests/functional/test_replay.py

test-fast: .venv/dev .systems/ready ## Run the tests that start no process tree
	.venv/bin/python -m pytest -m "not slow and not browser and not rt and not moodle"

test-rt: .venv/dev $(RT) ## Run the tests against a real Request Tracker (root on Debian, which installs it)
	.venv/bin/python -m pytest -m rt tests/systems

moodle: .venv/dev ## Drive a real Moodle in Chromium: make moodle MOODLE=dir (its source, with logstore_xapi in it)
	MOODLE="$(MOODLE)" .venv/bin/python -m pytest -rP --show-capture=stdout -m moodle tests/lms

moodle-plugin: ## Pack the Moodle plugin into dist/
	$(PYTHON) connectors/destinations/moodle_plugin/pack.py dist

moodle-lint: .venv/dev ## Check the Moodle plugin without a Moodle (needs php and phpcs: Debian's php-cli and php-codesniffer)
	@phpcs --version && php --version
	.venv/bin/python -m pytest -q tests/connectors/destinations/test_moodle_plugin.py

moodle-phpunit: ## Run the plugin's PHPUnit tests: make moodle-phpunit MOODLE=dir (an installed site; see the script)
	connectors/destinations/moodle_plugin/phpunit.sh "$(MOODLE)"

coverage: .venv/dev .systems/ready ## Run the tests and show which branches they leave out
	.venv/bin/python -m pytest -m "not rt and not moodle" --cov --cov-branch --cov-report=term-missing:skip-covered

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

yardstick: .venv/dev ## Hold the impact engine against 1,800 simulated companies (half an hour; bench/YARDSTICK.md)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python -m bench.yardstick

lock: .venv/dev ## Resolve the locked dependencies anew
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 --extra impact pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 -c requirements.lock --group dev pyproject.toml -o requirements-dev.lock
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 tests/systems/requirements.in -o tests/systems/requirements.lock

clean: ## Remove what these targets made
	rm -rf .venv .systems .moodle .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

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

# Real systems that the tests drive, in an environment of their own: they need other versions of libraries than we do, and
# Tryton's database takes half a minute to make.
.systems/bin/python: .venv/bin/python
	@echo "Making the environment of the systems that are tested against in .systems ..."
	.venv/bin/python -m venv .systems || { .venv/bin/python -m venv --clear --without-pip .systems && \
		.venv/bin/python -m pip --python .systems/bin/python install -q pip; }

.systems/ready: .systems/bin/python tests/systems/requirements.lock tests/systems/prepare_tryton.py
	.systems/bin/python -m pip --disable-pip-version-check -q install --require-hashes -r tests/systems/requirements.lock
	.systems/bin/python tests/systems/prepare_tryton.py .systems/crm.sqlite
	@touch .systems/ready

$(RT):
	sh tests/systems/install_rt.sh

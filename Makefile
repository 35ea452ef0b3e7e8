# Everything a contributor runs. Each target sets up what it needs first, says so, and does nothing twice.

VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev system npm peers demo test conformance bench bench-setup check constraints clean
MAKEFLAGS += --no-print-directory

help:  ## Show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup:  ## Make the environment: .venv with Bascule in it (PYTHON=... chooses the interpreter)
	@scripts/setup.sh base

setup-dev:
	@scripts/setup.sh dev

system:
	@scripts/system-parts.sh postgres
	@scripts/system-parts.sh redis

npm:
	@scripts/npm-parts.sh

peers: setup-dev npm
	@scripts/peers.sh

demo: setup  ## Serve a sample database over HTTP and call it with a client
	@$(PY) examples/demo.py

test: setup-dev system npm peers  ## Run the conformance suite and then all tests
	@conformance=0; $(PY) -m tests.conformance.run || conformance=$$?; \
	$(PY) -m pytest $(PYTEST_ARGS) && { [ $$conformance = 0 ] || { cat .conformance/verdict.txt; exit $$conformance; }; }

conformance: setup-dev npm  ## Run the public conformance suite against server and client
	@$(PY) -m tests.conformance.run $(CONFORMANCE_ARGS)

bench: setup-dev $(if $(QUICK),,bench-setup)  ## Measure Bascule beside the floor and its peers (QUICK=1: only the floor)
	@$(PY) -m bench $(if $(QUICK),--quick) $(BENCH_ARGS)
	@$(PY) -m bench.gate --instructions

bench-setup: setup-dev  ## Fetch the peers that the benchmark measures
	@scripts/bench-setup.sh

check: setup-dev  ## Check format, lint, types, layers, sizes, licences and addresses
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/test_layers.py tests/test_size.py
	@$(PY) scripts/licences.py
	@$(PY) scripts/no_addresses.py

constraints:  ## Bring constraints.txt up to date: newest versions that pyproject.toml allows
	@scripts/constraints.sh

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .venv-newest .conformance .peers .bench tests/conformance/node_modules build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests scripts examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Each target says what it does: `make help`.
.DEFAULT_GOAL := help
.PHONY: help run run-real test test-fast bench format lint servers lock clean
.NOTPARALLEL:

BIN := .venv/bin
SOURCES := domain commands sagas projections api infra tests
TIMED := .ci/timed

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/.made  ## the platform in one process, nothing else needed, with demo hotels; data in .nightledger
	@exec $(BIN)/nightledger serve --demo

run-real: servers  ## the platform on real servers, each service in its own process; data in .nightledger-real
	@exec $(BIN)/python -m tests.servers up .nightledger-real

test: servers lint  ## everything: real servers, style, types, import rules, all tests
	@$(TIMED) "all tests" $(BIN)/pytest -q -n 2 --dist loadgroup

test-fast: .venv/.made-dev  ## the tests that need no server
	@$(TIMED) "fast tests" $(BIN)/pytest -q tests/unit tests/properties

lint: .venv/.made-dev  ## style, types and import rules
	@$(TIMED) "style" $(BIN)/ruff check $(SOURCES)
	@$(TIMED) "format" $(BIN)/ruff format --check --quiet $(SOURCES)
	@$(TIMED) "types" $(BIN)/mypy --strict $(SOURCES)
	@$(TIMED) "import rules" $(BIN)/lint-imports --no-cache

format: .venv/.made-dev  ## bring the sources into shape
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

bench: servers  ## measure against baselines; a table, and build/benchmarks.json
	@$(BIN)/python -m tests.benchmarks

servers: .venv/.made-dev  ## install what the real servers need (apt, Maven, Go); once
	@$(TIMED) "servers" $(BIN)/python -m tests.servers provision

lock: .venv/.made-dev  ## choose the newest allowed versions anew: requirements*.lock
	@.ci/environment lock

clean:  ## remove the environment and all caches, not the data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/.made: requirements.lock pyproject.toml .ci/environment
	@$(TIMED) "environment" .ci/environment requirements.lock
	@touch $@

.venv/.made-dev: requirements-dev.lock .venv/.made
	@$(TIMED) "development environment" .ci/environment requirements-dev.lock
	@touch $@

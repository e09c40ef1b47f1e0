# `make` alone shows what there is. Every target installs what it needs first, and may be run again at any time.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# Worksteal: modules stay together, and whoever has nothing left takes from the other.
PYTEST := $(BIN)/pytest -n auto --dist worksteal
# Tests start hundreds of processes, each of which would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install install-checks up down demo test test-unit lint histories screenshots format specs bench profile chaos docs clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## Install what is missing on this machine: servers, uv, Python packages
	@ops/install.sh

install-checks:
	@ops/install.sh --with-checks

up: install ## Start RabbitMQ, Postgres, Redis and Temporal, until Ctrl-C
	@$(BIN)/datapunk up

down: ## Stop them; data are kept
	@$(BIN)/datapunk down

demo: install ## The main job: load 336,776 flights through commands, and query them
	@$(BIN)/datapunk up --detach
	@$(BIN)/datapunk run --http --with workflows --with tasks --detach
	@$(BIN)/python -m examples.flights.demo
	@$(BIN)/python -m examples.dead_letters.demo

test: install-checks lint ## All checks and all tests, on real servers
	@$(PYTEST) -m "not bench and not chaos"

test-unit: install-checks ## The tests that need no server
	@$(PYTEST) -m "not bench and not chaos and not servers"

lint: install ## Style, types, import rules, dependencies, schemas
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/datapunk schemas check

histories: install-checks ## Record anew the workflows' histories that tests replay
	@$(BIN)/pytest -q tests/workflows/record.py tests/workflows/nexus/record.py

screenshots: install-checks ## Take the pictures anew that docs show
	@DATAPUNK_SCREENSHOTS=docs/images $(BIN)/pytest -q tests/e2e/test_temporal_ui.py

format: install ## Format the code
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

specs: install-checks ## Check the models of the protocol, exhaustively, and that each known bug is found
	@$(BIN)/python specs/check.py

chaos: install-checks ## Kill servers and workers at random for ten minutes (CHAOS_SECONDS), and check every promise
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(BIN)/pytest -s tests/chaos
	@$(BIN)/pytest -s -m chaos packages/faust-rabbitmq/tests

bench: install-checks ## Measure the engine, beside others and alone
	@$(BIN)/pytest -m bench -s tests/bench

profile: install ## Draw where a worker's time goes into docs/performance/engine.svg
	@$(BIN)/python -m tests.bench.flame_graph docs/performance/engine.svg

docs: install ## Build the documentation into site/
	@ops/install.sh --with-docs
	@$(BIN)/mkdocs build --strict

clean: ## Remove what was built here; .datapunk (your data) stays
	@rm -rf .venv .tools site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

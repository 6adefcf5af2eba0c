# What a person does with this checkout. Everything is put into .venv here, made anew when a lock file changes.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test services lint types layers bench soak lock image clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

demo: $(VENV)/run.stamp ## the whole relay on this machine, with a simulated Cargo: sends itself events, shows each step
	@$(BIN)/relay demo $(ARGS)

test: $(VENV)/test.stamp services lint types layers ## everything that must hold: style, types, layers, tests
	$(BIN)/pytest -n 3 --dist worksteal $(PYTEST_ARGS)

services: ## RabbitMQ, PostgreSQL, PgBouncer and Node.js for the tests, from Debian's packages when they are missing
	@.ci/provide tests

lint: $(VENV)/test.stamp ## style
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 relay # files are in UTF-8, whatever the locale
	$(BIN)/ruff format --check .

types: $(VENV)/test.stamp ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/test.stamp ## which part may import which
	$(BIN)/lint-imports

bench: $(VENV)/test.stamp services ## what Relay costs against bare loops, a few minutes; ARGS='a c' chooses
	$(BIN)/python -m tests.bench.run $(ARGS)

ROUNDS ?= 20
soak: $(VENV)/test.stamp services ## the end-to-end tests again and again, ROUNDS=20, each with other random kills
	for round in $$(seq $(ROUNDS)); do echo "round $$round of $(ROUNDS)"; $(BIN)/pytest -q tests/e2e || exit 1; done

lock: $(VENV)/test.stamp ## both lock files from pyproject.toml; ARGS=--upgrade takes what is newest
	$(PIP) install uv
	$(COMPILE) $(ARGS) pyproject.toml --extra fast -o requirements.lock
	$(COMPILE) $(ARGS) pyproject.toml --extra fast --extra dev -c requirements.lock -o requirements-dev.lock

image: ## the container image relay:VERSION
	docker build -t relay:$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) .

clean: ## removes .venv and what tools left behind
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find relay tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found here. Install one (Debian: apt-get install \
	python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@PYTHON=$(PYTHON) .ci/provide venv
	$(PYTHON) -m venv --clear $(VENV)

# pip's hash mode wants every package pinned, which a checkout cannot be: the project itself comes last and alone.
$(VENV)/run.stamp: requirements.lock pyproject.toml | $(BIN)/pip
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/test.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

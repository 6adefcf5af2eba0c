# What a person does with this checkout. Everything is put into .venv here, made anew when a lock file changes.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TOOLS := $(VENV)/tools/bin
COMPILE := $(TOOLS)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
PYTEST_ARGS ?=
PYTHONS := 3.11 3.12 3.13 3.14

# Each relay that a test starts would otherwise compile all of Relay anew: a third of its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test services lint types layers bench faults soak lock audit sbom install chart image image-test wheels clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

demo: $(VENV)/run.stamp ## the whole relay on this machine, with a simulated Cargo: sends itself events, shows each step
	@$(BIN)/relay demo $(ARGS)

test: $(VENV)/test.stamp services lint types layers ## everything that must hold: style, types, layers, tests
	$(BIN)/pytest -n 3 --dist worksteal $(PYTEST_ARGS)

services: ## RabbitMQ, PostgreSQL, PgBouncer, HAProxy, promtool, kubectl, Chromium and Node.js for the tests, from Debian's packages when they are missing
	@.ci/provide tests

lint: $(VENV)/test.stamp ## style
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 relay # files are in UTF-8, whatever the locale
	$(BIN)/ruff format --check .

types: $(VENV)/test.stamp ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/test.stamp ## which part may import which
	$(BIN)/lint-imports

bench: $(VENV)/test.stamp services ## what Relay costs beside floors and peers, some ten minutes; ARGS='everyday peers' chooses, ARGS=--quick
	$(BIN)/python -m tests.bench.run $(ARGS)

faults: $(VENV)/test.stamp services ## what Relay promises, under faults, some ten minutes; ARGS='kill postgres' chooses, ARGS=--json
	$(BIN)/python -m tests.faults.run $(ARGS)

MINUTES ?= 60
soak: $(VENV)/test.stamp services ## the same again and again, MINUTES=60, each round with other random moments
	$(BIN)/python -m tests.faults.run --minutes $(MINUTES) $(ARGS)

lock: $(VENV)/tools.stamp ## all lock files from pyproject.toml; ARGS=--upgrade takes what is newest
	$(COMPILE) $(ARGS) pyproject.toml --extra fast --extra otel -o requirements.lock
	$(COMPILE) $(ARGS) pyproject.toml --extra fast --extra otel --extra dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) $(ARGS) --group build -c requirements-dev.lock -o requirements-build.lock
	$(COMPILE) $(ARGS) --group tools -o requirements-tools.lock
	@$(MAKE) --no-print-directory wheels

# The image is built for amd64 and arm64 without a compiler: all that it installs must be there as a wheel.
wheels: $(VENV)/tools.stamp ## whether all that the image installs has a wheel, for amd64 and arm64, on each Python
	@for machine in x86_64 aarch64; do for python in $(PYTHONS); do \
		$(TOOLS)/uv pip install --quiet --dry-run --no-build --no-deps --require-hashes --target build/wheels \
			--python-platform $$machine-manylinux_2_28 --python-version $$python \
			-r requirements.lock -r requirements-build.lock || exit 1; \
		echo "$$machine, Python $$python: all have wheels"; done; done

audit: $(VENV)/tools.stamp ## known vulnerabilities in what Relay runs on and is built with; fails when it has, or cannot tell
	$(TOOLS)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock -r requirements-build.lock

sbom: $(VENV)/tools.stamp ## build/sbom.json: all that Relay runs on, as CycloneDX
	@mkdir -p build
	$(TOOLS)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --of JSON -o build/sbom.json

install: $(VENV)/test.stamp ## build/install-embedded.yaml, build/install-cluster.yaml and build/alerts.yaml, from k8s
	@mkdir -p build
	kubectl kustomize k8s/embedded -o build/install-embedded.yaml
	kubectl kustomize k8s/cluster -o build/install-cluster.yaml
	$(BIN)/python -c 'import sys, yaml; yaml.safe_dump(yaml.safe_load(sys.stdin)["spec"], sys.stdout, sort_keys=False)' \
		<k8s/components/monitoring/alerts.yaml >build/alerts.yaml

chart: $(VENV)/test.stamp ## build/relay-VERSION.tgz, a chart for Helm that installs what k8s/embedded and k8s/cluster do
	$(BIN)/python .ci/chart.py build

image: ## the container image relay:VERSION; PYTHON_IMAGE=python:3.14-slim@sha256:... is what it is made of, ARGS go to the build of Docker or Podman (ENGINE)
	.ci/image $(ARGS)

image-test: image ## tries the image: size, users, read-only root, health check, SIGTERM, the same layers by another build
	python3 .ci/image_test.py relay:$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) $(ARGS)

clean: ## removes .venv and what tools left behind
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find relay tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found here. Install one (Debian: apt-get install \
	python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@PYTHON=$(PYTHON) .ci/provide venv
	$(PYTHON) -m venv --clear $(VENV)

# pip's hash mode wants every package pinned, which a checkout cannot be: the project itself comes last and alone, built
# by what is installed, because a build of its own would fetch its backend without hashes.
$(VENV)/run.stamp: requirements.lock requirements-build.lock pyproject.toml relay/ops/console/static/package-lock.json | $(BIN)/pip
	@echo "Installing Relay into $(VENV), with the packages of requirements.lock and requirements-build.lock:"
	@sed -n 's/^\([A-Za-z0-9._-]*\)==\([^ ;]*\).*/\1 \2/p' requirements.lock requirements-build.lock | sort -u | paste -sd, | \
		sed 's/,/, /g' | fold -s -w 110 | sed 's/^/  /'
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python .ci/browser.py || echo "The console works without these files, but its pages do not renew themselves." >&2
	@touch $@

# Tools that look at what is installed have dependencies of their own, which are nobody else's business.
$(VENV)/tools.stamp: requirements-tools.lock | $(BIN)/pip
	$(BIN)/python -m venv --clear $(VENV)/tools
	$(TOOLS)/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-tools.lock
	@touch $@

$(VENV)/test.stamp: requirements-dev.lock $(VENV)/run.stamp
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

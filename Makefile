# `make help` lists what there is. Everything is installed into this checkout: .venv and .tools.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
STEADY := --hypothesis-profile steady
# So many tests side by side, but for those marked `alone`: the times these hold need a machine to themselves.
JOBS ?= 2
SIDE_BY_SIDE := $(if $(filter-out 1,$(JOBS)),--numprocesses $(JOBS) --dist loadfile)
REGAL := .tools/bin/regal
export PATH := $(CURDIR)/.tools/bin:$(PATH)

help: ## this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready .tools/.opa ## install what is needed into .venv and .tools (quick when warm)

$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install it, or PYTHON=/path make"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.tools/.opa: $(VENV)/.ready
	$(BIN)/python -m proxy.pdp.find_opa --install .tools
	touch $@

.tools/conformance/.ready: tests/conformance/npm/package.json tests/conformance/npm/package-lock.json
	@if command -v npm >/dev/null; then mkdir -p $(@D) && cp $^ $(@D) && \
	npm ci --prefix $(@D) --cache .tools/npm-cache --ignore-scripts --no-audit --no-fund --loglevel=error \
	&& rm -rf .tools/npm-cache && touch $@ || echo "npm could not install: the conformance suite and the Node servers are missing"; \
	else echo "npm is not installed: the conformance suite and the Node servers were not tried"; fi

.tools/.spin: $(VENV)/.ready
	@$(BIN)/python -m tests.model.spin && touch $@ || echo "the model of the kill lease cannot be checked"

.tools/.helm: tests/helm/tools.py $(VENV)/.ready
	@$(BIN)/python -m tests.helm.tools --install .tools && touch $@ || echo "the chart is tested without them"

demo: setup ## the whole story on real tools: allow, deny, preview, budget, injection, canary, kill
	$(BIN)/python -m examples.demo.run

run: setup ## leave the demo's gateway up and print curl lines to try
	$(BIN)/python -m examples.demo.run --keep

check: setup ## format, lint, types, floors, ceilings, policies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q tests/house $(SIDE_BY_SIDE)
	opa fmt --fail --list policies
	opa check --strict --bundle policies
	$(BIN)/detent policy test policies
	$(BIN)/detent policy lint policies
	@if command -v regal >/dev/null; then regal lint --config-file policies/.regal/config.yaml policies; \
	else echo "regal is not installed: the policies were not linted. Put regal on PATH or into .tools/bin."; fi

helm: setup .tools/.helm ## lint, render and start the chart; schemas and rules for its manifests
	$(PYTEST) tests/helm tests/attacks/test_a80_tools_called_directly.py -q $(SIDE_BY_SIDE)

mutants: setup ## take away one deciding line of the policies at a time; list what no test notices
	$(BIN)/python -m tests.mutants.run $(ARGS)

conformance: setup .tools/conformance/.ready ## score MCP conformance direct and through, both eras
	$(BIN)/python -m tests.conformance.run

model: setup .tools/.spin ## check the kill lease's model and its mutants with Spin
	$(BIN)/python -m tests.model.run

ROOMS := tests/unit tests/contract tests/docs tests/fuzz tests/model tests/matrix tests/history
DOORS := tests/attacks tests/acceptance tests/conformance tests/helm tests/faults tests/soak tests/mutants
# Of tests with many cases some, chosen by their names; `make test-all` runs them all.
SAMPLE ?= 3
# Real processes on a machine that may stand still for seconds: what fails is asked once more (record 0031).
asked_twice = $(PYTEST) $(STEADY) $(1) $(2) || { [ $$? = 1 ] && echo "The tests that failed, once more, one after the other:" \
	&& $(PYTEST) $(STEADY) $(1) --last-failed --last-failed-no-failures none; }

test: check .tools/.helm .tools/conformance/.ready ## everything CI runs
	rm -f .coverage .coverage.*
	$(call asked_twice,$(ROOMS) -m "not slow" --cov --cov-append --cov-report= -q,$(SIDE_BY_SIDE))
	$(BIN)/coverage report --fail-under=92
	$(BIN)/coverage report --fail-under=100 --include='proxy/pipeline/*,proxy/killswitch/*,credentials/*'
	$(call asked_twice,$(DOORS) -m "not slow and not alone" --sample $(SAMPLE) -q,$(SIDE_BY_SIDE))
	$(call asked_twice,$(DOORS) -m "not slow and alone" --sample $(SAMPLE) -q)

test-all: check .tools/.helm .tools/conformance/.ready .tools/.spin fuzz crash-matrix ## the same, with the long matrices whole
	$(PYTEST) tests

crash-matrix: setup ## kill -9 at every point of a call, over a thousand times; goes on where it stopped
	$(BIN)/python -m tests.matrix.crash $(ARGS)

faults: setup ## kill a fleet in the midst of every fault, 1,000 kills of one replica; goes on where it stopped
	$(BIN)/python -m tests.faults.kills
	$(BIN)/python -m tests.faults.run $(ARGS)

soak: setup ## half an hour of load and random faults on three replicas; the history of it is judged
	$(BIN)/python -m tests.soak.run $(ARGS)

fuzz: setup ## a minute of new inputs for every parser; what fails is kept in var/fuzz
	$(BIN)/python -m tests.fuzz.run --seconds 60

bench: setup ## added latency and CPU per call, as ratios in one run
	$(BIN)/python -m bench.run

fmt: setup ## format Python and Rego, write the reference pages
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	opa fmt --write policies
	$(BIN)/python -m tests.docs.reference

lock: ## pin all dependencies with hashes (needs uv)
	uv pip compile pyproject.toml --extra dev --extra demo --prerelease explicit --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock
	uv pip compile pyproject.toml --constraint requirements.lock --prerelease explicit \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet \
	  -o requirements.runtime.lock

clean: ## remove what setup and tests made
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* var *.egg-info

.PHONY: help setup demo run check mutants helm conformance model test test-all crash-matrix faults soak fuzz bench fmt lock clean

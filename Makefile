# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
CLOUD ?= all
BIN := .venv/bin
# Whole stacks and servers wait for most of their time: three workers for each core, of which those under load go first (tests/conftest.py).
WORKERS ?= 6
# A test that fails on a busy machine is tried once more and named; a third of them fails the run (docs/decisions/0024).
AGAIN := --reruns 1 --reruns-delay 5 --rerun-show-tracebacks -rR
# Those that take longest, or that one worker has to itself, come first.
TESTS := tests/conformance tests/storm tests/twin/system tests/planned tests/twin tests/packaging policies/tests tests/parts tests/unit
ONLY ?=
STACKS ?=
PLANS ?=
STRICT ?=

.PHONY: help setup demo test test-list test-all test-unit test-torch test-large test-security test-export test-images linters bench check docs lint format lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: ## what the two commands need: .venv, the Pulumi command line (CLOUD=aws narrows it)
	@$(PYTHON) -m pilotlight.bootstrap --cloud $(CLOUD)

setup-dev:
	@$(PYTHON) -m pilotlight.bootstrap --cloud all --dev

demo: setup ## deploy the main stack on the twin, call it, show where the cold start went, destroy it
	@$(BIN)/python -m pilotlight.demo

test: setup-dev ## every test that needs neither torch nor root
	$(BIN)/pytest $(TESTS) -n $(WORKERS) $(AGAIN)

test-list: setup-dev ## the names of these tests; what they import is compiled then, which each worker would do
	@$(BIN)/pytest $(TESTS) --collect-only -q

test-unit: setup-dev ## the tests that need pip packages only (of these `pytest tests/unit` takes a minute)
	$(BIN)/pytest tests/parts tests/unit policies/tests -n $(WORKERS)

test-torch: setup-dev ## both engines against transformers, in an environment of their own (5 GB)
	$(BIN)/python -m tests.torch

test-security: setup-dev ## roles, policies and planned resources under public checkers, in environments of their own (300 MB)
	$(BIN)/python -m tests.security

test-export: setup-dev ## models that only torch can export, in the packager's own environment (5 GB, minutes)
	PILOTLIGHT_TEST_EXPORT=1 $(BIN)/pytest tests/packaging

test-images: setup-dev ## the real images, built and run without Docker (root on Debian) or with it
	$(BIN)/pytest tests/images

# What is not of another cloud is AWS's.
LARGE_aws := not gcp and not google and not azure
LARGE_gcp := gcp or google
LARGE_azure := azure
LARGE_all := test

test-large: export PILOTLIGHT_ALL := 1
test-large: export PILOTLIGHT_STORM := 1000
test-large: setup-dev ## the whole stacks of a cloud, every one and in every order (CLOUD=aws, gcp or azure: 40 minutes each on two cores)
	$(BIN)/pytest tests/conformance tests/storm tests/twin/system tests/twin/package -n $(WORKERS) -k "$(LARGE_$(CLOUD))"

# Every stack, order and day instead of one of each, and a storm of a thousand uploads.
test-all: export PILOTLIGHT_ALL := 1
test-all: export PILOTLIGHT_STORM := 1000
test-all: export PILOTLIGHT_TEST_GPU_IMAGES := 1
test-all: test test-torch test-security test-export test-images ## everything, in its large size

bench: setup-dev ## measure, into benchmarks/results (ONLY=cold-start runs one)
	$(BIN)/python -m benchmarks $(ONLY)

linters: setup-dev ## actionlint, zizmor and hadolint, where `make check` finds them
	@$(BIN)/python -m tests.security --linters

check: setup ## what CI asks of your stacks: settings, policies over the plan on the twin, workflows (STACKS="a b" narrows it, STRICT=1 wants the linters)
	@$(BIN)/pilotlight check $(STACKS) $(if $(PLANS),--plans $(PLANS)) $(if $(STRICT),--strict)

docs: setup-dev ## write the generated parts of docs/stacks, docs/features.md and policies again (tests fail when they are stale)
	$(BIN)/python -m docs.generate

lint: setup-dev ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup-dev ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup-dev ## compile locks/*.in and containers/requirements/*.in again (hashes, no addresses)
	$(BIN)/python -m pilotlight.lock

clean: ## stop the twin, remove .venv and caches of this checkout
	@[ ! -x $(BIN)/pilotlight ] || $(BIN)/pilotlight down
	@rm -rf .venv policies/.venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

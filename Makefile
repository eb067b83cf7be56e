# SPDX-License-Identifier: Apache-2.0
# Every command a developer or CI needs. `make help` lists them; CI runs `make setup check demo` and nothing else.
# What is installed is remembered by stamps inside the virtual environment: a second run installs nothing,
# and removing the environment forgets them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread per test process: with one process per core, threads only fight each other.
JOBS ?= $(shell nproc)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
FAST := not slow and not gpu and not interop and not fuzz and not real_data
QUICK := $(PYTEST) -n $(JOBS) --dist loadfile --durations=15
# How long the command after `time` took.
export TIMEFORMAT := %0lR on the clock, %0U + %0S s of processor time
site = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pinned = $(shell grep -E '^$(1)==' constraints.txt)

.PHONY: help setup setup-test setup-data setup-eval setup-web demo check format lint types dead coverage test \
        test-slow test-pythons bench interop fuzz mutants gpu-check check-real audit release fix docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

# ---------------------------------------------------------------------------------------------------- set-up

setup: $(STAMPS)/package  ## make .venv and install finesight in it
setup-test: $(STAMPS)/test $(STAMPS)/torchvision $(STAMPS)/system-test $(STAMPS)/system-web  ## the same, with what checks and tests need
setup-data: $(STAMPS)/data  ## the same, with what building the training data needs
setup-eval: $(STAMPS)/eval  ## the same, with the libraries that benchmarks are scored with
setup-web: $(STAMPS)/web $(STAMPS)/system-web  ## the same, with a browser for live tasks

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, this is {sys.version}"'
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/install-system-packages.sh venv
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

# torch alone and first: any other order lets pip choose another, several times larger build.
$(STAMPS)/torch: $(STAMPS)/venv
	$(PIP) install '$(call pinned,torch)'
	touch $@

$(STAMPS)/package: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	touch $@

# torchvision serves only the reference implementations in tests, and must not choose the torch build.
$(STAMPS)/test: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[test,data,eval,web]'
	$(PIP) install --no-deps '$(call pinned,torchvision)'
	touch $@

# Its compiled part is built for CUDA; beside a CPU-only torch it is imported only if its operators are declared first.
$(STAMPS)/torchvision: src/finesight/doctor/torchvision_operators.py $(STAMPS)/test
	cp $< $(site)/torchvision_operators.py
	echo 'import torchvision_operators; torchvision_operators.declare_before_import()' > $(site)/torchvision_operators.pth
	$(BIN)/python -m py_compile $(site)/torchvision_operators.py
	$(BIN)/python -c 'import transformers; transformers.Qwen2_5_VLForConditionalGeneration'
	touch $@

$(STAMPS)/data: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[data]'
	touch $@

$(STAMPS)/eval: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[eval]'
	touch $@

$(STAMPS)/web: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[web]'
	touch $@

$(STAMPS)/audit: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[audit]'
	touch $@

$(STAMPS)/system-web: scripts/install-system-packages.sh $(STAMPS)/venv
	scripts/install-system-packages.sh web
	touch $@

$(STAMPS)/system-test: scripts/install-system-packages.sh $(STAMPS)/venv
	scripts/install-system-packages.sh test
	touch $@

# ---------------------------------------------------------------------------------------------------- use

demo: setup  ## the main job with the embedded model on bundled pictures, a video and a PDF page
	$(BIN)/python examples/demo.py

# ---------------------------------------------------------------------------------------------------- checks

check: format lint types dead coverage  ## everything CI asks for

format: setup-test  ## is the layout of the code as ruff writes it
	$(BIN)/ruff format --check .

lint: setup-test  ## ruff's rules
	$(BIN)/ruff check .

types: setup-test  ## mypy, strict
	$(BIN)/mypy

dead: setup-test  ## code that nothing reaches
	$(BIN)/vulture

test: setup-test  ## all quick tests: behaviour, who may import what, budgets
	time $(QUICK) -m '$(FAST)'

coverage: setup-test  ## the same tests, and what of the code they ran: lines of all, branches of the core
	time $(QUICK) -m '$(FAST) and not no_cover' --cov --cov-report=json:$(VENV)/coverage.json
	time $(QUICK) -m '$(FAST) and no_cover' $$(grep -rl mark.no_cover tests)
	$(BIN)/python scripts/coverage_gate.py $(VENV)/coverage.json

test-slow: setup-test  ## the full-size variants: 300 drawn parity cases, large pictures, long videos
	$(PYTEST) -m 'slow and not gpu and not interop' --durations=15

test-pythons: setup-test  ## the quick tests with Python 3.12 and 3.13, where they are installed
	scripts/test-pythons.sh

bench: setup-test  ## speed and memory against their stated bars
	$(BIN)/python -m benchmarks

# Their scorers run with our torch and pictures, seen through a path file, so that nothing large is fetched twice.
$(STAMPS)/harnesses: $(STAMPS)/torchvision scripts/harness-venv.sh
	scripts/harness-venv.sh $(BIN)/python
	touch $@

interop: setup-test $(STAMPS)/harnesses  ## other engines and harnesses, each in an environment of its own
	$(PYTEST) -m interop --durations=0

fuzz: setup-test  ## the property tests with many more examples
	$(PYTEST) tests/property --hypothesis-profile=fuzz -m 'not gpu'

# One process unless JOBS is given: results are kept in mutants/, and a run that was stopped goes on where it was.
mutants: setup-test  ## changes lines one by one: does a test fail? score per file, at least 90 %
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $(if $(filter file,$(origin JOBS)),1,$(JOBS))
	$(BIN)/python scripts/mutation_score.py

gpu-check: setup-test  ## tests and benchmarks that need a CUDA device; writes runs/gpu-check
	PYTHON=$(BIN)/python scripts/gpu-check.sh runs/gpu-check

check-real: setup-test  ## real data in the folder FINESIGHT_REAL_DATA
	test -d "$${FINESIGHT_REAL_DATA:?set FINESIGHT_REAL_DATA to the folder with the real data}"
	$(PYTEST) -m real_data --durations=15

audit: $(STAMPS)/audit  ## known vulnerabilities of what is pinned; asks the network
	$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || { \
	  echo 'FAILED: a pinned version has a known fault, or the lists of faults were not reached (see above)' >&2; exit 1; }

release: $(STAMPS)/package  ## may this commit be tagged: one version everywhere, a section of the change log, no change left
	$(BIN)/python scripts/check_release.py

# ---------------------------------------------------------------------------------------------------- upkeep

fix: setup-test  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-test  ## renew the code quoted in docs/ and the generated reference pages
	$(BIN)/python scripts/quote_code.py --write
	$(BIN)/python scripts/make_reference.py --write

lock: setup-test setup-data setup-web $(STAMPS)/audit  ## write constraints.txt from what is installed; use a fresh .venv
	scripts/lock.sh $(BIN)/python > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .venv-* build dist mutants .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

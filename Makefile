# SPDX-License-Identifier: Apache-2.0
# Commands for developers and CI. `make help` lists them; CI runs only `make setup check demo`.
# Stamp files inside the virtual environment record what is installed, so a second run installs nothing.

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
# One thread per test process: with one process per core, more threads would compete for cores.
JOBS ?= $(shell nproc)
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
FAST := not slow and not gpu and not interop and not fuzz and not real_data
QUICK := $(PYTEST) -n $(JOBS) --dist loadfile --durations=15
# How long the command after `time` took.
export TIMEFORMAT := %0lR on the clock, %0U + %0S s of processor time
site = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
pinned = $(shell grep -E '^$(1)==' constraints.txt)

.PHONY: help setup setup-test setup-data setup-eval setup-web setup-screens demo check format lint types dead coverage test \
        test-slow test-pythons bench interop fuzz mutants gpu-check check-real audit release fix docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

# ---------------------------------------------------------------------------------------------------- set-up

setup: $(STAMPS)/package $(STAMPS)/decoder $(STAMPS)/kernels  ## create .venv and install finesight
setup-test: setup $(STAMPS)/test $(STAMPS)/torchvision $(STAMPS)/system-test $(STAMPS)/system-web $(STAMPS)/system-screens  ## setup, and dependencies of checks and tests
setup-data: setup $(STAMPS)/data  ## setup, and dependencies of building training data
setup-eval: setup $(STAMPS)/eval  ## setup, and dependencies of scoring benchmarks
setup-web: setup $(STAMPS)/web $(STAMPS)/system-web  ## setup, and a browser for live tasks
setup-screens: setup-web $(STAMPS)/agents $(STAMPS)/system-screens  ## setup-web, and desktops and phones as screens

$(STAMPS)/venv:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, this is {sys.version}"'
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/install-system-packages.sh venv
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

# torch is installed first and separately: otherwise pip chooses a build that is several times larger.
$(STAMPS)/torch: $(STAMPS)/venv
	$(PIP) install '$(call pinned,torch)'
	touch $@

$(STAMPS)/package: $(STAMPS)/torch pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[documents]'
	touch $@

$(STAMPS)/decoder: $(STAMPS)/venv decoder.txt
	$(PIP) install --no-deps --require-hashes -r decoder.txt
	touch $@

# Without a compiler this prints the reason, and packed weights run on torch's own operations.
$(STAMPS)/kernels: $(STAMPS)/package $(wildcard src/finesight/kernels/csrc/*) src/finesight/kernels/build.py
	$(BIN)/python -m finesight.kernels.build
	touch $@

# torchvision serves only the reference implementations in tests, and must not choose the torch build.
$(STAMPS)/test: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[test,data,eval,web,agents]'
	$(PIP) install --no-deps '$(call pinned,torchvision)'
	touch $@

# Its compiled extension is built for CUDA; with a CPU-only torch, its operators must be declared before the import.
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

$(STAMPS)/agents: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[agents]'
	touch $@

$(STAMPS)/audit: $(STAMPS)/package
	$(PIP) install -c constraints.txt -e '.[audit]'
	touch $@

$(STAMPS)/system-web: scripts/install-system-packages.sh $(STAMPS)/venv
	scripts/install-system-packages.sh web
	touch $@

$(STAMPS)/system-screens: scripts/install-system-packages.sh $(STAMPS)/venv
	scripts/install-system-packages.sh screens
	touch $@

$(STAMPS)/system-test: scripts/install-system-packages.sh $(STAMPS)/venv
	scripts/install-system-packages.sh test
	touch $@

# ---------------------------------------------------------------------------------------------------- use

demo: setup  ## ask the embedded model about bundled pictures, a video and a PDF page
	$(BIN)/python examples/demo.py

# ---------------------------------------------------------------------------------------------------- checks

check: format lint types dead coverage  ## all checks of CI

format: setup-test  ## check the formatting (ruff format)
	$(BIN)/ruff format --check .

lint: setup-test  ## run the linter (ruff check)
	$(BIN)/ruff check .

types: setup-test  ## check types (mypy, strict)
	$(BIN)/mypy

dead: setup-test  ## find dead code (vulture)
	$(BIN)/vulture

test: setup-test  ## run all quick tests
	time $(QUICK) -m '$(FAST)'

coverage: setup-test  ## run all quick tests and check line and branch coverage
	time $(QUICK) -m '$(FAST) and not no_cover' --cov --cov-report=json:$(VENV)/coverage.json
	time $(QUICK) -m '$(FAST) and no_cover' $$(grep -rl mark.no_cover tests)
	$(BIN)/python scripts/coverage_gate.py $(VENV)/coverage.json

test-slow: setup-test  ## run the full-size tests: 300 random parity cases, large pictures, long videos
	$(PYTEST) -m 'slow and not gpu and not interop' --durations=15

test-pythons: setup-test  ## run the quick tests with Python 3.12 and 3.13 if installed
	scripts/test-pythons.sh

bench: setup-test  ## measure speed and memory against their stated bars
	$(BIN)/python -m benchmarks

# Their environment uses our torch and pictures through a path file, so that nothing large is downloaded twice.
$(STAMPS)/harnesses: $(STAMPS)/torchvision scripts/harness-venv.sh
	scripts/harness-venv.sh $(BIN)/python
	touch $@

$(STAMPS)/ray: $(STAMPS)/package scripts/ray-venv.sh
	scripts/ray-venv.sh $(BIN)/python
	touch $@

$(STAMPS)/llama-cpp: $(STAMPS)/venv scripts/llama-cpp.sh
	scripts/llama-cpp.sh $(BIN)/python
	touch $@

$(STAMPS)/vllm: $(STAMPS)/venv scripts/vllm-venv.sh
	scripts/vllm-venv.sh $(BIN)/python
	touch $@

# It uses our torch, transformers and peft through a path file.
$(STAMPS)/trl: $(STAMPS)/torchvision scripts/trl-venv.sh
	scripts/trl-venv.sh $(BIN)/python
	touch $@

# It uses our torch and accelerate through a path file. Only the benchmark `training` needs it.
$(STAMPS)/llamafactory: $(STAMPS)/torchvision scripts/llamafactory-venv.sh
	scripts/llamafactory-venv.sh $(BIN)/python
	touch $@

$(STAMPS)/docling: scripts/docling-venv.sh $(STAMPS)/venv
	scripts/docling-venv.sh $(BIN)/python
	touch $@

$(STAMPS)/clients: scripts/clients-venv.sh $(STAMPS)/venv
	scripts/clients-venv.sh $(BIN)/python
	touch $@

interop: setup-test $(STAMPS)/harnesses $(STAMPS)/clients $(STAMPS)/ray $(STAMPS)/llama-cpp $(STAMPS)/vllm $(STAMPS)/trl $(STAMPS)/docling  ## compare with other engines and harnesses, each in a separate environment
	$(PYTEST) -m interop --durations=0

fuzz: setup-test  ## run the property tests with many more examples
	$(PYTEST) tests/property --hypothesis-profile=fuzz -m 'not gpu'

# One process unless JOBS is given. Results are stored in mutants/, so that a stopped run can be resumed.
mutants: setup-test  ## run mutation tests; each part needs a score of at least 90 %
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $(if $(filter file,$(origin JOBS)),1,$(JOBS))
	$(BIN)/python scripts/mutation_score.py

gpu-check: setup-test  ## run the tests and benchmarks that need a CUDA device; writes runs/gpu-check
	PYTHON=$(BIN)/python scripts/gpu-check.sh runs/gpu-check

check-real: setup-test  ## run the tests on real data in the folder FINESIGHT_REAL_DATA
	test -d "$${FINESIGHT_REAL_DATA:?set FINESIGHT_REAL_DATA to the folder with the real data}"
	$(PYTEST) -m real_data --durations=15

audit: $(STAMPS)/audit  ## check pinned versions for known vulnerabilities; needs a network
	$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || { \
	  echo 'FAILED: a pinned version has a known fault, or the lists of faults were not reached (see above)' >&2; exit 1; }

release: $(STAMPS)/package  ## check that this commit can be tagged: version, change log, clean working tree
	$(BIN)/python scripts/check_release.py

# ---------------------------------------------------------------------------------------------------- upkeep

fix: setup-test  ## format the code and apply the fixes of ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-test  ## update the code quoted in docs/ and the generated reference pages
	$(BIN)/python scripts/quote_code.py --write
	$(BIN)/python scripts/make_reference.py --write

lock: setup-test setup-data setup-web setup-screens $(STAMPS)/audit  ## write constraints.txt from the installed versions; use a fresh .venv
	scripts/lock.sh $(BIN)/python > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .venv-* build dist mutants .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

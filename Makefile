# Everything runs in $(VENV), made by $(PYTHON); nothing outside this folder is written.
# `make PYTHON=python3.12 ...` chooses another interpreter.

PYTHON ?= python3
VENV   ?= .venv

BIN     := $(VENV)/bin
STAMP   := build/stamps/$(notdir $(VENV))
SOURCES := build/stamps/flags $(wildcard core_ext/*.pyx core_ext/*.pxd)
# Found when it is asked for: a python3.13 that answers (a version manager's shim may not).
PYTHON313 = $(shell for p in python3.13 "$$HOME"/.pyenv/versions/3.13*/bin/python3.13; do \
	"$$p" -c '' 2>/dev/null && echo "$$p" && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1
# cython-lint calls pycodestyle by its name.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test quick lint build checked fuzz chaos wheel bench peers clean fast test-313 which-313

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*  ## /\1 - /p' Makefile | awk -F ' - ' '{printf "make %-9s %s\n", $$1, $$2}'

demo: $(STAMP).runtime  ## install into .venv, replay a recorded market, run a backtest, show the reports
	@sh deploy/demo

test: lint build checked wheel  ## lint, both builds, the wheel, every test
	$(BIN)/pytest -n 2

quick: $(STAMP).dev  ## for each commit, under a minute: style, rebuild what changed, tests that are not slow
	$(BIN)/ruff check .
	$(BIN)/cython-lint core_ext benchmarks
	@$(MAKE) --no-print-directory fast

lint: $(STAMP).dev  ## style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/cython-lint core_ext benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

build: $(STAMP).built  ## compile the core in place (release)

checked: build  ## compile the core with every check on, and run the core's tests against it
	deploy/checked pytest -n 2 -m "not slow" $(CORE_TESTS)

fuzz: build  ## a million hostile messages, recorder lines and journals against the checked build (minutes)
	PYTHONPATH="$(CURDIR)/tests" deploy/checked python -P -m fuzz --inputs 1000000 --workers 2

chaos: build  ## runs that suffer every fault, killed in every state: their figures (two hours, with nothing else running)
	$(BIN)/pytest -m chaos tests/chaos

wheel: build  ## build the wheel, repair it, try it in a throw-away environment
	@VENV=$(VENV) deploy/wheel

bench: $(STAMP).built  ## measure against plain C, msgspec and the usual Python stack
	$(BIN)/pytest benchmarks

peers: $(STAMP).built  ## the same jobs on other people's tools, in environments of their own (.venv-peers*)
	@$(BIN)/python -m benchmarks.build
	@for list in benchmarks/peers/requirements*.txt; do \
		name="$$(basename "$$list" .txt | sed 's/requirements/peers/')" && \
		{ [ -x "$(VENV)-$$name/bin/python" ] || $(BIN)/python -m venv "$(VENV)-$$name"; } && \
		echo "Installing what $$list names into $(VENV)-$$name (a few minutes the first time)" && \
		"$(VENV)-$$name/bin/python" -m pip install -qq --requirement "$$list" && \
		"$(VENV)-$$name/bin/python" -m benchmarks.peers "build/peers/$$name.json" \
			$$(echo "$$name" | sed 's/^peers-*//') || exit; \
	done

test-313:  ## the tests that are not slow, on Python 3.13, in .venv313
	@[ -n "$(PYTHON313)" ] || { echo "make: no python3.13 on PATH or in ~/.pyenv/versions" >&2; exit 2; }
	@$(MAKE) --no-print-directory VENV=.venv313 PYTHON="$(PYTHON313)" fast

clean:  ## remove what was built; .venv stays
	rm -rf build dist wheelhouse *.egg-info core_ext/*.so core_ext/*.c core_ext/*.html
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

# --- below: what the targets above stand on ---

CORE_TESTS = tests/test_package.py::test_the_checked_run_looks_at_the_checked_build \
	tests/test_checked.py tests/test_fuzz.py \
	$(wildcard $(patsubst core_ext/%.pxd,tests/test_%*.py,$(wildcard core_ext/*.pxd)) tests/scenarios/test_*.py)

fast: build
	$(BIN)/pytest -n 2 -m "not slow"

which-313:
	@[ -n "$(PYTHON313)" ] && echo "$(PYTHON313)"

# Neither Cython nor setuptools notices that a directive or a compiler flag changed.
build/stamps/flags: setup.py
	@rm -rf build/lib.* build/temp.* build/release build/checked core_ext/*.c
	@mkdir -p $(@D) && touch $@

# pip shows errors only (-qq). The development install contains the runtime one.
$(STAMP).runtime: $(VENV)/pyvenv.cfg pyproject.toml $(SOURCES)
	@echo "Installing autotrader into $(VENV), compiling its core (a minute or two the first time)"
	@$(BIN)/python -m pip install -qq --editable .
	@mkdir -p $(@D) && touch $@

$(STAMP).dev: $(VENV)/pyvenv.cfg pyproject.toml | build/stamps/flags
	@echo "Installing autotrader and its development tools into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@mkdir -p $(@D) && touch $@ $(STAMP).runtime

$(STAMP).built: $(STAMP).dev $(SOURCES)
	@$(BIN)/python setup.py -q build_ext --inplace
	@touch $@ $(STAMP).runtime

# Each check names what is missing and the Debian package that brings it.
$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: there is no $(PYTHON); install Python 3.11 or newer: apt install python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is `$(PYTHON) -V`, and 3.11 or newer is needed: apt install python3.11 python3.11-venv" \
		"python3.11-dev, then make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) cannot make a virtual environment: apt install $(notdir $(PYTHON))-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || \
		{ echo "make: the headers of $(PYTHON) are missing: apt install $(notdir $(PYTHON))-dev" >&2; exit 2; }
	@$(PYTHON) -c 'import os, shutil, sys, sysconfig as s; \
		sys.exit(not shutil.which((os.environ.get("CC") or s.get_config_var("CC")).split()[0]))' || \
		{ echo "make: there is no C compiler: apt install gcc" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# The two commands of a new user are `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash

# A Python from 3.8 to 3.12: the one given (PYTHON=python3.12), else python3, else what there is.
supported = $(shell for p in $(1); do $$p -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$p && break; done)
ifdef PYTHON
  VENV ?= .venv-$(notdir $(PYTHON))
  FOUND := $(call supported,$(PYTHON))
else
  VENV ?= .venv
  FOUND := $(call supported,python3 python3.11 python3.12 python3.10 python3.9 python3.8)
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install demo test test-slow test-torch lint smoke serve-smoke attack bench docs golden constraints clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(READY)  ## make the environment

$(READY): pyproject.toml setup.py constraints.txt
ifeq ($(FOUND),)
	@echo "gluon_attn needs Python 3.8 to 3.12, and found none: install one ('apt install python3.11 python3.11-venv'," \
	  "or python3 and python3-venv of your distribution) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1
else
	@$(FOUND) -m venv $(VENV) || { rm -rf $(VENV); echo "$(FOUND) cannot make an environment: run" \
	  "'apt install $$($(FOUND) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')' and try again." >&2; exit 1; }
	@echo "installing the tested set into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -U pip
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[cpu,deploy,dev]"
	@touch $@
endif

DEMO := runs/demo
demo: $(READY)  ## train a small AFF network on real digits, evaluate the stored file, predict images
	$(BIN)/python train_cifar.py --recipe digits --model cifar_aff_resnet20 --output $(DEMO)
	$(BIN)/gluon-attn evaluate --model cifar_aff_resnet20 --pretrained $(DEMO)/last.params --dataset digits
	$(BIN)/gluon-attn predict --model cifar_aff_resnet20 --pretrained $(DEMO)/last.params --dataset digits \
	  --picture $(DEMO)/predictions.png docs/digits/*.png
	@echo "weights, log, metrics, curves and the picture predictions.png are in $(DEMO)/"

# Two processes of one thread each: MXNet on small networks gains little from a second core, tests from a second process.
test: $(READY)  ## all fast tests, and which were the slowest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations 15

test-slow: $(READY)  ## the tests marked slow or ci
	$(BIN)/python -m pytest -m "slow or ci"

smoke: $(READY)  ## import and train, nothing more (CI runs it on every other Python)
	$(BIN)/python -m pytest tests/test_smoke.py

# Another Python than the environment's: serving needs no MXNet, and so runs on newer ones.
SERVE_PYTHON ?= python3
# The environment of who leaves MXNet: torch and numpy 2. Its torch also serves the first one (tests/deploy/run).
TORCH := .venv-torch
$(TORCH)/.ready: $(READY)
	@$(BIN)/python -m venv $(TORCH)
	@$(TORCH)/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 ".[torch]" "numpy>=2" pytest
	@touch $@

test-torch: $(TORCH)/.ready  ## the engine torch, beside MXNet and without it
	GLUON_ATTN_TORCH=$(TORCH) $(BIN)/python -m pytest tests/deploy/run --ignore tests/deploy/run/test_torch_alone.py
	GLUON_ATTN_PYTHON=$(CURDIR)/$(BIN)/python $(TORCH)/bin/python -m pytest tests/deploy/run/test_torch_alone.py

SERVE := .venv-serve-$(notdir $(SERVE_PYTHON))
serve-smoke: $(READY)  ## serving without MXNet: make serve-smoke SERVE_PYTHON=python3.13 (3.9 to 3.13)
	$(BIN)/gluon-attn export --model cifar_aff_resnet20 --pretrained digits --devices cpu:0 -o runs/served/net.onnx
	$(SERVE_PYTHON) -m venv --clear $(SERVE)
	$(SERVE)/bin/python -m pip install -q --disable-pip-version-check -c constraints-serve.txt ".[serve]" pytest
	GLUON_ATTN_SERVED=$(CURDIR)/runs/served/net.onnx $(SERVE)/bin/python -m pytest -m "" tests/test_serving.py

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

attack: $(READY)  ## mutate every kind of file that is read; docs/reliability.md has the table
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.attack

bench: $(READY)  ## every benchmark, side by side with its peer; writes results/
	$(if $(wildcard $(TORCH)/.ready),GLUON_ATTN_TORCH=$(TORCH) )$(BIN)/python -m benchmarks

docs: $(READY)  ## the site, with a card for every network: docs/_build/html/index.html opens from disk
	@$(BIN)/python -c "import furo, myst_parser" 2>/dev/null || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python -W ignore -m tools.zoo_site

golden: $(READY)  ## rewrite what the tests expect of every name of the zoo; read its diff
	$(BIN)/python -m tests.write_golden
	$(BIN)/python -m benchmarks.stage_costs

constraints:  ## resolve the versions anew: make constraints PYTHONS="python3.8 ... python3.13"
	python3 tools/write_constraints.py $(PYTHONS)

clean:  ## remove environments, caches and runs
	rm -rf .venv* runs build docs/_build dist *.egg-info .pytest_cache .ruff_cache

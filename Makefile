# Shelian 社链. Every target sets up what it needs in .venv; nothing is installed by hand.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done)
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= data
PORT_BASE ?= 8500
export ETH_HASH_BACKEND := pysha3

.PHONY: help up consortium test test-fast test-long test-network lint bench setup setup-dev cometbft tools lock clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/.ready            ## install the program into .venv
setup-dev: $(VENV)/.ready-dev    ## … and what the tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Shelian needs Python 3.11 or 3.12, found {v[0]}.{v[1]}; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: setup.cfg pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo "安装依赖 installing dependencies into $(VENV) (a minute or two)…"
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

up: setup            ## start everything on this machine (DATA=data PORT_BASE=8500)
	$(BIN)/shelian up --data $(DATA) --port-base $(PORT_BASE)

consortium: DATA := data-consortium
consortium: setup cometbft            ## four agencies' nodes on this machine, through CometBFT (DATA=data-consortium PORT_BASE=8500)
	$(BIN)/shelian consortium up --validators 4 --data $(DATA) --port-base $(PORT_BASE)

test: setup-dev tools lint            ## all tests but the long ones
	@start=$$(date +%s); \
	$(BIN)/python -m pytest -m "not long and not network and not browser and not system" -n 2 --dist loadgroup; status=$$?; \
	$(BIN)/python -m pytest -m "(browser or system) and not long and not network" -n 2 --dist loadgroup || status=$$?; \
	echo "make test took $$(( $$(date +%s) - start )) s"; exit $$status

test-fast: setup-dev            ## the quick ones, under two minutes
	@start=$$(date +%s); $(BIN)/python -m pytest -m "not slow and not long and not network and not browser and not clients and not cometbft" -n 2 --dist loadgroup; status=$$?; \
	echo "make test-fast took $$(( $$(date +%s) - start )) s"; exit $$status

test-network: setup-dev tools            ## what needs a whole network for minutes: long scenarios with broken networks, members that come and go
	@start=$$(date +%s); $(BIN)/python -m pytest -m network; status=$$?; \
	echo "make test-network took $$(( $$(date +%s) - start )) s"; exit $$status

test-long: test            ## and the long ones: every conformance case
	$(BIN)/python -m pytest -m long -n 2 --dist loadgroup

lint: setup-dev            ## ruff, mypy, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

cometbft:            ## build CometBFT 0.40 unless it is here
	@bash deploy/install-cometbft.sh

tools:            ## optional parts of the tests, installed where this machine allows it
	@bash tests/install-tools.sh

bench: setup-dev tools            ## figures: our node and anvil in one run, report in bench/reports
	$(BIN)/python -m bench

lock:            ## write the lock files anew from setup.cfg
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate --no-emit-options -o requirements.lock setup.cfg
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate --no-emit-options --extra dev -c requirements.lock -o requirements-dev.lock setup.cfg

clean:            ## remove what was built (not data)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

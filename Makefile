# `make demo` and `make test` work on a fresh machine with Python 3.10 to 3.13 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_FLAGS ?= -q --disable-pip-version-check
OUT ?= out/demo
DATA ?= examples/data
PYTEST_FLAGS ?=
EXTRAS ?=
# With setuptools' own finder, a Python that starts beside the checkout would take the folder for an empty package.
EDITABLE := --config-settings editable_mode=compat -e
# Packages are checked against hashes where the lock fits; a Python or system that it does not know takes constraints.txt.
LOCKED := $(shell $(PYTHON) -c 'import sys; print(*["yes"] * (sys.version_info[:2] in ((3, 11), (3, 12), (3, 13)) and sys.platform in ("linux", "darwin")))' 2>/dev/null)
HASHED := --require-hashes --no-build-isolation
# setuptools announces at every installation that this mode may go one day
PIP := PYTHONWARNINGS='ignore:Compat editable' $(BIN)/python -m pip

.DEFAULT_GOAL := help
.PHONY: help install demo test test-alone test-fast test-long test-docs audit lint format bench bench-peers docs docs-check clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

# EXTRAS=quality,train,report adds optional packages.
install: $(VENV)/.installed  ## The program in a virtual environment, .venv; with EXTRAS=... optional packages too
ifneq ($(EXTRAS),)
	$(PIP) install $(PIP_FLAGS) -c constraints.txt $(EDITABLE) '.[$(EXTRAS)]'
endif

# The program itself is a folder here and has no hash: it comes last, with everything that it needs in place.
$(VENV)/.installed: pyproject.toml constraints.txt locks/tools.txt locks/demo.txt
	@echo "installing about 1.1 GB into $(VENV): one to three minutes"
	$(PYTHON) -m venv $(VENV)
ifeq ($(LOCKED),yes)
	$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes --only-binary :all: -r locks/tools.txt
	$(BIN)/python -m pip install $(PIP_FLAGS) $(HASHED) -r locks/demo.txt
	$(PIP) install $(PIP_FLAGS) --no-deps --no-build-isolation $(EDITABLE) .
else
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt --upgrade pip setuptools
	$(PIP) install $(PIP_FLAGS) -c constraints.txt $(EDITABLE) .
endif
	touch $@

# CI_LOCK=locks/ci.txt checks what tests need against hashes, too; it knows torch for CPUs, without packages of CUDA.
CI_LOCK ?=
$(VENV)/.installed-test: $(VENV)/.installed
ifeq ($(CI_LOCK),)
	$(PIP) install $(PIP_FLAGS) -c constraints.txt $(EDITABLE) '.[test,docs]'
else
	$(BIN)/python -m pip install $(PIP_FLAGS) $(HASHED) -r $(CI_LOCK)
	$(PIP) install $(PIP_FLAGS) --no-deps --no-build-isolation $(EDITABLE) .
endif
	-$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt kenlm  # compiled here; its test is skipped without it
	touch $@

# DATA=path is a file, folder or glob; OUT=folder takes the run.
demo: install  ## Read, clean, deduplicate and report on the bundled sample, or on DATA=path
	$(BIN)/raylib run examples/demo.yaml --fresh --set 'input.path=$(DATA)' --set 'output.path=$(OUT)'

test: test-alone  ## lint, and every test but the long ones
	RAYLIB_TEST_DATA="$(RAYLIB_TEST_DATA)" $(BIN)/python -m pytest -m "not long and (cluster or faults)" $(PYTEST_FLAGS)

test-alone: $(VENV)/.installed-test lint  ## lint, and the tests that need neither a cluster nor kills
	RAYLIB_TEST_DATA="$(RAYLIB_TEST_DATA)" $(BIN)/python -m pytest -n auto --dist loadfile \
		-m "not long and not cluster and not faults" $(PYTEST_FLAGS)

test-fast: $(VENV)/.installed-test  ## Under two minutes: no cluster, no kills, nothing slow, no data sets
	$(BIN)/python -m pytest -n auto -m "not slow and not long and not cluster and not faults and not data" $(PYTEST_FLAGS)

# Several hosts as network namespaces, and what else takes minutes; as root on Linux, skipped elsewhere.
test-long: $(VENV)/.installed-test  ## Minutes of real time: three hosts, kills, soaks, the wheel
	RAYLIB_TEST_DATA="$(RAYLIB_TEST_DATA)" $(BIN)/python -m pytest -m long $(PYTEST_FLAGS)

test-docs: $(VENV)/.installed-test  ## Type every command of README, guide and cookbook as a new user; part of test-long
	$(BIN)/python -m pytest tests/docs $(PYTEST_FLAGS)

lint: $(VENV)/.installed-test  ## ruff, format, types, import contracts, spelling, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/vulture

format: $(VENV)/.installed-test  ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-test  ## Every generated page, and the site in out/site
	$(BIN)/python -m raylib.reference
	$(BIN)/python -m training.reference
	$(BIN)/python -m raylib.cluster.monitoring
	$(BIN)/python docs/make_tree.py
	test ! -f mkdocs.yml || $(BIN)/mkdocs build --strict

# Compares the generated pages with themselves, so that it works without git and on a tree with changes.
PAGES := find docs deploy ARCHITECTURE.md -type f -not -name '*.pyc' -exec cksum {} + | sort -k 3
docs-check:  ## Fails if a generated page is not up to date
	@set -e; before="$$($(PAGES))"; $(MAKE) docs; test "$$before" = "$$($(PAGES))" || \
		{ echo "generated pages were out of date: commit what 'make docs' changed" >&2; exit 1; }

# Known vulnerabilities of the pinned packages: needs the network.
audit: $(VENV)/.installed  ## A report on known vulnerabilities, not a gate
	$(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install $(PIP_FLAGS) pip-audit
	-.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

bench: $(VENV)/.installed-test  ## The benchmarks of cleaning, the engine and deduplication
	$(BIN)/python benchmarks/cleaning.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/dedup.py

# Environments of the programs that we measure ourselves against (several GB with torch), one each.
bench-peers: .venv-peers/.installed .venv-peers-datatrove/.installed  ## Environments of the programs we are compared with

.venv-peers/.installed:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt torch
	.venv-peers/bin/python -m pip install $(PIP_FLAGS) 'py-data-juicer==1.6.1' aiohttp
	touch $@

.venv-peers-datatrove/.installed:
	$(PYTHON) -m venv .venv-peers-datatrove
	.venv-peers-datatrove/bin/python -m pip install $(PIP_FLAGS) 'datatrove[processing]==0.10.1' spacy jieba orjson xxhash
	touch $@

clean:  ## Remove environments, caches and out
	rm -rf $(VENV) .venv-audit .venv-peers .venv-peers-datatrove out .mypy_cache .ruff_cache .pytest_cache *.egg-info

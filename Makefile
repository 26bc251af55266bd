# `make demo` and `make test` work on a fresh machine with Python 3.10 to 3.12 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_FLAGS ?= -q --disable-pip-version-check
OUT ?= out/demo
DATA ?= examples/data
PYTEST_FLAGS ?=

.PHONY: install demo test test-long audit lint format bench bench-peers docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) --upgrade pip
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[test]'
	-$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt kenlm  # compiled here; its test is skipped without it
	touch $@

# Read, clean, deduplicate and report on the bundled sample, or on DATA=path (file, folder or glob).
demo: install
	$(BIN)/raylib run examples/demo.yaml --fresh --set 'input.path=$(DATA)' --set 'output.path=$(OUT)'

test: $(VENV)/.installed-test lint
	RAYLIB_TEST_DATA="$(RAYLIB_TEST_DATA)" $(BIN)/python -m pytest -m "not long" $(PYTEST_FLAGS)

# Several hosts as network namespaces, and what else takes minutes; as root on Linux, skipped elsewhere.
test-long: $(VENV)/.installed-test
	RAYLIB_TEST_DATA="$(RAYLIB_TEST_DATA)" $(BIN)/python -m pytest -m long $(PYTEST_FLAGS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	$(BIN)/python -m raylib.reference

# Known vulnerabilities of the pinned packages: a report, not a gate; needs the network.
audit: $(VENV)/.installed
	$(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install $(PIP_FLAGS) pip-audit
	-.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/cleaning.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/dedup.py

# Environments of the programs that we measure ourselves against (several GB with torch), one each.
bench-peers: .venv-peers/.installed .venv-peers-datatrove/.installed

.venv-peers/.installed:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install $(PIP_FLAGS) -c constraints.txt torch
	.venv-peers/bin/python -m pip install $(PIP_FLAGS) 'py-data-juicer==1.6.1' aiohttp
	touch $@

.venv-peers-datatrove/.installed:
	$(PYTHON) -m venv .venv-peers-datatrove
	.venv-peers-datatrove/bin/python -m pip install $(PIP_FLAGS) 'datatrove[processing]==0.10.1' spacy jieba orjson xxhash
	touch $@

clean:
	rm -rf $(VENV) .venv-audit .venv-peers .venv-peers-datatrove out .mypy_cache .ruff_cache .pytest_cache *.egg-info

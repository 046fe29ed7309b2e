# Everything that a newcomer types. `make test` needs Python 3.11+ and make, nothing else.

PYTHON ?= python3
# faiss comes in two builds that must never be installed side by side: cpu, or gpu.
FAISS ?= cpu
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-$(FAISS)

.PHONY: help install lint types tests test compose-config campaign docs site demo run ui clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/'

install: $(INSTALLED)  ## .venv with the project in it (FAISS=gpu for the GPU build of faiss)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12"; exit 1; }
	@if [ "$(FAISS)" != cpu ] && [ "$(FAISS)" != gpu ]; then echo "FAISS must be cpu or gpu; got $(FAISS)"; exit 1; fi
	@if [ -n "$$(ls $(VENV)/.installed-* 2>/dev/null | grep -v 'installed-$(FAISS)$$')" ]; then \
		echo "$(VENV) holds the other build of faiss, and the two cannot be installed together: make clean first"; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev,$(FAISS)]'
	@# pip compiles on one core. Some packages carry files that are no Python of today, and a quarter nobody imports.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(tests?|_inductor|testing/_internal|numba|networkx|pip|setuptools|mypyc?|fontTools|torchgen|cfnlint)/' $(VENV)/lib || true
	@touch $@

lint: $(INSTALLED)  ## ruff, its format, and the spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(INSTALLED)  ## mypy --strict
	$(BIN)/mypy

tests: $(INSTALLED)  ## every test, with the coverage and its floor
	$(BIN)/python -m slipcover -m pytest -n 4 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m scripts.report_coverage

test: lint  ## set up, lint, check types, run every test
	@# Tests that wait leave time to check types.
	$(MAKE) -j 2 types tests

# The schema of Compose files comes with the checker; where Docker is there, it has a look too.
compose-config: $(INSTALLED)  ## check deploy/docker-compose.yml, also without Docker
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/docker-compose.yml
	$(BIN)/python -m pytest -q tests/test_deploy.py
	@if docker compose version >/dev/null 2>&1; then \
		TAC_UI_TOKEN=checked DAGSTER_POSTGRES_PASSWORD=checked docker compose --env-file deploy/example.env \
			-f deploy/docker-compose.yml config --quiet && echo "docker compose config: ok"; \
	else echo "docker compose is not installed: its own check was left out"; fi

campaign: $(INSTALLED)  ## thousands of damaged images and archives through the sources and decoding (minutes)
	$(BIN)/python -m benchmarks.mutations

docs: $(INSTALLED)  ## write the pages of settings and commands from the code, and run the notebooks
	$(BIN)/python -m scripts.write_settings_page
	$(BIN)/python -m scripts.write_commands_page
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m scripts.notebooks

site: $(INSTALLED)  ## the documentation as a site, in build/site/
	@$(BIN)/python -c 'import material' 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# How many pictures the demo draws.
PICTURES ?= 1500

demo: $(INSTALLED)  ## the whole product on drawn pictures: set up, draw, group, name, compare (PICTURES=1500)
	$(BIN)/tac demo --pictures $(PICTURES)

run: $(INSTALLED)  ## materialize everything that tac.yaml describes
	$(BIN)/tac run

ui: $(INSTALLED)  ## the Dagster UI, with its daemon, on http://127.0.0.1:3000
	$(BIN)/tac ui

clean:  ## remove .venv and caches, never data/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*

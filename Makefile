# The handful of things people do here. `make help` lists them.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fuzz mutants bench agent dist clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/ready ## make .venv and install everything there

# The editable install links single files, so it is made again when files come or go.
FILES := $(shell find common supernet profiler search -type f -not -name '*.pyc' | LC_ALL=C sort | cksum | tr ' ' '-')

$(VENV)/ready: pyproject.toml constraints.txt $(VENV)/files-$(FILES)
	$(BIN)/pip install --quiet --editable '.[all,dev]' --constraint constraints.txt \
		--config-settings editable_mode=strict
	@touch $@

$(VENV)/files-$(FILES): $(VENV)/torch
	@rm -f $(VENV)/files-*
	@touch $@

# On some platforms the plain torch wheel brings gigabytes of CUDA: then PyTorch's CPU index is used.
$(VENV)/torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25' setuptools wheel
	$(BIN)/pip install --quiet --constraint constraints.txt torch $$( \
		$(BIN)/pip install --quiet --dry-run --report - --constraint constraints.txt torch \
		| grep -qiE '"name": *"(nvidia|cuda)-' \
		&& echo --index-url https://download.pytorch.org/whl/cpu)
	@touch $@

# Exit codes 3 and 124 leave a table too: some cells are less sure than asked for, or time is up.
demo: setup ## profile this computer, then search the table
	$(BIN)/compofa-profile --device local --max-time 3m || [ $$? = 3 -o $$? = 124 ]
	$(BIN)/compofa-search --table local.csv --plot local.html

# Each worker has a core of its own: threads of BLAS beside it only wait for each other.
test: setup lint ## lint, type-check and test
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -q --numprocesses auto --dist loadfile \
		--max-worker-restart 0

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

SECONDS ?= 300

fuzz: setup ## damaged inputs for SECONDS (300): files, options, device replies, agents
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS)

COUNT ?= 200

mutants: setup ## COUNT (200) small changes of the code, and whether tests notice: hours
	$(BIN)/pip install --quiet --constraint constraints.txt cosmic-ray
	$(BIN)/python tests/mutants.py --count $(COUNT)

bench: setup ## the long measurements; results go to benchmarks/results
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

agent: setup ## build the native agent for Linux and Android, into build/
	$(BIN)/python -m compofa.profiler.agent.native.build_agent build

# The name of the repository on GitHub, in links of the published README and in docs/ci.md.
REPOSITORY ?= OWNER/compofa
EXTRAS     ?= all

dist: setup ## wheel and source distribution in dist/, checked, and tried with EXTRAS (all)
	$(BIN)/pip install --quiet --constraint constraints.txt build twine check-wheel-contents
	$(BIN)/python tests/distribution.py --repository $(REPOSITORY) --out dist --extras '$(EXTRAS)'

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist *.egg-info local.*

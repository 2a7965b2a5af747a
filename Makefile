# infmap-kit: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo-output

# Where this is set, thousands of processes would each compile what they import: TensorFlow alone takes ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test slow check coverage docs fuzz bench release lock chaos load reliability clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(VENV)/.everything ## Create .venv, install everything, bring the Triton server for CPUs

# The demo serves and infers; what only training and tests need (TensorFlow, 2 GB) comes later.
$(VENV)/.serving: pyproject.toml requirements/tools.txt requirements/serving.txt
	@scripts/setup serving

$(VENV)/.everything: pyproject.toml requirements/everything.txt $(VENV)/.serving
	@scripts/setup everything

demo: $(VENV)/.serving ## Export, serve, infer on real radiographs and bench, with the demo model
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo $(DEMO)

# Files of tests side by side; what measures time comes after them, with the machine to itself. A worker
# that dies ends the run: replaced, it has been seen to leave the others waiting for ever.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0 --durations 25

# On a busy machine a browser or a server now and then takes longer than a test waits. What failed is run once
# more, alone, and named by it; the first that fails again ends it. Status 1 says that all the others ran.
ONCE_MORE := || { [ $$? = 1 ] && echo "Once more, alone:" && $(BIN)/pytest --last-failed --exitfirst --verbose; }

# SLOW=1 adds the slow ones in the same go, as CI does: the workers share what either half makes (trained runs,
# repositories), and wait for each other once.
QUICK := $(if $(SLOW),, and not slow)

test: setup ## Run the tests, a real Triton server among them
	@$(BIN)/pytest -m "not alone$(QUICK)" $(SIDE_BY_SIDE) $(ONCE_MORE)
	@# Of their own files alone: collecting all of them takes longer than most of these.
	@$(BIN)/pytest -m "alone$(QUICK)" $$(grep -rl "mark\.alone" tests --include="test_*.py") $(ONCE_MORE)

slow: setup ## Run the tests that take minutes: all 24 networks, converted and compiled
	@$(BIN)/pytest -m slow $(SIDE_BY_SIDE) $(ONCE_MORE)

check: setup ## Run ruff, codespell, import-linter and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/mypy

# In one process: what the tests start is not seen. Of all rooms without those tests that take minutes or a server.
ALL_ROOMS := toolkit/infmap_kit,training/infmap_train,training/infmap_annotate

coverage: setup ## Measure the branch coverage of the unit tests, of all rooms or of one: make coverage ROOM=gate
	@$(BIN)/coverage run --branch --source $(if $(ROOM),toolkit/infmap_kit/$(ROOM),$(ALL_ROOMS)) \
		-m pytest -q $(if $(ROOM),,-m "not slow and not alone and not integration") tests/unit$(ROOM:%=/%)
	@$(BIN)/coverage report --sort cover

docs: setup ## Build the documentation in site/, strictly: a link that leads nowhere ends it
	@# Without --quiet, which hides its warnings from --strict too.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html"

# N inputs of all targets together; TARGET=decode fuzzes one. What was found lies in tests/fuzz/corpus afterwards.
fuzz: setup ## Fuzz what is read from outside for ten minutes, and draw fresh hypothesis examples
	@PYTHONPATH=tests nice $(BIN)/python -m fuzz --inputs $(or $(N),100000) $(TARGET)
	@$(BIN)/pytest -q -m "not slow and not alone and not integration and not train" --hypothesis-seed=$$RANDOM \
		$$(grep -rl "^from hypothesis import" tests --include="test_*.py")

bench: setup ## Measure latency beside Table V; the machine should have nothing else to do
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/bench $(DEMO)

sbom: setup ## Build the wheels in dist/, and beside them what they bring along (CycloneDX) and its licences
	@scripts/sbom

audit: setup ## Hold what is installed against the committed advisories; no network
	@$(BIN)/python scripts/audit.py

release: setup ## Make dist/ of a version: changelog, wheel, bill of materials, hashes, signature
	@scripts/release "$(VERSION)" "$(KEY)"

lock: ## Hash what constraints.txt and pyproject.toml name, after a change of either
	@scripts/lock

# SEED repeats a run; RECORD=benchmarks/results/chaos keeps what was found.
chaos: setup ## Kill everything N times, and check what is promised (docs/reliability.md)
	@PYTHONPATH=tests $(BIN)/python -m chaos --kills $(or $(N),1000) $(SEED:%=--seed %) $(RECORD:%=--record %)

# GATEWAY=1 asks through nginx.
load: $(VENV)/.serving ## Ask with 64 clients for ten minutes, and watch the memory
	@[ -d $(DEMO)/model_repository ] || $(BIN)/infmap-kit export training/demo_model -r $(DEMO)/model_repository
	@$(BIN)/python scripts/load_run.py --repository $(DEMO)/model_repository $(GATEWAY:%=--gateway) $(RECORD:%=--record %)

reliability: setup ## Fill the records' figures into docs/reliability.md
	@PYTHONPATH=tests $(BIN)/python -m chaos.table

clean: ## Remove the environment, caches and the demo's output
	rm -rf $(VENV) $(DEMO) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# make demo    install what is needed and run the example evaluation (run it twice: the second costs nothing)
# make test    install what is needed and run the tests
# make help    the other verbs
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Portable code: llama.cpp built for the processor at hand crashes on some machines and counts differently on others.
export CMAKE_ARGS ?= -DGGML_NATIVE=OFF
# Its threads give way while they wait, so that a busy machine is not slowed down many times.
export OMP_WAIT_POLICY ?= passive

# A file's tests stay in one process: what they share is made once.
PYTEST := $(RUN) -m pytest -n logical --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-slow check format bench clean constraints

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing. The first time pip compiles llama.cpp, which takes some minutes."
	$(INSTALL) -e '.[local]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(INSTALL) -e '.[local,dev]'
	@touch $@

demo: $(VENV)/.demo ## evaluate examples/demo.yaml on Prefect
	$(RUN) -m flows.run examples/demo.yaml || [ $$? -eq 3 ]

serve: $(VENV)/.demo ## run evaluations from the Prefect UI: a local server, and the flow served to it
	$(RUN) -m deployments.serve --experiment examples/demo.yaml

test: $(VENV)/.dev ## the tests, without the slow ones
	$(PYTEST) -m 'not slow'

test-slow: $(VENV)/.dev ## the slow tests: crashes, servers, large data
	$(PYTEST) -m slow

check: $(VENV)/.dev ## lint, types, import layers and the size of functions
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m tools.code_shape --check

format: $(VENV)/.dev ## format the code
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

bench: $(VENV)/.dev ## measure what the README quotes
	$(RUN) -m benchmarks

constraints: ## pin what is installed here as the tested set
	$(RUN) -m pip freeze --exclude-editable | grep -v '@' > constraints.txt

clean: ## remove what was installed and run here
	rm -rf $(VENV) results build dist

# make demo    install what is needed and run the example evaluation (run it twice: the second costs nothing)
# make test    install what is needed and run the tests
# make help    the other verbs
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check
WHEELS := build/wheels
LOG := build/llama-cpp.log
# The compiled llama.cpp is found as a wheel; pip also keeps it for other environments.
INSTALL := $(RUN) $(PIP) install -qq --constraint constraints.txt --find-links $(WHEELS)
# A step and its seconds.
STEP := $(PYTHON) tools/step.py

# Portable code: llama.cpp built for the processor at hand crashes on some machines and counts differently on others.
# Of llama.cpp only what is used: without its code for pictures and sound, and what tools/llama_cpp.cmake leaves out.
export CMAKE_ARGS ?= -DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF "-DCMAKE_PROJECT_INCLUDE=$(CURDIR)/tools/llama_cpp.cmake"
# Its threads give way while they wait, so that a busy machine is not slowed down many times.
export OMP_WAIT_POLICY ?= passive

# A file's tests stay in one process: what they share is made once.
PYTEST := $(RUN) -m pytest -n logical --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo recorded model docs serve test test-slow check format bench package clean constraints

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(RUN):
	@$(STEP) "make the environment $(VENV)" -- $(PYTHON) -m venv $(VENV)

# Nothing to compile.
$(VENV)/.core: pyproject.toml constraints.txt | $(RUN)
	@$(STEP) "install themis-flows" -- $(INSTALL) -e .
	@touch $@

# In the background of the recorded demo, so it gives way. Without MAKEFLAGS, or ninja would wait for this make's jobs.
$(WHEELS)/.llama-cpp: constraints.txt | $(RUN)
	@mkdir -p $(WHEELS)
	@$(STEP) "compile llama.cpp" --log $(LOG) -- env -u MAKEFLAGS -u MAKELEVEL nice $(RUN) $(PIP) wheel \
	  --no-deps --constraint constraints.txt --find-links $(WHEELS) --wheel-dir $(WHEELS) --verbose llama-cpp-python
	@touch $@

$(VENV)/.local: $(VENV)/.core $(WHEELS)/.llama-cpp
	@$(STEP) "install the engine for local models" -- $(INSTALL) -e '.[local]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(WHEELS)/.llama-cpp | $(RUN)
	@$(STEP) "install what development needs" -- $(INSTALL) -e '.[local,dev]'
	@touch $@ $(VENV)/.core $(VENV)/.local

$(VENV)/.docs: pyproject.toml constraints.txt | $(RUN)
	@$(STEP) "install what the site needs" -- $(INSTALL) -e '.[docs]'
	@touch $@ $(VENV)/.core

demo: $(RUN) ## recorded outputs scored while llama.cpp compiles, then examples/demo.yaml on Prefect
	@$(MAKE) --no-print-directory --jobs=2 --keep-going recorded $(WHEELS)/.llama-cpp
	@$(MAKE) --no-print-directory model

recorded: $(VENV)/.core ## score recorded outputs of two models: no model, no compiler
	@$(VENV)/bin/themis demo

model: $(VENV)/.local ## evaluate examples/demo.yaml with the bundled model, on Prefect
	@$(VENV)/bin/themis run examples/demo.yaml || [ $$? -eq 3 ]
	@echo "for the commands above: . $(VENV)/bin/activate"

docs: $(VENV)/.docs ## build the site into site/; a warning is an error
	$(RUN) -m mkdocs build --strict

serve: $(VENV)/.local ## run evaluations from the Prefect UI: a local server, and the flow served to it
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

package: ## build wheel and sdist, check them, and install the wheel in a new environment
	rm -rf build/package dist
	$(PYTHON) -m venv build/package/tools
	build/package/tools/bin/python $(PIP) install -qq --constraint constraints.txt build hatchling twine
	build/package/tools/bin/python -m build --no-isolation
	build/package/tools/bin/twine check --strict dist/*
	$(PYTHON) -m venv build/package/installed
	build/package/installed/bin/python $(PIP) install -qq --constraint constraints.txt dist/*.whl
	cd build/package && installed/bin/themis demo

constraints: ## pin what is installed here as the tested set
	$(RUN) -m pip freeze --exclude-editable | grep -v '@' > constraints.txt

clean: ## remove what was installed and run here
	rm -rf $(VENV) results build dist

# Every verb of the project. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
NATIVE := $(shell find native -type f 2>/dev/null)
ORACLE ?= .venv-oracle
LLAMA ?= .venv-llama
OPENVINO ?= .venv-openvino
PRETTIER := prettier@3.10.1
TYPESCRIPT := typescript@7.0.2
QUESTION ?= In one sentence, what is photosynthesis?

.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(BIN)/python:
	@echo "aboard: creating a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.built: $(BIN)/python pyproject.toml $(NATIVE)
	@echo "aboard: installing the build tools"
	@$(BIN)/python -m pip install --quiet "scikit-build-core>=1.1" "nanobind>=3.1" "cmake>=3.20" ninja
	@echo "aboard: building and installing the package (C++ engine, about a minute)"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.built pyproject.toml
	@echo "aboard: installing the test tools"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[test]"
	@touch $@

$(VENV)/.lint: $(VENV)/.built pyproject.toml
	@echo "aboard: installing the linters"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[lint]"
	@touch $@

$(VENV)/.browser: $(VENV)/.built pyproject.toml
	@echo "aboard: installing what drives a browser, and Node for the page's linters"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[browser]"
	@touch $@

setup: $(VENV)/.built $(VENV)/.test $(VENV)/.lint ## create the venv with the package, the tests and the linters

demo: $(VENV)/.built ## install, fetch the demo model and answer a question
	@echo "aboard: fetching the demo model (98 MB, once)"
	@$(BIN)/aboard pull smollm2-135m
	@echo "aboard: asking it: $(QUESTION)"
	@$(BIN)/aboard run smollm2-135m "$(QUESTION)"
	@echo "aboard: to go on, '. $(BIN)/activate', then 'aboard chat smollm2-135m'"

test: $(VENV)/.test ## run the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(TESTS)

lint: $(VENV)/.lint ## run the linters, the type checker and the import contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/check_symbols.py build

test-browser: $(VENV)/.browser ## test the page of `aboard serve` in Chromium
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile tests/serve/browser $(TESTS)

lint-page: $(VENV)/.browser ## check the format and the types of the page's scripts
	@$(BIN)/npx --yes $(PRETTIER) --check src/aboard/serve/page
	@$(BIN)/npx --yes --package $(TYPESCRIPT) tsc --project tools/page.tsconfig.json

$(ORACLE)/.built: tools/oracle_requirements.txt
	@echo "aboard: installing torch and transformers in $(ORACLE), for the oracles only"
	@$(PYTHON) -m venv $(ORACLE)
	@$(ORACLE)/bin/python -m pip install --quiet -r tools/oracle_requirements.txt
	@touch $@

golden: $(ORACLE)/.built ## make the golden files anew, with transformers
	@$(ORACLE)/bin/python tools/golden.py
	@$(ORACLE)/bin/python tools/golden_encoders.py
	@$(ORACLE)/bin/python tools/golden_evaluate.py
	@$(ORACLE)/bin/python tools/golden_import.py
	@$(ORACLE)/bin/python tools/golden_taps.py
	@$(ORACLE)/bin/python tools/golden_tokenizer.py

check-golden: $(ORACLE)/.built ## derive the golden files again and compare
	@$(ORACLE)/bin/python tools/golden.py --check
	@$(ORACLE)/bin/python tools/golden_encoders.py --check
	@$(ORACLE)/bin/python tools/golden_evaluate.py --check
	@$(ORACLE)/bin/python tools/golden_import.py --check
	@$(ORACLE)/bin/python tools/golden_taps.py --check
	@$(ORACLE)/bin/python tools/golden_tokenizer.py --check

platforms: $(VENV)/.test ## replay models on AArch64 (emulated), with clang, under sanitizers
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tools/platforms.py --demo "$$($(BIN)/aboard pull smollm2-135m)"

test-emulated: $(VENV)/.test ## test the kernels of AVX-512 and VNNI, emulated
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tools/emulated.py $(TESTS)

budgets: $(VENV)/.test ## count the instructions of a token anew, by format (valgrind)
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tools/budgets.py --write

check-budgets: $(VENV)/.test ## compare the instructions of a token with their budgets
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tools/budgets.py

$(LLAMA)/.built: $(BIN)/python
	@echo "aboard: building llama.cpp in $(LLAMA), to measure against (about 10 minutes)"
	@$(PYTHON) -m venv $(LLAMA)
	@CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF" \
	  $(LLAMA)/bin/python -m pip install --quiet llama-cpp-python==0.3.36 numpy
	@touch $@

$(OPENVINO)/.built: $(BIN)/python
	@echo "aboard: installing OpenVINO GenAI in $(OPENVINO), to measure against"
	@$(PYTHON) -m venv $(OPENVINO)
	@$(OPENVINO)/bin/python -m pip install --quiet openvino-genai
	@touch $@

$(VENV)/.bench: $(VENV)/.built bench/requirements.txt
	@echo "aboard: installing what the benchmarks need"
	@$(BIN)/python -m pip install --quiet -r bench/requirements.txt
	@touch $@

bench: $(VENV)/.bench $(LLAMA)/.built $(OPENVINO)/.built ## measure speed beside other engines, on an idle machine; write the page
	@$(BIN)/python bench/speed.py "$$($(BIN)/aboard pull smollm2-135m)" --llama $(LLAMA) --openvino $(OPENVINO)
	@$(BIN)/python bench/busy.py "$$($(BIN)/aboard pull smollm2-135m)" --llama $(LLAMA)
	@$(BIN)/python bench/first_token.py "$$($(BIN)/aboard pull smollm2-135m)" --llama $(LLAMA)
	@$(BIN)/python bench/many.py "$$($(BIN)/aboard pull smollm2-135m)"
	@$(BIN)/python bench/speculation.py "$$($(BIN)/aboard pull smollm2-135m)"
	@$(BIN)/python bench/report.py

plots: $(VENV)/.bench ## write tables and plots of docs/performance.md anew, without measuring
	@$(BIN)/python bench/report.py

docs: $(VENV)/.test ## write the generated pages of docs/reference anew
	@$(BIN)/python -m aboard.cli.reference > docs/reference/cli.md
	@$(BIN)/python tools/architectures.py

fix: $(VENV)/.lint ## format the sources and apply safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

fix-page: $(VENV)/.browser ## format the page's scripts and styles
	@$(BIN)/npx --yes $(PRETTIER) --write src/aboard/serve/page

clean: ## remove what was built
	@rm -rf build dist $(VENV) $(ORACLE) $(LLAMA) $(OPENVINO)

.PHONY: help setup demo test test-browser lint lint-page fix-page golden check-golden platforms \
  test-emulated budgets check-budgets bench plots docs fix clean

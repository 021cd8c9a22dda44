# Every target makes its own environment when it is missing.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help demo test test-deep test-peers test-lowest test-dist lint docs bench clean
.DEFAULT_GOAL := demo

# One stamp per set of extras, so that nothing is installed twice.
$(VENV)/%.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

help:  ## list these
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/demo.installed  ## train recommenders on real MovieLens ratings, and show what they recommend
	$(BIN)/recsys demo $(DEMO_ARGS)

test: $(VENV)/test.installed  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-deep: $(VENV)/test.installed  ## with many more examples a property
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -n 2 --dist worksteal

test-peers: $(VENV)/peers.installed  ## every op, layer and optimizer against PyTorch, which it installs
	$(BIN)/python -m pytest tests/peers tests/minidl/test_onnx.py tests/test_docs.py

# An environment of its own.
LOWEST := $(VENV)-lowest
QUICK  := tests/minidl/ops/test_precision.py tests/recsys/kernels tests/test_readme.py

$(LOWEST)/lowest.installed: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --editable . 'pytest>=8' 'hypothesis>=6.100' 'pytest-xdist>=3.5' \
	    $$($(PYTHON) .ci/lowest.py)
	@touch $@

test-lowest: $(LOWEST)/lowest.installed  ## every op with the oldest NumPy and Numba that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal $(QUICK)

test-dist: $(VENV)/dist.installed  ## build wheel and source, install the wheel beside NumPy and Numba alone, and use it
	$(BIN)/python .ci/dist.py

lint: $(VENV)/test.installed $(VENV)/lint.installed  ## style, types, and which way imports point
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs.installed  ## build docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -j auto -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/peers.installed  ## measure speed against PyTorch, implicit and Surprise
	$(BIN)/python -m benchmarks

clean:  ## remove what all of these have made
	rm -rf $(VENV) $(LOWEST) build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache report.html \
	       docs/_build docs/api docs/gallery docs/project

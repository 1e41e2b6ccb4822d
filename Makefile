# Spingate. `make demo` shows a verified call; `make test` runs everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=

.PHONY: setup demo test check contracts bench lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh tests/support/setup.sh
	touch $@

demo: setup
	@$(BIN)/spingate demo $(DEMO_ARGS)

test: setup
	sh tests/support/install-programs.sh
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not real"

# Every HTTP interface against its OpenAPI description, 1,000 requests an operation and kind.
contracts: setup
	SPINGATE_EXAMPLES=1000 $(BIN)/python -m pytest --timeout 3000 tests/security/gateway/test_*description*.py tests/security/directory/test_http.py

bench: setup
	$(BIN)/python -m bench

lock: setup
	$(BIN)/python -m pip install --quiet pip-tools==7.6.2
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra softphone --extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# EasyPay. `make run` starts everything on this machine; `make test` runs the tests. Both install what they need first.
VENV ?= .venv
ARGS ?=
BENCH_ARGS ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first Python on PATH that is new enough and can make a virtual environment.
FIND_PYTHON := for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; break; }; done

.PHONY: run install test coverage check bench clean
.DEFAULT_GOAL := run

run: $(STAMP) ## Start the gateway; Ctrl-C stops all of it. ARGS="--port 9000"
	@exec $(BIN)/easypay up $(ARGS)

install: $(STAMP) ## Create the virtual environment and install into it.

# Those without Ray share the processors; the others start programs by the dozen, one test after the other.
test: $(STAMP) ## Run the tests. PYTEST_ARGS="tests/unit -x"
ifneq ($(filter tests%,$(PYTEST_ARGS)),)
	$(BIN)/python -m pytest $(PYTEST_ARGS)
else
	$(BIN)/python -m pytest -m "not ray" -n auto --dist worksteal --junit-xml=reports/parts.xml $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m ray --junit-xml=reports/whole.xml $(PYTEST_ARGS)
endif

# Twice as long as the tests by themselves, so it is not part of them.
coverage: $(STAMP) ## Tell which lines no unit test runs.
	$(BIN)/python -m pytest tests/unit -n auto --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

check: $(STAMP) ## Lint, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## Compare with a raw echo and a hand-written peer. BENCH_ARGS="--json"
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

clean: ## Remove the virtual environment; data directories stay.
	rm -rf -- $(VENV)

$(STAMP): pyproject.toml
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "EasyPay needs Python 3.11 or newer with the venv module (on Debian: apt-get install python3-venv)." >&2; \
		echo "Name one with: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	[ -x $(BIN)/python ] || { echo "Creating $(VENV) with $$python"; "$$python" -m venv $(VENV); }
	@echo "Installing EasyPay and what it needs into $(VENV) (about two minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

# Every target sets up what it needs: a .venv in this folder, filled from the hashes in requirements/.
# PYTHON=/path/to/python3 chooses the interpreter; CONFIG=… and ARGS="…" go to `jmc train`.
CONFIG ?= configs/neuron.toml
ARGS ?=
BIN := .venv/bin
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c '$(SUPPORTED)' 2>/dev/null && { echo "$$p"; break; }; done)

.PHONY: train test lint install lock clean
.DELETE_ON_ERROR:

train: .venv/run.stamp
	@$(BIN)/jmc train $(CONFIG) $(ARGS)

test: .venv/dev.stamp
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: .venv/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright

install: .venv/run.stamp
	@echo "jmc is installed: $(BIN)/jmc --help"

.venv/pyvenv.cfg:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { \
	  echo "jmc needs Python 3.11 or newer, but found: $$("$(or $(PYTHON),python3)" --version 2>&1). Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "jmc needs the venv module of $$("$(PYTHON)" --version). On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@rm -rf .venv
	@"$(PYTHON)" -m venv .venv

# A lock is installed with its hashes; jmc itself is then linked in place, built by the locked flit_core.
.venv/%.stamp: requirements/%.txt pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing requirements/$*.txt into .venv (once; a few minutes on a slow line) …" >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $<
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Needs uv; writes no address of any package index into the locks.
lock:
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  pyproject.toml --group build -o requirements/run.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

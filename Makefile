# `make demo` and `make test` need python3 (3.11 or newer, with venv and pip), make and git.
# The rest is installed into .venv, and again when one of the SETTINGS changes.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Python compiles what is imported, when it is; compiling all of torch costs twenty seconds.
PIP_INSTALL := $(PY) -m pip install --no-compile --disable-pip-version-check -c constraints.txt
SETTINGS := setup.cfg pyproject.toml constraints.txt

# One thing at a time, also under -j: two installs into one environment would meet.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test long mutants lint types golden bench stubs setup browser clean

help:
	@echo "make demo    learn to highlight Python; writes into out/ (short: make demo STEPS=20)"
	@echo "make test    ruff, mypy and pytest (some: make test ARGS='tests/ops -k tanh')"
	@echo "make long    only the tests that take minutes"
	@echo "make mutants plant mistakes in the derivative rules; do the tests see them? (ARGS='tanh')"
	@echo "make lint    ruff alone"
	@echo "make types   mypy alone"
	@echo "make golden  write the golden drawings and the notebooks' outputs anew; look at the diff"
	@echo "make bench   the speed beside torch's: table, JSON, plot (short: make bench ARGS=--quick)"
	@echo "make stubs   write tinytensor/tensor.pyi anew, after a change to the operations"
	@echo "make setup   make .venv for the tests; the others do what they need of it"
	@echo "make browser install Debian's chromium, for the tests of the page (as root)"
	@echo "make clean   remove .venv, caches and out/"
	@echo "PYTHON=...   the Python that .venv is made with; now: $(PYTHON)"

demo: $(VENV)/demo.stamp
	$(PY) examples/highlight.py $(if $(STEPS),--steps $(STEPS)) $(ARGS)

# Two tests at a time, each on one thread: thread pools that share cores wait for each other.
test: export OPENBLAS_NUM_THREADS = 1
test: export OMP_NUM_THREADS = 1
test: lint types
	$(PY) -m pytest -n 2 --cov $(ARGS)

long: $(VENV)/test.stamp
	$(PY) -m pytest -m long $(ARGS)

mutants: export OPENBLAS_NUM_THREADS = 1
mutants: export OMP_NUM_THREADS = 1
mutants: $(VENV)/test.stamp
	$(PY) -m tests.mutation.rules --jobs 2 $(ARGS)

lint: $(VENV)/test.stamp
	$(PY) -m ruff check .

# mypy reads tensor.pyi in place of tensor.py, so that is checked by itself.
types: $(VENV)/test.stamp
	$(PY) -m mypy
	$(PY) -m mypy --follow-imports=silent tinytensor/tensor.py

golden: $(VENV)/test.stamp
	TINYTENSOR_OVERWRITE_GOLDEN=1 $(PY) -m pytest -q tests/viz tests/examples/test_notebooks.py

bench: $(VENV)/test.stamp
	$(PY) -m benchmarks $(ARGS)

stubs: $(VENV)/test.stamp
	$(PY) -m tinytensor._stubs

setup: $(VENV)/test.stamp

# Without it the tests of the page skip, unless TINYTENSOR_DEMAND_BROWSER is set.
browser:
	@command -v chromium || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends chromium; } || \
	echo "no chromium: install it, or run this as root where apt-get is"

# A stamp is written last, so an interrupted set-up is done again.
$(VENV)/demo.stamp: $(VENV)/venv.stamp $(SETTINGS)
	$(PIP_INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/venv.stamp $(SETTINGS)
	$(PIP_INSTALL) -e '.[test]'
	@touch $(VENV)/demo.stamp $@

# The stamp holds the folder that .venv was made in: a moved or copied checkout gets its own.
ifneq ($(shell cat $(VENV)/venv.stamp 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/venv.stamp
endif
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	"tinytensor needs Python 3.11 or newer, $(PYTHON) is %d.%d; try: make PYTHON=python3.11 ..." % v[:2])'
	$(PYTHON) -m venv $(if $(wildcard $@),--clear) $(VENV)
	@echo '$(CURDIR)' > $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	rm -rf build dist out *.egg-info
	find tinytensor tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

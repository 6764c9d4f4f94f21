# `make` alone tells what there is. Everything sets itself up: see deploy/bootstrap.sh.
.DEFAULT_GOAL := help
.PHONY: help demo test campaign fuzz lint lock up down status clean
IN := @sh deploy/bootstrap.sh --
IN_DEV := @sh deploy/bootstrap.sh --dev --
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 14

demo: ## four real buildings, five years, from nothing to a quota alert and a page to look at
	$(IN) nengliu demo $(ARGS)

test: ## style, types, rooms and all tests, on real servers
	$(IN_DEV) sh deploy/test.sh $(ARGS)

campaign: ## real faults on real servers, every reading counted; about an hour, goes on where it was broken off
	$(IN_DEV) python -m tests.campaign $(ARGS)

fuzz: ## ten million hostile inputs to every decoder; about half an hour a core
	$(IN_DEV) python -m tests.fuzz $(ARGS)

lint: ## style and types only; mends what can be mended
	$(IN_DEV) sh -c 'ruff check --fix . && ruff format . && mypy && lint-imports'

up: ## start the local stack: servers, migrations, services
	$(IN) nengliu up $(ARGS)

down: ## stop the local stack, keep its data
	$(IN) nengliu down $(ARGS)

status: ## show what runs
	$(IN) nengliu status $(ARGS)

lock: ## pin the dependencies of pyproject.toml anew
	$(IN_DEV) python -m pip install -q --disable-pip-version-check uv
	$(IN_DEV) $(COMPILE) pyproject.toml -o requirements.lock
	$(IN_DEV) $(COMPILE) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
	@echo hatchling | sh deploy/bootstrap.sh --dev -- $(COMPILE) - -c requirements-dev.lock -o requirements-build.lock

clean: ## stop the local stack, remove its data, the environment and all caches
	@if [ -x .venv/bin/nengliu ]; then .venv/bin/nengliu down --purge; fi
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

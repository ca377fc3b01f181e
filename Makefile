# Short ways in. `make` gives 2 for every failure; for the exit codes that say why, call ./swiftdeploy itself.
# Words for the command go into ARGS: make deploy ARGS="--json --wait 60"

# A test mostly waits for what it started: one worker more than there are cores keeps them busy.
WORKERS := $(shell echo $$(($$(nproc) + 1)))
VERBS := validate render build policy-check plan deploy promote rollback status audit teardown

.PHONY: help test lint $(VERBS)

help:
	@echo "make VERB [ARGS=...]   the same as ./swiftdeploy VERB; VERB is one of"
	@echo "                       $(VERBS)"
	@echo "make lint              ruff and mypy"
	@echo "make test [ARGS=...]   lint, then pytest; ARGS goes to pytest"

$(VERBS):
	@./swiftdeploy $@ $(ARGS)

lint: .venv/dev.stamp
	@.venv/bin/invoke dev.lint

test: lint
	@.venv/bin/python -m pytest -n $(WORKERS) $(ARGS)

.venv/dev.stamp: pyproject.toml
	@./swiftdeploy --version >&2
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[local,report,examples,dev]'
	@touch $@

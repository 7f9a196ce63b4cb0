# Two commands on a new machine that has Python 3.10+ and make: `make demo` and `make test`.
# Relative paths only, so that the folder may have spaces in its name.

.PHONY: help demo test lint bench clean system
.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

.venv/.ready: pyproject.toml scripts/setup.sh scripts/environment.sh
	@sh scripts/setup.sh

demo: .venv/.ready ## set up, then train a model: the main job, end to end
	@. scripts/environment.sh && .venv/bin/mlflows run examples/quickstart/submit.py

test: system .venv/.ready ## set up, then lint, type-check and test all that this machine can hold
	@sh scripts/test.sh

lint: .venv/.ready ## lint and type-check
	@sh scripts/lint.sh

bench: .venv/.ready ## print every figure with its peer's beside it
	@. scripts/environment.sh && .venv/bin/python -m benchmarks $(BENCH)

clean: ## remove what the other targets made
	rm -rf .venv .artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# On a disposable Debian machine (root, CI=true): what the tests need system-wide. Nothing elsewhere.
system:
	@sh infra/dev/setup.sh

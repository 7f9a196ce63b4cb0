#!/bin/sh
set -eu
. scripts/environment.sh
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check --quiet .
.venv/bin/python -m mypy

#!/bin/sh
# All checks; ends with what this machine could not exercise, and pytest's closing line.
set -eu
. scripts/environment.sh
sh scripts/lint.sh
exec .venv/bin/python -m pytest

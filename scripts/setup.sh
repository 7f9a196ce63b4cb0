#!/bin/sh
# Makes .venv with the package (editable) and the tools of its development. Run by make, once.
set -eu
. scripts/environment.sh

usable() {
    command -v "$1" >/dev/null 2>&1 && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10 python; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: no Python 3.10 or newer found; install one, or name it: make PYTHON=/path/to/python ..." >&2
    exit 1
}

make_environment() {
    python=$(find_python)
    echo "setup: .venv with $("$python" --version) (once; a minute or two)"
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        echo "setup: '$python -m venv' failed; on Debian and Ubuntu its part is a package: apt install python3-venv" >&2
        exit 1
    fi
    .venv/bin/python -m pip install --quiet uv
}

# one that works is kept: the local services may be running from it
.venv/bin/python -c 'import uv' 2>/dev/null || make_environment
.venv/bin/python -m uv pip install --quiet --python .venv/bin/python --editable . --group dev
touch .venv/.ready

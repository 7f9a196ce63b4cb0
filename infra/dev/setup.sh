#!/bin/sh
# What the tests need system-wide, on a disposable Debian machine: run as root with CI=true. Elsewhere it does nothing.
# May be run again at any time; what is there is left alone. Engine, registries, base image and MinIO go on in the background: who needs one
# runs its piece, which waits (tests/conftest.py).
set -eu

[ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0
. "$(dirname "$0")/common.sh"

packages=""
want() { # command, then the packages that bring it
    wanted=$1
    shift
    command -v "$wanted" >/dev/null 2>&1 || packages="$packages $*"
}

want chromedriver chromium chromium-driver
want chromium chromium
want mpirun openmpi-bin
want git git
want setpriv util-linux
want ip iproute2
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

if [ -n "$packages" ]; then
    # shellcheck disable=SC2086  # a list of words
    install $packages
fi
by_hand background sh -c 'sh "$0/docker_engine.sh" && sh "$0/registry.sh" && sh "$0/base_image.sh"; sh "$0/minio.sh"' "$here"

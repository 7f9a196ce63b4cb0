#!/bin/sh
# What the tests need system-wide, on a disposable Debian machine: run as root with CI=true. Elsewhere it does nothing.
# May be run again at any time; what is there is left alone.
set -eu

[ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || exit 0

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
python3 -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

[ -n "$packages" ] || exit 0
echo "setup: apt-get install$packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of words
apt-get install -qq --no-install-recommends $packages >/dev/null

# Sourced from the root of the repository. A home folder that can be written to is assumed by many tools:
# a user without one (a service account, a container) gets one below .artifacts.

if [ ! -d "${HOME:-/nonexistent}" ] || [ ! -w "$HOME" ]; then
    HOME="$PWD/.artifacts/home"
    mkdir -p "$HOME"
    export HOME
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1

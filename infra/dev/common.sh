# Sourced by the pieces in this folder. Each piece may be run twice, also at once: the second waits for the first and finds its work done.
# Files of all of them are in $state; daemons started by hand leave NAME.pid and NAME.log there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
state=/var/lib/mlflows-dev
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || { echo "$(basename "$0"): root only: it sets up a machine" >&2; exit 1; }
mkdir -p "$state"

tell() {
    echo "$(basename "$0"): $*"
}

alone() { # one process at a time in the piece of this name
    exec 9>"$state/$1.lock"
    flock 9
}

install() { # packages
    (
        flock 8
        export DEBIAN_FRONTEND=noninteractive
        tell "apt-get install $*"
        # once an hour is often enough for one machine's tests
        [ -n "$(find "$state/apt-updated" -mmin -60 2>/dev/null)" ] || apt-get update -qq
        touch "$state/apt-updated"
        apt-get install -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null 8>&- 9>&-
    ) 8>"$state/apt.lock"
}

need() { # command, then the packages that bring it
    wanted=$1
    shift
    command -v "$wanted" >/dev/null 2>&1 || install "$@"
}

by_hand() { # name, then a command that stays; its own session, no descriptor of ours
    name=$1
    shift
    setsid "$@" >"$state/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$state/$name.pid"
}

lives() { # name of what by_hand started
    pid=$(cat "$state/$1.pid" 2>/dev/null) && grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null
}

wait_until() { # seconds, name of what by_hand started, then a command that succeeds once it answers
    left=$(($1 * 5)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ $left -le 0 ] || { [ -e "$state/$name.pid" ] && ! lives "$name"; }; then
            echo "$(basename "$0"): $name does not answer:" >&2
            tail -n 20 "$state/$name.log" >&2 || true
            return 1
        fi
        sleep 0.2
    done
}

#!/bin/sh
# Stops what the other pieces started. What they installed and made stays: the next start is quick.
. "$(dirname "$0")/common.sh"

stop() { # name, process name (an id may have gone to another process), "group" to stop all it started
    if lives "$1" && [ "$(cat "/proc/$pid/comm")" = "$2" ]; then
        target=$pid
        [ "${3:-}" != group ] || target=-$pid
        kill -TERM "$target"
        left=150
        while lives "$1" && [ $left -gt 0 ]; do
            left=$((left - 1))
            sleep 0.2
        done
        ! lives "$1" || kill -KILL "$target"
        tell "$1 stopped"
    fi
    rm -f "$state/$1.pid"
}

stop background sh group
stop registry docker-registry
stop registry-private docker-registry
stop minio minio-v0.0.0-20
stop dockerd dockerd
if [ -e "$state/dockerd.systemd" ]; then
    systemctl stop docker.socket docker
    rm -f "$state/dockerd.systemd"
fi

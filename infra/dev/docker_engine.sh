#!/bin/sh
# A Docker engine: the one that answers, or Debian's docker.io, started by systemd where that runs and by hand where not.
. "$(dirname "$0")/common.sh"

alone docker_engine
docker info >/dev/null 2>&1 && exit 0
need dockerd docker.io
need docker docker.io
docker info >/dev/null 2>&1 && exit 0 # its installation has started it

if [ -d /run/systemd/system ]; then
    systemctl start docker
    touch "$state/dockerd.systemd"
    wait_until 60 dockerd docker info
else
    by_hand dockerd dockerd
    wait_until 60 dockerd docker info
fi
tell "Docker $(docker version --format '{{.Server.Version}}')"

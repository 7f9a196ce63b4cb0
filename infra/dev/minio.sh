#!/bin/sh
# MinIO on 127.0.0.1:5200: S3 for the tests. Built from the Go module proxy, for there is no package of it; the binary is kept, and made
# again only for another version. Its root user's keys are made here, once, and kept where root alone can read them:
# $state/minio.credentials, user:password.
. "$(dirname "$0")/common.sh"

version=v0.0.0-20260212201848-7aac2a2c5b7c
address=127.0.0.1:5200
binary=$state/minio-$version
credentials=$state/minio.credentials

answers() {
    python3 - "$address" <<'PYTHON'
import sys
import urllib.request

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
direct.open("http://%s/minio/health/ready" % sys.argv[1], timeout=5)
PYTHON
}

find_go() {
    for go in go /usr/local/go/bin/go; do
        command -v "$go" >/dev/null 2>&1 && return
    done
    tell "no Go found: MinIO is built with Go 1.24 or newer (https://go.dev/dl)" >&2
    exit 1
}

build() { # behind everybody else on the machine: tests that need no S3 run meanwhile
    find_go
    tell "building MinIO $version, about five minutes"
    mkdir -p "$state/minio-build"
    GOBIN=$state/minio-build nice "$go" install -trimpath -ldflags '-s -w' "github.com/minio/minio@$version" \
        >"$state/minio-build.log" 2>&1 9>&- || {
        tail -n 20 "$state/minio-build.log" >&2
        exit 1
    }
    mv "$state/minio-build/minio" "$binary"
}

make_credentials() {
    [ -s "$credentials" ] && return
    (
        umask 077
        printf 'tester:%s\n' "$(head -c 24 /dev/urandom | base64 | tr -d '/+=')" >"$credentials"
    )
}

alone minio
[ -s "$credentials" ] && answers 2>/dev/null && exit 0
[ -x "$binary" ] || build
make_credentials
mkdir -p "$state/minio"
MINIO_ROOT_USER=$(cut -d: -f1 "$credentials") MINIO_ROOT_PASSWORD=$(cut -d: -f2 "$credentials") \
    MINIO_BROWSER=off MINIO_UPDATE=off MINIO_SCANNER_SPEED=slowest by_hand minio "$binary" server --quiet --address "$address" "$state/minio"
wait_until 60 minio answers
tell "$address"

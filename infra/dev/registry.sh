#!/bin/sh
# Two image registries on loopback, Debian's docker-registry: on port 5100 one for everybody, on 5101 one that asks for a password. 5000 is MLflow's.
# Its user and password are made here, once, and kept where root alone can read them: $state/registry-private.credentials, user:password.
. "$(dirname "$0")/common.sh"

credentials=$state/registry-private.credentials
passwords=$state/registry-private.htpasswd

answers() { # port, expected HTTP status
    python3 - "$1" "$2" <<'PYTHON'
import sys
import urllib.error
import urllib.request

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    status = direct.open("http://127.0.0.1:%s/v2/" % sys.argv[1], timeout=5).status
except urllib.error.HTTPError as error:
    status = error.code
sys.exit(status != int(sys.argv[2]))
PYTHON
}

make_credentials() {
    [ -s "$credentials" ] && [ -s "$passwords" ] && return
    (
        umask 077
        password=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
        printf '%s' "$password" | htpasswd -niB tester >"$passwords"
        printf 'tester:%s\n' "$password" >"$credentials"
    )
}

serve() { # name, port, further lines of the configuration
    mkdir -p "$state/$1"
    cat >"$state/$1.yml" <<YAML
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: $state/$1
  delete:
    enabled: true
http:
  addr: 127.0.0.1:$2
$3
YAML
    by_hand "$1" docker-registry serve "$state/$1.yml"
}

get_registry() {
    command -v docker-registry >/dev/null 2>&1 && command -v htpasswd >/dev/null 2>&1 && return
    # Debian's service would listen on all addresses
    [ ! -d /run/systemd/system ] || systemctl mask --quiet docker-registry
    install docker-registry apache2-utils
}

alone registry
if ! answers 5100 200 2>/dev/null; then
    get_registry
    serve registry 5100 ""
    wait_until 20 registry answers 5100 200
    tell "127.0.0.1:5100"
fi
if ! [ -s "$credentials" ] || ! answers 5101 401 2>/dev/null; then
    get_registry
    make_credentials
    serve registry-private 5101 "auth:
  htpasswd:
    realm: mlflows tests
    path: $passwords"
    wait_until 20 registry-private answers 5101 401
    tell "127.0.0.1:5101, with a password"
fi

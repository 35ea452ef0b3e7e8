#!/usr/bin/env bash
# See that parts of the operating system are there, and install the missing ones with apt-get where that is allowed:
#   scripts/system-parts.sh venv PYTHON | postgres | redis | npm
# As root, or where sudo asks no password, it installs. Elsewhere it prints the one command to run and goes on, so that
# the tests which need the part are skipped, loudly; with CI=true, or where nothing works without the part, it fails.
set -euo pipefail

has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
has_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
has_redis() { command -v redis-server >/dev/null; }
has_npm() { command -v npm >/dev/null && command -v node >/dev/null; }

# The prefix that makes a command run as root, or failure where there is none.
as_root() {
    if [ "$(id -u)" = 0 ]; then echo env
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then echo "sudo env"
    else return 1
    fi
}

apt_install() {
    local root
    command -v apt-get >/dev/null && root=$(as_root) || return 1
    echo "system-parts: installing with apt-get: $*"
    $root DEBIAN_FRONTEND=noninteractive apt-get update -qq
    $root DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# want NAME WHY CHECK PACKAGE…: does nothing where CHECK succeeds.
want() {
    local name=$1 why=$2 check=$3
    shift 3
    if $check; then return; fi
    echo "system-parts: $name is missing ($why)"
    if apt_install "$@" && $check; then return; fi
    echo "system-parts: $name could not be installed; as root, run:  apt-get install $*" >&2
    [ "${CI:-}" != true ] && [ "$name" != "Python's venv module" ]
}

case ${1:-} in
    venv)
        version=$("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        want "Python's venv module" "it makes the environment" "has_venv $2" "python$version-venv"
        ;;
    postgres) want "PostgreSQL's server" "the tests start one of their own" has_postgres postgresql ;;
    redis) want "Redis's server" "the tests start one of their own" has_redis redis-server ;;
    npm) want npm "it fetches the conformance suite and the Node.js that runs it" has_npm npm nodejs ;;
    *) echo "usage: scripts/system-parts.sh venv PYTHON | postgres | redis | npm" >&2; exit 2 ;;
esac

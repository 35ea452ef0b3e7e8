#!/usr/bin/env bash
# Fetch what other people's clients and servers the tests talk to into .peers, an environment of their own: the official
# Python SDK in .peers/venv, and the npm package server-everything in .peers/node_modules, at the versions pinned in
# tests/peers. Runs no install scripts. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=.peers pins=tests/peers python=.venv/bin/python

digest() { { cat "$@" scripts/peers.sh; readlink -f "$python"; pwd; } | cksum | cut -d' ' -f1; }
done_already() { [ "$(cat "$peers/.installed-$1" 2>/dev/null)" = "$2" ]; }

install_sdk() {
    local pip=("$peers/venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet
        -c "$pins/constraints.txt")
    echo "peers: installing the official Python SDK into $peers/venv, at the versions in $pins/constraints.txt"
    "$python" -m venv --clear "$peers/venv"
    "${pip[@]}" pip
    "${pip[@]}" mcp
}

install_everything() {
    echo "peers: installing the npm package server-everything into $peers/node_modules"
    cp "$pins"/{package.json,package-lock.json,.npmrc} "$peers"
    (cd "$peers" && npm ci --loglevel=error)
}

mkdir -p "$peers"
wanted=$(digest "$pins/constraints.txt")
if ! done_already sdk "$wanted"; then
    rm -f "$peers/.installed-sdk"
    install_sdk
    echo "$wanted" >"$peers/.installed-sdk"
fi

wanted=$(digest "$pins/package.json" "$pins/package-lock.json" "$pins/.npmrc")
if done_already everything "$wanted"; then exit 0; fi
scripts/system-parts.sh npm
if ! command -v npm >/dev/null; then
    echo "peers: no npm, so server-everything is not fetched and its tests will be skipped" >&2
    exit 0
fi
rm -f "$peers/.installed-everything"
install_everything
echo "$wanted" >"$peers/.installed-everything"

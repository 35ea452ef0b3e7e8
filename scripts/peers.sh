#!/usr/bin/env bash
# Fetch what other people's clients and servers the tests talk to into .peers: the official Python SDK and FastMCP, each
# in an environment of its own, and the TypeScript SDKs and server-everything in .peers/node_modules, at the versions
# pinned in tests/peers. Runs no install scripts. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=.peers pins=tests/peers python=.venv/bin/python

digest() { { cat "$@" scripts/peers.sh; readlink -f "$python"; pwd; } | cksum | cut -d' ' -f1; }
done_already() { [ "$(cat "$peers/.installed-$1" 2>/dev/null)" = "$2" ]; }

# install_python NAME: the package NAME, in an environment of that name.
install_python() {
    local pip=("$peers/$1/bin/python" -m pip --disable-pip-version-check --no-input install --quiet -c "$pins/$1.txt")
    echo "peers: installing $1 into $peers/$1, at the versions in $pins/$1.txt"
    "$python" -m venv --clear "$peers/$1"
    "${pip[@]}" pip
    "${pip[@]}" "$1"
}

install_node() {
    echo "peers: installing the TypeScript SDKs and server-everything into $peers/node_modules"
    cp "$pins"/{package.json,package-lock.json,.npmrc} "$peers"
    (cd "$peers" && npm ci --loglevel=error)
    ln -sfn "../$pins/clients" "$peers/clients"  # so that these programs find the packages beside them
    ln -sfn "../$pins/servers" "$peers/servers"
}

mkdir -p "$peers"
for name in mcp fastmcp; do
    wanted=$(digest "$pins/$name.txt")
    if ! done_already "$name" "$wanted"; then
        rm -f "$peers/.installed-$name"
        install_python "$name"
        echo "$wanted" >"$peers/.installed-$name"
    fi
done

wanted=$(digest "$pins/package.json" "$pins/package-lock.json" "$pins/.npmrc")
if done_already node "$wanted"; then exit 0; fi
scripts/system-parts.sh npm
if ! command -v npm >/dev/null; then
    echo "peers: no npm, so the TypeScript SDKs and server-everything are not fetched and their tests will be skipped" >&2
    exit 0
fi
rm -f "$peers/.installed-node"
install_node
echo "$wanted" >"$peers/.installed-node"

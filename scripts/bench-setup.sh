#!/usr/bin/env bash
# Fetch the peers that the benchmark measures into .bench: the official Python SDK and FastMCP, each in an environment of
# its own, and the TypeScript SDKs with the Node.js that runs them, at the versions pinned in bench/peers. Runs no install
# scripts. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=.bench pins=bench/peers python=.venv/bin/python

digest() { { cat "$@" scripts/bench-setup.sh; readlink -f "$python"; pwd; } | cksum | cut -d' ' -f1; }
done_already() { [ "$(cat "$peers/.installed-$1" 2>/dev/null)" = "$2" ]; }

# install_python NAME: the package NAME, and what makes uvicorn as fast as it is under Bascule.
install_python() {
    local pip=("$peers/$1/bin/python" -m pip --disable-pip-version-check --no-input install --quiet -c "$pins/$1.txt")
    echo "bench-setup: installing $1 into $peers/$1, at the versions in $pins/$1.txt"
    "$python" -m venv --clear "$peers/$1"
    "${pip[@]}" pip
    "${pip[@]}" "$1" uvloop httptools
}

mkdir -p "$peers"
echo '*' >"$peers/.gitignore"

for name in mcp fastmcp; do
    wanted=$(digest "$pins/$name.txt")
    if ! done_already "$name" "$wanted"; then
        install_python "$name"
        echo "$wanted" >"$peers/.installed-$name"
    fi
done

wanted=$(digest "$pins/package.json" "$pins/package-lock.json" "$pins/.npmrc")
if done_already node "$wanted"; then exit 0; fi
scripts/system-parts.sh npm
if ! command -v npm >/dev/null; then
    echo "bench-setup: no npm, so the TypeScript SDKs are not fetched and will not be measured" >&2
    exit 0
fi
echo "bench-setup: installing the TypeScript SDKs and Node.js 24 into $peers/node_modules"
cp "$pins"/{package.json,package-lock.json,.npmrc} "$peers"
(cd "$peers" && npm ci --loglevel=error)
ln -sfn ../bench/servers "$peers/servers"  # so that the servers find the packages beside them
echo "$wanted" >"$peers/.installed-node"

#!/usr/bin/env bash
# Fetch the conformance suite, and the Node.js that runs it, into tests/conformance/node_modules, as the lock file pins
# them. Runs no install scripts. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/../tests/conformance"

stamp=node_modules/.installed
digest=$(cat package.json package-lock.json | cksum | cut -d' ' -f1)
if [ "$(cat $stamp 2>/dev/null)" = "$digest" ]; then exit 0; fi

../../scripts/system-parts.sh npm
if ! command -v npm >/dev/null; then
    echo "npm-parts: no npm, so the conformance suite is not fetched and will be skipped" >&2
    exit 0
fi
echo "npm-parts: installing the MCP conformance suite and Node.js 24 into tests/conformance/node_modules"
npm ci --loglevel=error
echo "$digest" >$stamp

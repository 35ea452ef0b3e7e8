#!/usr/bin/env bash
# Write constraints.txt anew: the newest versions that pyproject.toml allows, as pip resolves them in an empty
# environment with every extra and the development tools.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"${PYTHON:-python3}" -m venv "$fresh"
pip() { "$fresh/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
pip install --quiet --upgrade pip
pip install --quiet hatchling editables
pip install --quiet --no-build-isolation --editable '.[fetch,files,otel,postgres,redis,skills]' --group dev
{
    echo "# The versions that Bascule is developed and tested with: its dependencies, its extras and the development tools."
    echo "# Written by \`make constraints\`; names and versions only, so it works with any package index."
    # setuptools comes with some interpreters and not with others; nothing here uses it.
    pip list --format=freeze --exclude-editable --exclude setuptools
} >"$fresh/constraints.txt"
mv "$fresh/constraints.txt" constraints.txt
chmod 644 constraints.txt
echo "constraints: $(grep -c == constraints.txt) versions written to constraints.txt"

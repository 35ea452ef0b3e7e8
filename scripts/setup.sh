#!/usr/bin/env bash
# Make or complete a virtual environment: scripts/setup.sh [--venv DIR] [--python PROGRAM] [base | dev]
# base: the package with its extras. dev: that, and what the tests and checks need. Versions come from constraints.txt.
# Does nothing when the environment already holds what pyproject.toml and constraints.txt ask for.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv python=${PYTHON:-} part=base
while [ $# -gt 0 ]; do
    case $1 in
        --venv) venv=$2; shift 2 ;;
        --python) python=$2; shift 2 ;;
        base | dev) part=$1; shift ;;
        *) echo "setup: unknown argument $1" >&2; exit 2 ;;
    esac
done

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# python3 where it is new enough, else the newest other one on the path.
find_python() {
    local candidate
    for candidate in python3 python3.{15,14,13,12,11}; do
        if suitable "$candidate"; then echo "$candidate"; return; fi
    done
    echo "setup: Bascule needs Python 3.11 or newer, and found none; name one with PYTHON=/path/to/python3" >&2
    return 1
}

make_venv() {
    if [ -z "$python" ]; then
        python=$(find_python)
    elif ! suitable "$python"; then
        echo "setup: $python is not Python 3.11 or newer: $("$python" --version 2>&1 || true)" >&2
        exit 1
    fi
    scripts/system-parts.sh venv "$python"
    echo "setup: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
    echo '*' >"$venv/.gitignore"
}

digest() {
    { cat pyproject.toml constraints.txt scripts/setup.sh; echo "$1"; "$venv/bin/python" --version; pwd; } \
        | cksum | cut -d' ' -f1
}

done_already() { [ "$(cat "$venv/.installed-$1" 2>/dev/null)" = "$(digest "$1")" ]; }

install() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet -c constraints.txt "$@"
}

suitable "$venv/bin/python" || make_venv
if done_already "$part" || { [ "$part" = base ] && done_already dev; }; then exit 0; fi

echo "setup: installing Bascule and its dependencies into $venv, at the versions in constraints.txt"
install pip
install hatchling editables  # the build backend, pinned like the rest, so nothing is built in isolation
if [ "$part" = dev ]; then
    echo "setup: installing the development tools: pytest, Hypothesis, ruff, mypy and what the tests talk to"
    install --no-build-isolation --editable '.[fetch,files,otel,postgres,redis,skills]' --group dev
else
    install --no-build-isolation --editable '.[fetch,files,otel,postgres,redis,skills]'
fi
digest "$part" >"$venv/.installed-$part"

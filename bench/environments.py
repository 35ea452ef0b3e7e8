"""Where targets run: the program that each environment brings, and the version of a package in it.

`own` is the environment that runs the benchmark; the others are made in `.bench` by `make bench-setup`.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".bench"
MODULES = PEERS / "node_modules"
NODE_OPTIONS = ["--preserve-symlinks", "--preserve-symlinks-main", "--no-deprecation"]
ENVIRONMENTS = ("own", "mcp", "fastmcp", "node")

_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


def program(environment: str) -> list[str] | None:
    """What a command of this environment begins with; None where the environment has not been made."""
    if environment == "node":
        found = sorted(MODULES.glob("node-*/bin/node"))
        return [str(found[0]), *NODE_OPTIONS] if found and (PEERS / "servers").exists() else None
    python = Path(sys.executable) if environment == "own" else PEERS / environment / "bin/python"
    return [str(python)] if python.exists() else None


def version(environment: str, package: str) -> str:
    """The version of a package in an environment that has been made."""
    if environment == "node":
        return str(json.loads((MODULES / package / "package.json").read_text())["version"])
    command = [*(program(environment) or []), "-c", _VERSION, package]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def runtime(environment: str) -> str:
    """The name and version of what runs the environment's programs."""
    command = [*(program(environment) or [])[:1], "--version"]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    return f"Node.js {shown.removeprefix('v')}" if environment == "node" else shown

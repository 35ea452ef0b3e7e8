"""The layers: who may import whom, proved by reading the source, never by running it.

ALLOWED is the whole law: a layer may import itself and what its row names. Imports for types count, and so does every
`"bascule.module:name"` string, which is how `late` is told what to load. `tests/test_exports.py` holds the root
package to its own table.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "bascule"

ROOT = "bascule"  # the package itself: the public names
ANYTHING = frozenset({"*"})
CORE = {"errors", "wire", "engine", "version"}

ALLOWED: dict[str, frozenset[str] | set[str]] = {
    ROOT: ANYTHING,
    "late": set(),
    "version": set(),
    "errors": set(),
    "wire": {"errors"},
    "engine": {"errors", "wire"},
    "config": {"errors", "engine"},
    "policy": {"errors", "engine"},
    "pipeline": CORE | {"policy", "guards", "stores", "checks"},
    "checks": {"errors"},
    "sandbox": {"errors"},
    "deploy": {"errors"},
    "eras": CORE,
    "runtime": CORE,
    "auth": CORE,
    "guards": CORE,
    "stores": CORE,
    "authserver": {"auth", "engine", "errors"},
    "server": CORE | {"guards", "checks"},
    "transports": CORE | {"runtime", "eras", "auth"},
    "client": CORE | {"transports", "eras", "runtime", "auth", "checks"},
    "tasks": CORE | {"server"},
    "gateway": {"client", "server", "guards", "wire", "errors"},
    "host": {"client", "wire", "errors"},
    "servers": {ROOT, "checks", "sandbox"},
    "console": {ROOT, "gateway"},
    "serve": CORE
    | {"config", "policy", "pipeline", "eras", "runtime", "auth", "guards", "stores", "server", "transports"},
    "testing": CORE | {"serve", "eras", "runtime", "server", "transports", "client"},
    "cli": ANYTHING,
    "__main__": {"cli"},
}

LATE_USERS = (
    "client/outputs.py",
    "__init__.py",
    "serve.py",
    "client/connect.py",
    "servers/sql/choose.py",
    "servers/files/server.py",
    "stores/limiter.py",
    "pipeline.py",
    "server/app.py",
    "server/guarded.py",
    "server/offer.py",
    "server/task_door.py",
    "server/declare.py",
    "guards/telemetry.py",
    "client/telemetry.py",
    "testing/",
    "cli/",
)
"""Where `late` may be used: the public names, the wiring, the choosers, the server's doors to the wiring, raw
schemas, whose validator costs a tenth of the cold start, telemetry, whose library is an extra and costs as much, and
the test kit, which pytest loads in every project."""

LATE_DOORS = {
    ("server/app.py", "bascule.serve"),
    ("server/guarded.py", "bascule.pipeline"),
    ("server/task_door.py", "bascule.tasks.runner"),
}
"""Late imports against the direction of the layers: `Server.run()` and `Server.asgi()` open the wiring above them, the
first feature asks for the guards, which are made there too, and the first tool that may become a task loads the
extension that is built on tools."""

LATE_TARGET = re.compile(r"(bascule(?:\.\w+)*):\w+")
DATE = re.compile(r"20\d\d-\d\d-\d\d")


class Import(NamedTuple):
    """One import of a module of the package: in which file and line, of what, and whether through `late`."""

    path: str
    line: int
    module: str
    late: bool


class Tree:
    """The source files under a package root, parsed once."""

    def __init__(self, root: Path) -> None:
        files = sorted(root.rglob("*.py"))
        self.files = {file.relative_to(root).as_posix(): ast.parse(file.read_text()) for file in files}
        self.modules = {module_of(path): path for path in self.files}

    def imports(self) -> Iterator[Import]:
        for path, tree in self.files.items():
            for node in ast.walk(tree):
                for module, late in self.imported(node, path):
                    yield Import(path, node.lineno, module, late)  # type: ignore[attr-defined]

    def imported(self, node: ast.AST, path: str) -> Iterator[tuple[str, bool]]:
        """The modules of the package that one node imports, each with whether it does so through `late`."""
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package_above(path, node.level), *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in self.modules else base for name in inner]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            target = LATE_TARGET.fullmatch(node.value)
            if target:
                yield target[1], True
        yield from ((name, False) for name in names if name.split(".")[0] == ROOT)


def package_above(path: str, level: int) -> list[str]:
    """The package that a relative import with so many dots starts from; nothing for an absolute one."""
    return [ROOT, *path.split("/")[:-level]] if level else []


def module_of(path: str) -> str:
    parts = [ROOT, *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ROOT


def forbidden_imports(tree: Tree) -> list[str]:
    """Imports that the table does not allow, and files of layers that it does not know."""
    found = [f"{path}: no row in the table for this layer" for path in tree.files if own_layer(path) not in ALLOWED]
    for use in tree.imports():
        here, there = own_layer(use.path), layer_of(use.module)
        row = ALLOWED.get(here, ANYTHING)
        door = use.late and (use.path, use.module) in LATE_DOORS
        loader = there == "late" and use.path.startswith(LATE_USERS)
        if not (there == here or row == ANYTHING or there in row or door or loader):
            found.append(f"{use.path}:{use.line}: {here} may not import {use.module}")
    return found


def own_layer(path: str) -> str:
    return layer_of(module_of(path))


def hidden_imports(tree: Tree) -> list[str]:
    """Import statements inside functions, and the import machinery used anywhere but in `late` and the command line."""
    found = []
    for path, module in tree.files.items():
        for function in ast.walk(module):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                inner = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
                found += [f"{path}:{node.lineno}: import inside a function" for node in inner]
        if path != "late.py" and not path.startswith("cli/"):
            calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
            machinery = [call for call in calls if ast.unparse(call.func).split(".")[-1] in MACHINERY]
            found += [f"{path}:{call.lineno}: {ast.unparse(call.func)} outside late.py" for call in machinery]
    return sorted(set(found))


MACHINERY = {"import_module", "__import__"}


def stray_late(tree: Tree) -> list[str]:
    """Uses of `late` outside the files that may use it."""
    return [
        f"{use.path}:{use.line}: late is not used here"
        for use in tree.imports()
        if (use.late or use.module == f"{ROOT}.late") and not use.path.startswith(LATE_USERS)
    ]


def stray_dates(tree: Tree) -> list[str]:
    """Protocol dates in code outside `eras/`: those that `eras/` knows. Docstrings may cite a revision as a source."""
    known = {date for path, _, text in constants(tree) if path.startswith("eras/") for date in DATE.findall(text)}
    return [
        f"{path}:{line}: {text!r} has a protocol date"
        for path, line, text in constants(tree)
        if not path.startswith("eras/") and known.intersection(DATE.findall(text))
    ]


def constants(tree: Tree) -> Iterator[tuple[str, int, str]]:
    """Every string in the code that is not a docstring, with its file and line."""
    for path, module in tree.files.items():
        prose = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield path, node.lineno, node.value


def cycles(tree: Tree) -> list[str]:
    """Rings of modules that import one another; every ring is named once."""
    edges: dict[str, set[str]] = {module: set() for module in tree.modules}
    for use in tree.imports():
        edges[module_of(use.path)].add(use.module)
    found: set[str] = set()
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            ring = trail[trail.index(module) :]
            first = ring.index(min(ring))
            found.add(" -> ".join([*ring[first:], *ring[:first], ring[first]]))
        elif module not in done:
            for target in sorted(edges.get(module, set()) - {module}):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return sorted(found)


CHECKS = [forbidden_imports, hidden_imports, stray_late, stray_dates, cycles]


@pytest.mark.parametrize("check", CHECKS)
def test_the_tree_keeps_its_layers(check):
    assert check(Tree(SOURCE)) == []


GOOD = {
    "__init__.py": '"""Root."""\nfrom bascule.late import late\nserver = late("bascule.server.app:Server")\n',
    "late.py": "from importlib import import_module\ndef late(t):\n    return import_module(t)\n",
    "errors.py": '"""Source: specification 2026-07-28."""\n',
    "wire/content.py": "import bascule.errors\nHINT = 'a date like 2020-02-02'\n",
    "eras/versions.py": "LATEST = ['2026-07-28', '2025-11-25']\n",
    "server/__init__.py": "",
    "server/app.py": "from bascule.late import late\ndef run():\n    return late('bascule.serve:run')()\n",
    "serve.py": "from bascule.transports import memory\n",
    "transports/memory.py": "from bascule.wire.content import Text\n",
}

BAD = [
    (forbidden_imports, "wire/content.py", "from bascule.engine.era import X", "wire may not import bascule.engine"),
    (forbidden_imports, "wire/content.py", "from bascule import Server", "wire may not import bascule"),
    (forbidden_imports, "wire/content.py", "from ..server import app", "wire may not import bascule.server.app"),
    (forbidden_imports, "server/app.py", "if TYPE_CHECKING:\n    from bascule.eras import x", "server may not import"),
    (forbidden_imports, "server/other.py", "late('bascule.serve:run')", "server may not import bascule.serve"),
    (forbidden_imports, "server/app.py", "from bascule.serve import run", "server may not import bascule.serve"),
    (forbidden_imports, "serve.py", "X = {'x': 'bascule.cli.main:main'}", "serve may not import bascule.cli.main"),
    (forbidden_imports, "servers/sql/tools.py", "from bascule.server.app import Server", "servers may not import"),
    (forbidden_imports, "eras/versions.py", "import bascule.runtime.pump", "eras may not import bascule.runtime"),
    (forbidden_imports, "utils.py", "", "no row in the table"),
    (hidden_imports, "wire/content.py", "def f():\n    import json", "wire/content.py:2: import inside a function"),
    (hidden_imports, "wire/content.py", "importlib.import_module('x')", "importlib.import_module outside late.py"),
    (stray_late, "wire/content.py", "from bascule.late import late", "wire/content.py:1: late is not used here"),
    (stray_late, "client/client.py", "x = late('bascule.client.y:y')", "client/client.py:1: late is not used here"),
    (stray_dates, "wire/content.py", "V = '2025-11-25'", "'2025-11-25' has a protocol date"),
    (stray_dates, "wire/content.py", "f'v {x} 2025-11-25'", "has a protocol date"),
    (cycles, "transports/memory.py", "from bascule import serve", "bascule.serve -> bascule.transports.memory"),
    (cycles, "wire/content.py", "if TYPE_CHECKING:\n    from bascule.wire import b\n", "b -> bascule.wire.content"),
]


def plant(root: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(root)


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_tree_passes(check, tmp_path):
    assert check(plant(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("check", "path", "text", "complaint"), BAD)
def test_each_fault_is_found(check, path, text, complaint, tmp_path):
    other = {"wire/b.py": "from bascule.wire.content import Text\n"}
    found = check(plant(tmp_path, {**GOOD, **other, path: text}))
    assert found
    assert complaint in found[0]

"""Sizes: files of at most 400 lines of code, classes of 250, functions of 40, and a complexity of at most 10.

Code is what the machine reads: blank lines, comments, docstrings and `@overload` stubs do not count. There is no list
of exceptions; what has grown too large is split.
"""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "bascule"
LIMITS = {"file": 400, "class": 250, "function": 40}
COMPLEXITY = 10

SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """The numbers of the lines that count."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if is_docstring(node) or is_overload(node):
            lines.difference_update(span(node))
    return lines


def is_docstring(node: ast.AST) -> bool:
    """A string that stands alone: under a head it is a docstring, under an assignment it describes the name."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_overload(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(decorator).split(".")[-1] == "overload" for decorator in decorators)


def span(node: ast.AST) -> range:
    """The lines of a node, its decorators included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return range(first, node.end_lineno + 1)


def too_long(root: Path) -> list[str]:
    """Files, classes and functions over their limit."""
    found = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        lines = code_lines(text, tree)
        sizes = [("file", "", len(lines))]
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                sizes.append((kind, f":{node.lineno} {node.name}", len(lines.intersection(span(node)))))
        name = path.relative_to(root).as_posix()
        found += [f"{name}{where}: {kind} of {size} lines" for kind, where, size in sizes if size > LIMITS[kind]]
    return found


def too_complex(root: Path) -> list[str]:
    """Functions with more than ten ways through (McCabe), as ruff counts them; suppressions are not heard."""
    options = ["--isolated", "--no-cache", "--ignore-noqa", "--select", "C901", "--output-format", "concise"]
    limit = ["--config", f"lint.mccabe.max-complexity={COMPLEXITY}"]
    command = [sys.executable, "-m", "ruff", "check", *options, *limit, str(root)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode in {0, 1}, run.stderr
    return [line for line in run.stdout.splitlines() if " C901 " in line]


@pytest.mark.parametrize("check", [too_long, too_complex])
def test_the_tree_keeps_its_sizes(check):
    assert check(SOURCE) == []


def body(lines: int, indent: str = "    ") -> str:
    return "".join(f"{indent}x = {number}\n" for number in range(lines))


def branches(count: int) -> str:
    return "def f(x):\n" + "".join(f"    if x == {number}:\n        return {number}\n" for number in range(count))


PADDING = '    """Doc\n    string."""\n\n    # A comment.\n'

GOOD = {
    "file": body(400, ""),
    "function": f"def f():\n{PADDING}{body(39)}",
    "class": f"class C:\n{PADDING}{body(249)}",
    "overload": "class C:\n" + "    @overload\n    def f(self) -> int: ...\n" * 200,
    "branches": branches(9),
}

BAD = {
    "file of 401 lines": (too_long, body(401, "")),
    "function of 41 lines": (too_long, f"def f():\n{body(40)}"),
    "f: function of 41 lines": (too_long, f"@cached\nasync def f():\n{body(39)}"),
    "class of 251 lines": (too_long, f"class C:\n{body(250)}"),
    "g: function of 41 lines": (too_long, f"class C:\n    def g(self):\n{body(40, '        ')}"),
    "function of 42 lines": (too_long, 'def f():\n    x = """' + "\n" * 39 + '"""\n    return x\n'),
    "complex (11 > 10)": (too_complex, branches(10).replace(":\n", ":  # noqa: C901\n", 1)),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_is_just_small_enough_passes(text, tmp_path):
    (tmp_path / "good.py").write_text(text)
    assert too_long(tmp_path) + too_complex(tmp_path) == []


@pytest.mark.parametrize(("complaint", "fault"), BAD.items())
def test_each_excess_is_found(complaint, fault, tmp_path):
    check, text = fault
    (tmp_path / "bad.py").write_text(text)
    found = check(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]

"""Whether `before.name` in a PostgreSQL query is a column, read from the query's own FROM clauses and outputs.

Everything in the tree that is called `before` must have such a column, wherever it stands: so nothing needs to be known
about which of them the reference means. What cannot be told from the text is taken for a call.
"""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]
Relations = frozenset[str]


def columns_needed(tree: Node, before: str, name: str) -> Relations | None:
    """The relations that must have a column `name` for it to be one, as identifiers in SQL; None: it may be a call."""
    named = [(kind, item) for kind, item in _items(tree) if before in _aliases(kind, item)] if before else []
    if not named:
        return None
    needed: Relations = frozenset()
    for kind, item in named:
        found = _provided(tree, kind, item, name)
        if found is None:
            return None
        needed |= found
    return needed


_ITEMS = frozenset({"RangeVar", "RangeSubselect", "RangeFunction", "RangeTableFunc", "JsonTable", "JoinExpr"})


def _items(tree: Any, kinds: frozenset[str] = _ITEMS) -> Iterator[tuple[str, Node]]:
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
            yield from ((kind, value) for kind, value in item.items() if kind in kinds)


def _aliases(kind: str, item: Node) -> set[str]:
    names = {item[key]["aliasname"] for key in ("alias", "join_using_alias") if key in item}
    if kind == "RangeVar" and "alias" not in item:
        names.add(item["relname"])
    if kind == "RangeFunction" and "alias" not in item:
        names.update(_last(call["funcname"]) for _, call in _items(item, frozenset({"FuncCall"})))
    return names


def _provided(tree: Node, kind: str, item: Node, name: str) -> Relations | None:
    renamed = _strings(item.get("alias", {}).get("colnames", []))
    if renamed:
        return frozenset() if name in renamed else None
    if kind == "RangeVar":
        return _relation(tree, item, name)
    if kind == "RangeSubselect":
        return _output(tree, item["subquery"]["SelectStmt"], name)
    if kind == "RangeFunction":
        defined = {column["ColumnDef"].get("colname") for column in item.get("coldeflist", [])}
        return frozenset() if name in defined else None
    return None


def _relation(tree: Node, item: Node, name: str) -> Relations | None:
    """A name without a schema may mean a CTE here and a table there: both must have the column."""
    needed = frozenset({".".join(_quoted(item[key]) for key in ("schemaname", "relname") if key in item)})
    if "schemaname" in item:
        return needed
    for _, expression in _items(tree, frozenset({"CommonTableExpr"})):
        if expression["ctename"] != item["relname"]:
            continue
        renamed = _strings(expression.get("aliascolnames", []))
        found = _output(tree, expression["ctequery"]["SelectStmt"], name)
        if (found is None and name not in renamed) or (renamed and name not in renamed):
            return None
        needed |= found or frozenset()
    return needed


def _output(tree: Node, select: Node, name: str) -> Relations | None:
    while "larg" in select:
        select = select["larg"]
    targets = [target["ResTarget"] for target in select.get("targetList", [])]
    if any(_named(target) == name for target in targets):
        return frozenset()
    sources = select.get("fromClause", [])
    if len(targets) == len(sources) == 1 and _is_star(targets[0]):
        kind, item = next(iter(sources[0].items()))
        return _provided(tree, kind, item, name)
    return None


def _named(target: Node) -> str:
    """The name that a column of a result gets, where the text alone decides it."""
    if "name" in target:
        return str(target["name"])
    kind, value = next(iter(target["val"].items()))
    if kind == "ColumnRef":
        return _last(value["fields"])
    return _last(value["funcname"]) if kind == "FuncCall" else ""


def _is_star(target: Node) -> bool:
    return "A_Star" in target["val"].get("ColumnRef", {}).get("fields", [{}])[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _last(nodes: list[Node]) -> str:
    return (_strings(nodes) or [""])[-1]


def _strings(nodes: list[Node]) -> list[str]:
    return [node["String"].get("sval", "") for node in nodes if "String" in node]

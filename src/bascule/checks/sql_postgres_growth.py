"""How large a PostgreSQL query grows when the planner puts subqueries in the place of their columns.

`SELECT x + x AS x FROM (SELECT x + x AS x FROM …)` doubles with every level, and `a BETWEEN b AND c` copies `a`.
Nothing stops PostgreSQL there: 640 bytes of text take all memory.
So each column has a weight, how many leaves (columns and constants) it stands for; their sum is bounded.
Names are looked up without regard to what stands before the dot, and the heaviest counts; `*` is any other name.
"""

from collections.abc import Callable
from typing import Any

from bascule.checks.sql import Refused

MAX_LEAVES = 50_000
"""A fifth of a second of planning, and about 50 MB."""

Node = dict[str, Any]
Weights = dict[str, int]

_LEVELS = frozenset({"AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_IN", "AEXPR_NOT_BETWEEN", "AEXPR_NOT_BETWEEN_SYM"})


def refuse_growth(tree: Node, levels: int, leaves: int) -> None:
    """Raise `Refused` for a query that grows beyond MAX_LEAVES.

    `leaves` is how many columns and constants its text has, `levels` how many queries and operators that copy
    (`copies`): where the two cannot make that many, the tree is not looked at.
    """
    steps = min(levels, leaves, 64)
    if steps <= 1 or (2 * leaves / steps) ** steps <= MAX_LEAVES:
        return
    try:
        _weight(tree, {})
    except RecursionError:
        raise Refused("The statement is nested too deeply; write a flatter one.") from None


def copies(expression: Node) -> bool:
    """Whether an A_Expr is an operator that PostgreSQL replaces by others, with copies of its left side."""
    return expression.get("kind") in _LEVELS


def _weight(node: Any, visible: Weights) -> int:
    """The leaves under `node`, where `visible` columns stand for more than one."""
    if isinstance(node, list):
        return sum(_weight(item, visible) for item in node)
    if not isinstance(node, dict):
        return 0
    return sum(_RULES.get(name, _below)(value, visible) for name, value in node.items())


def _below(value: Any, visible: Weights) -> int:
    return _bounded(_weight(value, visible))


def _bounded(leaves: int) -> int:
    if leaves > MAX_LEAVES:
        raise Refused(
            "The statement grows too large when its subqueries are put together; use each computed column fewer "
            "times, and BETWEEN and IN on plain columns."
        )
    return leaves


def _column(reference: Node, visible: Weights) -> int:
    return max(visible.get(_name({"ColumnRef": reference}), 1), visible.get("*", 1))


def _expression(expression: Node, visible: Weights) -> int:
    """BETWEEN has its left side twice (SYMMETRIC four times, and the right twice), IN once for each value."""
    kind = expression.get("kind")
    left = _weight(expression.get("lexpr"), visible)
    right = _weight(expression.get("rexpr"), visible)
    if kind not in _LEVELS:
        return _bounded(left + right)
    if kind == "AEXPR_IN":
        items = expression["rexpr"].get("List", {}).get("items", [])
        return _bounded(right + left * (1 if all("A_Const" in item for item in items) else len(items)))
    return _bounded(4 * left + 2 * right if "SYM" in kind else 2 * left + right)


def _select(select: Node, outer: Weights) -> tuple[Weights, int]:
    """The weights of a query's columns, and of the query as a whole."""
    visible = dict(outer)
    whole = _with(select, visible)
    columns: Weights = {}
    rest = {key: value for key, value in select.items() if key not in _PARTS}
    if "larg" in select:
        columns, size = _union(select, visible)
        whole += size
    whole += sum(_source(source, visible) for source in select.get("fromClause", []))
    whole += sum(_target(target["ResTarget"], visible, columns) for target in select.get("targetList", []))
    if "valuesLists" in select:
        columns["*"] = _weight(select["valuesLists"], visible)
    return columns, _bounded(whole + _weight(rest, visible))


_PARTS = frozenset({"withClause", "larg", "rarg", "fromClause", "targetList"})


def _with(select: Node, visible: Weights) -> int:
    """Make the columns of the CTEs visible, as `cte.column`."""
    whole = 0
    for item in select.get("withClause", {}).get("ctes", []):
        expression = item["CommonTableExpr"]
        columns, size = _select(expression["ctequery"].get("SelectStmt", {}), visible)
        renamed = _renamed(columns, expression.get("aliascolnames", []))
        visible.update({f"{expression['ctename']}.{name}": weight for name, weight in renamed.items()})
        whole += size
    return whole


def _union(select: Node, outer: Weights) -> tuple[Weights, int]:
    """What is asked of a union is asked of each part: the weights of its columns add up."""
    left, left_size = _select(select["larg"], outer)
    right, right_size = _select(select["rarg"], outer)
    heaviest = max(right.values(), default=1)
    return {name: weight + heaviest for name, weight in left.items()}, left_size + right_size


def _source(source: Node, visible: Weights) -> int:
    """Make the columns of one item of FROM visible; the heaviest of a name wins. Returns its own weight."""
    kind, item = next(iter(source.items()))
    if kind == "JoinExpr":
        sides = _source(item["larg"], visible) + _source(item["rarg"], visible)
        return sides + _weight(item.get("quals"), visible)
    size = 0
    columns: Weights = {}
    if kind == "RangeSubselect":
        columns, size = _select(item["subquery"]["SelectStmt"], visible)
    elif kind == "RangeVar":
        prefix = f"{item['relname']}."
        columns = {name.removeprefix(prefix): weight for name, weight in visible.items() if name.startswith(prefix)}
    else:
        size = _weight(item, visible)
    alias = item.get("alias", {})
    columns = _renamed(columns, alias.get("colnames", []))
    columns[alias.get("aliasname") or item.get("relname", "")] = sum(columns.values())
    for name, weight in columns.items():
        visible[name] = max(weight, visible.get(name, 1))
    return size


def _target(target: Node, visible: Weights, columns: Weights) -> int:
    if "A_Star" in target["val"].get("ColumnRef", {}).get("fields", [{}])[-1]:
        columns.update(visible)
        return 1
    size = _weight(target["val"], visible)
    name = target.get("name") or _name(target["val"])
    columns[name] = max(size, columns.get(name, 1))
    return size


def _renamed(columns: Weights, names: list[Node]) -> Weights:
    """After an alias list any name may stand for any column: each gets the weight of the heaviest."""
    heaviest = max(columns.values(), default=1)
    return {**columns, **{name["String"]["sval"]: heaviest for name in names}}


def _name(value: Node) -> str:
    """The last name of a reference to a column or of a call; `*` where PostgreSQL finds a name by other rules."""
    kind, node = next(iter(value.items()))
    parts = node.get("fields") or node.get("funcname") or [] if kind in {"ColumnRef", "FuncCall"} else []
    strings = [part["String"].get("sval", "") for part in parts if "String" in part]
    return strings[-1] if strings else "*"


_RULES: dict[str, Callable[[Any, Weights], int]] = {
    "A_Const": lambda _constant, _visible: 1,
    "A_Expr": _expression,
    "ColumnRef": _column,
    "SelectStmt": lambda select, visible: _select(select, visible)[1],
}

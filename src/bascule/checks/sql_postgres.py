"""SQL for PostgreSQL: one statement that only reads, judged by PostgreSQL's own parser.

Everything is an allow-list: the kinds of statement, the kinds of node in the tree (`data/pg_nodes.txt`), the functions
of `pg_catalog` (`data/pg_functions.txt`; others only when the caller names them). `value.name` can call a function of
one argument (`SELECT x.pg_sleep FROM generate_series(1, 9) x` sleeps): so field names are held against
`data/pg_attributes.txt`.
Not judged here, because only the catalogue knows: what views, operators, casts and overloads of other schemas run.
"""

from collections.abc import Callable, Collection
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import pgparse

from bascule.checks.sql import Refused, Statement, admissible

_ALLOWED = "Only a single SELECT, VALUES, TABLE, SHOW or EXPLAIN statement is allowed"

_CALLED = {
    "CallStmt": "a CALL",
    "CreateStmt": "a CREATE TABLE",
    "CreateTableAsStmt": "a CREATE TABLE AS",
    "DeleteStmt": "a DELETE",
    "DropStmt": "a DROP",
    "ExecuteStmt": "an EXECUTE",
    "InsertStmt": "an INSERT",
    "MergeStmt": "a MERGE",
    "TransactionStmt": "a transaction command",
    "UpdateStmt": "an UPDATE",
    "VariableSetStmt": "a SET",
}

_LEAVES = frozenset({"A_Const", "A_Star", "ColumnRef", "String"})

Node = dict[str, Any]
Rule = Callable[[Any, Collection[str]], None]


def check(sql: str, functions: Collection[str] = ()) -> Statement:
    """Return the one statement in `sql`, or raise `Refused`. About 100 µs a kilobyte.

    `functions` names what may be called besides the built-in list: `name` or `schema.name`, as a query would spell it.
    """
    raw = admissible(sql)
    statement = _only(_parse(sql))
    start = statement.get("stmt_location", 0)
    length = statement.get("stmt_len", len(raw))
    text = raw[start : start + length].decode()
    kind, body = next(iter(statement["stmt"].items()))
    if kind == "VariableShowStmt":
        return Statement("setting", text)
    if kind == "ExplainStmt":
        _judge(body, functions)
        return Statement("plan", text)
    if kind != "SelectStmt":
        _refuse_node(kind)
    _judge(statement["stmt"], functions)
    return Statement("rows", text)


def _parse(sql: str) -> list[Node]:
    try:
        tree: list[Node] = pgparse.parse(sql)
    except pgparse.PGQueryError as error:
        raise Refused(f"PostgreSQL cannot read this: {error.message}.") from None
    except RecursionError:
        raise Refused("The statement is nested too deeply; write a flatter one.") from None
    return tree


def _only(tree: list[Node]) -> Node:
    statements = [one for one in tree if one.get("stmt")]
    if not statements:
        raise Refused(f"There is no statement here. {_ALLOWED}.")
    if len(statements) > 1:
        raise Refused(f"{_ALLOWED}; these are {len(statements)}. Send one at a time.")
    return statements[0]


def _judge(tree: Node, functions: Collection[str]) -> None:
    """Look at every node and field once. Node types start with a capital, fields do not; plain values say nothing."""
    allowed = _listed("pg_nodes.txt")
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(one for one in item if isinstance(one, dict | list))
            continue
        for name, value in item.items():
            if not isinstance(value, dict | list):
                continue
            if name not in allowed and name[0].isupper():
                _refuse_node(name)
            if name in _RULES:
                _RULES[name](value, functions)
            if name not in _LEAVES:
                stack.append(value)


def _refuse_node(name: str) -> NoReturn:
    if name == "ParamRef":
        raise Refused("Parameters such as $1 have no value here; write the value into the statement.")
    called = _CALLED.get(name, f"or contains {name.removesuffix('Stmt')}")
    raise Refused(f"{_ALLOWED}; this is {called}. The database is read-only here.")


def _function(call: Node, functions: Collection[str]) -> None:
    parts = _strings(call["funcname"])
    name = ".".join(parts)
    if name in functions:
        return
    built_in = len(parts) == 1 or (len(parts) == 2 and parts[0] == "pg_catalog")
    if not built_in or parts[-1] not in _listed("pg_functions.txt"):
        raise Refused(
            f"The function {name}() is not allowed here; built-in functions that only compute are, "
            "such as count, date_trunc, regexp_replace or jsonb_path_query."
        )


def _column(reference: Node, functions: Collection[str]) -> None:
    _refuse_calls(_strings(reference["fields"])[1:], functions)


def _selection(indirection: Node, functions: Collection[str]) -> None:
    _refuse_calls(_strings(indirection["indirection"]), functions)


def _refuse_calls(names: list[str], functions: Collection[str]) -> None:
    for name in names:
        if name in _listed("pg_attributes.txt") and name not in functions:
            raise Refused(f"Selecting .{name} from a value calls the function {name}(), which is not allowed here.")


def _relation(relation: Node, functions: Collection[str]) -> None:
    if relation.get("relname") in _listed("pg_secrets.txt"):
        raise Refused(f"{relation['relname']} holds credentials or server files and cannot be read here.")


def _sample(sample: Node, functions: Collection[str]) -> None:
    if _strings(sample["method"])[-1] not in {"bernoulli", "system"}:
        raise Refused("TABLESAMPLE takes BERNOULLI or SYSTEM here.")


def _operator(expression: Node, functions: Collection[str]) -> None:
    parts = _strings(expression.get("name", []))
    if len(parts) > 1 and parts[0] != "pg_catalog":
        raise Refused(f"The operator {'.'.join(parts)} is not a built-in one; only those are allowed here.")


def _into(_clause: Node, functions: Collection[str]) -> None:
    raise Refused("SELECT INTO writes a table; leave INTO out to read the rows instead.")


def _lock(_clause: Node, functions: Collection[str]) -> None:
    raise Refused("Row locks (FOR UPDATE, FOR SHARE) are not allowed; leave the clause out to read the rows.")


_RULES: dict[str, Rule] = {
    "A_Expr": _operator,
    "A_Indirection": _selection,
    "ColumnRef": _column,
    "FuncCall": _function,
    "RangeTableSample": _sample,
    "RangeVar": _relation,
    "intoClause": _into,
    "lockingClause": _lock,
}


def _strings(nodes: list[Node]) -> list[str]:
    return [node["String"].get("sval", "") for node in nodes if "String" in node]


@cache
def _listed(file: str) -> frozenset[str]:
    text = files("bascule.checks").joinpath("data", file).read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))

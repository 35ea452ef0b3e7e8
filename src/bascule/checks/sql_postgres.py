"""SQL for PostgreSQL: one statement that only reads, judged by PostgreSQL's own parser.

Everything is an allow-list: the kinds of statement, the kinds of node in the tree (`data/pg_nodes.txt`), the functions
of `pg_catalog` (`data/pg_functions.txt`; others only when the caller names them), the settings that SHOW may show.
`value.name` can call a function of one argument (`SELECT x.pg_sleep FROM generate_series(1, 9) x` sleeps): where no
catalogue is at hand, field names are held against `data/pg_attributes.txt`.
What only the catalogue knows (overloads, operators, types and fields of other schemas) `examine` collects in
`Statement.names` for the caller to judge. What the functions behind a view do, nobody judges here.
"""

from collections.abc import Callable, Collection
from typing import Any, NoReturn

import pgparse

from bascule.checks.listed import listed
from bascule.checks.sql import Names, Refused, Statement, admissible
from bascule.checks.sql_postgres_columns import columns_needed
from bascule.checks.sql_postgres_growth import copies, refuse_growth
from bascule.checks.sql_postgres_text import refuse_slow_text

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


class Reading:
    """What one walk over a tree gathers. `allowed` names what may be called besides the built-in list."""

    __slots__ = ("allowed", "copied", "functions", "leaves", "levels", "mentioned", "operators", "selected", "types")

    def __init__(self, allowed: Collection[str]) -> None:
        self.allowed = allowed
        self.functions: set[str] = set()
        self.selected: set[tuple[str, str]] = set()
        self.operators: set[str] = set()
        self.types: set[str] = set()
        self.mentioned: list[str] = []
        self.copied: list[str] = []
        self.levels = 0
        self.leaves = 0

    def names(self, tree: Node) -> Names:
        """All of it, for the catalogue."""
        return Names(
            functions=frozenset(self.functions),
            selected=frozenset(self.selected),
            operators=frozenset(self.operators),
            types=frozenset(self.types),
            tree=tree,
        )


Rule = Callable[[Any, Reading], None]


def check(sql: str, functions: Collection[str] = ()) -> Statement:
    """Return the one statement in `sql`, or raise `Refused`. About 100 µs a kilobyte.

    `functions` names what may be called besides the built-in list: `name` or `schema.name`, as a query would spell it.
    """
    statement = examine(sql, functions)
    if statement.names is not None:
        _judge_selected(statement.names, functions)
    return statement


def examine(sql: str, functions: Collection[str] = ()) -> Statement:
    """As `check`, for a caller that then holds `names` against the catalogue: field names are not judged here."""
    raw = admissible(sql)
    refuse_slow_text(sql)
    statement = _only(_parse(sql))
    start = statement.get("stmt_location", 0)
    length = statement.get("stmt_len", len(raw))
    text = raw[start : start + length].decode()
    kind, body = next(iter(statement["stmt"].items()))
    if kind == "VariableShowStmt":
        _judge_setting(body["name"])
        return Statement("setting", text)
    if kind == "ExplainStmt":
        return Statement("plan", text, _judge(body, functions))
    if kind != "SelectStmt":
        _refuse_node(kind)
    return Statement("rows", text, _judge(statement["stmt"], functions))


def refuse_selected(name: str) -> NoReturn:
    """Refuse `.name` because it would call the function of that name."""
    raise Refused(
        f"Selecting .{name} from a value calls the function {name}(), which is not allowed here; "
        "for a column of that name, leave out what stands before the dot."
    )


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


def _judge(tree: Node, functions: Collection[str]) -> Names:
    """Look at every node and field once. Node types start with a capital, fields do not; plain values say nothing."""
    reading = Reading(functions)
    allowed = listed("pg_nodes.txt")
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
                _RULES[name](value, reading)
            if name not in _LEAVES:
                stack.append(value)
    _judge_copies(reading)
    refuse_growth(tree, reading.levels, reading.leaves)
    return reading.names(tree)


def _judge_copies(reading: Reading) -> None:
    for name in reading.copied:
        if reading.mentioned.count(name) > 1:
            raise Refused(f"{name} is NOT MATERIALIZED and mentioned more than once; leave NOT MATERIALIZED out.")


def _judge_selected(names: Names, functions: Collection[str]) -> None:
    for before, name in names.selected:
        called = name in listed("pg_attributes.txt") and name not in functions
        if called and columns_needed(names.tree, before, name) != frozenset():
            refuse_selected(name)


def _judge_setting(name: str) -> None:
    if name.lower() not in listed("pg_settings.txt"):
        raise Refused(
            f"SHOW {name} is not allowed here; SHOW server_version, timezone or search_path are, for example."
        )


def _refuse_node(name: str) -> NoReturn:
    if name == "ParamRef":
        raise Refused("Parameters such as $1 have no value here; write the value into the statement.")
    called = _CALLED.get(name, f"or contains {name.removesuffix('Stmt')}")
    raise Refused(f"{_ALLOWED}; this is {called}. The database is read-only here.")


def _function(call: Node, reading: Reading) -> None:
    parts = _strings(call["funcname"])
    name = ".".join(parts)
    if name in reading.allowed:
        return
    if len(parts) == 1:
        reading.functions.add(name)
    built_in = len(parts) == 1 or (len(parts) == 2 and parts[0] == "pg_catalog")
    if not built_in or parts[-1] not in listed("pg_functions.txt"):
        raise Refused(
            f"The function {name}() is not allowed here; built-in functions that only compute are, "
            "such as count, date_trunc, regexp_replace or jsonb_path_query."
        )


def _leaf(_node: Any, reading: Reading) -> None:
    reading.leaves += 1


def _level(_node: Any, reading: Reading) -> None:
    reading.levels += 1


def _common(expression: Node, reading: Reading) -> None:
    if expression.get("ctematerialized") == "CTEMaterializeNever":
        reading.copied.append(expression["ctename"])


def _column(reference: Node, reading: Reading) -> None:
    reading.leaves += 1
    names = _strings(reference["fields"])
    if len(names) == len(reference["fields"]) > 1:
        reading.selected.add((names[-2], names[-1]))


def _selection(indirection: Node, reading: Reading) -> None:
    reading.selected.update(("", name) for name in _strings(indirection["indirection"]))


def _relation(relation: Node, reading: Reading) -> None:
    reading.mentioned.append(relation.get("relname", ""))
    if relation.get("relname") in listed("pg_secrets.txt") or relation.get("schemaname") == "pg_toast":
        raise Refused(f"{relation['relname']} holds credentials, settings or sessions and cannot be read here.")


def _type(name: Node, reading: Reading) -> None:
    parts = _strings(name.get("names", []))
    if parts and parts[0] != "pg_catalog":
        reading.types.add(parts[-1])


def _sample(sample: Node, _reading: Reading) -> None:
    if _strings(sample["method"])[-1] not in {"bernoulli", "system"}:
        raise Refused("TABLESAMPLE takes BERNOULLI or SYSTEM here.")


def _expression(expression: Node, reading: Reading) -> None:
    reading.levels += copies(expression)
    if "BETWEEN" in str(expression.get("kind")):
        reading.operators.update((">=", "<=", ">", "<"))
    else:
        _operator(expression.get("name", []), reading)


def _operator(name: list[Node], reading: Reading) -> None:
    parts = _strings(name)
    if len(parts) > 1 and parts[0] != "pg_catalog":
        raise Refused(f"The operator {'.'.join(parts)} is not a built-in one; only those are allowed here.")
    if len(parts) == 1:
        reading.operators.add(parts[0])


def _equality(node: Node, reading: Reading) -> None:
    """CASE x WHEN, IN (SELECT …) and joins by column names compare with `=`, without a word of it in the tree."""
    if node.get("operName"):
        _operator(node["operName"], reading)
    elif "arg" in node or "testexpr" in node or "usingClause" in node or "isNatural" in node:
        reading.operators.add("=")


def _into(_clause: Node, _reading: Reading) -> None:
    raise Refused("SELECT INTO writes a table; leave INTO out to read the rows instead.")


def _lock(_clause: Node, _reading: Reading) -> None:
    raise Refused("Row locks (FOR UPDATE, FOR SHARE) are not allowed; leave the clause out to read the rows.")


def _xml(_table: Node, _reading: Reading) -> None:
    raise Refused("XMLTABLE is not allowed here: an XPath cannot be stopped at the time limit.")


_RULES: dict[str, Rule] = {
    "A_Const": _leaf,
    "A_Expr": _expression,
    "A_Indirection": _selection,
    "CaseExpr": _equality,
    "ColumnRef": _column,
    "CommonTableExpr": _common,
    "FuncCall": _function,
    "JoinExpr": _equality,
    "RangeTableFunc": _xml,
    "RangeTableSample": _sample,
    "RangeVar": _relation,
    "SelectStmt": _level,
    "SubLink": _equality,
    "TypeName": _type,
    "intoClause": _into,
    "lockingClause": _lock,
    "typeName": _type,
    "useOp": _operator,
}


def _strings(nodes: list[Node]) -> list[str]:
    return [node["String"].get("sval", "") for node in nodes if "String" in node]

"""What a database holds, as a model reads it: tables, their columns and their keys. Shapes only, no database."""

from msgspec import Struct


class Column(Struct, omit_defaults=True):
    """A column: its type as the database writes it, and its default as an SQL expression."""

    name: str
    type: str
    nullable: bool
    default: str | None = None
    description: str | None = None


class ForeignKey(Struct, rename="camel"):
    """Columns that point at another table's; no referenced columns means its primary key."""

    columns: list[str]
    references: str
    referenced_columns: list[str]


class Table(Struct, rename="camel"):
    """A table or view. `row_estimate` is the database's own guess, None where it has none."""

    name: str
    kind: str
    columns: list[Column]
    primary_key: list[str]
    foreign_keys: list[ForeignKey]
    unique_keys: list[list[str]]
    row_estimate: int | None = None
    description: str | None = None


class TableSummary(Struct, rename="camel", omit_defaults=True):
    """A table or view in a list."""

    name: str
    kind: str
    row_estimate: int | None = None
    description: str | None = None


class TableList(Struct):
    """All tables and views that can be read."""

    tables: list[TableSummary]

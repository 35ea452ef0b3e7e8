"""The sample shop: a small database that is there when no other is named, so that the server is useful at once.

Customers, products, orders and order lines for two years, the same for every start (a fixed seed). It lives in a
temporary directory that only this user can enter, is opened read-only like any other file, and is removed at close.
"""

import asyncio
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from bascule.servers.sql.database import Limits
from bascule.servers.sql.sqlite import SQLite

_CUSTOMERS = 300
_ORDERS = 1500
_FIRST_DAY = date(2024, 1, 1)
_DAYS = 730

_TABLES = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    city TEXT NOT NULL,
    country TEXT NOT NULL,
    joined_on TEXT NOT NULL
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    price REAL NOT NULL CHECK (price > 0),
    in_stock INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    ordered_on TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'new',
    shipped_on TEXT
);
CREATE TABLE order_lines (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit_price REAL NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE INDEX orders_by_customer ON orders (customer_id);
"""

_FIRST = (
    "Ada Bruno Chiara Dmitri Elena Farid Greta Hugo Ines Jonas Kasia Luis Mei Nadia Olav Priya Quentin Rosa Sven Tala"
)
_LAST = "Adler Bianchi Costa Dubois Eriksen Fischer Garcia Haddad Ito Jansen Kowalska Lopez Moreau Nowak Okafor Petrov"
_CITIES = (
    ("Warsaw", "Poland"), ("Berlin", "Germany"), ("London", "United Kingdom"), ("Paris", "France"), ("Madrid", "Spain"),
    ("Oslo", "Norway"), ("Lisbon", "Portugal"), ("Tokyo", "Japan"), ("Toronto", "Canada"), ("Sydney", "Australia"),
)  # fmt: skip
_GOODS = {
    "kitchen": ("kettle", "pan", "knife", "grater", "scale", "teapot"),
    "garden": ("spade", "hose", "gloves", "rake", "planter", "lantern"),
    "office": ("lamp", "chair", "notebook", "pen set", "tray", "clock"),
    "outdoors": ("tent", "stove", "flask", "rucksack", "compass", "hammock"),
}
_MAKES = ("Classic", "Compact", "Deluxe")


class Sample(SQLite):
    """The sample shop as a database: made when opened, removed when closed."""

    def __init__(self, limits: Limits | None = None, functions: Collection[str] = ()) -> None:
        self._directory: Path | None = None
        super().__init__("shop.db", limits, functions)

    async def open(self) -> None:
        """Make the file (about 50 ms) and open it."""
        self._directory = Path(tempfile.mkdtemp(prefix="bascule-shop-"))
        self._path = self._directory / "shop.db"
        await asyncio.to_thread(make, self._path)
        await super().open()

    async def close(self) -> None:
        """Close and remove the file."""
        await super().close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


def make(path: Path) -> None:
    """Write the shop to a new SQLite file at `path`."""
    chance = random.Random(20240101)  # noqa: S311
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        products = list(_products(chance))
        orders = list(_orders(chance))
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", _customers(chance))
        connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", products)
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", orders)
        connection.executemany("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)", _lines(chance, products))
        connection.commit()
        connection.executescript("ANALYZE")
    finally:
        connection.close()


def _customers(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    first, last = _FIRST.split(), _LAST.split()
    for number in range(1, _CUSTOMERS + 1):
        given, family = first[(number - 1) % len(first)], last[(number - 1) // len(first) % len(last)]
        city, country = chance.choice(_CITIES)
        joined = _FIRST_DAY - timedelta(days=chance.randrange(900))
        email = f"{given}.{family}.{number}@example.com".lower()
        yield number, f"{given} {family}", email, city, country, joined.isoformat()


def _products(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    number = 0
    for category, things in _GOODS.items():
        for thing in things:
            base = chance.uniform(6, 90)
            for step, make_ in enumerate(_MAKES):
                number += 1
                yield number, f"{make_} {thing}", category, round(base * (1 + step / 2), 2), chance.randrange(200)


def _orders(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    days = sorted(int(_DAYS * chance.random() ** 0.7) for _ in range(_ORDERS))
    for number, day in enumerate(days, 1):
        ordered = _FIRST_DAY + timedelta(days=day)
        status = chance.choices(("shipped", "returned", "cancelled", "new"), (85, 5, 5, 5))[0]
        shipped = ordered + timedelta(days=chance.randint(1, 6)) if status in {"shipped", "returned"} else None
        customer = 1 + int(_CUSTOMERS * chance.random() ** 1.6)
        yield number, customer, ordered.isoformat(), status, shipped.isoformat() if shipped else None


def _lines(chance: random.Random, products: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for order in range(1, _ORDERS + 1):
        for line in range(1, chance.choice((1, 2, 2, 3, 3, 4, 5)) + 1):
            product = chance.choice(products)
            yield order, line, product[0], chance.choice((1, 1, 1, 2, 3, 4)), product[3]

"""A shop in the real PostgreSQL, and databases opened on it."""

from collections.abc import AsyncIterator

import pytest

from bascule.servers.sql.database import Limits
from bascule.servers.sql.postgres import Postgres
from tests.postgres import Cluster

SHOP = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, profile jsonb DEFAULT '{}');
CREATE TABLE orders (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers (id),
    ordered_on date NOT NULL DEFAULT current_date,
    total numeric(10, 2) NOT NULL
);
COMMENT ON TABLE orders IS 'One row per order.';
COMMENT ON COLUMN orders.total IS 'In euros.';
CREATE VIEW big_orders AS SELECT * FROM orders WHERE total > 500;
CREATE SCHEMA hidden;
CREATE TABLE hidden.ledger (a int);
CREATE TYPE hidden.int4 AS (a text);
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE address AS (street text, number int);
INSERT INTO customers
    SELECT i, 'c' || i, 'c' || i || '@example.com', jsonb_build_object('tier', i % 3, 'tags', array['a'])
    FROM generate_series(1, 50) i;
INSERT INTO orders (customer_id, ordered_on, total)
    SELECT 1 + i % 50, date '2024-01-01' + i % 365, (i * 37 % 1000) + 0.25 FROM generate_series(1, 2000) i;
CREATE ROLE reader LOGIN PASSWORD 'reader-secret';
GRANT USAGE ON SCHEMA public TO reader;
GRANT SELECT ON customers TO reader;
"""


@pytest.fixture(scope="session")
def shop(cluster: Cluster) -> Cluster:
    """The cluster, with a database `shop` in it."""
    cluster.execute("CREATE DATABASE shop")
    cluster.execute(SHOP, "shop")
    cluster.execute("ANALYZE", "shop")
    return cluster


@pytest.fixture
async def postgres(shop: Cluster) -> AsyncIterator[Postgres]:
    """The shop as its superuser sees it: nothing but the server's own locks keeps a query from writing."""
    database = Postgres(shop.url("shop"), Limits(seconds=5.0))
    await database.open()
    yield database
    await database.close()

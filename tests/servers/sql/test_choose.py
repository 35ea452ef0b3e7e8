"""Choosing a database by its URL, and what never shows."""

import logging

import pytest

from bascule import ConfigError
from bascule.servers.sql.choose import choose
from bascule.servers.sql.postgres import Postgres
from bascule.servers.sql.sample import Sample
from bascule.servers.sql.sqlite import SQLite

SECRET = "s3cr3t-pass"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (None, Sample),
        ("sqlite:///some/file.db", SQLite),
        ("sqlite:////abs/file.db", SQLite),
        ("SQLite:///x.db", SQLite),
        ("postgresql://u:p@host/db", Postgres),
        ("postgres://host", Postgres),
        ("postgresql:///db?host=/tmp", Postgres),
    ],
)
def test_the_scheme_chooses(url, kind):
    assert type(choose(url)) is kind


@pytest.mark.parametrize(
    "url",
    [
        "file.db",
        "/etc/passwd",
        "",
        f"mysql://root:{SECRET}@host/db",
        f"postgresql+asyncpg://u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}/x@h:p/d",
        f"postgres://u:{SECRET}@[::1/d",
        "sqlite://host/file.db",
        "sqlite:///",
        "sqlite:///file.db?mode=rwc",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError) as error:
        choose(url)
    assert SECRET not in str(error.value)
    assert "://" in str(error.value)


async def test_a_plain_path_is_not_taken_for_a_database(tmp_path):
    path = tmp_path / "real.db"
    path.touch()
    with pytest.raises(ConfigError, match="sqlite:///"):
        choose(str(path))


def test_no_repr_shows_the_password():
    assert SECRET not in repr(choose(f"postgresql://u:{SECRET}@host/db"))


async def test_a_server_that_cannot_be_reached_is_told_without_its_address(caplog):
    database = choose(f"postgresql://someone:{SECRET}@127.0.0.1:1/private")
    await database.open()
    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="cannot be reached") as error:
        await database.query("SELECT 1", 1)
    await database.close()
    shown = str(error.value) + caplog.text
    assert not [word for word in (SECRET, "someone", "127.0.0.1", "private") if word in shown]


async def test_a_wrong_password_is_told_without_it(shop, caplog):
    database = choose(shop.url("shop", "reader", SECRET))
    await database.open()
    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="cannot be reached") as error:
        await database.query("SELECT 1", 1)
    await database.close()
    assert not [word for word in (SECRET, "reader", "shop") if word in str(error.value) + caplog.text]


async def test_an_unknown_database_is_told_without_its_name(shop):
    database = choose(shop.url("no_such_database"))
    await database.open()
    with pytest.raises(Exception, match="cannot be reached") as error:
        await database.query("SELECT 1", 1)
    await database.close()
    assert "no_such_database" not in str(error.value)

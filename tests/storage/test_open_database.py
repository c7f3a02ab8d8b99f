"""What an operator reads when the database cannot be used: one line, and no secret in it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from holdfast.errors import Misconfigured
from holdfast.storage import open_database
from tests.parts.postgres import Postgres


async def _refusal(url: str) -> str:
    with pytest.raises(Misconfigured) as raised:
        await open_database(url)
    assert "\n" not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("url", ["", "holdfast.db", "mysql://root@localhost/holdfast", "sqlite://holdfast.db"])
async def test_a_url_of_another_kind_is_refused_with_the_kinds_there_are(url: str) -> None:
    assert await _refusal(url) == "database must be sqlite:///path or postgresql://user@host/name"


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, this is no database at all. " * 40)
    said = await _refusal(f"sqlite:///{path}")
    assert said.startswith(f"cannot open the SQLite database {path}: ")
    assert "not a database" in said


async def test_a_directory_in_the_databases_place_is_named(tmp_path: Path) -> None:
    assert await _refusal(f"sqlite:///{tmp_path}") == (
        f"cannot open the SQLite database {tmp_path}: unable to open database file"
    )


async def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    said = await _refusal(f"sqlite:///{tmp_path / 'file' / 'holdfast.db'}")
    assert said.startswith("cannot open the SQLite database")


async def test_a_postgresql_that_does_not_answer_is_refused_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = await _refusal(f"postgresql://holdfast:hunter2hunter2@127.0.0.1:{taken.getsockname()[1]}/holdfast")
    assert said.startswith("cannot reach the PostgreSQL database: ")
    assert "hunter2hunter2" not in said


async def test_a_postgresql_database_that_does_not_exist_is_named(postgres: Postgres) -> None:
    assert "no_such_database" in await _refusal(postgres.dsn("no_such_database"))


@pytest.fixture
async def postgres_fourteen(postgres: Postgres) -> AsyncIterator[str]:
    """The real server, seen through a relay that makes it say it is older than it is."""
    dsn = postgres.fresh_database()
    folder = parse_qs(urlsplit(dsn).query)["host"][0]
    real = postgres.sql(dsn, "SHOW server_version_num").strip().encode()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data.replace(real, b"140011"))
            await sink.drain()
        sink.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_unix_connection(Path(folder) / ".s.PGSQL.5432")
        await asyncio.gather(pump(reader, upstream[1]), pump(upstream[0], writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://postgres@127.0.0.1:{port}{urlsplit(dsn).path}?sslmode=disable"
    server.close()
    postgres.drop(dsn)


async def test_a_postgresql_that_is_too_old_is_refused_with_the_version_it_has(postgres_fourteen: str) -> None:
    assert await _refusal(postgres_fourteen) == "PostgreSQL 15 or newer is needed, this is 14"

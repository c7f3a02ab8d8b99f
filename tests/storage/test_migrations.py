"""The schema's versions, on both engines."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import holdfast.app  # noqa: F401  (brings in every room's tables)
from holdfast.errors import Misconfigured
from holdfast.storage import Connection, metadata, migrations, open_database
from holdfast.storage.migrations import HEAD, current, migrate


def _other_default(_context: object, _in_database: object, column: Any, found: str | None, *_: object) -> bool | None:
    """Tell whether a default that draws a number is another one; evaluated, as others are, it never equals itself."""
    if column.name != "arrival" or found is None or "nextval" not in found:
        return None
    return "pg_current_xact_id()" not in found or "nextval('entries_arrival'" not in found


def _differences(tx: Connection) -> list[object]:
    context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": _other_default})
    return list(compare_metadata(context, metadata))


def test_head_is_the_newest_version_file() -> None:
    versions = Path(migrations.__file__).parent / "versions"
    assert max(path.stem.removeprefix("v") for path in versions.glob("v*.py")) == HEAD


async def test_a_migrated_database_has_exactly_the_tables_of_the_rooms(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    try:
        assert await database.transact(current) is None
        assert await migrate(database) == HEAD
        assert await database.transact(current) == HEAD
        assert await database.transact(_differences) == []
        tables = await database.transact(lambda tx: set(inspect(tx).get_table_names()))
        assert tables == {*metadata.tables, "alembic_version"}
    finally:
        await database.close()


async def test_the_comparison_sees_a_column_that_a_migration_forgot(fresh_url: str) -> None:
    """So that the test above is known to be able to fail."""
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        await database.transact(lambda tx: tx.execute(text("ALTER TABLE accounts ADD COLUMN forgotten INTEGER")))
        assert len(await database.transact(_differences)) == 1
    finally:
        await database.close()


async def test_text_is_compared_by_its_bytes_whatever_the_databases_locale(fresh_url: str) -> None:
    """Else PostgreSQL's indexes follow the operating system's rules of order, which change with its upgrades."""
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        if database.dialect == "sqlite":
            found = await database.transact(
                lambda tx: [row[0] for row in tx.execute(text("SELECT sql FROM sqlite_master"))]
            )
            assert not [said for said in found if said and "COLLATE" in said.upper()]  # its own default is BINARY
            return
        other = text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND data_type IN ('text', 'character varying') AND table_name <> 'alembic_version'"
            " AND collation_name IS DISTINCT FROM 'C'"
        )
        assert await database.transact(lambda tx: [tuple(row) for row in tx.execute(other)]) == []
    finally:
        await database.close()


async def test_migrating_again_changes_nothing(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        await database.transact(
            lambda tx: tx.execute(
                text("INSERT INTO environments (environment_id, name, created_at) VALUES ('e', 'kept', 0)")
            )
        )
        assert await migrate(database) == HEAD
        names = await database.transact(lambda tx: [row.name for row in tx.execute(text("SELECT * FROM environments"))])
        assert names == ["kept"]
    finally:
        await database.close()


async def test_of_two_servers_that_start_at_once_one_migrates(fresh_url: str) -> None:
    one, other = await asyncio.gather(open_database(fresh_url), open_database(fresh_url))
    try:
        assert await asyncio.gather(migrate(one), migrate(other)) == [HEAD, HEAD]
        assert await one.transact(_differences) == []
        versions = text("SELECT version_num FROM alembic_version")
        assert await other.transact(lambda tx: [row[0] for row in tx.execute(versions)]) == [HEAD]
    finally:
        await one.close()
        await other.close()


async def test_a_database_of_a_newer_release_is_refused_in_one_line_and_left_alone(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    try:
        await migrate(database)
        await database.transact(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
        with pytest.raises(Misconfigured, match="schema version 9999, made by a newer release") as raised:
            await migrate(database)
        assert "\n" not in raised.value.message
        assert await database.transact(current) == "9999"
    finally:
        await database.close()

"""`/readyz`: what is looked at, how often, and that it says so in words."""

import asyncio
import json
from collections.abc import Collection
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.requests import Request

from holdfast.clock import SystemClock
from holdfast.readiness import FRESH_SECONDS, Readiness
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from holdfast.vault import LocalKeyFile, Vault


class KeyService:
    """A key provider over the network, which can be cut off: the local file never is."""

    def __init__(self, file: LocalKeyFile) -> None:
        self._file, self.current_id, self.away = file, file.current_id, False

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        if self.away:
            raise ConnectionError("kms.internal:8200 token hvs.canary refused")
        return await self._file.wrap(data_key, context)

    async def unwrap(self, wrapped: bytes, key_id: str, context: bytes) -> bytes:
        return await self._file.unwrap(wrapped, key_id, context)

    def check_use(self, key_id: str, in_use: Collection[str]) -> bool:
        return self._file.check_use(key_id, in_use)


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    opened = await open_database(f"sqlite:///{tmp_path / 'holdfast.db'}")
    await migrate(opened)
    return opened


async def _answer(readiness: Readiness) -> tuple[int, dict[str, str], str]:
    reply = await readiness.answer(Request({"type": "http", "method": "GET", "path": "/readyz", "headers": []}))
    body = json.loads(bytes(reply.body))
    return reply.status_code, body["checks"], body["status"]


async def test_all_is_well(database: Database, tmp_path: Path) -> None:
    readiness = Readiness(database, Vault(database, LocalKeyFile.create(tmp_path / "key"), SystemClock()))
    assert await _answer(readiness) == (200, {"server": "ok", "database": "ok", "keys": "ok"}, "ready")
    await database.close()


async def test_a_database_that_is_away_is_told_without_its_address(database: Database, tmp_path: Path) -> None:
    readiness = Readiness(database, Vault(database, LocalKeyFile.create(tmp_path / "key"), SystemClock()))
    await database.close()
    status, checks, said = await _answer(readiness)
    assert (status, said, checks["database"]) == (503, "not ready", "does not answer (Unavailable)")


async def test_tables_that_are_gone_are_told(database: Database, tmp_path: Path) -> None:
    readiness = Readiness(database, Vault(database, LocalKeyFile.create(tmp_path / "key"), SystemClock()))
    await database.transact(lambda tx: tx.execute(text("DROP TABLE alembic_version")))
    status, checks, _ = await _answer(readiness)
    assert (status, checks["database"]) == (503, "its tables are gone")
    await database.close()


async def test_a_key_provider_that_is_away_is_told_and_reads_go_on(database: Database, tmp_path: Path) -> None:
    service = KeyService(LocalKeyFile.create(tmp_path / "key"))
    readiness = Readiness(database, Vault(database, service, SystemClock()))
    service.away = True
    status, checks, said = await _answer(readiness)
    assert (status, said) == (200, "ready")
    assert checks["keys"] == "the key provider does not answer (ConnectionError); the keys in memory serve on"
    service.away = False
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    assert (await _answer(readiness))[1]["keys"] == "ok", "and looked at again as soon as may be"
    await database.close()


async def test_however_many_ask_it_looks_once_a_second(database: Database, tmp_path: Path) -> None:
    readiness = Readiness(database, Vault(database, LocalKeyFile.create(tmp_path / "key"), SystemClock()))
    looks = await asyncio.gather(*(readiness.checks() for _ in range(100)))
    assert all(look is looks[0] for look in looks)
    assert await readiness.checks() is looks[0]
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    assert await readiness.checks() is not looks[0]
    await database.close()

"""Secrets sealed by earlier releases, with their test key: every later release must open them.

A file here is never changed. A new format, key file or wrapping adds a file beside the others.
"""

import base64
from pathlib import Path

import msgspec
import pytest

from holdfast.app import open_vault
from holdfast.clock import FrozenClock
from holdfast.config import Config
from holdfast.storage import open_database
from holdfast.storage.migrations import migrate
from holdfast.vault import Place, Sealed, store

VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "sealed").glob("*.json"))


class DataKey(msgspec.Struct, forbid_unknown_fields=True):
    environment_id: str
    version: int
    wrapped_by: str
    wrapped: str


class SealedSecret(msgspec.Struct, forbid_unknown_fields=True):
    environment_id: str
    record: str
    field: str
    version: int
    sealed: str
    text: str


class LookupHash(msgspec.Struct, forbid_unknown_fields=True):
    purpose: str
    text: str
    hash: str


class Vector(msgspec.Struct, forbid_unknown_fields=True):
    about: str
    key_file: str
    data_keys: list[DataKey]
    secrets: list[SealedSecret]
    lookup_hashes: list[LookupHash]


def test_there_are_vectors() -> None:
    assert [path.name for path in VECTORS][:1] == ["v1.json"]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
async def test_what_an_earlier_release_sealed_opens(path: Path, fresh_url: str, tmp_path: Path) -> None:
    vector = msgspec.json.decode(path.read_bytes(), type=Vector)
    config = Config(data_dir=tmp_path, database=fresh_url)
    config.key_path().write_text(vector.key_file)
    config.key_path().chmod(0o600)
    database = await open_database(fresh_url)
    await migrate(database)
    for key in vector.data_keys:
        wrapped = base64.b64decode(key.wrapped)
        await database.transact(
            lambda tx, key=key, wrapped=wrapped: store.add(
                tx, key.environment_id, key.version, wrapped, key.wrapped_by, 0.0
            )
        )
    await database.close()
    database, vault = await open_vault(config, FrozenClock())
    try:
        for one in vector.secrets:
            place = Place(one.environment_id, one.record, one.field, one.version)
            assert vault.open(Sealed(base64.b64decode(one.sealed)), place).reveal() == one.text
        for one in vector.lookup_hashes:
            assert vault.lookup_hash(one.purpose, one.text) == one.hash
    finally:
        await database.close()

"""`holdfast audit`: verify and export the log, beside a running server or without one. Neither needs the key file."""

import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from holdfast.access import store as access_store
from holdfast.clock import iso
from holdfast.config import Config
from holdfast.errors import Misconfigured, NotFound
from holdfast.events import Entry
from holdfast.events import store as log
from holdfast.events.sealing import Checkpoint, Verifier
from holdfast.events.sealing import store as seal_store
from holdfast.events.sealing.checkpoints import from_line
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import HEAD, current

PAGE = 20
"""Seals read at once."""


async def verify(config: Config, environment: str | None, checkpoint_file: Path | None) -> int:
    """Tell of each environment whether its log is as it was sealed; return the exit status."""
    kept = _kept(checkpoint_file)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    database = await _open(config)
    status = 0
    try:
        # An environment may be gone from the database altogether, and a kept checkpoint still know of it.
        environments = await _environments(database, environment)
        known = {item.environment_id for item, _ in kept} if environment is None else set[str]()
        for environment_id in [*environments, *sorted(known - set(environments))]:
            mine = [pair for pair in kept if pair[0].environment_id == environment_id]
            found = await Verifier(database).verify(environment_id, mine)
            if found.finding is None:
                counted = f"{found.entries} entries, {found.seals} seals, {found.checkpoints} checkpoints"
                console.print(f"{environment_id}  good: {counted}")
                continue
            status = 1
            entry = f" Entry {found.finding.entry_id}." if found.finding.entry_id else ""
            console.print(f"{environment_id}  BAD at seal {found.finding.seal}: {found.finding.what}.{entry}")
    finally:
        await database.close()
    return status


async def export(config: Config, environment: str | None) -> None:
    """Write each chain from its beginning: a seal, then its entries in order, each with its hash."""
    database = await _open(config)
    try:
        for environment_id in await _environments(database, environment):
            after = 0
            while seals := await database.transact(
                lambda tx, env=environment_id, after=after: seal_store.list_seals(tx, env, after=after, limit=PAGE)  # type: ignore[misc]
            ):
                for seal in seals:
                    found = await database.transact(
                        lambda tx, seal=seal: log.by_ids(tx, seal.environment_id, seal.entry_ids)  # type: ignore[misc]
                    )
                    _write(
                        seal=seal.number,
                        environment_id=environment_id,
                        at=iso(seal.at),
                        entries=len(seal.entry_ids),
                        total=seal.total,
                        previous=seal.previous.hex(),
                        hash=seal.hash.hex(),
                    )
                    for entry_id, hashed in zip(seal.entry_ids, seal.entry_hashes, strict=True):
                        there = found.get(entry_id)
                        shown = _shown(there[1]) if there else {"id": entry_id, "missing": True}
                        _write(entry=shown, seal=seal.number, hash=hashed.hex())
                after = seals[-1].number
    finally:
        await database.close()


def _write(**line: Any) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "environment_id": entry.environment_id,
        "id": entry.id,
        "at": entry.at,
        "action": entry.action.value,
        "actor": {"kind": entry.actor.kind, "id": entry.actor.id},
        "account_id": entry.account_id,
        "connection_id": entry.connection_id,
        "user_id": entry.user_id,
        "organization_id": entry.organization_id,
        "request_id": entry.request_id,
        "data": entry.data,
    }


def _kept(path: Path | None) -> list[tuple[Checkpoint, bytes]]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(f"cannot read the checkpoint file {path}") from None
    kept = [from_line(line) for line in lines if line.startswith('{"holdfast":"checkpoint"')]
    if not kept:
        raise Misconfigured(f"there is no checkpoint in {path}")
    return kept


async def _open(config: Config) -> Database:
    """Open the database as it is: who verifies a log changes nothing."""
    database = await open_database(config.database_url())
    if await database.transact(current) != HEAD:
        await database.close()
        raise Misconfigured("this database has another schema version than this release: start the server once")
    return database


async def _environments(database: Database, wanted: str | None) -> list[str]:
    if wanted is None:
        return await database.transact(seal_store.sealed_environments)
    named = await database.transact(lambda tx: access_store.environment_by_name(tx, wanted))
    if named is not None:
        return [named.id]
    if wanted not in await database.transact(seal_store.sealed_environments):
        raise NotFound(f"there is no environment {wanted} with a sealed log")
    return [wanted]

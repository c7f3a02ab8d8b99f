"""The tables of seals, checkpoints and the keys that sign them; and new entries, read for hashing alone:
as plain rows, since records built of them would be most of what sealing costs."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.util import await_only

from holdfast.events.sealing.checkpoint import Checkpoint, SigningKey
from holdfast.events.sealing.seal import FORMAT, Hashed, Head, Run, Seal, canonical, hash_of
from holdfast.storage.tables import Blob, Column, Count, Table, Text, Time, Ulid, environment_key, metadata
from holdfast.vault import Sealed
from holdfast.vault.store import SealedColumn

T = TypeVar("T", str, bytes)

seals = Table(
    "seals",
    metadata,
    environment_key(),
    Column("number", Count, primary_key=True, autoincrement=False),
    Column("at", Time, nullable=False),
    Column("total", Count, nullable=False),
    Column("entry_ids", Text, nullable=False),
    Column("entry_hashes", Blob, nullable=False),
    Column("previous", Blob, nullable=False),
    Column("hash", Blob, nullable=False),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    environment_key(),
    Column("number", Count, primary_key=True, autoincrement=False),
    Column("at", Time, nullable=False),
    Column("total", Count, nullable=False),
    Column("hash", Blob, nullable=False),
    Column("key_id", Ulid, nullable=False),
    Column("signature", Blob, nullable=False),
)
checkpoint_keys = Table(
    "checkpoint_keys",
    metadata,
    environment_key(),
    Column("id", Ulid, primary_key=True),
    Column("public", Blob, nullable=False),
    Column("secret", Blob, nullable=False),
    Column("created_at", Time, nullable=False),
)
SEALED = (SealedColumn(checkpoint_keys.c.secret, "checkpoint_key"),)
_ID, _HASH = 26, 32
LONGEST_KEPT = 200
"""Characters of an entry's `data` that is kept as it is hashed."""
_SAID = "environment_id, id, at, action, actor_kind, actor_id, account_id, connection_id, user_id, organization_id"
_SAID += ", request_id"
_SQLITE = f"SELECT {_SAID}, data, rowid FROM entries WHERE rowid > ? AND rowid <= ? ORDER BY rowid"  # noqa: S608

# What token reads and proxied calls leave is hashed where it is: to bring it here and hash it was a fifth of what a
# read cost this process. The text is what `seal.hash_of` hashes, as a test holds it to. Other entries get no hash here.
# It is so because both are written as they are hashed, members sorted and no spaces between; by whatever writes them
# otherwise, a space follows the first name. Texts in which JSON escapes something are left to Python: to look for
# such once costs less than to write each as JSON.
_WORDS = "actor_id || user_id || organization_id || request_id"
_FREQUENT = f"""action IN ('credential.read', 'proxy.called') AND actor_kind IN ('api_key', 'sdk_client')
    AND "at" BETWEEN 1 AND 1e12 AND data::text LIKE '{{"connection":"%'
    AND to_json({_WORDS})::text = '"' || {_WORDS} || '"'"""
_POSTGRES_HASHED = f"""SELECT environment_id, id, arrival, CASE WHEN {_FREQUENT} THEN sha256(convert_to(
    '[{FORMAT},"' || environment_id || '","' || id || '",' || "at"::text
    || CASE WHEN "at" = trunc("at") THEN '.0' ELSE '' END
    || ',"' || action || '","' || actor_kind || '","' || actor_id || '","' || account_id || '","' || connection_id
    || '","' || user_id || '","' || organization_id || '","' || request_id || '",' || data::text || ']', 'UTF8'))
    END AS hash
FROM entries WHERE arrival > $1 AND arrival <= $2"""  # noqa: S608
# A row to an environment: thousands of rows would each cost this process as much as their hashes.
_POSTGRES_RUNS = f"""WITH fresh AS MATERIALIZED ({_POSTGRES_HASHED})
SELECT environment_id, string_agg(id, '') FILTER (WHERE hash IS NOT NULL), string_agg(hash, ''::bytea),
    string_agg(int8send(arrival), ''::bytea) FILTER (WHERE hash IS NOT NULL),
    min(arrival) FILTER (WHERE hash IS NULL), max(arrival) FILTER (WHERE hash IS NULL)
FROM fresh GROUP BY environment_id"""  # noqa: S608
_POSTGRES_OTHERS = f"""SELECT {_SAID}, data::text, arrival FROM entries
WHERE arrival > $1 AND arrival <= $2 AND NOT ({_FREQUENT}) ORDER BY arrival"""  # noqa: S608


def new(tx: Connection, after: int, up_to: int) -> tuple[list[Run], Sequence[Any]]:
    """Return the entries of all environments behind a position, up to and with another: those that were hashed where
    they are, and the others as rows for `hashed`."""
    if tx.dialect.name == "sqlite":
        raw: Any = tx.connection.driver_connection
        return [], raw.execute(_SQLITE, (after, up_to)).fetchall()
    # While the table is small or has just grown, the planner would rather read it through than trust a BRIN index.
    tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
    # On the driver's connection, in the transaction that has just begun: SQLAlchemy's rows take as long as the hashes.
    driver: Any = tx.connection.driver_connection
    found: list[Any] = await_only(driver.fetch(_POSTGRES_RUNS, after, up_to))
    bare = [(row[4], row[5]) for row in found if row[4] is not None]
    others: list[Any] = []
    if bare:
        first, last = min(one[0] for one in bare), max(one[1] for one in bare)
        others = await_only(driver.fetch(_POSTGRES_OTHERS, first - 1, last))
    return [_run(*row[:4]) for row in found if row[1] is not None], others


def _run(environment_id: str, ids: str, hashes: bytes, arrivals: bytes) -> Run:
    positions = struct.unpack(f">{len(arrivals) // 8}q", arrivals)
    run = Run(environment_id, _cut(ids, _ID), _cut(hashes, _HASH), positions)
    ordered = sorted(positions)
    if list(positions) != ordered:  # rows are gathered as they come, which nothing promises to be their order
        place = {position: at for at, position in enumerate(positions)}
        places = [place[position] for position in ordered]
        run = Run(environment_id, [run.ids[at] for at in places], [run.hashes[at] for at in places], ordered)
    return run


def _cut(text: T, size: int) -> Sequence[T]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def hashed(row: Any) -> Hashed:
    data = row[11]
    # Reads of one connection say the same in `data`, which would be read and written again for each.
    said = _canonical(data) if len(data) <= LONGEST_KEPT else msgspec.json.decode(data)
    return Hashed(row[0], row[1], row[12], hash_of(*row[:11], said))


@lru_cache(maxsize=256)
def _canonical(data: str) -> msgspec.Raw:
    return canonical(msgspec.json.decode(data))


def add_seal(tx: Connection, seal: Seal) -> None:
    tx.execute(
        insert(seals).values(
            environment_id=seal.environment_id,
            number=seal.number,
            at=seal.at,
            total=seal.total,
            entry_ids="".join(seal.entry_ids),
            entry_hashes=b"".join(seal.entry_hashes),
            previous=seal.previous,
            hash=seal.hash,
        )
    )


def head(tx: Connection, environment_id: str) -> Head:
    """Return the end of an environment's chain; of an empty one, its beginning."""
    row = tx.execute(
        select(seals.c.number, seals.c.total, seals.c.hash)
        .where(seals.c.environment_id == environment_id)
        .order_by(seals.c.number.desc())
        .limit(1)
    ).one_or_none()
    return Head() if row is None else Head(number=row.number, total=row.total, hash=row.hash)


def last_sealed(tx: Connection, environment_id: str) -> tuple[int, float, int] | None:
    """Return the last seal's number, when it was made, and how many entries are sealed up to it; None before any."""
    row = tx.execute(
        select(seals.c.number, seals.c.at, seals.c.total)
        .where(seals.c.environment_id == environment_id)
        .order_by(seals.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.number, row.at, row.total)


def list_seals(tx: Connection, environment_id: str, *, after: int, limit: int) -> list[Seal]:
    rows = tx.execute(
        select(seals)
        .where(seals.c.environment_id == environment_id, seals.c.number > after)
        .order_by(seals.c.number)
        .limit(limit)
    )
    return [_seal(row) for row in rows]


def sealed_environments(tx: Connection) -> list[str]:
    return list(tx.execute(select(seals.c.environment_id).distinct().order_by(seals.c.environment_id)).scalars())


def last_checkpoint(tx: Connection, environment_id: str) -> Checkpoint | None:
    row = tx.execute(
        select(checkpoints)
        .where(checkpoints.c.environment_id == environment_id)
        .order_by(checkpoints.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _checkpoint(row)


def list_checkpoints(tx: Connection, environment_id: str) -> list[Checkpoint]:
    query = select(checkpoints).where(checkpoints.c.environment_id == environment_id).order_by(checkpoints.c.number)
    return [_checkpoint(row) for row in tx.execute(query)]


def add_checkpoint(tx: Connection, checkpoint: Checkpoint) -> None:
    """Store a checkpoint; of two for one seal the later one stays."""
    where = (checkpoints.c.environment_id == checkpoint.environment_id) & (checkpoints.c.number == checkpoint.number)
    tx.execute(delete(checkpoints).where(where))
    tx.execute(
        insert(checkpoints).values(
            environment_id=checkpoint.environment_id,
            number=checkpoint.number,
            at=checkpoint.at,
            total=checkpoint.total,
            hash=checkpoint.hash,
            key_id=checkpoint.key_id,
            signature=checkpoint.signature,
        )
    )


def keys(tx: Connection, environment_id: str) -> list[SigningKey]:
    """Return an environment's signing keys, the current one last."""
    query = select(checkpoint_keys).where(checkpoint_keys.c.environment_id == environment_id)
    return [
        SigningKey(row.environment_id, row.id, row.public, Sealed(row.secret), row.created_at)
        for row in tx.execute(query.order_by(checkpoint_keys.c.id))
    ]


def add_key(tx: Connection, key: SigningKey) -> None:
    tx.execute(
        insert(checkpoint_keys).values(
            environment_id=key.environment_id,
            id=key.id,
            public=key.public,
            secret=key.secret.data,
            created_at=key.created_at,
        )
    )


def _seal(row: Row[Any]) -> Seal:
    ids, hashes = row.entry_ids, row.entry_hashes
    return Seal(
        environment_id=row.environment_id,
        number=row.number,
        at=row.at,
        total=row.total,
        entry_ids=tuple(_cut(ids, _ID)),
        entry_hashes=tuple(_cut(hashes, _HASH)),
        previous=row.previous,
        hash=row.hash,
    )


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(
        environment_id=row.environment_id,
        number=row.number,
        at=row.at,
        total=row.total,
        hash=row.hash,
        key_id=row.key_id,
        signature=row.signature,
    )

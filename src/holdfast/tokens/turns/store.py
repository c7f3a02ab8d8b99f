"""The SQL of turns: batches in the engines' own SQL on the drivers' connections, as `tokens/store.py` has it for reads.

On PostgreSQL rows are locked with SKIP LOCKED: two processes' batches may name the same accounts in any order, and who
never waits for a lock cannot deadlock. What was skipped is done one by one. On SQLite the one writer thread runs a
batch as a few statements whose question and answer travel as one value each.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import LargeBinary, Table

from holdfast.connections.store import clients, connections, overrides
from holdfast.providers.store import custom_providers


def _whole(table: Table, alias: str) -> str:
    """Return SQL for all of a row as text, on SQLite."""
    columns = ", ".join(
        f"hex({alias}.{column.name})" if isinstance(column.type, LargeBinary) else f'{alias}."{column.name}"'
        for column in table.columns
    )
    return f"json_array({columns})"


# All that is stored of how an account's connection stands for it; `of` names the connection, organization and client.
SETTING_FROM = """
JOIN connections AS c ON c.environment_id = {of}.environment_id AND c.id = {of}.connection_id
LEFT JOIN clients AS l ON l.environment_id = {of}.environment_id AND l.id = {of}.client_ref
LEFT JOIN overrides AS o ON o.environment_id = {of}.environment_id AND o.organization_id = {of}.organization_id
    AND o.name = c.name AND {of}.organization_id <> ''
LEFT JOIN custom_providers AS p ON p.environment_id = c.environment_id AND p.slug = c.provider_slug
"""
# Its stamp changes whenever any of it does. A row version of PostgreSQL is known by its place and who wrote it:
# https://www.postgresql.org/docs/current/ddl-system-columns.html. SQLite has nothing like it, so there the stamp is all
# of it as text.
POSTGRES_STAMP = "concat_ws(' '" + "".join(
    f", coalesce(concat({row}.ctid, {row}.xmin, {row}.updated_at), '-')" for row in "clop"
)
POSTGRES_STAMP += ")"
SQLITE_STAMP = " || ".join(
    _whole(table, row) for table, row in ((connections, "c"), (clients, "l"), (overrides, "o"), (custom_providers, "p"))
)
SETTING = ("environment_id", "connection_id", "organization_id", "client_ref")
_POSTGRES_STAMPS = f"""
SELECT q.place - 1, {POSTGRES_STAMP}
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS q({", ".join(SETTING)}, place)
{SETTING_FROM.format(of="q")}
"""  # noqa: S608  (of constants, as the others here)
_SQLITE_STAMPS = f"""
WITH q AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(SETTING))}
    FROM json_each(:asked))
SELECT q.place, {SQLITE_STAMP} FROM q {SETTING_FROM.format(of="q")}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stamps:
    """Return the stamps of settings (environment, connection, organization, client) by place in the batch; absent
    where the connection is. Equal stamps: nothing has changed."""

    places: Sequence[tuple[str, str, str, str]]

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, str]:
        asked = {"asked": msgspec.json.encode(self.places).decode()}
        return dict(raw.execute(_SQLITE_STAMPS, asked).fetchall())

    async def on_postgres(self, raw: Any) -> dict[int, str]:
        return dict(map(tuple, await raw.fetch(_POSTGRES_STAMPS, *zip(*self.places, strict=True))))


_TAKE = ("environment_id", "id", "version", "print", "stamp")
# `version` is as it was when the account was read: nothing but lease, intent and notices has changed since, so that the
# record in hand is what reading again would give. An open intent is for `refresh` to resolve.
_FREE = """
    a.version = q.version AND a.status = 'active' AND a.intent_at IS NULL
    AND (a.retry_at IS NULL OR a.retry_at <= {now}) AND (a.lease_until IS NULL OR a.lease_until < {database_now})
"""
POSTGRES_NOW = "extract(epoch from clock_timestamp())::float8"
# A batch has few settings: each is compared once. A row that is locked is found again by its place (`ctid`), without an
# index; one that was changed between the statement's snapshot and the lock is not found, and so left out.
_POSTGRES_TAKE = f"""
WITH setting AS MATERIALIZED (
    SELECT q.place - 1 AS setting, q.environment_id, q.connection_id, q.organization_id, q.client_ref
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
        AS q({", ".join(SETTING)}, stamp, place)
    {SETTING_FROM.format(of="q")}
    WHERE q.stamp = {POSTGRES_STAMP}
), free AS (
    SELECT a.ctid AS spot, q.place, q.print
    FROM unnest($6::int8[], $7::text[], $8::int8[], $9::text[]) WITH ORDINALITY
        AS q(setting, id, version, print, place)
    JOIN setting AS s USING (setting)
    JOIN accounts AS a ON a.environment_id = s.environment_id AND a.id = q.id
    WHERE a.connection_id = s.connection_id AND a.organization_id = s.organization_id
        AND coalesce(a.client_ref, '') = s.client_ref
        AND {_FREE.format(now="$10::float8", database_now=POSTGRES_NOW)}
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE accounts AS a SET lease_owner = $11, fence = a.fence + 1, lease_until = {POSTGRES_NOW} + $12::float8,
    intent_print = free.print, intent_at = CASE WHEN free.print IS NULL THEN NULL ELSE $10::float8 END
FROM free WHERE a.ctid = free.spot
RETURNING free.place - 1, a.fence
"""  # noqa: S608
SQLITE_NOW = "((julianday('now') - 2440587.5) * 86400.0)"
_SQLITE_TAKE_ASKED = f"""
WITH q AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_TAKE))}
    FROM json_each(:asked))
"""  # noqa: S608
_SQLITE_TAKE_WHICH = f"""{_SQLITE_TAKE_ASKED}
SELECT json_group_array(json_array(q.place, a.fence + 1))
FROM q CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.id = q.id
{SETTING_FROM.format(of="a")}
WHERE {_FREE.format(now=":now", database_now=SQLITE_NOW)} AND q.stamp = {SQLITE_STAMP}
"""  # noqa: S608
_SQLITE_TAKE = f"""{_SQLITE_TAKE_ASKED}
UPDATE accounts AS a SET lease_owner = :owner, fence = a.fence + 1, lease_until = {SQLITE_NOW} + :seconds,
    intent_print = q.print, intent_at = CASE WHEN q.print IS NULL THEN NULL ELSE :now END
FROM q WHERE a.environment_id = q.environment_id AND a.id = q.id AND q.place IN (SELECT value FROM json_each(:taken))
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Take:
    """Take the leases of a batch (its setting's number, account, version, fingerprint for the intent or None) and open
    the intents. A setting is environment, connection, organization, client and stamp. Returns the fence of each that
    was taken, by place in the batch."""

    settings: Sequence[tuple[str, str, str, str, str]]
    asks: Sequence[tuple[int, str, int, str | None]]
    owner: str
    seconds: float
    now: float

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, int]:
        asks = [(self.settings[at][0], *ask, self.settings[at][-1]) for at, *ask in self.asks]
        asked: dict[str, Any] = {"asked": msgspec.json.encode(asks).decode(), "now": self.now}
        taken = dict(msgspec.json.decode(raw.execute(_SQLITE_TAKE_WHICH, asked).fetchone()[0]))
        if taken:
            places = msgspec.json.encode(list(taken)).decode()
            raw.execute(_SQLITE_TAKE, {**asked, "owner": self.owner, "seconds": self.seconds, "taken": places})
        return taken

    async def on_postgres(self, raw: Any) -> dict[int, int]:
        settings, asks = zip(*self.settings, strict=True), zip(*self.asks, strict=True)
        rows = await raw.fetch(_POSTGRES_TAKE, *settings, *asks, self.now, self.owner, self.seconds)
        return dict(map(tuple, rows))


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """One refresh's result, in the order of the statement's parameters, and what its entry says."""

    environment_id: str
    id: str
    fence: int
    former_version: int
    scopes: str
    kept: str
    expires_at: float | None
    grant_expires_at: float | None
    consent_ends_at: float | None
    refresh_at: float | None
    sweep_at: float | None
    at: float
    """When it was renewed, and the entries' time."""
    warning: str | None
    entry_id: str
    entry_data: str
    read_entry_id: str | None
    """Of the read that this refresh is made for, if there is one; the next three are its key, connection, request."""
    read_key_id: str | None
    read_name: str | None
    read_request_id: str | None
    access: bytes
    grant: bytes | None


_PAIR = Pair.__struct_fields__
_POSTGRES_KINDS = dict.fromkeys(_PAIR, "text") | {
    **dict.fromkeys(("fence", "former_version"), "int8"),
    **dict.fromkeys((name for name in _PAIR if name == "at" or name.endswith("_at")), "float8"),
    **dict.fromkeys(("access", "grant"), "bytea"),
}
# asyncpg looks long at each item of an array, so the columns of texts go as one text each, split there: they hold ids
# and JSON, and so no control character (RFC 8259 section 7). An empty item stands for NULL.
_JOINED = frozenset({"environment_id", "id", "scopes", "kept", "entry_id", "entry_data"})
_JOINED |= {name for name in _PAIR if name.startswith("read_")}
_BREAK = "\x1f"


def _postgres_column(name: str, at: int) -> str:
    if name in _JOINED:
        return f"string_to_array(${at}::text, chr({ord(_BREAK)}), '')"
    return f"${at}::{_POSTGRES_KINDS[name]}[]"


_OURS = "a.fence = q.fence AND a.credential_version = q.former_version AND a.status = 'active'"
# The sweep's index names `look_at`: it stays where it is, if that is early enough, and the row touches no index.
_NEW = """
    status = 'active', reason = NULL, detail = NULL, expires_at = q.expires_at,
    grant_expires_at = q.grant_expires_at, consent_ends_at = q.consent_ends_at, refresh_at = q.refresh_at,
    sweep_at = q.sweep_at, look_at = CASE WHEN a.look_at <= q.sweep_at THEN a.look_at ELSE q.sweep_at END,
    refreshed_at = q.at, retry_at = NULL, failures = 0, refusals = 0,
    warning = q.warning,
    intent_at = NULL, intent_print = NULL, credential_version = q.former_version + 1, updated_at = q.at,
    version = a.version + 1, lease_owner = NULL, lease_until = NULL
"""
_ENTRY = "environment_id, id, at, action, actor_kind, actor_id, account_id, connection_id, user_id, organization_id"
_ENTRY += ", request_id, data"
# The read's entry is written where `tokens/store.py` would write it for a plain read of this account as it is now: the
# key is in force, and the connection still the one that was asked for.
_READ = """
    w.role = 'compatibility' AND w.organization_id = '' AND k.revoked_at IS NULL
    AND c.owner_kind = 'user' AND c.method = 'oauth'
    AND NOT EXISTS (SELECT 1 FROM custom_providers AS p
        WHERE p.environment_id = c.environment_id AND p.slug = c.provider_slug)
"""
_POSTGRES_SETTLE = f"""
WITH q AS (
    SELECT * FROM unnest({", ".join(_postgres_column(name, at) for at, name in enumerate(_PAIR, 1))})
        WITH ORDINALITY AS q({", ".join(f'"{name}"' for name in _PAIR)}, place)
), ours AS (
    SELECT q.*, a.ctid AS spot FROM q JOIN accounts AS a ON a.environment_id = q.environment_id AND a.id = q.id
    WHERE {_OURS}
    FOR NO KEY UPDATE OF a SKIP LOCKED
), written AS (
    UPDATE accounts AS a SET scopes = q.scopes::json, kept = q.kept::json, access = q.access, "grant" = q."grant",
        {_NEW}
    FROM ours AS q WHERE a.ctid = q.spot AND {_OURS}
    RETURNING q.place, a.environment_id, q.entry_id, a.id, a.connection_id, a.user_id, a.organization_id, a.role,
        q.at, q.entry_data, q.scopes, q.read_entry_id, q.read_key_id, q.read_name, q.read_request_id
), door AS MATERIALIZED (
    SELECT w.*, c.provider_slug, c.scopes::text AS asked,
        CASE WHEN c.required_scopes::text <> '[]' THEN c.required_scopes::jsonb END AS required,
        json_build_object('connection', c.name, 'method', c.method) AS data
    FROM (SELECT DISTINCT environment_id, connection_id, role, organization_id, read_key_id, read_name
        FROM written WHERE read_key_id IS NOT NULL) AS w
    JOIN api_keys AS k ON k.environment_id = w.environment_id AND k.id = w.read_key_id
    JOIN connections AS c ON c.environment_id = w.environment_id AND c.id = w.connection_id AND c.name = w.read_name
    WHERE {_READ}
), read AS (
    SELECT w.*, d.provider_slug, d.asked, d.data
    FROM written AS w LEFT JOIN door AS d
        ON (d.environment_id, d.connection_id, d.role, d.organization_id, d.read_key_id, d.read_name)
            = (w.environment_id, w.connection_id, w.role, w.organization_id, w.read_key_id, w.read_name)
        AND (d.required IS NULL OR w.scopes::jsonb @> d.required)
), logged AS (
    INSERT INTO entries ({_ENTRY})
    SELECT environment_id, entry_id, at, 'token.refreshed', 'system', '', id, connection_id, user_id,
        organization_id, '', entry_data::json
    FROM read
    UNION ALL
    SELECT environment_id, read_entry_id, at, 'credential.read', 'api_key', read_key_id, id, connection_id,
        user_id, '', read_request_id, data
    FROM read WHERE provider_slug IS NOT NULL
)
SELECT place - 1, provider_slug, asked FROM read
"""  # noqa: S608
_SQLITE_PAIR = f"""
WITH q AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_PAIR[:-2]))},
        json_extract(value, '$[{len(_PAIR) - 2}]') AS starts, json_extract(value, '$[{len(_PAIR) - 1}]') AS lengths,
        json_extract(value, '$[{len(_PAIR)}]') AS grant_lengths
    FROM json_each(:asked))
"""  # noqa: S608
_SQLITE_OURS = f"""{_SQLITE_PAIR}
SELECT json_group_array(q.place)
FROM q CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.id = q.id WHERE {_OURS}
"""  # noqa: S608
# Sealed values travel as one blob, each cut out of it at its place: JSON holds no bytes.
_SQLITE_SETTLE = f"""{_SQLITE_PAIR}
UPDATE accounts AS a SET scopes = q.scopes, kept = q.kept, access = substr(:blobs, q.starts, q.lengths),
    "grant" = CASE WHEN q.grant_lengths IS NULL THEN NULL
        ELSE substr(:blobs, q.starts + q.lengths, q.grant_lengths) END,
    {_NEW}
FROM q WHERE a.environment_id = q.environment_id AND a.id = q.id AND q.place IN (SELECT value FROM json_each(:ours))
"""  # noqa: S608
_SQLITE_SETTLE_LOG = f"""{_SQLITE_PAIR}
INSERT INTO entries ({_ENTRY})
SELECT a.environment_id, q.entry_id, q.at, 'token.refreshed', 'system', '', a.id, a.connection_id, a.user_id,
    a.organization_id, '', q.entry_data
FROM q CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.id = q.id
WHERE q.place IN (SELECT value FROM json_each(:ours))
"""  # noqa: S608


_SQLITE_READS = f"""{_SQLITE_PAIR}
SELECT json_group_array(json_array(q.place, c.provider_slug, c.scopes))
FROM q
CROSS JOIN accounts AS w ON w.environment_id = q.environment_id AND w.id = q.id
CROSS JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.read_key_id
CROSS JOIN connections AS c ON c.environment_id = q.environment_id AND c.id = w.connection_id AND c.name = q.read_name
WHERE q.place IN (SELECT value FROM json_each(:ours)) AND {_READ}
    AND (c.required_scopes = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(c.required_scopes) AS r
        WHERE r.value NOT IN (SELECT g.value FROM json_each(w.scopes) AS g)))
"""  # noqa: S608
_SQLITE_READS_LOG = f"""{_SQLITE_PAIR}
INSERT INTO entries ({_ENTRY})
SELECT a.environment_id, q.read_entry_id, q.at, 'credential.read', 'api_key', q.read_key_id, a.id,
    a.connection_id, a.user_id, '', q.read_request_id, json_object('connection', q.read_name, 'method', a.method)
FROM q CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.id = q.id
WHERE q.place IN (SELECT value FROM json_each(:reads))
"""  # noqa: S608


class Written(NamedTuple):
    """A pair that was written. If its read is on record too, the connection's provider, and the scopes it asks for."""

    provider_slug: str | None
    asked: str | None


@dataclass(frozen=True, slots=True)
class SettlePairs:
    """Write new pairs whose lease is still ours and whose credential nobody has changed; give the leases up; log them,
    and the reads that they are made for.

    Returns those that were written, by place in the batch.
    """

    pairs: Sequence[Pair]

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, Written]:
        asked, blobs, at = [], bytearray(), 1
        for pair in self.pairs:
            grant = pair.grant or b""
            lengths = [at, len(pair.access), None if pair.grant is None else len(grant)]
            asked.append([*msgspec.structs.astuple(pair)[:-2], *lengths])
            blobs += pair.access + grant
            at += len(pair.access) + len(grant)
        given: dict[str, Any] = {"asked": msgspec.json.encode(asked).decode()}
        ours = raw.execute(_SQLITE_OURS, given).fetchone()[0]
        written = dict.fromkeys(msgspec.json.decode(ours), Written(None, None))
        if not written:
            return {}
        given["ours"] = ours
        raw.execute(_SQLITE_SETTLE, {**given, "blobs": bytes(blobs)})
        raw.execute(_SQLITE_SETTLE_LOG, given)
        if any(pair.read_key_id for pair in self.pairs):
            reads = msgspec.json.decode(raw.execute(_SQLITE_READS, given).fetchone()[0])
            written |= {place: Written(provider, scopes) for place, provider, scopes in reads}
            given["reads"] = msgspec.json.encode([place for place, _, _ in reads]).decode()
            raw.execute(_SQLITE_READS_LOG, given)
        return written

    async def on_postgres(self, raw: Any) -> dict[int, Written]:
        columns = zip(*map(msgspec.structs.astuple, self.pairs), strict=True)
        asked = [
            _BREAK.join([item or "" for item in column]) if name in _JOINED else column
            for name, column in zip(_PAIR, columns, strict=True)
        ]
        rows = await raw.fetch(_POSTGRES_SETTLE, *asked)
        return {place: Written(provider, asked) for place, provider, asked in rows}

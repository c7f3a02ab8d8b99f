"""The SQL of renewing reads: a batch of them looked up, or their turns taken at once, in the engines' own SQL, as
`tokens/store.py` has it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import JSON

from holdfast.accounts.store import accounts
from holdfast.tokens import policy
from holdfast.tokens.store import OUTLIVES
from holdfast.tokens.turns.store import (
    POSTGRES_NOW,
    POSTGRES_STAMP,
    SETTING_FROM,
    SQLITE_NOW,
    SQLITE_STAMP,
)
from holdfast.vault import Sealed

# An owner's own account that everybody sees, at a built-in provider, that can be renewed and is not waiting to be tried
# again. Whether it has to be is for `policy` to say. All required scopes are there; a doubtful case is left out.
_DOOR = "k.revoked_at IS NULL AND c.owner_kind = 'user' AND c.method = 'oauth'"
_ACCOUNT = """
    a.organization_id = '' AND a.role = 'compatibility' AND a.method = 'oauth'
    AND a.status = 'active' AND a.access IS NOT NULL AND a."grant" IS NOT NULL
    AND a.expires_at IS NOT NULL AND (a.retry_at IS NULL OR a.retry_at <= {now})
"""
_RENEWABLE = f"""
    {_DOOR} AND {_ACCOUNT}
    AND NOT EXISTS (SELECT 1 FROM custom_providers AS p
        WHERE p.environment_id = c.environment_id AND p.slug = c.provider_slug)
"""  # noqa: S608  (of constants, as the others here)
_JSON = tuple(column.name for column in accounts.columns if isinstance(column.type, JSON))
_COLUMNS = ("place", *(column.name for column in accounts.columns))
# JSON as text: read as values by the driver's own codec it would be most of what a look-up costs.
_WHOLE = ", ".join(f'a."{name}"::text' if name in _JSON else f'a."{name}"' for name in _COLUMNS[1:])
_STALE = ("environment_id", "key_id", "name", "user_id")
_POSTGRES_STALE = f"""
SELECT q.place - 1 AS place, {_WHOLE}
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS q({", ".join(_STALE)}, place)
JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.key_id
JOIN connections AS c ON c.environment_id = q.environment_id AND c.name = q.name
CROSS JOIN LATERAL (SELECT * FROM accounts AS x
    WHERE x.environment_id = q.environment_id AND x.connection_id = c.id AND x.user_id = q.user_id
        AND x.organization_id = '' AND x.role = 'compatibility' LIMIT 1) AS a
WHERE {_RENEWABLE.format(now="$5::float8")}
    AND (c.required_scopes::text = '[]' OR a.scopes::jsonb @> c.required_scopes::jsonb)
"""  # noqa: S608  (of constants, as the others here)
_SQLITE_STALE = f"""
WITH q AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_STALE))}
    FROM json_each(:asked))
SELECT q.place AS place, a.*
FROM q
CROSS JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.key_id
CROSS JOIN connections AS c ON c.environment_id = q.environment_id AND c.name = q.name
CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.connection_id = c.id AND a.user_id = q.user_id
WHERE {_RENEWABLE.format(now=":now")}
    AND (c.required_scopes = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(c.required_scopes) AS r
        WHERE r.value NOT IN (SELECT g.value FROM json_each(a.scopes) AS g)))
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stale:
    """Find the accounts of reads (environment, key, connection name, user): whole rows, by place in the batch."""

    asks: Sequence[tuple[str, str, str, str]]
    now: float

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, Mapping[str, Any]]:
        asked = {"asked": msgspec.json.encode(self.asks).decode(), "now": self.now}
        cursor = raw.execute(_SQLITE_STALE, asked)
        names = [column[0] for column in cursor.description]
        rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
        return {row["place"]: _read(row) for row in rows}

    async def on_postgres(self, raw: Any) -> dict[int, Mapping[str, Any]]:
        columns = zip(*self.asks, strict=True)
        found = await raw.fetch(_POSTGRES_STALE, *columns, self.now)
        return {row["place"]: _read(dict(zip(_COLUMNS, row, strict=True))) for row in found}


# Such an account whose token has not the life that is asked for, and whose turn is free: no lease, no open intent. Its
# setting is what it was worked out from (as `turns` compares it), and its provider a built-in one.
_TO_TAKE = f"""
    {_ACCOUNT} AND coalesce(a.client_ref, '') = {{door}}.client_ref AND NOT ({OUTLIVES.replace("{asked}", "q.min_ttl")})
    AND a.intent_at IS NULL AND (a.lease_until IS NULL OR a.lease_until < {{database_now}})
"""
_DOORS = ("environment_id", "connection_id", "organization_id", "client_ref", "stamp", "key_id", "name", "rotates")
_ASKED = ("door", "user_id", "min_ttl")
_POSTGRES_BEGIN = f"""
WITH door AS MATERIALIZED (
    SELECT q.place - 1 AS door, q.environment_id, q.connection_id, q.client_ref, q.rotates,
        CASE WHEN c.required_scopes::text <> '[]' THEN c.required_scopes::jsonb END AS required
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[])
        WITH ORDINALITY AS q({", ".join(_DOORS)}, place)
    JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.key_id
    {SETTING_FROM.format(of="q")}
    WHERE c.name = q.name AND q.stamp = {POSTGRES_STAMP} AND p.slug IS NULL AND {_DOOR}
), free AS (
    SELECT a.ctid AS spot, q.place, d.rotates
    FROM ROWS FROM (json_to_recordset($9::text::json) AS (door int8, user_id text, min_ttl float8)) WITH ORDINALITY
        AS q({", ".join(_ASKED)}, place)
    JOIN door AS d USING (door)
    JOIN accounts AS a ON a.environment_id = d.environment_id AND a.connection_id = d.connection_id
        AND a.user_id = q.user_id AND a.organization_id = '' AND a.role = 'compatibility'
    WHERE {_TO_TAKE.format(door="d", now="$10::float8", min_ttl="$11::float8", database_now=POSTGRES_NOW)}
        AND (d.required IS NULL OR a.scopes::jsonb @> d.required)
    FOR NO KEY UPDATE OF a SKIP LOCKED
)
UPDATE accounts AS a SET lease_owner = $12, fence = a.fence + 1, lease_until = {POSTGRES_NOW} + $13::float8,
    intent_at = CASE WHEN free.rotates THEN $10::float8 END,
    intent_print = CASE WHEN free.rotates THEN left(encode(
        sha256('\\x{policy.PRINTED.hex()}'::bytea || a."grant"), 'hex'), {policy.PRINT_LENGTH}) END
FROM free WHERE a.ctid = free.spot
RETURNING free.place - 1 AS place, {_WHOLE}
"""  # noqa: S608
_SQLITE_BEGIN_ASKED = f"""
WITH door AS MATERIALIZED (
    SELECT key AS door, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_DOORS))}
    FROM json_each(:doors)
), q AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _ASKED)}
    FROM json_each(:asked))
"""  # noqa: S608
_SQLITE_BEGIN = f"""{_SQLITE_BEGIN_ASKED}
SELECT q.place AS place, d.rotates AS rotates, a.*
FROM q
CROSS JOIN door AS d ON d.door = q.door
CROSS JOIN api_keys AS k ON k.environment_id = d.environment_id AND k.id = d.key_id
CROSS JOIN accounts AS a ON a.environment_id = d.environment_id AND a.connection_id = d.connection_id
    AND a.user_id = q.user_id
{SETTING_FROM.format(of="a")}
WHERE c.name = d.name AND d.stamp = {SQLITE_STAMP} AND p.slug IS NULL AND {_DOOR}
    AND {_TO_TAKE.format(door="d", now=":now", min_ttl=":min_ttl", database_now=SQLITE_NOW)}
    AND (c.required_scopes = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(c.required_scopes) AS r
        WHERE r.value NOT IN (SELECT g.value FROM json_each(a.scopes) AS g)))
"""  # noqa: S608
_TAKEN = ("environment_id", "id", "print")
_SQLITE_TAKE = f"""
WITH q AS MATERIALIZED (
    SELECT {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_TAKEN))}
    FROM json_each(:taken))
UPDATE accounts AS a SET lease_owner = :owner, fence = a.fence + 1, lease_until = {SQLITE_NOW} + :seconds,
    intent_print = q.print, intent_at = CASE WHEN q.print IS NULL THEN NULL ELSE :now END
FROM q WHERE a.environment_id = q.environment_id AND a.id = q.id
"""  # noqa: S608


class Door(NamedTuple):
    """Whose key asks through which connection, and what its turns are worked out from, with the stamp that it had."""

    environment_id: str
    connection_id: str
    organization_id: str
    client_ref: str
    stamp: str
    key_id: str
    name: str
    rotates: bool
    """Whether a refresh may use its token up, so that an intent is needed."""


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A read of a batch: `door` is a place in the batch's doors."""

    door: int
    user_id: str
    min_ttl: float | None


@dataclass(frozen=True, slots=True)
class Begin:
    """Take the turns of reads whose token has to be renewed and whose turn is free: lease,
    fence and intent, in one transaction with the look at the account, so that it need not be read again.

    Returns the accounts as they were before, but for the fence, by place in the batch: one place for each account.
    """

    doors: Sequence[Door]
    asks: Sequence[Wanted]
    owner: str
    seconds: float
    now: float
    min_ttl: float

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, Mapping[str, Any]]:
        asked = {"doors": _text(self.doors), "asked": _text(self.asks), "now": self.now, "min_ttl": self.min_ttl}
        cursor = raw.execute(_SQLITE_BEGIN, asked)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        found = {row["id"]: row for row in rows}
        prints = {id: policy.fingerprint(Sealed(row["grant"])) for id, row in found.items() if row["rotates"]}
        taken = [(row["environment_id"], id, prints.get(id)) for id, row in found.items()]
        if taken:
            given = {"taken": _text(taken), "owner": self.owner, "seconds": self.seconds, "now": self.now}
            raw.execute(_SQLITE_TAKE, given)
        return {row["place"]: _read({**row, "fence": row["fence"] + 1}) for row in found.values()}

    async def on_postgres(self, raw: Any) -> dict[int, Mapping[str, Any]]:
        doors = zip(*self.doors, strict=True)
        rows = await raw.fetch(
            _POSTGRES_BEGIN, *doors, _text(self.asks), self.now, self.min_ttl, self.owner, self.seconds
        )
        found: dict[int, Mapping[str, Any]] = {}
        for row in rows:
            account = _read(dict(zip(_COLUMNS, row, strict=True)))
            found[row["place"]] = account
            account["intent_at"] = account["intent_print"] = None  # the row is returned as it was written
        return found


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _read(row: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON:
        text = row[name]
        row[name] = {} if text == "{}" else msgspec.json.decode(text)
    return row

"""The SQL of plain token reads: a batch of them looked up, and their entries written, in one transaction.

Written in the engines' own SQL and run on the drivers' connections: at this rate a statement built and executed through
SQLAlchemy is most of what a read costs. What a plain read is stands here once, in `_PLAIN`, for both engines; a test
holds it to `policy.decide`.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.accounts.expiry import MARGIN_SHARE

_TICKS = 4194304
"""2^22 to the second: any time after 2004 is a whole number of them, so that it goes through JSON without rounding."""

# A key in force, a connection to a built-in provider, its owner's one account that everybody sees: active, with a token
# that outlives what is asked, not due to be renewed, and no required scope missing. `policy` says why; whatever is not
# plain is left to `read`, so a doubtful case may always be left out here, and never let in.
_PLAIN = f"""
    k.revoked_at IS NULL
    AND c.owner_kind = 'user' AND c.method = 'oauth'
    AND a.organization_id = '' AND a.role = 'compatibility' AND a.method = 'oauth'
    AND a.status = 'active' AND a.access IS NOT NULL
    AND (a.expires_at IS NULL OR a.expires_at - {{now}} > CASE
        WHEN q.min_ttl IS NOT NULL THEN q.min_ttl
        WHEN a.refreshed_at IS NULL OR (a.expires_at - a.refreshed_at) * {MARGIN_SHARE} >= {{min_ttl}} THEN {{min_ttl}}
        WHEN a.expires_at <= a.refreshed_at THEN 0
        ELSE (a.expires_at - a.refreshed_at) * {MARGIN_SHARE} END)
    AND (a."grant" IS NULL OR a.refresh_at IS NULL OR a.refresh_at > {{now}} OR a.retry_at > {{now}})
    AND NOT EXISTS (SELECT 1 FROM custom_providers AS p
        WHERE p.environment_id = c.environment_id AND p.slug = c.provider_slug)
"""  # noqa: S608  (of constants, as the others here)
_ENTRY = "environment_id, id, at, action, actor_kind, actor_id, account_id, connection_id, user_id, organization_id"
_ENTRY += ", request_id, data"

_ASKED = ("environment_id", "key_id", "name", "user_id", "min_ttl", "entry_id", "request_id")
_SQLITE_ASKED = f"""
WITH asked AS MATERIALIZED (
    SELECT key AS place, {", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(_ASKED))}
    FROM json_each(:asked))
"""  # noqa: S608
_SQLITE_PLAIN = f"""
FROM asked AS q
CROSS JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.key_id
CROSS JOIN connections AS c ON c.environment_id = q.environment_id AND c.name = q.name
CROSS JOIN accounts AS a ON a.environment_id = q.environment_id AND a.connection_id = c.id AND a.user_id = q.user_id
WHERE {_PLAIN.format(now=":now", min_ttl=":min_ttl")}
    AND (c.required_scopes = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(c.required_scopes) AS r
        WHERE r.value NOT IN (SELECT g.value FROM json_each(a.scopes) AS g)))
"""  # noqa: S608
# One row for the whole batch: with a row each, this thread would wait for the interpreter's lock at every one.
_SQLITE_READ = f"""{_SQLITE_ASKED}
SELECT json_group_array(json_array(q.place, a.id, a.credential_version, c.provider_slug, c.scopes, a.scopes,
    CAST(a.expires_at * {_TICKS} AS INTEGER), a.warning, hex(a.access), c.id, CAST(a.updated_at * {_TICKS} AS INTEGER)))
{_SQLITE_PLAIN}
"""
_SQLITE_LOG = f"""{_SQLITE_ASKED}
INSERT INTO entries ({_ENTRY})
SELECT q.environment_id, q.entry_id, :now, 'credential.read', 'api_key', q.key_id, a.id, c.id, q.user_id, '',
    q.request_id, json_object('connection', c.name, 'method', a.method)
{_SQLITE_PLAIN}
"""

# The account by LATERAL and LIMIT: it is one at most, and the planner must not read a small table through for it.
_POSTGRES = f"""
WITH found AS (
    SELECT q.*, a.id AS account_id, a.credential_version, a.connection_id, a.method, c.provider_slug,
        c.scopes::text AS asked, a.scopes::text AS granted, a.expires_at, a.warning, a.access, a.updated_at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::text[], $7::text[]) WITH ORDINALITY
        AS q({", ".join(_ASKED)}, place)
    JOIN api_keys AS k ON k.environment_id = q.environment_id AND k.id = q.key_id
    JOIN connections AS c ON c.environment_id = q.environment_id AND c.name = q.name
    CROSS JOIN LATERAL (SELECT * FROM accounts AS x
        WHERE x.environment_id = q.environment_id AND x.connection_id = c.id AND x.user_id = q.user_id
            AND x.organization_id = '' AND x.role = 'compatibility' LIMIT 1) AS a
    WHERE {_PLAIN.format(now="$8::float8", min_ttl="$9::float8")}
        AND (c.required_scopes::text = '[]' OR a.scopes::jsonb @> c.required_scopes::jsonb)
), logged AS (
    INSERT INTO entries ({_ENTRY})
    SELECT environment_id, entry_id, $8::float8, 'credential.read', 'api_key', key_id, account_id, connection_id,
        user_id, '', request_id, json_build_object('connection', name, 'method', method)
    FROM found
)
SELECT place - 1, account_id, credential_version, provider_slug, asked, granted, expires_at, warning, access,
    connection_id, updated_at FROM found
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Found:
    """A token that can leave as it is: its read's entry is written. Scopes are JSON, as they are stored."""

    account_id: str
    credential_version: int
    provider_slug: str
    asked: str | None
    granted: str
    expires_at: float | None
    warning: str | None
    access: bytes
    connection_id: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class PlainReads:
    """A batch of reads (environment, key, connection name, user, min_ttl, entry id, request id), and their time.

    Returns what was found by place in the batch; a read that is not plain is absent, and leaves no entry.
    """

    reads: Sequence[tuple[str, str, str, str, float | None, str, str]]
    now: float
    min_ttl: float

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[int, Found]:
        asked = {"asked": msgspec.json.encode(self.reads).decode(), "now": self.now, "min_ttl": self.min_ttl}
        found = raw.execute(_SQLITE_READ, asked).fetchone()[0]
        if found != "[]":
            raw.execute(_SQLITE_LOG, asked)
        return {place: _found(*row) for place, *row in msgspec.json.decode(found)}

    async def on_postgres(self, raw: Any) -> dict[int, Found]:
        columns = zip(*self.reads, strict=True)
        rows = await raw.fetch(_POSTGRES, *columns, self.now, self.min_ttl)
        return {row[0]: Found(*row[1:]) for row in map(tuple, rows)}


def _found(
    account_id: str,
    credential_version: int,
    provider_slug: str,
    asked: str | None,
    granted: str,
    ends: int | None,
    warning: str | None,
    access: str,
    connection_id: str,
    updated: int,
) -> Found:
    expires_at = None if ends is None else ends / _TICKS
    return Found(
        account_id,
        credential_version,
        provider_slug,
        asked,
        granted,
        expires_at,
        warning,
        bytes.fromhex(access),
        connection_id,
        updated / _TICKS,
    )

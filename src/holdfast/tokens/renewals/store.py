"""The SQL of renewing reads: a batch of them looked up, in the engines' own SQL, as `tokens/store.py` has it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import JSON

from holdfast.accounts.store import accounts

# An owner's own account that everybody sees, at a built-in provider, that can be renewed and is not waiting to be tried
# again. Whether it has to be is for `policy` to say. All required scopes are there; a doubtful case is left out.
_RENEWABLE = """
    k.revoked_at IS NULL
    AND c.owner_kind = 'user' AND c.method = 'oauth'
    AND a.organization_id = '' AND a.role = 'compatibility' AND a.method = 'oauth'
    AND a.status = 'active' AND a.access IS NOT NULL AND a."grant" IS NOT NULL
    AND a.expires_at IS NOT NULL AND (a.retry_at IS NULL OR a.retry_at <= {now})
    AND NOT EXISTS (SELECT 1 FROM custom_providers AS p
        WHERE p.environment_id = c.environment_id AND p.slug = c.provider_slug)
"""
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


def _read(row: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON:
        row[name] = msgspec.json.decode(row[name])
    return row

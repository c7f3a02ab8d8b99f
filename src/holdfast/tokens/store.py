"""The SQL of plain token reads: a batch of them looked up, and their entries written, in one transaction.

Written in the engines' own SQL and run on the drivers' connections: at this rate a statement built and executed through
SQLAlchemy is most of what a read costs. What a plain read is stands here once, in `_PLAIN`, for both engines; a test
holds it to `policy.decide`.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec

from holdfast.accounts.expiry import MARGIN_SHARE
from holdfast.events.gathered import marks_of, most_gathered
from holdfast.ids import millisecond_of

_TICKS = 4194304
"""2^22 to the second: any time after 2004 is a whole number of them, so that it goes through JSON without rounding."""

# A key in force, and a connection to a built-in provider. A batch has few of these pairs: each is looked up once.
# A connection with rules for its calls or for their approval has no plain ones: what this statement sees is what
# holds, in every process.
_DOOR = """
    k.revoked_at IS NULL AND c.owner_kind = 'user' AND c.method = 'oauth'
    AND (NOT g.proxied OR {ruleless})
    AND NOT EXISTS (SELECT 1 FROM custom_providers AS p
        WHERE p.environment_id = c.environment_id AND p.slug = c.provider_slug)
"""
# `policy.default_ttl`, where the caller asks for no life.
OUTLIVES = f"""a.expires_at - {{now}} > CASE
        WHEN {{asked}} IS NOT NULL THEN {{asked}}
        WHEN a.refreshed_at IS NULL OR (a.expires_at - a.refreshed_at) * {MARGIN_SHARE} >= {{min_ttl}} THEN {{min_ttl}}
        WHEN a.expires_at <= a.refreshed_at THEN 0
        ELSE (a.expires_at - a.refreshed_at) * {MARGIN_SHARE} END"""
# Its owner's one account that everybody sees: active, with a token that outlives what is asked, not due to be renewed,
# and no required scope missing. `policy` says why; whatever is not plain is left to `read`, so a doubtful case may
# always be left out here, and never let in.
_PLAIN = f"""
    a.organization_id = '' AND a.role = 'compatibility' AND a.method = 'oauth'
    AND a.status = 'active' AND a.access IS NOT NULL
    AND (a.expires_at IS NULL OR {OUTLIVES})
    AND (a."grant" IS NULL OR a.refresh_at IS NULL OR a.refresh_at > {{now}} OR a.retry_at > {{now}})
"""
_ENTRY = "environment_id, id, at, action, actor_kind, actor_id, account_id, connection_id, user_id, organization_id"
_ENTRY += ", request_id, data"

_DOORS = ("environment_id", "key_id", "name", "proxied", "min_ttl")
_ASKED = ("door", "user_id")


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(names))


# One row for the whole batch: with a row each, this thread would wait for the interpreter's lock at every one.
_SQLITE_READ = f"""
WITH door AS MATERIALIZED (
    SELECT g.door, g.environment_id, g.min_ttl, c.id AS connection_id, c.provider_slug, c.scopes, c.required_scopes
    FROM (SELECT key AS door, {_columns(_DOORS)} FROM json_each(:doors)) AS g
    CROSS JOIN api_keys AS k ON k.environment_id = g.environment_id AND k.id = g.key_id
    CROSS JOIN connections AS c ON c.environment_id = g.environment_id AND c.name = g.name
    WHERE {_DOOR.format(ruleless="c.proxy_rules = '[]' AND c.approval_rules = '[]'")})
SELECT json_group_array(json_array(q.place, a.id, a.credential_version, d.connection_id, d.provider_slug, d.scopes,
    a.scopes, CAST(a.expires_at * {_TICKS} AS INTEGER), a.warning, hex(a.access),
    CAST(a.updated_at * {_TICKS} AS INTEGER), json(CASE a.api_config WHEN '{{}}' THEN 'true' ELSE 'false' END)))
FROM (SELECT key AS place, {_columns(_ASKED)} FROM json_each(:reads)) AS q
CROSS JOIN door AS d ON d.door = q.door
CROSS JOIN accounts AS a ON a.environment_id = d.environment_id AND a.connection_id = d.connection_id
    AND a.user_id = q.user_id
WHERE {_PLAIN.format(now=":now", asked="d.min_ttl", min_ttl=":min_ttl")}
    AND (d.required_scopes = '[]' OR NOT EXISTS (SELECT 1 FROM json_each(d.required_scopes) AS r
        WHERE r.value NOT IN (SELECT g.value FROM json_each(a.scopes) AS g)))
"""  # noqa: S608
_LOGGED = ("environment_id", "id", "actor_id", "account_id", "connection_id", "user_id", "request_id", "data")
_SQLITE_LOG = f"""
INSERT INTO entries (at, action, actor_kind, organization_id, {", ".join(_LOGGED)})
SELECT :now, 'credential.read', 'api_key', '', {_columns(_LOGGED)} FROM json_each(:logged)
"""  # noqa: S608

# The account by LATERAL and LIMIT: it is one at most, and the planner must not read a small table through for it.
_POSTGRES = f"""
WITH door AS MATERIALIZED (
    SELECT g.*, k.id AS key, c.id AS connection_id, c.provider_slug, c.scopes::text AS asked,
        CASE WHEN c.required_scopes::text <> '[]' THEN c.required_scopes::jsonb END AS required,
        '{{{{"connection":' || to_json(c.name)::text AS named, ',"method":' || to_json(c.method)::text AS method
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[], $5::float8[], $6::int8[], {{arrays}})
        AS g({", ".join(_DOORS)}, before, {{columns}})
    JOIN api_keys AS k ON k.environment_id = g.environment_id AND k.id = g.key_id
    JOIN connections AS c ON c.environment_id = g.environment_id AND c.name = g.name
    WHERE {_DOOR.format(ruleless="c.proxy_rules::text = '[]' AND c.approval_rules::text = '[]'")}
), found AS (
    SELECT d.before, q.*, d.environment_id, d.key, d.provider_slug, d.asked, d.named, d.method, a.connection_id,
        a.id AS account_id, a.credential_version, a.scopes::text AS granted, a.expires_at, a.warning, a.access,
        a.updated_at, a.api_config::text = '{{{{}}}}' AS bare
    FROM door AS d
    CROSS JOIN LATERAL {{each}}
    CROSS JOIN LATERAL (SELECT x.* FROM accounts AS x
        WHERE x.environment_id = d.environment_id AND x.connection_id = d.connection_id AND x.user_id = q.user_id
            AND x.organization_id = '' AND x.role = 'compatibility' LIMIT 1) AS a
    WHERE {_PLAIN.format(now="$7::float8", asked="d.min_ttl", min_ttl="$8::float8")}
        AND (d.required IS NULL OR a.scopes::jsonb @> d.required)
), logged AS (
    INSERT INTO entries ({_ENTRY}, marks)
    {{entries}}
)
SELECT before + place - 1, account_id, credential_version, provider_slug, asked, granted, expires_at, warning, access,
    connection_id, updated_at, bare FROM found
"""  # noqa: S608
_POSTGRES_EACH = _POSTGRES.format(
    arrays="$9::int8[]",
    columns="many",
    each="""(SELECT u.user_id, u.entry_id, u.request_id, u.place - d.before AS place
        FROM unnest($10::text[], $11::text[], $12::text[]) WITH ORDINALITY AS u(user_id, entry_id, request_id, place)
        WHERE u.place > d.before AND u.place <= d.before + d.many) AS q""",
    entries="""SELECT environment_id, entry_id, $7::float8, 'credential.read', 'api_key', key, account_id,
        connection_id, user_id, '', request_id, (named || method || '}')::json, NULL
    FROM found""",
)
# `events.gathered` says what such an entry is. What is known of its reads comes in one text for each door, and is cut
# here: asyncpg looks long at each item of an array, and PostgreSQL at each member of JSON. What follows an account's
# id in the entry comes as it stands there.
_POSTGRES_GATHERED = _POSTGRES.format(
    arrays="$9::text[], $10::text[], $11::text[]",
    columns="users, ids, rest",
    each=r"""unnest(string_to_array(d.users, E'\x1f'), string_to_array(d.rest, E'\x1f'))
        WITH ORDINALITY AS q(user_id, rest, place)""",
    entries=r"""SELECT d.environment_id, (string_to_array(d.ids, E'\x1f'))[r.first], $7::float8, 'credential.read',
        'api_key', d.key, '', d.connection_id, '', '', '',
        (d.named || ',"count":' || r.count || d.method || ',"reads":[' || r.reads || ']}')::json, $12::bytea
    FROM (SELECT before, count(*) AS count, min(place) AS first, string_agg('["' || account_id || rest, ',') AS reads
        FROM found GROUP BY before, (place - 1) / $13::int8) AS r
    JOIN door AS d USING (before)""",
)
_ACCOUNT_BYTES = len('["",') + 26
_CUT = "\x1f"
"""Between the parts of such a text. Whatever holds one has to be escaped in JSON, and so is not gathered."""


class Door(NamedTuple):
    """Whose key asks, for a token of which connection, whether for a call through the proxy, and how long it is to
    live; None = as long as is usual."""

    environment_id: str
    key_id: str
    name: str
    proxied: bool
    min_ttl: float | None


class PlainRead(NamedTuple):
    """One read of a batch. `door` is a place in the batch's doors; `entry_id` and `request_id` go into its entry."""

    door: int
    user_id: str
    entry_id: str
    request_id: str


class Found(NamedTuple):
    """A token that can leave as it is: its read's entry is written. Scopes are JSON, as they are stored."""

    place: int
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
    bare: bool
    """Whether the app keeps no `api_config` with the account."""


@dataclass(frozen=True, slots=True)
class PlainReads:
    """A batch of reads, the doors they come through, and their time.

    Returns what was found, each with its place in the batch; a read that is not plain is absent, and leaves no entry.
    """

    doors: Sequence[Door]
    reads: Sequence[PlainRead]
    now: float
    min_ttl: float

    def on_sqlite(self, raw: sqlite3.Connection) -> list[Found]:
        asked = {
            "doors": _json(self.doors),
            "reads": _json([(read.door, read.user_id) for read in self.reads]),
            "now": self.now,
            "min_ttl": self.min_ttl,
        }
        rows = msgspec.json.decode(raw.execute(_SQLITE_READ, asked).fetchone()[0])
        if not rows:
            return []
        data = [_json({"connection": door.name, "method": "oauth"}) for door in self.doors]
        found, logged = [], []
        for (
            place,
            account_id,
            version,
            connection_id,
            provider,
            scopes,
            granted,
            ends,
            warning,
            access,
            updated,
            bare,
        ) in rows:
            read = self.reads[place]
            environment_id, key_id, *_ = self.doors[read.door]
            logged.append(
                (
                    environment_id,
                    read.entry_id,
                    key_id,
                    account_id,
                    connection_id,
                    read.user_id,
                    read.request_id,
                    data[read.door],
                )
            )
            expires_at = None if ends is None else ends / _TICKS
            sealed = bytes.fromhex(access)
            known = (account_id, version, provider, scopes, granted, expires_at, warning, sealed)
            found.append(Found(place, *known, connection_id, updated / _TICKS, bare))
        raw.execute(_SQLITE_LOG, {"now": self.now, "logged": _json(logged)})
        return found

    async def on_postgres(self, raw: Any) -> list[Found]:
        reads, places, bounds = self._by_door()
        doors = (*zip(*self.doors, strict=True), bounds[:-1], self.now, self.min_ttl)
        _, users, ids, requests = zip(*reads, strict=True)
        if self._can_be_gathered(users, requests):
            rest = [f'","{id_}","{user}","{request}"]' for _, user, id_, request in reads]
            texts = [[_CUT.join(one[start:end]) for start, end in pairwise(bounds)] for one in (users, ids, rest)]
            size = sum(len(text.encode()) for text in texts[-1]) + _ACCOUNT_BYTES * len(reads)
            rows = await raw.fetch(_POSTGRES_GATHERED, *doors, *texts, marks_of(users), most_gathered(len(reads), size))
        else:
            many = [end - start for start, end in pairwise(bounds)]
            rows = await raw.fetch(_POSTGRES_EACH, *doors, many, users, ids, requests)
        found = list(map(Found._make, rows))
        return found if places is None else [item._replace(place=places[item.place]) for item in found]

    def _by_door(self) -> tuple[Sequence[PlainRead], Sequence[int] | None, list[int]]:
        """Return the reads, those of one door next to each other, what places they had (None = these), and where
        those of each door begin, with the end."""
        if len(self.doors) == 1:
            return self.reads, None, [0, len(self.reads)]
        places = sorted(range(len(self.reads)), key=lambda place: self.reads[place].door)
        counts = Counter(read.door for read in self.reads)
        bounds = [0, *accumulate(counts[door] for door in range(len(self.doors)))]
        return [self.reads[place] for place in places], places, bounds

    def _can_be_gathered(self, users: Sequence[str], requests: Sequence[str]) -> bool:
        """Tell whether there are many, nothing of them has to be escaped, and their ids are of one millisecond, as
        whoever looks through the log trusts."""
        first, last = self.reads[0], self.reads[-1]
        of_one_time = first is not last and millisecond_of(first.entry_id) == millisecond_of(last.entry_id)
        return of_one_time and b"\\" not in msgspec.json.encode((users, requests))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

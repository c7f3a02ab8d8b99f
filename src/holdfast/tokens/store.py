"""The SQL of plain token reads: a batch of them looked up, and their entries written, in one transaction.

Written in the engines' own SQL and run on the drivers' connections: at this rate a statement built and executed through
SQLAlchemy is most of what a read costs. What a plain read is stands here once, in `_PLAIN`, for both engines; a test
holds it to `policy.decide`.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import msgspec

from holdfast.accounts.expiry import MARGIN_SHARE
from holdfast.events.gathered import marks_of, most_gathered, request_of
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
SELECT json_group_array(json_array(q.place, d.connection_id, d.provider_slug, d.scopes, a.id, a.credential_version,
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
# What is found comes in one row for a door, each column an array: PostgreSQL keeps what a statement that writes has
# found until all is written, so that it forms each row three times.
_KNOWN = {
    "account_id": "a.id",
    "credential_version": "a.credential_version",
    "granted": "a.scopes::text",
    "expires_at": "a.expires_at",
    "warning": "a.warning",
    "access": "a.access",
    "updated_at": "a.updated_at",
    "bare": "a.api_config::text = '{{}}'",
}
_POSTGRES = f"""
WITH door AS MATERIALIZED (
    SELECT g.*, k.id AS key, c.id AS connection_id, c.provider_slug, c.scopes::text AS asked,
        CASE WHEN c.required_scopes::text <> '[]' THEN c.required_scopes::jsonb END AS required,
        '{{{{"connection":' || to_json(c.name)::text AS named, ',"method":' || to_json(c.method)::text AS method
    FROM {{doors}} AS g
    JOIN api_keys AS k ON k.environment_id = g.environment_id AND k.id = g.key_id
    JOIN connections AS c ON c.environment_id = g.environment_id AND c.name = g.name
    WHERE {_DOOR.format(ruleless="c.proxy_rules::text = '[]' AND c.approval_rules::text = '[]'")}
), found AS MATERIALIZED (
    SELECT d.environment_id, d.key, d.before, d.connection_id, d.provider_slug, d.asked, {{said}}, f.*
    FROM door AS d
    CROSS JOIN LATERAL (
        SELECT {{read}}, array_agg(q.place) AS place, {", ".join(f"array_agg(x.{name}) AS {name}" for name in _KNOWN)}
        FROM {{each}}
        CROSS JOIN LATERAL (SELECT {", ".join(f"{value} AS {name}" for name, value in _KNOWN.items())}
            FROM accounts AS a
            WHERE a.environment_id = d.environment_id AND a.connection_id = d.connection_id AND a.user_id = q.user_id
                AND {_PLAIN.format(now="$1::float8", asked="d.min_ttl", min_ttl="$2::float8")}
                AND (d.required IS NULL OR a.scopes::jsonb @> d.required)
            LIMIT 1) AS x
        HAVING count(*) > 0) AS f
), logged AS (
    INSERT INTO entries ({_ENTRY}, marks)
    {{entries}}
)
SELECT before, connection_id, provider_slug, asked, place, {", ".join(_KNOWN)} FROM found
"""  # noqa: S608
_POSTGRES_EACH = _POSTGRES.format(
    doors=f"""(SELECT * FROM
        unnest($3::text[], $4::text[], $5::text[], $6::bool[], $7::float8[], $8::int8[], $9::int8[])
        AS u({", ".join(_DOORS)}, before, many))""",  # noqa: S608
    said="(d.named || d.method || '}')::json AS data",
    read="array_agg(q.user_id) AS user_id, array_agg(q.entry_id) AS entry_id, array_agg(q.request_id) AS request_id",
    each="""(SELECT u.user_id, u.entry_id, u.request_id, u.place - d.before AS place
        FROM unnest($10::text[], $11::text[], $12::text[]) WITH ORDINALITY AS u(user_id, entry_id, request_id, place)
        WHERE u.place > d.before AND u.place <= d.before + d.many) AS q""",
    entries="""SELECT f.environment_id, e.id, $1::float8, 'credential.read', 'api_key', f.key, e.account_id,
        f.connection_id, e.user_id, '', e.request_id, f.data, NULL
    FROM found AS f
    CROSS JOIN unnest(f.entry_id, f.account_id, f.user_id, f.request_id) AS e(id, account_id, user_id, request_id)""",
)
# `events.gathered` says what such an entry is. What is known of a batch comes in one text, and is cut here: asyncpg
# looks long at an array and each of its items, and PostgreSQL at each member of JSON. What follows an account's id in
# the entry comes as it stands there. OFFSET 0: a text is cut once, and not for each part that is used.
_POSTGRES_GATHERED = _POSTGRES.format(
    doors=r"""(SELECT p[1] AS environment_id, p[2] AS key_id, p[3] AS name, p[4]::bool AS proxied,
        NULLIF(p[5], '')::float8 AS min_ttl, p[6]::int8 AS before, p[7] AS users, p[8] AS ids, p[9] AS rest
        FROM (SELECT string_to_array(u.door, E'\x1e') AS p FROM unnest(string_to_array($3::text, E'\x1d')) AS u(door)
            OFFSET 0) AS cut)""",
    said="d.named, d.method, d.ids",
    read="""min(q.place) AS first, count(*) AS count, string_agg('["' || x.account_id || q.rest, ',') AS reads""",
    each=r"""unnest(string_to_array(d.users, E'\x1f'), string_to_array(d.rest, E'\x1f'))
            WITH ORDINALITY AS q(user_id, rest, place)""",
    entries=r"""SELECT environment_id, split_part(ids, E'\x1f', first::int), $1::float8, 'credential.read', 'api_key',
        key, '', connection_id, '', '', '',
        (named || ',"count":' || count || method || ',"reads":[' || reads || ']}')::json, $4::bytea
    FROM found""",
)
_ACCOUNT_BYTES = len('["",') + 26
_DOOR_ENDS, _PART_ENDS, _ITEM_ENDS = "\x1d", "\x1e", "\x1f"
"""Where such a text is cut. Whatever holds one has to be escaped in JSON, and so is not gathered."""


class Door(NamedTuple):
    """Whose key asks, for a token of which connection, whether for a call through the proxy, and how long it is to
    live; None = as long as is usual."""

    environment_id: str
    key_id: str
    name: str
    proxied: bool
    min_ttl: float | None


class Found(msgspec.Struct, gc=False):
    """A token that can leave as it is: its read's entry is written. Scopes are JSON, as they are stored."""

    place: int
    entry_id: str
    """Its read's, of which the request's id is made where it has none of its own."""
    connection_id: str
    provider_slug: str
    asked: str | None
    account_id: str
    credential_version: int
    granted: str
    expires_at: float | None
    warning: str | None
    access: bytes
    updated_at: float
    bare: bool
    """Whether the app keeps no `api_config` with the account."""


@dataclass(frozen=True, slots=True)
class PlainReads:
    """A batch of reads, the doors they come through, and their time.

    Of each read: the place of its door, its user, its entry's id and its request's, which is empty where the request is
    known by the entry's. Returns what was found, each with its place in the batch; a read that is not plain is absent,
    and leaves no entry.
    """

    doors: Sequence[Door]
    through: Sequence[int]
    users: Sequence[str]
    entry_ids: Sequence[str]
    request_ids: Sequence[str]
    now: float
    min_ttl: float

    def on_sqlite(self, raw: sqlite3.Connection) -> list[Found]:
        given = {
            "doors": _json(self.doors),
            "reads": _json(list(zip(self.through, self.users, strict=True))),
            "now": self.now,
            "min_ttl": self.min_ttl,
        }
        rows = msgspec.json.decode(raw.execute(_SQLITE_READ, given).fetchone()[0])
        if not rows:
            return []
        data = [_json({"connection": door.name, "method": "oauth"}) for door in self.doors]
        requests = self._requests()
        found, logged = [], []
        for (
            place,
            connection_id,
            provider_slug,
            asked,
            account_id,
            version,
            granted,
            ends,
            warning,
            access,
            updated,
            bare,
        ) in rows:
            at = self.through[place]
            environment_id, key_id, *_ = self.doors[at]
            entry_id = self.entry_ids[place]
            whose = account_id, connection_id, self.users[place]
            logged.append((environment_id, entry_id, key_id, *whose, requests[place], data[at]))
            expires_at = None if ends is None else ends / _TICKS
            known = account_id, version, granted, expires_at, warning, bytes.fromhex(access), updated / _TICKS, bare
            found.append(Found(place, entry_id, connection_id, provider_slug, asked, *known))
        raw.execute(_SQLITE_LOG, {"now": self.now, "logged": _json(logged)})
        return found

    async def on_postgres(self, raw: Any) -> list[Found]:
        places = None
        if len(self.doors) > 1:  # those of one door next to each other
            places = sorted(range(len(self.through)), key=self.through.__getitem__)
            reads = self._in_order(places)
        else:
            reads = self
        rows = await (reads._gathered(raw) if reads._can_be_gathered() else reads._each(raw))
        found = []
        for before, connection_id, provider_slug, asked, inside, *known in rows:
            for place, one in zip(inside, zip(*known, strict=True), strict=True):
                at = before + place - 1
                entry_id = reads.entry_ids[at]
                at = at if places is None else places[at]
                found.append(Found(at, entry_id, connection_id, provider_slug, asked, *one))
        return found

    async def _gathered(self, raw: Any) -> Any:
        rest = [
            f'","{id_}","{user}","{request}"]'
            for id_, user, request in zip(self.entry_ids, self.users, self.request_ids, strict=True)
        ]
        most = most_gathered(len(rest), len("".join(rest).encode()) + _ACCOUNT_BYTES * len(rest))
        doors = []
        for door, (first, end) in zip(self.doors, pairwise(self._bounds()), strict=True):
            asked = "" if door.min_ttl is None else str(door.min_ttl)
            known = door.environment_id, door.key_id, door.name, "t" if door.proxied else "f", asked
            for start in range(first, end, most):
                part = slice(start, min(start + most, end))
                lists = [_ITEM_ENDS.join(one[part]) for one in (self.users, self.entry_ids, rest)]
                doors.append(_PART_ENDS.join((*known, str(start), *lists)))
        given = _DOOR_ENDS.join(doors), marks_of(self.users)
        return await raw.fetch(_POSTGRES_GATHERED, self.now, self.min_ttl, *given)

    async def _each(self, raw: Any) -> Any:
        bounds = self._bounds()
        many = [end - start for start, end in pairwise(bounds)]
        doors = (*zip(*self.doors, strict=True), bounds[:-1], many)
        reads = self.users, self.entry_ids, self._requests()
        return await raw.fetch(_POSTGRES_EACH, self.now, self.min_ttl, *doors, *reads)

    def _requests(self) -> list[str]:
        return [given or request_of(id_) for given, id_ in zip(self.request_ids, self.entry_ids, strict=True)]

    def _in_order(self, places: Sequence[int]) -> "PlainReads":
        return replace(
            self,
            through=[self.through[place] for place in places],
            users=[self.users[place] for place in places],
            request_ids=[self.request_ids[place] for place in places],
        )

    def _bounds(self) -> list[int]:
        """Return where the reads of each door begin, with the end."""
        counts = Counter(self.through)
        return [0, *accumulate(counts[door] for door in range(len(self.doors)))]

    def _can_be_gathered(self) -> bool:
        """Tell whether there are many, nothing of them has to be escaped, and their ids are of one millisecond, as
        whoever looks through the log trusts."""
        first, last = self.entry_ids[0], self.entry_ids[-1]
        if first is last or millisecond_of(first) != millisecond_of(last):
            return False
        given = msgspec.json.encode(([door.name for door in self.doors], self.users, self.request_ids))
        return given.find(b"\\") < 0


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

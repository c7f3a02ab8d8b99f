"""On PostgreSQL the entries of token reads and proxied calls are hashed by the database: to the same bytes as here."""

import itertools
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from holdfast.events import Actor, Entry
from holdfast.events import store as log
from holdfast.events.entry import Line
from holdfast.events.names import Action
from holdfast.events.sealing import store
from holdfast.events.sealing.seal import entry_hash, joined
from holdfast.ids import new_id
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from tests.parts.postgres import Postgres

ENVIRONMENTS = ("E" * 26, "F" * 26, "A" * 26)
_number = itertools.count()
ODD = ["user_1", "", 'a"b', "a\\b", "ünï ☃ 😀", "tab\tnew\nline\r\b\f", "\x01\x1f\x7f", "</script>", "a, b : c", "'"]
READS = [{"connection": name, "method": "oauth"} for name in ("github", "my-crm_2", "x.y")]
NAMES = [{"connection": name, "method": "oauth"} for name in ("a b", 'q"', "gïthub", "/\\\n")]
READS.append(
    {
        "connection": "github",
        "count": 2,
        "method": "oauth",
        "reads": [[new_id(), new_id(), user, "req_" + new_id()] for user in ("user_1", "ünï ☃ 😀")],
    }
)
CALL: dict[str, object] = {
    "connection": "github",
    "method": "GET",
    "host": "api.example.com",
    "path": "/user",
    "status": 200,
    "ms": 12.0,
    "sent": 0,
    "received": 12345678901,
}
CALLS = [
    CALL,
    CALL | {"path": "/~a/[b]/%7Bc%7D;d=^`{|}!$&'()*+,:@ .", "ms": 1234567.8, "host": "[::1]", "method": "PROPFIND"},
    CALL | {"path": "", "ms": 0.1, "status": 599, "sent": 7},
    CALL | {"path": 'a"b'},
    CALL | {"path": "a\\b"},
    CALL | {"path": "/\x7f\n"},
    CALL | {"path": ["a", "b"]},
    CALL | {"told": 'x"'},
    CALL | {"ms": -1.5},
    CALL | {"ms": 12},
    CALL | {"ms": 12.25},
    CALL | {"sent": None},
    CALL | {"sent": [1, 2]},
    CALL | {"ms": 1e22},
    CALL | {"status": None, "outcome": "not_sent"},
]


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    url = postgres.fresh_database()
    opened = await open_database(url)
    await migrate(opened)
    yield opened
    await opened.close()
    postgres.drop(url)


def _entry(at: float, user: str, data: Mapping[str, object], **other: object) -> Entry:
    said = {
        "environment_id": ENVIRONMENTS[next(_number) % len(ENVIRONMENTS)],
        "id": new_id(),
        "at": at,
        "action": Action.CREDENTIAL_READ,
        "actor": Actor("api_key", new_id()),
        "account_id": new_id(),
        "connection_id": new_id(),
        "user_id": user,
        "request_id": "req_" + new_id(),
        "data": data,
    }
    return Entry(**{**said, **other})  # type: ignore[arg-type]


async def test_what_the_database_hashes_is_what_is_hashed_here(database: Database) -> None:
    times = (1_790_000_000.0, 1_790_000_000.123, 1_790_000_000.1234567, 1.1 + 2.2, 999_999_999_999.5, 5.0)
    frequent = [_entry(at, user, data) for at in times for user in ODD for data in [*READS, *NAMES]]
    frequent += [_entry(5.0, "u", READS[0], organization_id=odd, actor=Actor("sdk_client", 'c"d')) for odd in ODD]
    frequent += [_entry(5.0, "u", READS[0], actor=Actor("api_key", 'k"\\ü'), account_id="")]
    frequent += [_entry(at, "u", data, action=Action.PROXY_CALLED) for at in times for data in CALLS]
    others = [
        _entry(5.0, "u", READS[0], actor=Actor("administrator", 'c"d')),
        _entry(1e15 + 0.5, "u", READS[0]),
        _entry(1e-5, "u", READS[0]),
        _entry(5.0, "u", READS[0], action=Action.ACCOUNT_CONNECTED),
        _entry(5.0, "u", {"method": "oauth"}),
        _entry(5.0, "u", {}, action=Action.PROXY_CALLED),
    ]
    written_otherwise = [_entry(at, user, data) for at in times for user in ODD for data in [*READS, *CALLS, {}]]
    await database.direct(log.Appending([*map(Line.of, [*frequent[:50], *others, *frequent[50:]])]))
    await database.transact(lambda tx: log.append(tx, *written_otherwise))

    made = [*frequent[:50], *others, *frequent[50:], *written_otherwise]
    runs, rows = await database.transact(lambda tx: store.new(tx, -1, 2**62))
    found = {
        run.environment_id: dict(zip(run.ids, run.hashes, strict=True))
        for run in joined(runs, [*map(store.hashed, rows)])
    }
    for environment_id in ENVIRONMENTS:
        theirs = {one.id: entry_hash(one) for one in made if one.environment_id == environment_id}
        assert list(found[environment_id]) == list(theirs), "in the log's order"
        assert [one for one in theirs if found[environment_id][one] != theirs[one]] == []
    known = {one.id for one in frequent if "also" not in one.data and _is_bare(one)}  # which comes before `connection`
    assert len(known) > len(frequent) / 3
    assert {one for run in runs for one in run.ids} == known


def _is_bare(entry: Entry) -> bool:
    words = entry.actor.id + entry.user_id + entry.organization_id + entry.request_id
    return json.dumps(words, ensure_ascii=False) == f'"{words}"'

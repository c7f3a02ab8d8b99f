"""Looking through the log, on both engines: order, pages, filters, and how far a look goes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from holdfast import ids
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.browse import Look, browse, export
from holdfast.events.browse.store import pages as browsing
from holdfast.storage import Database

T0 = 1_800_000_000.0
ADA = Actor("administrator", "ada")
APP = Actor("api_key", "key")


def _entry(environment_id: str, at: float, action: Action, actor: Actor = APP, **about: Any) -> Entry:
    return Entry(
        environment_id=environment_id, id=ids.encode(int(at * 1000) << 80), at=at, action=action, actor=actor, **about
    )


async def _write(database: Database, entries: Sequence[Entry]) -> list[str]:
    await database.transact(lambda tx: log.append(tx, *entries))
    return [entry.id for entry in entries]


async def _story(database: Database, environment_id: str) -> list[str]:
    """Ten entries: a connection made, four accounts connected, a read and a refresh each for two of them."""
    plan = [_entry(environment_id, T0, Action.CONNECTION_CREATED, ADA, connection_id="con")]
    for n in range(4):
        about: dict[str, Any] = {
            "account_id": f"acc{n}",
            "connection_id": "con" if n < 2 else "other",
            "user_id": f"user{n}",
        }
        plan.append(_entry(environment_id, T0 + 10 + n, Action.ACCOUNT_CONNECTED, **about))
    for n in range(2):
        about = {"account_id": f"acc{n}", "connection_id": "con", "user_id": f"user{n}"}
        plan.append(_entry(environment_id, T0 + 20 + n, Action.CREDENTIAL_READ, **about))
        plan.append(_entry(environment_id, T0 + 30 + n, Action.TOKEN_REFRESHED, Actor.system(), **about))
    plan.append(_entry(environment_id, T0 + 40, Action.ACCOUNT_SUSPENDED, ADA, account_id="acc1", user_id="user1"))
    await _write(database, plan)
    await _write(database, [_entry(ids.new_id(), T0 + 5, Action.ACCOUNT_CONNECTED)])  # somebody else's
    return [entry.id for entry in plan]


async def _look(database: Database, environment_id: str, look: Look, limit: int = 50) -> list[tuple[str, str]]:
    found = await database.transact(lambda tx: browse(tx, environment_id, look, limit=limit))
    assert found.further is None
    return [(entry.action.value, entry.account_id) for entry in found.entries]


async def test_without_a_filter_everything_notable_comes_newest_first(database: Database, environment_id: str) -> None:
    await _story(database, environment_id)
    found = await _look(database, environment_id, Look())
    assert found == [
        ("account.suspended", "acc1"),
        *(("account.connected", f"acc{n}") for n in (3, 2, 1, 0)),
        ("connection.created", ""),
    ]


@pytest.mark.parametrize(
    ("look", "wanted"),
    [
        (Look(actions=[Action.CREDENTIAL_READ]), ["credential.read acc1", "credential.read acc0"]),
        (Look(actions=[Action.TOKEN_REFRESHED]), ["token.refreshed acc1", "token.refreshed acc0"]),
        (
            Look(actions=[Action.CREDENTIAL_READ, Action.ACCOUNT_SUSPENDED]),
            ["account.suspended acc1", "credential.read acc1", "credential.read acc0"],
        ),
        (Look(account_id="acc1"), ["account.suspended acc1", "account.connected acc1"]),
        (Look(account_id="acc1", actions=[Action.CREDENTIAL_READ]), ["credential.read acc1"]),
        (Look(connection_id="other"), ["account.connected acc3", "account.connected acc2"]),
        (Look(actor_kind="administrator"), ["account.suspended acc1", "connection.created "]),
        (Look(actor_kind="administrator", actor_id="grace"), []),
        (Look(owner="user1"), ["account.suspended acc1", "account.connected acc1"]),
        (Look(since=T0 + 12, until=T0 + 13), ["account.connected acc3", "account.connected acc2"]),
        (Look(actions=[Action.CREDENTIAL_READ], since=T0 + 21), ["credential.read acc1"]),
        (Look(actions=[Action.TOKEN_REFRESHED], until=T0 + 30), ["token.refreshed acc0"]),
        (Look(until=T0 - 1), []),
    ],
)
async def test_filters_add_up(database: Database, environment_id: str, look: Look, wanted: list[str]) -> None:
    await _story(database, environment_id)
    assert [" ".join(one) for one in await _look(database, environment_id, look)] == wanted


async def test_of_one_account_a_refresh_by_hand_is_shown_and_those_by_themselves_are_not(
    database: Database, environment_id: str
) -> None:
    await _story(database, environment_id)
    about: dict[str, Any] = {"account_id": "acc1", "connection_id": "con", "user_id": "user1"}
    plan = [
        _entry(environment_id, T0 + 50, Action.TOKEN_REFRESHED, ADA, **about),
        _entry(environment_id, T0 + 51, Action.TOKEN_REFRESHED, Actor.system(), **about),
        _entry(environment_id, T0 + 52, Action.TOKEN_REFRESHED, ADA, **{**about, "account_id": "acc0"}),
    ]
    await _write(database, plan)
    found = await database.transact(lambda tx: browse(tx, environment_id, Look(account_id="acc1"), limit=50))
    assert [entry.id for entry in found.entries][:1] == [plan[0].id]
    assert [entry.action.value for entry in found.entries[1:]] == ["account.suspended", "account.connected"]


@pytest.mark.parametrize("look", [Look(), Look(actions=[Action.CREDENTIAL_READ])], ids=["notable", "everyday"])
async def test_pages_go_both_ways_without_a_gap(database: Database, environment_id: str, look: Look) -> None:
    action = Action.CREDENTIAL_READ if look.actions else Action.ACCOUNT_CONNECTED
    written = await _write(database, [_entry(environment_id, T0 + n, action) for n in range(5)])
    newest = written[::-1]

    async def page(**edge: str) -> tuple[list[str], str | None, bool]:
        found = await database.transact(lambda tx: browse(tx, environment_id, look, limit=2, **edge))
        return [entry.id for entry in found.entries], found.further, found.newer

    assert await page() == (newest[:2], newest[1], False)
    assert await page(after=newest[1]) == (newest[2:4], newest[3], True)
    assert await page(after=newest[3]) == (newest[4:], None, True)
    assert await page(before=newest[4]) == (newest[2:4], newest[3], True)
    assert await page(before=newest[2]) == (newest[:2], newest[1], False)


async def test_a_look_that_finds_too_little_says_how_far_it_came(
    database: Database, environment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "MOST_LOOKED_THROUGH", 3)
    plan = [_entry(environment_id, T0 + n, Action.ACCOUNT_UPDATED, ADA if n == 0 else APP) for n in range(8)]
    written = await _write(database, plan)
    seen, edge, steps = list[str](), "", 0
    while True:
        found = await database.transact(
            partial(
                browse,
                environment_id=environment_id,
                look=Look(actor_kind="administrator"),
                limit=2,
                after=edge,
            )
        )
        seen, steps = seen + [entry.id for entry in found.entries], steps + 1
        if found.further is None:
            break
        edge = found.further
    assert seen == written[:1]
    assert steps == 3


async def test_an_export_has_every_entry_once(database: Database, environment_id: str) -> None:
    written = await _write(database, [_entry(environment_id, T0 + n, Action.ACCOUNT_UPDATED) for n in range(7)])
    seen, edge = list[str](), ""
    while True:
        entries, further = await database.transact(
            partial(export, environment_id=environment_id, look=Look(), after=edge, limit=3)
        )
        seen += [entry.id for entry in entries]
        if further is None:
            break
        edge = further
    assert seen == written[::-1]

"""The plain read, many at once: the same answers as the ordinary read gives, an entry for each, and nothing without."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.accounts import Owner, Status, store
from holdfast.connections.changes import Changes
from holdfast.errors import Unauthenticated
from holdfast.events import Actor
from holdfast.events import store as log
from holdfast.events.sealing import store as sealing
from holdfast.events.sealing.seal import entry_hash
from holdfast.storage import Connection as Tx
from holdfast.storage.engine import open_database
from holdfast.tokens import Inactive, Live, PlainAsk, PlainReader, Vended, policy
from holdfast.vault.sealed import CannotOpen
from tests.tokens.house import House, second_process
from tests.tokens.plain import Plain

NOW = 1_800_000_000.123456
STATES: list[dict[str, Any]] = [
    {},
    {"expires_at": None},
    {"expires_at": NOW + 60.5},
    {"expires_at": NOW + 60.0},
    {"expires_at": NOW + 59.5},
    {"expires_at": NOW + 20.0, "refreshed_at": NOW - 20.0},
    {"expires_at": NOW + 9.0, "refreshed_at": NOW - 31.0},
    {"expires_at": NOW + 10.0, "refreshed_at": NOW - 30.0},
    {"expires_at": NOW + 5.0, "refreshed_at": NOW + 50.0},
    {"expires_at": NOW - 1.0},
    {"expires_at": NOW + 3000.0, "refreshed_at": None},
    {"expires_at": NOW + 50.0, "refreshed_at": None},
    {"refresh_at": NOW - 1.0},
    {"refresh_at": NOW - 1.0, "retry_at": NOW + 5.0, "failures": 1, "warning": "the last refresh failed: 503"},
    {"refresh_at": NOW - 1.0, "retry_at": NOW - 5.0, "failures": 1},
    {"refresh_at": NOW - 1.0, "grant": None},
    {"refresh_at": None},
    {"grant": None, "expires_at": NOW + 30.0},
    {"access": None},
    {"access": None, "grant": None},
    {"scopes": ()},
    {"scopes": ("read", "extra")},
    {"role": "standard"},
    *({"status": status} for status in Status if status is not Status.ACTIVE),
]


@pytest.mark.parametrize("min_ttl", [None, 0, 45, 3600])
@pytest.mark.parametrize("state", STATES, ids=lambda state: ",".join(f"{k}={v}" for k, v in state.items())[:60] or "-")
async def test_what_is_served_plainly_is_what_the_policy_serves_and_the_ordinary_read_answers(
    plain: Plain, state: dict[str, Any], min_ttl: int | None
) -> None:
    house = plain.house
    house.clock.at = NOW
    account = await plain.account(**state)
    served = await plain.read(account.owner.user_id, min_ttl=min_ttl)
    house_min = float(house.holdfast.config.min_ttl)
    asked = policy.default_ttl(account, house_min) if min_ttl is None else float(min_ttl)
    decision = policy.decide(account, NOW, asked)
    # One that is due, and one that ends soon with a word about it, take the ordinary way.
    expected = isinstance(decision, policy.Serve) and not decision.due and account.role == "compatibility"
    expected = expected and decision == policy.Serve(False, (account.warning,) if account.warning else ())
    assert (served is not None) == expected
    assert len(await plain.reads(account)) == (1 if expected else 0), "a read that is not plain leaves no entry"
    if served is None or not isinstance(decision, policy.Serve):
        return
    ordinary = await house.read(account, plain.connection, min_ttl=min_ttl, request_id="req_1")
    assert isinstance(ordinary, Vended)
    assert served.secret == ordinary.secret
    assert served.expires_at == ordinary.account.expires_at, "to the last bit"
    assert tuple(served.scopes) == ordinary.account.scopes
    assert tuple(served.missing_scopes) == ordinary.missing_scopes
    assert served.warnings == ordinary.warnings == decision.warnings
    one, two = await plain.reads(account)
    assert replace(one, id="", actor=two.actor) == replace(two, id="")
    assert one.actor == Actor("api_key", plain.key.key_id)
    assert one.id < two.id


async def test_a_revoked_key_reads_nothing_more_not_even_one_that_was_revoked_elsewhere(plain: Plain) -> None:
    account = await plain.account()
    assert isinstance(await plain.read(account.owner.user_id), Live)
    async with second_process(plain.house) as other:
        assert await other.holdfast.keys.revoke(plain.key.environment_id, plain.key.key_id, Actor("operator"))
    assert await plain.read(account.owner.user_id) is None
    assert len(await plain.reads(account)) == 1


async def test_a_key_is_recalled_until_a_check_finds_it_revoked(house: House) -> None:
    keys = house.holdfast.keys
    made, text = await keys.create(house.environment_id, "recalled", Actor("operator"))
    assert keys.recall(text.reveal()) is None, "a key is checked before it is believed"
    principal = await keys.authenticate(text.reveal())
    assert keys.recall(text.reveal()) == principal
    await keys.revoke(house.environment_id, made.id, Actor("operator"))
    with pytest.raises(Unauthenticated):
        await keys.authenticate(text.reveal())
    assert keys.recall(text.reveal()) is None


async def test_a_connection_changed_elsewhere_is_seen_at_the_next_read(plain: Plain) -> None:
    account = await plain.account()
    first = await plain.read(account.owner.user_id)
    assert first is not None
    assert first.missing_scopes == []
    async with second_process(plain.house) as other:
        changes = Changes(scopes=("read", "write", "offline"))
        await other.connections.update(other.environment_id, "sandbox", "user", changes, Actor("operator"))
        second = await plain.read(account.owner.user_id)
        assert second is not None
        assert second.missing_scopes == ["write"]
        required = Changes(required_scopes=("write",))
        await other.connections.update(other.environment_id, "sandbox", "user", required, Actor("operator"))
        assert await plain.read(account.owner.user_id) is None
        refused = await plain.house.read(account, plain.connection)
        assert isinstance(refused, Inactive)
        granted = Changes(required_scopes=("read",))
        await other.connections.update(other.environment_id, "sandbox", "user", granted, Actor("operator"))
        assert isinstance(await plain.read(account.owner.user_id), Live)


async def test_an_account_of_the_same_user_within_an_organization_is_another_one(plain: Plain) -> None:
    account = await plain.account()
    await plain.house.holdfast.database.transact(
        lambda tx: store.save(tx, replace(account, owner=Owner.user(account.owner.user_id, "org_1")))
    )
    assert await plain.read(account.owner.user_id) is None


async def test_a_custom_provider_and_an_unknown_name_are_not_plain(plain: Plain) -> None:
    custom = await plain.house.connection()
    account = await plain.house.connect(custom)
    assert await plain.read(account.owner.user_id, name=custom.name) is None
    assert await plain.read(account.owner.user_id, name="nobodys") is None


async def test_a_ciphertext_from_another_account_opens_for_nobody(plain: Plain) -> None:
    one, other = await plain.account(), await plain.account()
    await plain.house.holdfast.database.transact(lambda tx: store.save(tx, replace(one, access=other.access)))
    with pytest.raises(CannotOpen):
        await plain.read(one.owner.user_id)
    assert isinstance(await plain.read(other.owner.user_id), Live)


async def test_what_another_process_has_sealed_with_a_new_key_opens(plain: Plain) -> None:
    async with second_process(plain.house) as other:
        await other.holdfast.vault.rotate(other.environment_id)
        account = await other.connect(plain.connection, "read", "offline")
    assert isinstance(await plain.read(account.owner.user_id), Live)


_REFUSE: dict[str, tuple[list[str], list[str]]] = {
    "sqlite": (
        [
            "CREATE TRIGGER refuse BEFORE INSERT ON entries WHEN new.action = 'credential.read' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        ],
        ["DROP TRIGGER refuse"],
    ),
    "postgresql": (
        [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '53100'; END$$",
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "WHEN (new.action = 'credential.read') EXECUTE FUNCTION refuse()",
        ],
        ["DROP TRIGGER refuse ON entries", "DROP FUNCTION refuse"],
    ),
}


async def test_nothing_leaves_when_the_entry_cannot_be_written(plain: Plain) -> None:
    """On PostgreSQL it is the commit itself that fails: the trigger is deferred to it."""
    account = await plain.account()
    database = plain.house.holdfast.database

    async def run(*statements: str) -> None:
        for statement in statements:
            await database.transact(lambda tx, statement=statement: _execute(tx, statement))

    refuse, allow = _REFUSE[database.dialect]
    await run(*refuse)
    try:
        assert await asyncio.gather(*(plain.read(account.owner.user_id) for _ in range(5))) == [None] * 5
        with pytest.raises(Exception, match="refused"):
            await plain.house.read(account, plain.connection)
    finally:
        await run(*allow)
    assert await plain.reads(account) == []
    assert isinstance(await plain.read(account.owner.user_id), Live)


def _execute(tx: Tx, statement: str) -> None:
    tx.exec_driver_sql(statement)


async def test_a_database_that_is_gone_answers_no_plain_read(house: House, tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'empty.db'}")  # it has no tables, as good as gone
    parts = house.holdfast
    reader = PlainReader(database, parts.vault, parts.clock, house.connections, min_ttl=60)
    ask = PlainAsk(house.environment_id, "key", "sandbox", "user", None, "req_1")
    assert await asyncio.gather(*(reader.read(ask) for _ in range(3))) == [None] * 3
    await database.close()
    assert await reader.read(ask) is None


async def test_the_entry_is_written_as_it_is_hashed(plain: Plain) -> None:
    database = plain.house.holdfast.database
    account = await plain.account()
    assert await plain.read(account.owner.user_id)
    (read,) = await plain.reads(account)

    position = (await database.transact(lambda tx: log.by_ids(tx, read.environment_id, [read.id])))[read.id][0]
    runs, rows = await database.transact(lambda tx: sealing.new(tx, position - 1, position))
    if database.dialect == "postgresql":
        assert (rows, [list(run.hashes) for run in runs]) == ([], [[entry_hash(read)]]), "it is hashed where it lies"
    else:
        assert [sealing.hashed(row).hash for row in rows] == [entry_hash(read)]


async def test_a_connection_with_rules_for_its_calls_has_no_plain_read_for_one(plain: Plain) -> None:
    account = await plain.account()
    user, house = account.owner.user_id, plain.house

    async def rule(*rules: str) -> None:
        changes = Changes(proxy_rules=rules)
        await house.connections.update(house.environment_id, plain.connection.name, "user", changes, Actor("operator"))

    assert await plain.read(user, proxied=True)
    await rule("GET /a")
    before = len(await plain.reads(account))
    both = await asyncio.gather(*(plain.read(user, proxied=proxied) for proxied in (True, False, True)))
    assert [live is not None for live in both] == [False, True, False]
    assert len(await plain.reads(account)) == before + 1, "what was not handed out is not on record"
    await rule()
    assert await plain.read(user, proxied=True)


async def test_a_connection_whose_calls_may_need_approval_has_no_plain_read_for_one(plain: Plain) -> None:
    account = await plain.account()
    user, house = account.owner.user_id, plain.house

    async def need(*rules: str) -> None:
        changes = Changes(approval_rules=rules)
        await house.connections.update(house.environment_id, plain.connection.name, "user", changes, Actor("operator"))

    await need("DELETE /a")
    both = await asyncio.gather(*(plain.read(user, proxied=proxied) for proxied in (True, False, True)))
    assert [live is not None for live in both] == [False, True, False]
    await need()
    assert await plain.read(user, proxied=True)

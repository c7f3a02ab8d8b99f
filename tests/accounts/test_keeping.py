"""What an app does with accounts apart from consent."""

import asyncio
import base64
import json
from typing import Any

import pytest

from holdfast.accounts import (
    Account,
    ApiKey,
    Delegated,
    Given,
    Keeping,
    OAuthCredential,
    Owner,
    Reason,
    Status,
    brought,
    details_of,
    missing_scopes,
    recovery_of,
)
from holdfast.accounts.recovery import _BY_REASON, _BY_STATUS
from holdfast.connections import Connection
from holdfast.connections.changes import Changes
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.events import Action, Actor
from holdfast.ids import opaque
from holdfast.providers.entry import Lifetime, Provider
from holdfast.secret import Secret
from tests.accounts.records import an_account, stored_as
from tests.authorization.links import typed_connection
from tests.tokens.house import House

APP = Actor("api_key", "key")


@pytest.fixture
async def connection(house: House) -> Connection:
    return await house.connection()


@pytest.fixture
def owner() -> Owner:
    return Owner.user("user_" + opaque(10))


def keeping(house: House) -> Keeping:
    return house.holdfast.keeping


async def make(house: House, connection: Connection, owner: Owner, **given: Any) -> tuple[Account, bool]:
    return await keeping(house).get_or_create(house.environment_id, connection.name, owner, Given(**given), APP)


async def test_of_twenty_callers_at_once_one_makes_the_account(
    house: House, connection: Connection, owner: Owner
) -> None:
    got = await asyncio.gather(*(make(house, connection, owner) for _ in range(20)))
    assert len({account.id for account, _ in got}) == 1
    assert sorted(made for _, made in got) == [False] * 19 + [True]
    assert await house.happened(got[0][0]) == [Action.ACCOUNT_CREATED]
    with pytest.raises(Conflict) as caught:
        await keeping(house).create(house.environment_id, connection.name, owner, Given(), APP)
    assert caught.value.code == "connected_account_exists"


async def test_with_credentials_an_account_is_active_at_once_and_they_are_read_back(
    house: House, connection: Connection, owner: Owner
) -> None:
    issued = house.consent()
    credential = OAuthCredential(Secret(issued.access_token), Secret(issued.refresh_token or ""), scopes=("read",))
    account, made = await make(house, connection, owner, credential=credential, api_config={"version": "v3"})
    assert (made, account.status, account.scopes) == (True, Status.ACTIVE, ("read",))
    found, _ = await keeping(house).find(house.environment_id, connection.name, owner)
    assert found == await house.stored(account)
    assert house.access_of(found) == issued.access_token
    assert (await house.read(found, connection)).secret.reveal() == issued.access_token
    assert found.api_config == {"version": "v3"}
    entry = (await house.entries(account))[0]
    assert (entry.action, entry.data["old_status"]) == (Action.ACCOUNT_CONNECTED, None)


async def test_an_account_that_is_there_is_left_as_it_is(house: House, connection: Connection, owner: Owner) -> None:
    first, _ = await make(house, connection, owner, metadata={"a": "1"})
    again, made = await make(house, connection, owner, metadata={"a": "2"}, credential=house.credential())
    assert (again, made) == (await house.stored(first), False)


async def test_fields_of_several_and_principals_are_kept_as_what_they_are(house: House, owner: Owner) -> None:
    typed = await typed_connection(house, {})
    details = {"username": "ada", "password": "pw", "domain": "acme"}
    account, _ = await make(house, typed, owner, credential=ApiKey(Secret("pw"), Secret(json.dumps(details))))
    provider = (await house.effective(typed)).provider
    assert await details_of(await house.stored(account), house.holdfast.vault, provider) == details
    plain, _ = await make(house, typed, Owner.user("other"), credential=ApiKey(Secret("k")))
    assert await details_of(await house.stored(plain), house.holdfast.vault, provider) == {"api_key": "k"}

    delegated = await typed_connection(house, {}, method="delegated")
    account, _ = await make(house, delegated, owner, credential=Delegated("delegated", "ada@corp.test"))
    stored = await house.stored(account)
    assert (stored.status, stored.kept, stored.access) == (Status.ACTIVE, {"principal": "ada@corp.test"}, None)
    with pytest.raises(Unprocessable):
        await make(house, typed, Owner.user("third"), credential=Delegated("delegated", "x"))


async def test_an_update_lays_settings_over_what_there_is_and_null_takes_one_away(
    house: House, connection: Connection, owner: Owner
) -> None:
    account, _ = await make(house, connection, owner, api_config={"a": 1, "b": {"c": 2}}, metadata={"x": "1", "y": "2"})
    given = Given(api_config={"b": None, "d": [1]}, metadata={"x": None, "z": "3"})
    changed = await keeping(house).update(house.environment_id, account.id, given, APP)
    assert (changed.api_config, changed.metadata) == ({"a": 1, "d": [1]}, {"y": "2", "z": "3"})
    assert changed == await house.stored(account)
    assert changed.status is Status.PENDING


@pytest.mark.parametrize("before", [Status.PENDING, Status.ACTIVE, Status.EXPIRED, Status.REVOKED, Status.ERROR])
async def test_an_update_with_a_credential_makes_active(
    house: House, connection: Connection, owner: Owner, before: Status
) -> None:
    account = await house.connect(connection, owner=owner)
    await stored_as(house, account, before)
    given = Given(credential=house.credential("read"))
    changed = await keeping(house).update(house.environment_id, account.id, given, APP)
    assert (changed.status, changed.scopes) == (Status.ACTIVE, ("read",))
    last = [entry for entry in await house.entries(account) if entry.data.get("old_status") == before.value]
    assert [entry.action for entry in last] == [
        Action.CREDENTIAL_REPLACED if before is Status.ACTIVE else Action.ACCOUNT_CONNECTED
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {f"k{n}": "v" for n in range(21)}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {"": "v"}},
        {"metadata": {"k": "v" * 501}},
        {"api_config": {"k": "v" * 16_384}},
    ],
    ids=["many", "long key", "no key", "long value", "large"],
)
async def test_what_is_too_much_is_refused(
    house: House, connection: Connection, owner: Owner, given: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        await make(house, connection, owner, **given)
    account, _ = await make(house, connection, owner, metadata={"one": "1"})
    with pytest.raises(Invalid):
        await keeping(house).update(house.environment_id, account.id, Given(**given), APP)


async def test_a_paused_account_keeps_its_credential_and_hands_out_nothing(
    house: House, connection: Connection
) -> None:
    account = await house.connect(connection)
    paused = await keeping(house).suspend(house.environment_id, account.id, APP, "Audit until Monday.")
    assert (paused.status, paused.reason) == (Status.SUSPENDED, Reason.PAUSED)
    need = recovery_of(paused)
    assert need is not None
    assert (need.reason, need.sentence, need.step) == ("paused", "Audit until Monday.", "resume")
    assert (await house.read(account, connection)).why == "not_installed"
    assert await keeping(house).suspend(house.environment_id, account.id, APP) == paused, "twice is once"
    with pytest.raises(Conflict):
        await keeping(house).update(house.environment_id, account.id, Given(credential=house.credential()), APP)
    resumed = await keeping(house).resume(house.environment_id, account.id, APP)
    assert (resumed.status, resumed.reason) == (Status.ACTIVE, None)
    assert (await house.read(account, connection)).secret.reveal() == house.access_of(account)
    happened = await house.happened(account)
    assert (happened.count(Action.ACCOUNT_SUSPENDED), happened.count(Action.ACCOUNT_RESUMED)) == (1, 1)


async def test_a_disconnected_account_has_no_credential_and_keeps_its_record(
    house: House, connection: Connection
) -> None:
    account = await house.connect(connection)
    gone = await keeping(house).revoke(house.environment_id, account.id, APP)
    stored = await house.stored(account)
    assert stored == gone
    assert (stored.status, stored.access, stored.grant, stored.details) == (Status.REVOKED, None, None, None)
    assert (await house.read(account, connection)).why == "not_installed"
    with pytest.raises(Conflict):
        await keeping(house).resume(house.environment_id, account.id, APP)
    pending, _ = await make(house, connection, Owner.user("never_" + opaque(5)))
    with pytest.raises(Conflict):
        await keeping(house).revoke(house.environment_id, pending.id, APP)


async def test_an_account_is_deleted_in_whatever_state_and_the_log_knows_whether_it_was_ever_connected(
    house: House, connection: Connection, owner: Owner
) -> None:
    pending, _ = await make(house, connection, owner)
    with pytest.raises(NotFound):  # hidden from who asks by slug and owner
        await house.removal.disconnect(
            house.environment_id, connection.name, owner, account_id=None, plural=False, actor=APP, request_id=""
        )
    active = await house.connect(connection)
    for account, action in ((pending, Action.ACCOUNT_DELETED), (active, Action.ACCOUNT_DISCONNECTED)):
        assert (await keeping(house).delete(house.environment_id, account.id, APP)).id == account.id
        assert await house.find(account) is None
        assert (await house.happened(account)).count(action) == 1
        with pytest.raises(NotFound):
            await keeping(house).delete(house.environment_id, account.id, APP)


async def test_an_unknown_account_is_not_found_whatever_is_asked_of_it(house: House) -> None:
    for ask in (
        keeping(house).get(house.environment_id, "0" * 26),
        keeping(house).suspend(house.environment_id, "0" * 26, APP),
        keeping(house).update(house.environment_id, "0" * 26, Given(), APP),
    ):
        with pytest.raises(NotFound) as caught:
            await ask
        assert caught.value.code == "connected_account_not_found"


async def test_a_changed_connection_leaves_tokens_and_shows_what_is_missing(house: House) -> None:
    connection = await house.connection(scopes=["read"])
    account = await house.connect(connection, "read")
    changes = Changes(scopes=["read", "write"])
    await house.connections.update(house.environment_id, connection.name, "user", changes, APP)
    found, effective = await keeping(house).get(house.environment_id, account.id)
    assert found.scopes == ("read",)
    assert missing_scopes(effective, found) == ("write",)
    assert (await house.read(account, connection)).missing_scopes == ("write",)
    changes = Changes(required_scopes=["write"])
    await house.connections.update(house.environment_id, connection.name, "user", changes, APP)
    assert (await house.read(account, connection)).why == "needs_reauthorization"


async def test_one_who_was_only_invited_is_nobody_elses_obstacle(
    house: House, connection: Connection, owner: Owner
) -> None:
    pending, _ = await make(house, connection, owner)
    connected = await house.connect(connection, owner=owner)
    assert (connected.id, connected.status, connected.role) == (pending.id, Status.ACTIVE, "compatibility")


# Without a house


def _jwt(**claims: Any) -> Secret:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return Secret(f"e30.{middle}.sig")


@pytest.mark.parametrize(
    ("access", "refresh", "ends"),
    [
        (Secret("opaque"), Secret("r"), 4600.0),
        (Secret("opaque"), None, None),
        (_jwt(exp=1500), Secret("r"), 1500.0),
        (_jwt(exp=1500), None, 1500.0),
        (_jwt(exp=500), Secret("r"), 500.0),
        (_jwt(exp=500), None, None),
        (_jwt(exp="soon"), Secret("r"), 4600.0),
        (Secret("a.%%%.c"), Secret("r"), 4600.0),
    ],
)
def test_when_tokens_end_that_do_not_say_so(access: Secret, refresh: Secret | None, ends: float | None) -> None:
    provider = Provider(slug="x", name="X", auth="oauth2", lifetime=Lifetime(access=3600))
    assert brought(access, refresh, (), provider, 1000.0).expires_at == ends


def test_every_state_but_active_says_what_is_wrong_and_what_to_do() -> None:
    assert set(_BY_REASON) == set(Reason)
    assert set(_BY_STATUS) == set(Status) - {Status.ACTIVE}
    for status in Status:
        for reason in (None, *Reason):
            need = recovery_of(an_account("e", status=status, reason=reason))
            assert (need is None) is (status is Status.ACTIVE)
            assert need is None or need.sentence.endswith(".")

"""How an account comes to be and is connected again, in a whole house."""

import asyncio
from typing import Any

import pytest
from msgspec import UNSET

from holdfast.accounts import Account, ApiKey, Connecting, IdempotentUse, OAuthCredential, Owner, Status, store
from holdfast.accounts.store.idempotency import LIFETIME
from holdfast.connections import Connection
from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.events import Action, Actor
from holdfast.ids import opaque
from holdfast.providers.identity import ProviderIdentity
from holdfast.secret import Secret
from tests.tokens.house import House

ADA, GRACE = ProviderIdentity("usr_ada", "ada@sandbox.test"), ProviderIdentity("usr_grace", "grace@sandbox.test")


@pytest.fixture
async def connection(house: House) -> Connection:
    return await house.connection()


@pytest.fixture
def owner() -> Owner:
    return Owner.user("user_" + opaque(10))


async def _connect(house: House, connection: Connection, owner: Owner, **changes: Any) -> Account:
    plan: dict[str, Any] = {
        "effective": await house.effective(connection),
        "owner": owner,
        "credential": OAuthCredential(Secret("access-" + opaque(10)), None),
        "intent": "auto",
        "actor": Actor("api_key", "key"),
        **changes,
    }
    return await house.accounts.connect(Connecting(**plan))


async def test_the_first_account_is_the_compatible_one_and_later_ones_stand_beside_it(
    house: House, connection: Connection, owner: Owner
) -> None:
    made = [await _connect(house, connection, owner, intent="add") for _ in range(3)]
    assert [account.role for account in made] == ["compatibility", "standard", "standard"]
    assert [account.status for account in made] == [Status.ACTIVE] * 3


async def test_connecting_again_replaces_the_credential_of_the_same_account(
    house: House, connection: Connection, owner: Owner
) -> None:
    first = await _connect(house, connection, owner, label="Work", identity=ADA)
    again = await _connect(house, connection, owner, identity=ADA)
    assert again.id == first.id
    assert again.credential_version == first.credential_version + 1
    assert (again.label, again.subject, again.identifier) == ("Work", "usr_ada", "ada@sandbox.test")
    assert house.access_of(await house.stored(first)) == house.access_of(again) != house.access_of(first)
    assert await house.happened(first) == [Action.ACCOUNT_CONNECTED] * 2


async def test_a_label_can_be_taken_away(house: House, connection: Connection, owner: Owner) -> None:
    await _connect(house, connection, owner, label="Work")
    assert (await _connect(house, connection, owner, label=UNSET)).label == "Work"
    assert (await _connect(house, connection, owner, label=None)).label is None


async def test_creating_a_second_account_takes_saying_so(house: House, connection: Connection, owner: Owner) -> None:
    await _connect(house, connection, owner, intent="create")
    with pytest.raises(Conflict, match="connection_intent=add"):
        await _connect(house, connection, owner, intent="create")
    assert (await _connect(house, connection, owner, intent="add")).role == "standard"


async def test_reauthorizing_takes_an_account_that_is_there(house: House, connection: Connection, owner: Owner) -> None:
    with pytest.raises(NotFound):
        await _connect(house, connection, owner, intent="reauthorize")
    await _connect(house, connection, owner)
    second = await _connect(house, connection, owner, intent="add")
    again = await _connect(house, connection, owner, intent="reauthorize", account_id=second.id)
    assert again.id == second.id
    stranger = Owner.user("stranger_" + opaque(10))
    with pytest.raises(NotFound):
        await _connect(house, connection, stranger, intent="reauthorize", account_id=second.id)


async def test_somebody_else_at_the_provider_is_refused_and_nothing_changes(
    house: House, connection: Connection, owner: Owner
) -> None:
    first = await _connect(house, connection, owner, identity=ADA)
    with pytest.raises(Conflict) as raised:
        await _connect(house, connection, owner, identity=GRACE)
    assert raised.value.code == "account_mismatch"
    assert await house.stored(first) == first
    switched = await _connect(house, connection, owner, identity=GRACE, switch_identity=True)
    assert (switched.id, switched.subject) == (first.id, "usr_grace")


async def test_twenty_first_connections_at_once_make_one_account(
    house: House, connection: Connection, owner: Owner
) -> None:
    made = await asyncio.gather(*(_connect(house, connection, owner) for _ in range(20)))
    assert len({account.id for account in made}) == 1
    assert [account.id for account in await _all(house, connection, owner)] == [made[0].id]


async def test_of_twenty_who_create_at_once_one_does(house: House, connection: Connection, owner: Owner) -> None:
    made = await asyncio.gather(
        *(_connect(house, connection, owner, intent="create") for _ in range(20)), return_exceptions=True
    )
    assert len([account for account in made if isinstance(account, Account)]) == 1
    assert len([error for error in made if isinstance(error, Conflict)]) == 19
    assert len(await _all(house, connection, owner)) == 1


async def test_the_limit_holds_for_those_who_come_at_once(house: House, connection: Connection, owner: Owner) -> None:
    most = house.holdfast.config.max_accounts_per_owner
    made = await asyncio.gather(
        *(_connect(house, connection, owner, intent="add") for _ in range(most + 5)), return_exceptions=True
    )
    assert len([account for account in made if isinstance(account, Account)]) == most
    assert [account.role for account in await _all(house, connection, owner)].count("compatibility") == 1


async def _all(house: House, connection: Connection, owner: Owner) -> list[Account]:

    return await house.holdfast.database.transact(
        lambda tx: store.of_owner(tx, house.environment_id, connection.id, owner)
    )


async def test_an_owner_has_a_limit_of_accounts(house: House, connection: Connection, owner: Owner) -> None:
    most = house.holdfast.config.max_accounts_per_owner
    for _ in range(most):
        await _connect(house, connection, owner, intent="add")
    with pytest.raises(Conflict) as raised:
        await _connect(house, connection, owner, intent="add")
    assert raised.value.code == "connected_account_limit_reached"
    await _connect(house, connection, owner)


async def test_a_credential_of_another_kind_is_refused(house: House, connection: Connection, owner: Owner) -> None:
    with pytest.raises(Unprocessable) as raised:
        await _connect(house, connection, owner, credential=ApiKey(Secret("a-key-of-something")))
    assert raised.value.code == "auth_method_mismatch"
    assert await _all(house, connection, owner) == []


async def test_a_repeated_request_makes_nothing_new_for_a_day(
    house: House, connection: Connection, owner: Owner
) -> None:
    use = IdempotentUse(opaque(20), "fingerprint")
    first = await _connect(house, connection, owner, intent="create", idempotency=use)
    house.clock.advance(LIFETIME)
    again = await _connect(house, connection, owner, intent="create", idempotency=use)
    assert again == first
    assert await house.happened(first) == [Action.ACCOUNT_CONNECTED]
    house.clock.advance(1)
    with pytest.raises(Conflict, match="connection_intent=add"):
        await _connect(house, connection, owner, intent="create", idempotency=use)


async def test_a_key_that_was_used_for_something_else_is_refused(
    house: House, connection: Connection, owner: Owner
) -> None:
    key = opaque(20)
    await _connect(house, connection, owner, intent="add", idempotency=IdempotentUse(key, "one"))
    with pytest.raises(Conflict) as raised:
        await _connect(house, connection, owner, intent="add", idempotency=IdempotentUse(key, "other"))
    assert raised.value.code == "idempotency_key_conflict"
    assert len(await _all(house, connection, owner)) == 1


@pytest.mark.parametrize("intent", ["add", "create"])
async def test_ten_repeated_requests_at_once_make_one_account(
    house: House, connection: Connection, owner: Owner, intent: str
) -> None:
    use = IdempotentUse(opaque(20), "fingerprint")
    made = await asyncio.gather(
        *(_connect(house, connection, owner, intent=intent, idempotency=use) for _ in range(10))
    )
    assert len({account.id for account in made}) == 1
    assert len(await _all(house, connection, owner)) == 1

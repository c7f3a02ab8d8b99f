"""The accounts table on both engines."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.accounts import Account, Owner, Reason, Status, store
from holdfast.ids import new_id
from holdfast.storage import Database
from holdfast.vault import Sealed
from tests.accounts.records import an_account


async def _add(database: Database, *accounts: Account) -> None:
    await database.transact(lambda tx: [store.add(tx, account) for account in accounts])


async def _get(database: Database, account: Account) -> Account:
    found = await database.transact(lambda tx: store.get(tx, account.environment_id, account.id))
    assert found is not None
    return found


async def test_every_field_of_an_account_comes_back_as_it_went_in(database: Database, environment_id: str) -> None:
    account = an_account(
        environment_id,
        owner=Owner.user("ünï \U0001f511", "org_1"),
        role="standard",
        method="client_credentials",
        status=Status.ERROR,
        version=3,
        credential_version=7,
        reason=Reason.UNUSABLE,
        detail="what happened",
        label="Work \U0001f4bc",
        identifier="ada@example.test",
        subject="1234",
        established_by="user_9",
        client_ref=new_id(),
        scopes=("a", "b:c"),
        config={"shop": "x"},
        kept={"instance_url": "https://x"},
        api_config={"version": 3, "custom_headers": {"a": ["b"]}},
        metadata={"team": "blue"},
        details=Sealed(b"\x01details"),
        access=Sealed(b"\x01access\x00\xff"),
        grant=Sealed(b"\x01grant"),
        last4="wxyz",
        oauth_client_id="client",
        expires_at=1_790_000_001.125,
        grant_expires_at=1_790_000_002.25,
        refresh_at=1_790_000_003.5,
        refreshed_at=1_790_000_004.0,
        retry_at=1_790_000_005.0,
        failures=2,
        warning="careful",
        intent_at=1_790_000_006.0,
        intent_print="f" * 32,
    )
    await _add(database, account)
    assert await _get(database, account) == account


async def test_an_account_of_another_environment_is_not_found(database: Database, environment_id: str) -> None:
    account = an_account(environment_id)
    await _add(database, account)
    assert await database.transact(lambda tx: store.get(tx, new_id(), account.id)) is None
    assert not await database.transact(lambda tx: store.remove(tx, new_id(), account.id))
    await _get(database, account)


async def test_an_owner_has_one_compatibility_account_per_connection(database: Database, environment_id: str) -> None:
    first = an_account(environment_id)
    await _add(database, first)
    with pytest.raises(IntegrityError):
        await _add(database, replace(first, id=new_id()))
    await _add(database, replace(first, id=new_id(), role="standard"), replace(first, id=new_id(), role="standard"))
    await _add(database, replace(first, id=new_id(), connection_id=new_id()))
    await _add(database, replace(first, id=new_id(), owner=Owner.user("user_1", "org_1")))
    await _add(database, replace(first, id=new_id(), environment_id=new_id()))


SCOPES = [Owner.user("one"), Owner.user("one", "org"), Owner.user("two", "org"), Owner.organization("org")]


@pytest.mark.parametrize("owner", SCOPES, ids=str)
async def test_owner_scopes_never_mix(database: Database, environment_id: str, owner: Owner) -> None:
    connection_id = new_id()
    theirs = {one: an_account(environment_id, connection_id=connection_id, owner=one) for one in SCOPES}
    await _add(database, *theirs.values())
    of_owner = await database.transact(lambda tx: store.of_owner(tx, environment_id, connection_id, owner))
    all_of_owner = await database.transact(lambda tx: store.all_of_owner(tx, environment_id, owner))
    assert of_owner == all_of_owner == [theirs[owner]]
    assert len(await database.transact(lambda tx: store.of_connection(tx, environment_id, connection_id))) == 4


async def test_accounts_of_one_owner_come_oldest_first(database: Database, environment_id: str) -> None:
    connection_id = new_id()
    made = [an_account(environment_id, connection_id=connection_id, role="standard") for _ in range(3)]
    await _add(database, *reversed(made))
    found = await database.transact(
        lambda tx: store.of_owner(tx, environment_id, connection_id, made[0].owner, lock=True)
    )
    assert [account.id for account in found] == [account.id for account in made]


async def test_saving_raises_the_version_and_leaves_the_lease_alone(database: Database, environment_id: str) -> None:
    account = an_account(environment_id)
    await _add(database, account)
    taken = await database.transact(lambda tx: store.take_lease(tx, environment_id, account.id, owner="me", seconds=60))
    await database.transact(lambda tx: store.save(tx, replace(account, label="new")))
    found = await _get(database, account)
    assert (found.label, found.version, found.fence) == ("new", 2, taken)
    assert (
        await database.transact(lambda tx: store.take_lease(tx, environment_id, account.id, owner="b", seconds=60))
        is None
    )


@pytest.mark.parametrize(
    ("fence_off", "version_off", "written"), [(0, 0, True), (-1, 0, False), (1, 0, False), (0, -1, False)]
)
async def test_a_refresh_is_settled_under_its_own_fence_and_credential_version_only(
    database: Database, environment_id: str, fence_off: int, version_off: int, written: bool
) -> None:
    account = an_account(environment_id, credential_version=5, access=Sealed(b"old"), label="before")
    await _add(database, account)
    fence = await database.transact(lambda tx: store.take_lease(tx, environment_id, account.id, owner="me", seconds=60))
    assert fence == 1
    renewed = replace(account, credential_version=6, access=Sealed(b"new"), label="stale", expires_at=7.0)
    assert (
        await database.transact(
            lambda tx: store.settle(tx, renewed, fence=fence + fence_off, credential_version=5 + version_off)
        )
        is written
    )
    found = await _get(database, account)
    assert found.label == "before", "a refresh writes nothing but the credential"
    assert (found.access, found.expires_at) == ((Sealed(b"new"), 7.0) if written else (Sealed(b"old"), None))
    assert found.version == (2 if written else 1)
    free = await database.transact(lambda tx: store.take_lease(tx, environment_id, account.id, owner="b", seconds=60))
    assert free == (2 if written else None), "settling gives up the lease, a late writer leaves it"


async def test_an_intent_is_written_under_the_fence_only(database: Database, environment_id: str) -> None:
    account = an_account(environment_id)
    await _add(database, account)
    await database.transact(lambda tx: store.take_lease(tx, environment_id, account.id, owner="me", seconds=60))

    async def opened(fence: int) -> Any:
        return await database.transact(
            lambda tx: store.open_intent(tx, account, fence=fence, fingerprint="f" * 32, at=9.0)
        )

    assert not await opened(2)
    assert (await _get(database, account)).intent_at is None
    assert await opened(1)
    found = await _get(database, account)
    assert (found.intent_at, found.intent_print) == (9.0, "f" * 32)


async def test_a_label_is_taken_within_one_owner_and_connection(database: Database, environment_id: str) -> None:
    account = an_account(environment_id, label="Work")
    await _add(database, account)

    async def taken(other: Account) -> bool:
        return await database.transact(lambda tx: store.label_is_taken(tx, other))

    beside = replace(account, id=new_id())
    assert await taken(beside)
    assert not await taken(account), "its own label is no one else's"
    assert not await taken(replace(beside, label="Home"))
    assert not await taken(replace(beside, label=None))
    assert not await taken(replace(beside, owner=Owner.user("user_1", "org_1")))
    assert not await taken(replace(beside, connection_id=new_id()))


async def test_accounts_that_a_member_established_are_the_organizations_own(
    database: Database, environment_id: str
) -> None:
    shared = an_account(environment_id, owner=Owner.organization("org"), established_by="leaver")
    await _add(
        database,
        shared,
        an_account(environment_id, owner=Owner.organization("other"), established_by="leaver"),
        an_account(environment_id, owner=Owner.organization("org"), established_by="stayer"),
        an_account(environment_id, owner=Owner.user("leaver", "org"), established_by="leaver"),
    )
    found = await database.transact(lambda tx: store.established_by(tx, environment_id, "org", "leaver"))
    assert found == [shared]


async def test_a_removed_account_is_gone(database: Database, environment_id: str) -> None:
    account = an_account(environment_id)
    await _add(database, account)
    assert await database.transact(lambda tx: store.remove(tx, environment_id, account.id))
    assert await database.transact(lambda tx: store.get(tx, environment_id, account.id)) is None
    assert not await database.transact(lambda tx: store.remove(tx, environment_id, account.id))

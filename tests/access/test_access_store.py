"""Environments, keys, memberships and redirect URIs on both engines."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from holdfast.access import store
from holdfast.access.membership import Membership, Status
from holdfast.access.principal import ApiKey, CleanUpPolicy, Environment
from holdfast.access.redirects import RedirectUri
from holdfast.ids import new_id, opaque
from holdfast.storage import Connection, Database


def a_key(environment_id: str) -> ApiKey:
    return ApiKey(environment_id, new_id(), "a key", opaque(64), "wxyz", 1.5)


def a_membership(
    environment_id: str, user_id: str, organization_id: str = "org", status: Status = "active"
) -> Membership:
    return Membership(
        environment_id=environment_id,
        id=new_id(),
        user_id=user_id,
        organization_id=organization_id,
        role="member",
        status=status,
        created_at=1.0,
        updated_at=1.0,
    )


async def test_an_environment_is_found_by_its_name_which_is_its_own(database: Database, environment_id: str) -> None:
    made = Environment(environment_id, f"name {environment_id}", 2.5)
    await database.transact(lambda tx: store.add_environment(tx, made))
    assert await database.transact(lambda tx: store.environment_by_name(tx, made.name)) == made
    assert await database.transact(lambda tx: store.environment_by_name(tx, made.name.lower())) is None
    assert made in await database.transact(store.list_environments)
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.add_environment(tx, replace(made, id=new_id())))


async def test_an_environments_settings_are_kept_and_its_name_stays(database: Database, environment_id: str) -> None:
    made = Environment(environment_id, f"name {environment_id}", 2.5)
    await database.transact(lambda tx: store.add_environment(tx, made))
    changed = replace(made, user_verification="custom", clean_up=CleanUpPolicy(90, 30))
    await database.transact(lambda tx: store.save_environment(tx, replace(changed, name="another")))
    assert await database.transact(lambda tx: store.environment(tx, environment_id)) == changed
    assert await database.transact(lambda tx: store.environment(tx, new_id())) is None


async def test_a_key_is_found_by_its_hash_and_revoked_once(database: Database, environment_id: str) -> None:
    one, other = a_key(environment_id), a_key(environment_id)
    await database.transact(lambda tx: [store.add_key(tx, key) for key in (one, other)])
    assert await database.transact(lambda tx: store.key_by_hash(tx, one.hash)) == one
    assert await database.transact(lambda tx: store.key_by_hash(tx, "0" * 64)) is None

    def revoke(tx: Connection) -> ApiKey | None:
        return store.revoke_key(tx, environment_id, one.id, 9.0)

    assert await database.transact(lambda tx: store.revoke_key(tx, new_id(), one.id, 9.0)) is None
    assert await database.transact(revoke) == replace(one, revoked_at=9.0)
    assert await database.transact(revoke) is None
    assert await database.transact(lambda tx: store.list_keys(tx, environment_id)) == [
        replace(one, revoked_at=9.0),
        other,
    ]


async def test_memberships_count_from_the_first_one_even_if_it_is_deleted(
    database: Database, environment_id: str
) -> None:
    async def kept() -> bool:
        return await database.transact(lambda tx: store.memberships_are_kept(tx, environment_id))

    assert not await kept()
    first = a_membership(environment_id, "user")
    await database.transact(lambda tx: store.save_membership(tx, first))
    assert await kept()
    ended = first.ended(5.0)
    await database.transact(lambda tx: store.save_membership(tx, ended))
    assert await kept()
    assert await database.transact(lambda tx: store.membership(tx, environment_id, first.id)) is None
    assert await database.transact(lambda tx: store.membership_of(tx, environment_id, "org", "user")) == ended


async def test_a_user_is_a_member_of_an_organization_once(database: Database, environment_id: str) -> None:
    await database.transact(lambda tx: store.save_membership(tx, a_membership(environment_id, "user")))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.save_membership(tx, a_membership(environment_id, "user")))
    await database.transact(lambda tx: store.save_membership(tx, a_membership(environment_id, "user", "other")))


async def test_memberships_are_filtered_by_user_organization_and_status(
    database: Database, environment_id: str
) -> None:
    ada = a_membership(environment_id, "ada")
    ada_too = a_membership(environment_id, "ada", "other", "inactive")
    grace = a_membership(environment_id, "grace", status="pending")
    gone = a_membership(environment_id, "gone").ended(2.0)
    for one in (ada, ada_too, grace, gone):
        await database.transact(lambda tx, one=one: store.save_membership(tx, one))

    async def listed(**filters: object) -> list[Membership]:
        return await database.transact(
            lambda tx: store.list_memberships(
                tx, environment_id, limit=10, after=None, before=None, newest_first=False, **filters
            )
        )

    assert await listed() == [ada, ada_too, grace]
    assert await listed(user_id="ada") == [ada, ada_too]
    assert await listed(organization_id="org") == [ada, grace]
    assert await listed(statuses=("pending", "inactive")) == [ada_too, grace]
    assert await listed(user_id="ada", organization_id="org", statuses=("inactive",)) == []


async def test_a_redirect_uri_is_registered_once_and_deleted_once(database: Database, environment_id: str) -> None:
    uri = RedirectUri(environment_id, new_id(), "https://app.example.test/done?x=1", 1.0)
    await database.transact(lambda tx: store.add_redirect_uri(tx, uri))
    with pytest.raises(IntegrityError):
        await database.transact(lambda tx: store.add_redirect_uri(tx, replace(uri, id=new_id())))
    assert await database.transact(lambda tx: store.list_redirect_uris(tx, environment_id)) == [uri]
    assert not await database.transact(lambda tx: store.delete_redirect_uri(tx, new_id(), uri.id))
    assert await database.transact(lambda tx: store.delete_redirect_uri(tx, environment_id, uri.id))
    assert not await database.transact(lambda tx: store.delete_redirect_uri(tx, environment_id, uri.id))
    assert await database.transact(lambda tx: store.list_redirect_uris(tx, environment_id)) == []


async def test_redirect_uris_are_paged_in_either_direction(database: Database, environment_id: str) -> None:
    made = [RedirectUri(environment_id, new_id(), f"https://app.example.test/{n}", 1.0) for n in range(4)]
    foreign = RedirectUri(new_id(), new_id(), "https://app.example.test/0", 1.0)
    for one in (*made, foreign):
        await database.transact(lambda tx, one=one: store.add_redirect_uri(tx, one))

    async def page(**asked: Any) -> list[RedirectUri]:
        whole = {"limit": 2, "after": None, "before": None, "newest_first": False, **asked}
        return await database.transact(lambda tx: store.page_redirect_uris(tx, environment_id, **whole))

    assert await page() == made[:2]
    assert await page(after=made[1].id) == made[2:]
    assert await page(before=made[3].id) == made[1:3]
    assert await page(newest_first=True) == [made[3], made[2]]
    assert await page(newest_first=True, after=made[2].id) == [made[1], made[0]]

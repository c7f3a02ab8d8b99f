"""Tokens that a consent has brought and nobody is to have end at the provider, and nothing else does."""

import asyncio

import pytest

from holdfast.accounts import Owner, Status
from holdfast.errors import HoldfastError
from holdfast.events import Action
from holdfast.lab.people import PEOPLE
from tests.attacks.app import query_of
from tests.authorization.links import APP, BACK, Linking
from tests.tokens.house import House

ADA, OTHER, NOBODY = PEOPLE[:3]
"""Of the last one there is no account: a grant of theirs is nobody else's."""


@pytest.fixture
async def linking(house: House) -> Linking:
    return Linking(house, await house.connection())


def ended(house: House) -> list[bool]:
    """Tell of each grant, newest first, whether it has ended."""
    return [grant["ended"] is not None for grant in house.sandbox.state()["grants"]]


async def test_a_consent_of_another_person_is_taken_back_and_the_first_one_is_not(linking: Linking) -> None:
    house = linking.house
    house.sandbox.set(auto_consent_as=ADA.sub)
    link = await linking.link(Owner.user("ada"))
    await linking.walk(link, linking.success)
    house.sandbox.set(auto_consent_as=OTHER.sub)
    again = await linking.again(link.account)
    with pytest.raises(Exception, match="sign in there as"):  # the page says what happened, and leads nowhere
        await linking.walk(again, linking.success)
    await house.holdfast.revoker.run()
    assert ended(house) == [True, False]
    account = await house.stored(link.account)
    assert account.status is Status.ACTIVE
    told = [entry for entry in await house.entries(account) if entry.action == Action.ACCOUNT_REVOCATION_DONE]
    assert [entry.data["cause"] for entry in told] == ["consent_refused"]


async def test_a_grant_of_the_same_person_is_not_taken_from_the_account_that_lives_by_it(linking: Linking) -> None:
    """The second sign-in is ended while it is on its way: its tokens may be of one grant with the first one's."""
    house = linking.house
    link = await linking.link(Owner.user("ada"))
    await linking.walk(link, linking.success)
    came = query_of(await linking.walk(await linking.again(link.account, user_verify_url=BACK), BACK))
    with pytest.raises(HoldfastError):
        await linking.verify(came["auth_request_id"], "mallory")
    await house.holdfast.revoker.run()
    assert ended(house) == [False, False]
    skipped = [one for one in await house.entries(link.account) if one.action == Action.ACCOUNT_REVOCATION_SKIPPED]
    assert [entry.data["why"] for entry in skipped] == ["shared"]


async def test_tokens_of_a_user_who_is_not_verified_are_ended(linking: Linking) -> None:
    house = linking.house
    house.sandbox.set(auto_consent_as=NOBODY.sub)
    link = await linking.link(Owner.user("ada"), user_verify_url=BACK)
    came = query_of(await linking.walk(link, BACK))
    with pytest.raises(HoldfastError):
        await linking.verify(came["auth_request_id"], "mallory")
    await house.holdfast.revoker.run()
    assert ended(house) == [True]


async def test_tokens_for_an_account_deleted_while_its_code_was_exchanged_are_ended(linking: Linking) -> None:
    house = linking.house
    house.sandbox.set(auto_consent_as=NOBODY.sub)
    link = await linking.link(Owner.user("ada"), user_verify_url=BACK)
    house.sandbox.set(slow_seconds=0.5)
    walking = asyncio.ensure_future(linking.walk(link, BACK))
    while not house.sandbox.counters()["authorization_code"]:
        await asyncio.sleep(0.01)
    await house.holdfast.keeping.delete(house.environment_id, link.account.id, APP)
    await asyncio.gather(walking, return_exceptions=True)
    await house.holdfast.revoker.run()
    assert ended(house) == [True]

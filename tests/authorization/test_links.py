"""One-time links: from asking for one to a connected account, in a whole house with a scripted browser."""

import asyncio

import pytest

from holdfast.accounts import Owner, Status
from holdfast.authorization import LinkFor
from holdfast.connections.changes import Changes
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.events import Action
from tests.accounts.records import stored_as
from tests.attacks.app import query_of
from tests.authorization.links import APP, BACK, Linking, typed_connection, verified_users
from tests.parts.browser import Browser
from tests.tokens.house import House


@pytest.fixture
async def linking(house: House) -> Linking:
    return Linking(house, await house.connection())


async def test_a_link_makes_a_pending_account_and_completing_it_makes_that_active(linking: Linking) -> None:
    house, owner = linking.house, Owner.user("ada")
    link = await linking.link(owner, state="s")
    assert link.expires_at == house.clock.now() + 60
    pending = await house.stored(link.account)
    assert (pending.status, pending.owner, pending.access) == (Status.PENDING, owner, None)
    assert (await house.read(pending, linking.connection)).why == "not_installed"

    assert await linking.walk(link, linking.success) == linking.success
    active = await house.stored(link.account)
    assert active.status is Status.ACTIVE
    assert house.access_of(active)
    # By name, as the clock stands still.
    assert sorted(await house.happened(active)) == [
        Action.ACCOUNT_CONNECTED,
        Action.ACCOUNT_CREATED,
        Action.CONSENT_GIVEN,
        Action.TOKENS_OBTAINED,
        Action.LINK_CREATED,
    ]
    was = {entry.action: entry.data.get("old_status") for entry in await house.entries(active)}
    assert (was[Action.ACCOUNT_CREATED], was[Action.ACCOUNT_CONNECTED]) == (None, "pending")


async def test_ten_links_at_once_for_one_new_owner_are_for_one_account(linking: Linking) -> None:
    owner = Owner.user("many")
    links = await asyncio.gather(*(linking.link(owner) for _ in range(10)))
    assert len({link.account.id for link in links}) == 1
    assert len({link.url for link in links}) == 10


async def test_a_link_is_kept_as_a_hash(linking: Linking) -> None:
    link = await linking.link(state="the state")
    token = link.url.rsplit("/", 1)[1]
    assert len(token) == 43
    rows = await linking.entries(Action.LINK_CREATED)
    assert token not in repr(rows)


async def test_looking_at_a_link_uses_nothing_up_and_completing_it_does(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as scanner:
        for headers in ({}, {"sec-purpose": "prefetch;prerender"}, {"purpose": "preview"}):
            page = await asyncio.to_thread(scanner.get, link.url, headers=headers, follow=False)
            assert (page.status, page.redirect) == (200, None)
            assert page.headers["referrer-policy"] == "no-referrer"
            assert "set-cookie" not in page.headers
    assert await linking.walk(link, linking.success) == linking.success
    with Browser() as late:
        page = await asyncio.to_thread(late.get, link.url, follow=False)
        assert page.status == 410
        page = await asyncio.to_thread(late.post_form, link.url, {"decision": "continue"}, follow=False)
        assert page.status == 410


async def test_a_link_that_nobody_opens_dies_after_a_minute(linking: Linking) -> None:
    link = await linking.link()
    linking.house.clock.at += 61
    with Browser() as browser:
        assert (await asyncio.to_thread(browser.get, link.url, follow=False)).status == 410
        page = await asyncio.to_thread(browser.post_form, link.url, {"decision": "continue"}, follow=False)
        assert page.status == 410


async def test_a_link_opened_in_time_leaves_its_user_ten_minutes_and_others_nothing(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as browser, Browser() as other:
        page = await asyncio.to_thread(browser.get, link.url, follow=False)
        linking.house.clock.at += 300
        assert (await asyncio.to_thread(other.get, link.url, follow=False)).status == 410
        forged = {"decision": "continue", "opening": f"{int(linking.house.clock.at) + 500}.{'0' * 64}"}
        assert (await asyncio.to_thread(other.post_form, link.url, forged, follow=False)).status == 410
        gone = await asyncio.to_thread(browser.submit, page, follow=False)
        assert gone.redirect is not None
        assert "/lab/sandbox/authorize" in gone.redirect


async def test_starting_again_does_not_prolong_an_attempt(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url, follow=False)
        await asyncio.to_thread(browser.submit, page, follow=False)
        linking.house.clock.at += 590
        begun = await asyncio.to_thread(browser.submit, page, follow=False)
        assert begun.redirect is not None
        linking.house.clock.at += 11
        page = await asyncio.to_thread(browser.get, begun.redirect)
        page = await asyncio.to_thread(browser.submit, page)
        assert (page.status, "took too long" in page.text) == (400, True)
    assert (await linking.house.stored(link.account)).status is Status.PENDING


async def test_a_page_left_open_for_more_than_ten_minutes_is_too_late(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url, follow=False)
        linking.house.clock.at += 601
        assert (await asyncio.to_thread(browser.submit, page, follow=False)).status == 410


async def test_a_link_begun_in_one_browser_cannot_be_gone_on_with_in_another(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as browser, Browser() as other:
        page = await asyncio.to_thread(browser.get, link.url, follow=False)
        begun = await asyncio.to_thread(browser.submit, page, follow=False)
        assert begun.redirect is not None
        assert (await asyncio.to_thread(other.get, link.url, follow=False)).status == 410
        callback = await browser.walk_async(begun.redirect, stop_at=query_of(begun.redirect)["redirect_uri"])
        stolen = await asyncio.to_thread(other.get, callback, follow=False)
        assert stolen.status == 400
        assert "other_browser" in stolen.text
    assert (await linking.house.stored(link.account)).status is Status.PENDING
    assert linking.house.sandbox.counters()["authorization_code"] == 0


@pytest.mark.parametrize("before", ["active", "expired", "revoked", "error"])
async def test_a_new_link_authorises_again_from_any_state(linking: Linking, before: str) -> None:
    house, keeping = linking.house, linking.house.holdfast.keeping
    account = await house.connect(linking.connection)
    if before == "revoked":
        await keeping.revoke(house.environment_id, account.id, APP)
    elif before != "active":
        await stored_as(house, account, Status(before))
    link = await linking.again(account)
    untouched = await house.stored(account)
    assert untouched.status is Status(before)
    if before == "active":
        assert house.access_of(untouched) == house.access_of(account)
        assert (await house.read(account, linking.connection)).secret.reveal() == house.access_of(account)
    await linking.walk(link, linking.success)
    after = await house.stored(account)
    assert after.status is Status.ACTIVE
    assert after.credential_version > untouched.credential_version


async def test_a_paused_account_is_not_resumed_by_a_link(linking: Linking) -> None:
    house = linking.house
    account = await house.connect(linking.connection)
    link = await linking.again(account)
    await house.holdfast.keeping.suspend(house.environment_id, account.id, APP)
    with pytest.raises(Conflict) as caught:
        await linking.again(account)
    assert caught.value.code == "account_suspended"
    with Browser() as browser:  # nor by one made before
        page = await asyncio.to_thread(browser.get, link.url)
        page = await asyncio.to_thread(browser.submit, page)
        page = await asyncio.to_thread(browser.submit, page)
        assert page.status == 400
        assert "paused" in page.text or "suspended" in page.text
    assert (await house.stored(account)).status is Status.SUSPENDED


async def test_a_link_dies_with_its_account(linking: Linking) -> None:
    link = await linking.link()
    house = linking.house
    await house.holdfast.keeping.delete(house.environment_id, link.account.id, APP)
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url)
        page = await asyncio.to_thread(browser.submit, page)
        page = await asyncio.to_thread(browser.submit, page)
        assert page.status == 400
    assert await house.find(link.account) is None


async def test_cancelling_ends_the_link_and_leaves_the_account_as_it_was(linking: Linking) -> None:
    account = await linking.house.connect(linking.connection)
    link = await linking.again(account)
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url)
        page = await asyncio.to_thread(browser.submit, page, deny=True)
        assert (page.status, "Not connected" in page.text) == (400, True)
        assert (await asyncio.to_thread(browser.get, link.url)).status == 410
    assert (await linking.house.stored(account)).version == account.version


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"state": "s" * 513}, "invalid_state"),
        ({"user_verify_url": "javascript:alert(1)"}, "invalid_user_verify_url"),
        ({"user_verify_url": "https://user@evil.test/"}, "invalid_user_verify_url"),
        ({"user_verify_url": "https:\\\\evil.test"}, "invalid_user_verify_url"),
        ({"user_verify_url": "//evil.test"}, "invalid_user_verify_url"),
        ({"user_verify_url": "https://a.test/\r\nx: y"}, "invalid_user_verify_url"),
        ({"user_verify_url": "https://a.test/" + "a" * 2048}, "invalid_user_verify_url"),
    ],
)
async def test_what_cannot_be_carried_is_refused_at_once(linking: Linking, more: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        await linking.link(**more)
    assert caught.value.code == code


async def test_links_are_for_connections_and_accounts_of_ones_own_environment(linking: Linking) -> None:
    house = linking.house
    account = await house.connect(linking.connection)
    stranger = LinkFor(environment_id="0" * 26, actor=APP, account_id=account.id)
    with pytest.raises(Exception, match=r"no data key|no such connected account"):
        await house.holdfast.links.make(stranger)
    with pytest.raises(NotFound):
        await house.holdfast.links.make(
            LinkFor(environment_id=house.environment_id, actor=APP, name="no-such", owner=Owner.user("u"))
        )


async def test_nobody_connects_a_delegated_account_in_a_browser(house: House) -> None:
    connection = await typed_connection(house, {}, method="delegated")
    with pytest.raises(Unprocessable):
        await Linking(house, connection).link()


# The redirect URI that names its connection by id


async def test_a_connection_may_have_its_redirect_uri_by_id(house: House) -> None:
    connection = await house.connection(callback_by_id=True)
    linking = Linking(house, connection)
    link = await linking.link()
    with Browser() as browser:
        await browser.walk_async(link.url, stop_at=linking.success)
        path = f"/sso/v1/oauth/conn_{connection.id}/callback"
        assert any(path in url for url in browser.visited)
    assert (await house.stored(link.account)).status is Status.ACTIVE


async def test_a_code_cannot_be_brought_to_another_redirect_uri_than_it_was_asked_for_at(house: House) -> None:
    linking = Linking(house, await house.connection(callback_by_id=True))
    other = await house.connection(callback_by_id=True)
    link = await linking.link()
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url)
        callback = await browser.walk_async(
            (await asyncio.to_thread(browser.submit, page, follow=False)).redirect or "",
            stop_at=house.holdfast.config.base_url + "/sso/",
        )
        query = callback.partition("?")[2]
        base, mine = house.holdfast.config.base_url, linking.connection
        for path in (
            f"/sso/v1/oauth/conn_{other.id}/callback",
            f"/sso/v1/oauth/conn_{'0' * 26}/callback",
            f"/data-integrations/{mine.name}/dik_{mine.callback_key}/callback",
        ):
            page = await asyncio.to_thread(browser.get, f"{base}{path}?{query}", follow=False)
            assert (page.status, page.redirect) == (400, None), path
        assert house.sandbox.counters()["authorization_code"] == 0
        changes = Changes(callback_by_id=False)
        await house.connections.update(house.environment_id, mine.name, "user", changes, APP)
        assert (await asyncio.to_thread(browser.get, callback, follow=False)).status == 400


# Verifying the user


async def _consented(linking: Linking, **more: str) -> tuple[str, str]:
    """Walk a link to the app's page; return the account's id and where the browser came out."""
    link = await linking.link(Owner.user("ada"), user_verify_url=BACK, **more)
    return link.account.id, await linking.walk(link, BACK)


async def test_until_its_user_is_verified_an_account_is_verifying_and_nothing_is_handed_out(linking: Linking) -> None:
    house = linking.house
    link = await linking.link(Owner.user("ada"), user_verify_url=f"{BACK}?a=1#top", state="x&y")
    came = await linking.walk(link, BACK)
    assert came.startswith(f"{BACK}?a=1&auth_request_id=")
    assert came.endswith("&state=x%26y#top")
    account = await house.stored(link.account)
    assert (account.status, account.access, account.grant) == (Status.VERIFYING, None, None)
    assert (await house.read(account, linking.connection)).why == "not_installed"
    told = query_of(came)
    assert await linking.verify(told["auth_request_id"], "ada") == linking.success
    account = await house.stored(account)
    assert account.status is Status.ACTIVE
    assert (await house.read(account, linking.connection)).secret.reveal() == house.access_of(account)
    happened = await house.happened(account)
    assert Action.ACCOUNT_VERIFYING in happened
    with pytest.raises(NotFound, match="auth request not found or no longer valid"):
        await linking.verify(told["auth_request_id"], "ada")


async def test_without_a_state_none_is_added(linking: Linking) -> None:
    _, came = await _consented(linking)
    assert set(query_of(came)) == {"auth_request_id"}


async def test_another_identifier_ends_the_attempt(linking: Linking) -> None:
    account_id, came = await _consented(linking)
    request = query_of(came)["auth_request_id"]
    with pytest.raises(Exception, match="not the user") as caught:
        await linking.verify(request, "mallory")
    assert caught.value.code == "identifier_mismatch"  # type: ignore[attr-defined]
    with pytest.raises(NotFound):
        await linking.verify(request, "ada")
    account, _ = await linking.house.holdfast.keeping.get(linking.house.environment_id, account_id)
    assert (account.status, account.access) == (Status.VERIFYING, None)
    assert (await linking.entries(Action.VERIFICATION_REFUSED))[0].account_id == account_id
    again = await linking.link(Owner.user("ada"), user_verify_url=BACK)
    told = query_of(await linking.walk(again, BACK))
    await linking.verify(told["auth_request_id"], "ada")
    assert (await linking.house.stored(account)).status is Status.ACTIVE


async def test_an_auth_request_ends_after_ten_minutes(linking: Linking) -> None:
    _, came = await _consented(linking)
    linking.house.clock.at += 601
    with pytest.raises(NotFound, match="no longer valid"):
        await linking.verify(query_of(came)["auth_request_id"], "ada")


async def test_of_ten_verifications_at_once_one_connects(linking: Linking) -> None:
    _, came = await _consented(linking)
    request = query_of(came)["auth_request_id"]
    got = await asyncio.gather(*(linking.verify(request, "ada") for _ in range(10)), return_exceptions=True)
    assert [item for item in got if isinstance(item, str)] == [linking.success]
    assert all(isinstance(item, NotFound) for item in got if not isinstance(item, str))


async def test_an_auth_request_is_no_connect_code_nor_the_reverse(linking: Linking) -> None:
    with pytest.raises(NotFound):
        await linking.verify("x" * 43, "ada")
    with pytest.raises(NotFound):
        await linking.verify("", "")


async def test_an_active_account_keeps_its_credential_until_the_user_is_verified(linking: Linking) -> None:
    house = linking.house
    account = await house.connect(linking.connection, owner=Owner.user("grace"))
    link = await linking.again(account, user_verify_url=BACK)
    told = query_of(await linking.walk(link, BACK))
    meanwhile = await house.stored(account)
    assert meanwhile.status is Status.ACTIVE
    assert (await house.read(account, linking.connection)).secret.reveal() == house.access_of(account)
    await linking.verify(told["auth_request_id"], "grace")
    after = await house.stored(account)
    assert house.access_of(after) != house.access_of(account)


async def test_where_users_are_verified_a_link_without_an_address_says_so_before_consent(linking: Linking) -> None:
    async with verified_users(linking.house):
        link = await linking.link()
        with Browser() as browser:
            page = await asyncio.to_thread(browser.get, link.url)
            assert page.status == 400
            assert "user_verify_url not configured for verification redirect" in page.text
        link = await linking.link(Owner.user("eve"), user_verify_url=BACK)
        told = query_of(await linking.walk(link, BACK))
        assert (await linking.house.stored(link.account)).status is Status.VERIFYING
        await linking.verify(told["auth_request_id"], "eve")


async def test_where_users_are_verified_from_now_on_a_consent_under_way_connects_nothing(linking: Linking) -> None:
    link = await linking.link()
    with Browser() as browser:
        page = await asyncio.to_thread(browser.get, link.url)
        page = await asyncio.to_thread(browser.submit, page)
        async with verified_users(linking.house):
            page = await asyncio.to_thread(browser.submit, page)
    assert page.status == 400
    assert "user_verify_url not configured" in page.text
    assert (await linking.house.stored(link.account)).status is Status.PENDING

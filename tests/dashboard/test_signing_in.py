"""Signing in: the cookie, wrong passwords, one-time links, and the last owner."""

from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from holdfast.access.administrators import Role, store
from holdfast.app import build
from holdfast.cli.serve import running
from holdfast.clock import FrozenClock
from holdfast.config import Config, with_address
from holdfast.errors import Conflict, Refused
from tests.dashboard.conftest import Place
from tests.dashboard.person import PASSWORD, Person, owner_of, person, with_role
from tests.storage.engines import fresh_url

__all__ = ["fresh_url"]


async def _sign_in(person: Person, email: str, password: str) -> httpx2.Response:
    return await person.post("/dashboard/sign-in", {"email": email, "password": password})


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(place: Place) -> None:
    async with Person(place.holdfast.config.base_url, "") as person:
        reply = await _sign_in(person, "ada@example.com", PASSWORD)
        assert reply.status_code == 303
        name, *attributes = reply.headers["set-cookie"].lower().split("; ")
        assert name.startswith("holdfast-admin=")
        assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
        assert not any(item.startswith("domain") for item in attributes)
        assert (await person.get("/dashboard/default")).status_code == 200
        await person.post("/dashboard/sign-out")
        assert (await person.get("/dashboard/default")).status_code == 303


async def test_on_https_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    config = with_address(Config(data_dir=tmp_path, base_url="https://connect.example.com"), 443)
    holdfast = await build(config, FrozenClock(1_800_000_000.0))
    try:
        await owner_of(holdfast)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=holdfast.app), base_url="https://connect.example.com"
        ) as client:
            reply = await client.post("/dashboard/sign-in", data={"email": "ada@example.com", "password": PASSWORD})
        assert reply.headers["set-cookie"].startswith("__Host-holdfast-admin=")
        assert "; Secure" in reply.headers["set-cookie"]
    finally:
        await holdfast.close()


async def test_a_session_ends_when_it_rests_for_two_hours_and_after_twelve_in_any_case(tmp_path: Path) -> None:
    clock = FrozenClock()
    holdfast = await build(Config(dev=True, data_dir=tmp_path, port=0), clock)
    try:
        owner, signing_in = await owner_of(holdfast), holdfast.signing_in
        resting = (await signing_in.admit(owner, "test")).reveal()
        clock.advance(2 * 3600 - 1)
        assert await signing_in.who(resting) is not None
        clock.advance(2 * 3600 + 1)
        assert await signing_in.who(resting) is None
        busy = (await signing_in.admit(owner, "test")).reveal()
        for _ in range(12):
            assert await signing_in.who(busy) is not None
            clock.advance(3600)
        assert await signing_in.who(busy) is not None
        clock.advance(1)
        assert await signing_in.who(busy) is None
    finally:
        await holdfast.close()


async def test_a_new_password_a_lesser_role_and_being_switched_off_tell_on_open_sessions(
    fresh_url: str, tmp_path: Path
) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0, database=fresh_url)) as (holdfast, _):
        owner, people = await owner_of(holdfast), holdfast.people
        other = await with_role(holdfast, owner, Role.DEVELOPER)
        async with await person(holdfast, other) as here, await person(holdfast, other) as there:
            new = {"old_password": PASSWORD, "password": "another horse battery"}
            assert (await here.post("/dashboard/default/me", new)).status_code == 303
            assert (await here.get("/dashboard/default")).status_code == 200
            assert "sign-in" in (await there.get("/dashboard/default")).headers["location"]
            assert (await here.get("/dashboard/default/accounts/new")).status_code == 200
            await people.change_role(other.id, Role.VIEWER, owner)
            assert (await here.get("/dashboard/default/accounts/new")).status_code == 403
            await people.set_disabled(other.id, True, owner)
            assert "sign-in" in (await here.get("/dashboard/default")).headers["location"]
            await people.set_disabled(other.id, False, owner)
            assert "sign-in" in (await here.get("/dashboard/default")).headers["location"], "it was ended"


async def test_a_wrong_password_and_an_unknown_address_look_the_same(place: Place) -> None:
    async with Person(place.holdfast.config.base_url, "") as person:
        wrong = await _sign_in(person, "viewer@example.com", "not this one at all")
        unknown = await _sign_in(person, "nobody@example.com", "not this one at all")
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.text.replace("viewer@", "nobody@") == unknown.text


async def test_wrong_passwords_slow_the_account_down_and_a_right_one_does_not_help_meanwhile(tmp_path: Path) -> None:
    clock = FrozenClock(1_800_000_000.0)
    holdfast = await build(with_address(Config(dev=True, data_dir=tmp_path), 8080), clock)
    try:
        await owner_of(holdfast)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=holdfast.app), base_url=holdfast.config.base_url
        ) as client:

            async def enter(password: str) -> int:
                fields = {"email": "ada@example.com", "password": password}
                return (await client.post("/dashboard/sign-in", data=fields)).status_code

            tried = [await enter("wrong password one") for _ in range(6)]
            assert tried == [401] * 5 + [429]
            assert await enter(PASSWORD) == 429
            clock.advance(3)
            assert await enter(PASSWORD) == 303
    finally:
        await holdfast.close()


async def test_a_link_can_be_looked_at_and_used_once(place: Place) -> None:
    _, token = await place.holdfast.people.invite("grace@example.com", Role.VIEWER, place.owner)
    path = f"/dashboard/welcome/{token.reveal()}"
    async with Person(place.holdfast.config.base_url, "") as person:
        assert (await person.get(path)).status_code == (await person.get(path)).status_code == 200
        short = await person.post(path, {"name": "Grace Hopper", "password": "short"})
        assert short.status_code == 422
        assert 'id="password-problem"' in short.text
        assert 'value="Grace Hopper"' in short.text
        assert (await person.post(path, {"name": "Grace Hopper", "password": PASSWORD})).status_code == 303
    async with Person(place.holdfast.config.base_url, "") as other:
        assert (await other.post(path, {"name": "Mallory", "password": PASSWORD})).status_code == 404
        assert (await other.get(path)).status_code == 404


async def test_the_last_owner_can_neither_be_made_less_nor_switched_off(place: Place, owner: Person) -> None:
    people = f"/dashboard/default/people/{place.owner.id}"
    assert (await owner.post(f"{people}/role", {"role": "viewer"})).status_code == 409
    assert (await owner.post(f"{people}/disable")).status_code == 409
    with pytest.raises(Conflict):
        await place.holdfast.people.change_role(place.owner.id, Role.ADMIN, place.owner)
    assert (await owner.get("/dashboard/default")).status_code == 200


async def test_signing_in_leads_to_pages_of_the_dashboard_only(place: Place) -> None:
    for where in (
        "https://elsewhere.test/dashboard/",
        "//elsewhere.test/dashboard/",
        "/dashboard\\..\\x",
        "/lab",
        "//[",
    ):
        async with Person(place.holdfast.config.base_url, "") as person:
            fields = {"email": "ada@example.com", "password": PASSWORD, "next": where}
            reply = await person.post("/dashboard/sign-in", fields)
            assert reply.headers["location"] == "/dashboard/default"


async def test_an_administrator_takes_no_owners_invitation_back(place: Place) -> None:
    people, database = place.holdfast.people, place.holdfast.database
    invitation, _ = await people.invite("second@example.com", Role.OWNER, place.owner)
    admin = replace(place.owner, role=Role.ADMIN)
    with pytest.raises(Refused):
        await people.withdraw(invitation.id, admin)
    with pytest.raises(Refused):
        await people.invite("second@example.com", Role.VIEWER, admin)
    assert [one.id for one in await database.transact(store.open_invitations)] == [invitation.id]
    assert await people.withdraw(invitation.id, place.owner)
    assert await database.transact(store.open_invitations) == []


async def test_an_address_with_a_zero_byte_is_refused_like_any_other_mistake(fresh_url: str, tmp_path: Path) -> None:
    """PostgreSQL takes no zero byte in a text, not even to look for one."""
    async with running(Config(dev=True, data_dir=tmp_path, port=0, database=fresh_url)) as (holdfast, _):
        async with httpx2.AsyncClient(base_url=holdfast.config.base_url) as anybody:
            form = {"email": "a\0@example.com", "password": "correct horse battery"}
            reply = await anybody.post("/dashboard/sign-in", data=form)
    assert reply.status_code == 422
    assert "cannot be read" in reply.text

"""Tokens that an app brings along: what each combination means, as a table, in a whole house."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from holdfast.accounts import Account, IdempotentUse, Owner, Reason, Status
from holdfast.accounts.imports import Tokens
from holdfast.connections import Connection
from holdfast.errors import Conflict, Unavailable, Unprocessable
from holdfast.events import Action, Actor
from holdfast.ids import opaque
from holdfast.secret import Secret
from tests.tokens.house import House

HOUR = 3600.0
ACCESS, REFRESH = Secret("access-from-the-app"), Secret("refresh-from-the-app")


@dataclass
class App:
    """An app that imports tokens for one owner."""

    house: House
    connection: Connection
    owner: Owner

    async def create(self, idempotency: IdempotentUse | None = None, **tokens: Any) -> Account:
        return await self.house.imports.create(
            self.house.environment_id,
            self.connection.name,
            self.owner,
            self._tokens(tokens),
            intent="create",
            acting_user=None,
            actor=Actor("api_key", "key"),
            idempotency=idempotency,
            request_id="",
        )

    async def update(self, **tokens: Any) -> Account:
        return await self.house.imports.update(
            self.house.environment_id,
            self.connection.name,
            self.owner,
            self._tokens(tokens),
            account_id=None,
            acting_user=None,
            actor=Actor("api_key", "key"),
            request_id="",
        )

    def _tokens(self, given: dict[str, Any]) -> Tokens:
        if isinstance(given.get("expires_at"), float):
            given["expires_at"] += self.house.clock.now()
        return Tokens(**given)


@pytest.fixture
async def app(house: House) -> App:
    return App(house, await house.connection(scopes=("read", "offline")), Owner.user("user_" + opaque(10)))


@pytest.mark.parametrize(
    ("given", "status", "ends", "renewable", "scopes"),
    [
        ({}, Status.EXPIRED, None, False, ()),
        ({"access": ACCESS}, Status.ACTIVE, None, False, ("read", "offline")),
        ({"access": ACCESS, "expires_at": None}, Status.ACTIVE, None, False, ("read", "offline")),
        ({"access": ACCESS, "refresh": REFRESH}, Status.ACTIVE, None, True, ("read", "offline")),
        (
            {"access": ACCESS, "refresh": REFRESH, "expires_at": HOUR},
            Status.ACTIVE,
            HOUR,
            True,
            ("read", "offline"),
        ),
        ({"access": ACCESS, "scopes": ["a", "b"]}, Status.ACTIVE, None, False, ("a", "b")),
        ({"access": ACCESS, "status": Status.EXPIRED}, Status.EXPIRED, None, False, ("read", "offline")),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
async def test_what_the_tokens_say_of_a_new_account(
    app: App, given: dict[str, Any], status: Status, ends: float | None, renewable: bool, scopes: tuple[str, ...]
) -> None:
    account = await app.create(**dict(given))
    assert account.status is status
    assert account.expires_at == (None if ends is None else app.house.clock.now() + ends)
    assert (account.grant is not None) is renewable
    assert account.scopes == scopes
    assert app.house.requests == 0
    connected = status is Status.ACTIVE
    action = Action.ACCOUNT_CONNECTED if connected else Action.ACCOUNT_REAUTHORIZATION_NEEDED
    assert await app.house.happened(account) == [action]


@pytest.mark.parametrize("given", [{"access": ACCESS, "expires_at": HOUR}, {"expires_at": HOUR}])
async def test_combinations_that_mean_nothing_are_refused(app: App, given: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as raised:
        await app.create(**dict(given))
    assert raised.value.code == "invalid_token_combination"


async def test_a_refresh_token_alone_is_used_at_once(app: App) -> None:
    issued = app.house.consent("read", "offline")
    account = await app.create(refresh=Secret(issued.refresh_token))
    assert account.status is Status.ACTIVE
    assert account.expires_at == app.house.clock.now() + 3600
    assert app.house.requests == 1
    assert app.house.grant_of(account) not in (issued.refresh_token, "")


async def test_a_repeated_import_does_not_use_the_refresh_token_again(app: App) -> None:
    issued, use = app.house.consent("read", "offline"), IdempotentUse(opaque(20), "fingerprint")
    first = await app.create(use, refresh=Secret(issued.refresh_token))
    assert await app.create(use, refresh=Secret(issued.refresh_token)) == first
    assert app.house.requests == 1


async def test_an_import_that_will_be_refused_uses_nothing_up(app: App) -> None:
    await app.create(access=ACCESS)
    issued = app.house.consent("read", "offline")
    with pytest.raises(Conflict):
        await app.create(refresh=Secret(issued.refresh_token))
    assert app.house.requests == 0


async def test_a_refresh_token_that_the_provider_refuses_is_refused(app: App) -> None:
    with pytest.raises(Unprocessable) as raised:
        await app.create(refresh=REFRESH)
    assert raised.value.code == "invalid_refresh_token"
    assert REFRESH.reveal() not in raised.value.message


async def test_a_refresh_token_is_not_refused_because_the_provider_is_down(app: App) -> None:
    app.house.sandbox.set(fail_next={"status": 503, "count": 1})
    with pytest.raises(Unavailable):
        await app.create(refresh=REFRESH)


@pytest.mark.parametrize(
    ("given", "access", "grant", "ends", "scopes"),
    [
        ({"label": "Work"}, "old", "old-grant", HOUR, ("read",)),
        ({"scopes": ["a"]}, "old", "old-grant", HOUR, ("a",)),
        ({"scopes": None}, "old", "old-grant", HOUR, ()),
        ({"access": ACCESS}, ACCESS.reveal(), "old-grant", None, ("read",)),
        ({"access": ACCESS, "expires_at": 60.0}, ACCESS.reveal(), "old-grant", 60.0, ("read",)),
        ({"access": ACCESS, "refresh": REFRESH}, ACCESS.reveal(), REFRESH.reveal(), None, ("read",)),
        ({"expires_at": 60.0}, "old", "old-grant", 60.0, ("read",)),
        ({"expires_at": None}, "old", "old-grant", None, ("read",)),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
async def test_what_is_not_mentioned_stays(
    app: App, given: dict[str, Any], access: str, grant: str, ends: float | None, scopes: tuple[str, ...]
) -> None:
    before = await app.create(
        access=Secret("old"), refresh=Secret("old-grant"), expires_at=HOUR, scopes=["read"], label="Home"
    )
    after = await app.update(**dict(given))
    stored = await app.house.stored(before)
    assert replace(stored, version=after.version) == after
    assert (app.house.access_of(stored), app.house.grant_of(stored)) == (access, grant)
    assert stored.expires_at == (None if ends is None else app.house.clock.now() + ends)
    assert stored.scopes == scopes
    assert stored.label == given.get("label", "Home")
    replaced = stored.credential_version != before.credential_version
    expected = Action.CREDENTIAL_REPLACED if replaced else Action.ACCOUNT_UPDATED
    assert (await app.house.happened(before))[-1] is expected


async def test_an_account_without_tokens_cannot_be_called_connected(app: App) -> None:
    account = await app.create()
    assert (account.status, account.reason) == (Status.EXPIRED, Reason.NO_CREDENTIAL)
    with pytest.raises(Unprocessable) as raised:
        await app.update(status=Status.ACTIVE)
    assert raised.value.code == "invalid_data_integration_state"
    connected = await app.update(access=ACCESS)
    assert (connected.status, connected.reason) == (Status.ACTIVE, None)
    assert (await app.house.happened(account))[-1] is Action.ACCOUNT_CONNECTED


async def test_an_app_may_say_that_an_account_needs_its_owner_and_take_it_back(app: App) -> None:
    account = await app.create(access=ACCESS)
    ended = await app.update(status=Status.EXPIRED)
    assert (ended.status, ended.reason) == (Status.EXPIRED, Reason.SET_BY_APP)
    back = await app.update(status=Status.ACTIVE)
    assert (back.status, back.reason) == (Status.ACTIVE, None)
    assert await app.house.happened(account) == [
        Action.ACCOUNT_CONNECTED,
        Action.ACCOUNT_REAUTHORIZATION_NEEDED,
        Action.ACCOUNT_CONNECTED,
    ]


async def test_imported_tokens_are_refreshed_like_any_other(app: App) -> None:
    issued = app.house.consent("read", "offline")
    account = await app.create(
        access=Secret(issued.access_token), refresh=Secret(issued.refresh_token), expires_at=HOUR
    )
    await app.house.expire(account)
    read = await app.house.read(account, app.connection)
    assert read.secret.reveal() != issued.access_token
    assert app.house.requests == 1

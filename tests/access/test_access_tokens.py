"""Signed tokens of clients: their end, the rotation of what signs them, and revocation, on both engines."""

import base64
import json
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from holdfast import ids
from holdfast.access import AccessTokens, Clients, Keys
from holdfast.access.clients import client_id
from holdfast.access.principal import ApiKey
from holdfast.access.signing_key import SIGNS_FOR
from holdfast.access.tokens import TOKEN_SECONDS
from holdfast.clock import FrozenClock
from holdfast.errors import Unauthenticated
from holdfast.events import Actor
from holdfast.secret import Secret
from holdfast.storage import Database
from holdfast.vault import LocalKeyFile, Vault

ISSUER = "https://connect.example.com"
OPERATOR = Actor("operator")


class House:
    """One process's clients and tokens; a second one on the same database is another replica."""

    def __init__(self, database: Database, vault: Vault, clock: FrozenClock) -> None:
        self.database, self.vault, self.clock = database, vault, clock
        self.clients = Clients(database, vault, clock)
        self.tokens = AccessTokens(database, vault, clock, Keys(database, vault, clock), issuer=ISSUER)

    async def sign_in(self, environment_id: str) -> tuple[ApiKey, str]:
        client, secret = await self.clients.create(environment_id, "sdk", OPERATOR)
        assert await self.clients.authenticate(client_id(client), secret) == client
        token, seconds = await self.tokens.issue(client, client_id(client))
        assert seconds == TOKEN_SECONDS
        return client, token.reveal()


@pytest.fixture
async def house(database: Database, tmp_path: Path, environment_id: str) -> House:
    clock = FrozenClock()
    path = tmp_path / "holdfast.key"
    LocalKeyFile.create(path)
    vault = Vault(database, LocalKeyFile.load(path), clock)
    await vault.add_environment(environment_id)
    return House(database, vault, clock)


async def test_a_token_stands_for_its_client_until_it_ends(house: House, environment_id: str) -> None:
    client, token = await house.sign_in(environment_id)
    found = await house.tokens.authenticate(token)
    assert (found.environment_id, found.key_id) == (environment_id, client.id)
    assert house.tokens.recall(token) == found
    house.clock.advance(TOKEN_SECONDS - 1)
    assert await house.tokens.authenticate(token) == found
    house.clock.advance(1)
    assert house.tokens.recall(token) is None
    with pytest.raises(Unauthenticated):
        await house.tokens.authenticate(token)


async def test_a_former_key_is_published_until_its_last_token_is_dead(house: House, environment_id: str) -> None:
    _, first = await house.sign_in(environment_id)
    house.clock.advance(SIGNS_FOR - 1)
    _, last = await house.sign_in(environment_id)
    house.clock.advance(1)
    _, new = await house.sign_in(environment_id)
    assert _kid(first) == _kid(last) != _kid(new)
    published = await _published(house)
    assert {_kid(last), _kid(new)} <= published
    assert (await house.tokens.authenticate(last)).environment_id == environment_id
    house.clock.advance(TOKEN_SECONDS + 60)
    assert _kid(last) not in await _published(house)


async def test_another_process_signs_with_the_same_key_and_believes_its_tokens(
    house: House, environment_id: str
) -> None:
    _, token = await house.sign_in(environment_id)
    other = House(house.database, house.vault, house.clock)
    _, theirs = await other.sign_in(environment_id)
    assert _kid(token) == _kid(theirs)
    assert (await other.tokens.authenticate(token)).environment_id == environment_id


async def test_rotating_by_hand_leaves_living_tokens_alone(house: House, environment_id: str) -> None:
    _, before = await house.sign_in(environment_id)
    await house.tokens.rotate(environment_id, OPERATOR)
    _, after = await house.sign_in(environment_id)
    assert _kid(before) != _kid(after)
    for token in (before, after):
        await house.tokens.authenticate(token)


async def test_a_revoked_client_stops_at_once_in_every_process(house: House, environment_id: str) -> None:
    client, token = await house.sign_in(environment_id)
    other = House(house.database, house.vault, house.clock)
    await other.tokens.authenticate(token)
    assert await house.clients.revoke(environment_id, client.id, OPERATOR)
    assert not await house.clients.revoke(environment_id, client.id, OPERATOR)
    for process in (house, other):
        with pytest.raises(Unauthenticated):
            await process.tokens.authenticate(token)


@pytest.mark.parametrize("change", [{"typ": "JWT"}, {"kid": ids.new_id()}, {"kid": "../x"}, {"alg": "HS256"}])
async def test_a_token_of_another_type_key_or_algorithm_is_refused(
    house: House, environment_id: str, change: dict[str, str]
) -> None:
    """Among them what the same key signs for another purpose: it has another type."""
    client, token = await house.sign_in(environment_id)
    _, key = await house.tokens._signer(environment_id, house.clock.now())
    header = {"alg": "RS256", "typ": "at+jwt", "kid": _kid(token), **change}
    claims = {"iss": ISSUER, "sub": client_id(client), "exp": int(house.clock.now()) + 60}
    good = jwt.encode({"alg": "RS256", "typ": "at+jwt", "kid": _kid(token)}, claims, key, algorithms=["RS256"])
    await house.tokens.authenticate(good)
    if header["alg"] == "RS256":
        bad = jwt.encode(header, claims, key, algorithms=["RS256"])
    else:
        bad = good.replace(good.split(".")[0], _b64(header))
    with pytest.raises(Unauthenticated):
        await house.tokens.authenticate(bad)


async def test_a_client_is_known_by_its_own_id_only(house: House, environment_id: str) -> None:
    _, secret = await house.clients.create(environment_id, "one", OPERATOR)
    other, _ = await house.clients.create(environment_id, "two", OPERATOR)
    for name, text in ((client_id(other), secret), ("", secret), (client_id(other), Secret("scs_" + "x" * 500))):
        with pytest.raises(Unauthenticated):
            await house.clients.authenticate(name, text)


async def _published(house: House) -> set[str]:
    found = await house.tokens.jwks()
    KeySet.import_key_set(found)
    assert all(set(key) <= {"kty", "n", "e", "kid", "use", "alg"} for key in found["keys"])
    return {key["kid"] for key in found["keys"]}


def _kid(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def _b64(header: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")

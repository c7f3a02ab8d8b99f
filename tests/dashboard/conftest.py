"""One server for the pages' tests: a connection to the sandbox, an account, and somebody of each role."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from holdfast.access.administrators import Administrator, Role
from holdfast.accounts import Account, Given, OAuthCredential, Owner
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.secret import Secret
from tests.dashboard.person import Person, owner_of, person, with_role

ACCESS, REFRESH = "at_never-on-a-page-7311", "rt_never-on-a-page-7312"


@dataclass(frozen=True)
class Place:
    holdfast: Holdfast
    owner: Administrator
    people: dict[Role, Administrator]
    connection: Connection

    async def as_role(self, role: Role) -> Person:
        return await person(self.holdfast, self.people[role])

    async def account(self, user: str, **given: object) -> Account:
        """Make an active account of this user."""
        h = self.holdfast
        credential = OAuthCredential(
            Secret(ACCESS), Secret(REFRESH), expires_at=h.clock.now() + 3600, scopes=("read", "write")
        )
        return await h.keeping.create(
            h.environment.id,
            self.connection.name,
            Owner.user(user),
            Given(credential=credential, **given),  # type: ignore[arg-type]
            self.owner.actor(),
        )


async def connect_sandbox(holdfast: Holdfast, owner: Administrator) -> Connection:
    assert holdfast.sandbox is not None
    await holdfast.connections.create(
        holdfast.environment.id,
        NewConnection(
            provider_slug="sandbox",
            owner_kind="user",
            method="oauth",
            client_supply="custom",
            client=ClientInput(holdfast.sandbox.client_id, holdfast.sandbox.client_secret),
            scopes=None,
            enabled=True,
        ),
        owner.actor(),
    )
    return (await holdfast.database.transact(lambda tx: connection_store.all_of(tx, holdfast.environment.id)))[0]


@pytest.fixture(scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with running(Config(dev=True, data_dir=tmp_path_factory.mktemp("dashboard"), port=0)) as (holdfast, _):
        owner = await owner_of(holdfast)
        people = {Role.OWNER: owner}
        for role in (Role.ADMIN, Role.DEVELOPER, Role.VIEWER):
            people[role] = await with_role(holdfast, owner, role)
        yield Place(holdfast, owner, people, await connect_sandbox(holdfast, owner))


@pytest.fixture(scope="session")
async def owner(place: Place) -> AsyncIterator[Person]:
    async with await place.as_role(Role.OWNER) as signed_in:
        yield signed_in


@pytest.fixture(scope="session")
async def viewer(place: Place) -> AsyncIterator[Person]:
    async with await place.as_role(Role.VIEWER) as signed_in:
        yield signed_in

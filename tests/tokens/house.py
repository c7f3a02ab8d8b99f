"""A whole Holdfast on a frozen clock, with the sandbox served over loopback: what the rooms above the stores are
tested in. Everything in it is the product's own, wired by `app.build`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from sqlalchemy import select
from starlette.types import ASGIApp

from holdfast.accounts import Account, Accounts, ClientCredential, Connecting, OAuthCredential, Owner
from holdfast.accounts import store as account_store
from holdfast.accounts.imports import Imports, Tokens
from holdfast.accounts.removal import Removal
from holdfast.app import Holdfast, build
from holdfast.cli.serve import bind, uvicorn_config
from holdfast.clock import FrozenClock
from holdfast.config import Config, with_address
from holdfast.connections import ClientFactory, Connection, Connections, Effective
from holdfast.connections.changes import Changes, NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.errors import Conflict
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.gathered import each
from holdfast.ids import opaque
from holdfast.lab import Sandbox, sandbox_provider
from holdfast.lab.asking import Asked
from holdfast.lab.people import PEOPLE
from holdfast.lab.sandbox import Issued
from holdfast.providers.entry import Lifetime, Method
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.tokens import Ask, TokenReader
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES

SPACING = 0.2
"""Seconds between two refusals of a grant: short, and long enough to do something in between."""
ROTATING = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead")
_BACK = "http://localhost/callback"


@dataclass(frozen=True, kw_only=True)
class House:
    holdfast: Holdfast
    clock: FrozenClock
    sandbox: Sandbox
    factory: ClientFactory
    reader: TokenReader

    @property
    def connections(self) -> Connections:
        return self.holdfast.accounts.connections

    @property
    def accounts(self) -> Accounts:
        return self.holdfast.accounts

    @property
    def imports(self) -> Imports:
        return Imports(self.accounts, self.factory)

    @property
    def removal(self) -> Removal:
        return Removal(self.accounts)

    @property
    def environment_id(self) -> str:
        return self.holdfast.environment.id

    @property
    def requests(self) -> int:
        """Return how many refresh requests the provider has seen."""
        return self.sandbox.counters()["refresh_token"]

    async def connection(
        self,
        *,
        method: Method = "oauth",
        lifetime: Lifetime = ROTATING,
        secret: Secret | None = None,
        dialect: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Connection:
        """Make a connection of its own to the sandbox, whose entry may say something else of it."""
        entry = sandbox_provider(self.holdfast.config.base_url + "/lab/sandbox", lifetime=lifetime)
        assert entry.oauth2 is not None
        entry = msgspec.structs.replace(
            entry,
            slug=f"sandbox-{opaque(20).lower()}",
            custom=True,
            oauth2=msgspec.structs.replace(entry.oauth2, **(dialect or {})),
        )
        oauth = method == "oauth"
        client = ClientInput(self.sandbox.client_id, secret or self.sandbox.client_secret)
        return await self.connections.create(
            self.environment_id,
            NewConnection(
                provider_slug=entry.slug,
                method=method,
                client_supply="custom" if oauth else None,
                client=client if oauth else None,
                enabled=True,
                definition=entry,
                **more,
            ),
            Actor.system(),
        )

    def consent(self, *scopes: str) -> Issued:
        """Ada allows the app what it asks for, and the code is swapped for tokens."""
        asked = Asked(redirect_uri=_BACK, state=None, scopes=scopes or ("read", "offline"), challenge=None)
        code = self.sandbox.consent(asked, PEOPLE[0], asked.scopes)
        assert code is not None
        issued = self.sandbox.redeem(code, _BACK, None)
        assert isinstance(issued, Issued)
        return issued

    async def built_in_connection(self) -> Connection:
        """Return the one connection to the sandbox as if the catalogue had it, as it was first made."""
        new = NewConnection(
            provider_slug="sandbox",
            client_supply="custom",
            client=ClientInput(self.sandbox.client_id, self.sandbox.client_secret),
            scopes=("read", "offline"),
            enabled=True,
        )
        try:
            return await self.connections.create(self.environment_id, new, Actor("operator"))
        except Conflict:
            changes = Changes(scopes=("read", "offline"), required_scopes=())
            return await self.connections.update(self.environment_id, "sandbox", "user", changes, Actor("operator"))

    async def connect(self, connection: Connection, *scopes: str, owner: Owner | None = None) -> Account:
        """Connect an account as consent leaves it."""
        return await self._connect(connection, self.credential(*scopes), owner)

    def credential(self, *scopes: str) -> OAuthCredential:
        """Return what a consent leaves."""
        issued = self.consent(*scopes)
        return OAuthCredential(
            Secret(issued.access_token),
            Secret(issued.refresh_token) if issued.refresh_token else None,
            expires_at=None if issued.expires_in is None else self.clock.now() + issued.expires_in,
            scopes=issued.scopes,
        )

    async def connect_client(self, connection: Connection, client_id: str, secret: Secret) -> Account:
        return await self._connect(connection, ClientCredential(client_id, secret), None)

    async def _connect(
        self, connection: Connection, credential: OAuthCredential | ClientCredential, owner: Owner | None
    ) -> Account:
        return await self.accounts.connect(await self.plan(connection, credential, owner))

    async def plan(
        self,
        connection: Connection,
        credential: OAuthCredential | ClientCredential | None,
        owner: Owner | None = None,
    ) -> Connecting:
        effective = await self.effective(connection)
        return Connecting(
            effective=effective,
            owner=owner or Owner.user("user_" + opaque(20)),
            credential=credential,
            intent="create",
            actor=Actor.system(),
            client_ref=effective.client_ref,
        )

    async def effective(self, connection: Connection, organization_id: str = "") -> Effective:
        return await self.holdfast.database.transact(
            lambda tx: self.connections.effective(tx, connection, organization_id)
        )

    async def read(self, account: Account, connection: Connection, **more: Any) -> Any:
        ask = Ask(
            environment_id=self.environment_id,
            name=connection.name,
            owner=account.owner,
            actor=Actor("api_key", "key"),
            methods=(account.method,),
            **more,
        )
        return await self.reader.read(ask)

    async def stored(self, account: Account) -> Account:
        found = await self.find(account)
        assert found is not None
        return found

    async def find(self, account: Account) -> Account | None:
        return await self.holdfast.database.transact(
            lambda tx: account_store.get(tx, account.environment_id, account.id)
        )

    async def look_at(self, account: Account) -> float | None:
        """Return when the sweep is to look at the account, as the row has it."""
        here = account_store.accounts.c.id == account.id
        query = select(account_store.accounts.c.look_at).where(here)
        return await self.holdfast.database.transact(lambda tx: tx.execute(query).scalar_one())

    def access_of(self, account: Account) -> str:
        assert account.access is not None
        return self.holdfast.vault.open(account.access, account.access_place()).reveal()

    def grant_of(self, account: Account) -> str:
        assert account.grant is not None
        return self.holdfast.vault.open(account.grant, account.grant_place()).reveal()

    async def entries(self, account: Account) -> list[Entry]:
        """Return what the log says of an account, oldest first: each read, however many of them an entry tells of."""

        def found(tx: Tx) -> list[Entry]:
            query = select(log.entries).where(log.entries.c.environment_id == self.environment_id)
            rows = tx.execute(query.order_by(log.position_of(tx)))
            return [one for row in rows for one in each(log.entry_of(row)) if one.account_id == account.id]

        return await self.holdfast.database.transact(found)

    async def happened(self, account: Account) -> list[Action]:
        """Return what the log says of an account, oldest first."""
        return [entry.action for entry in await self.entries(account)]

    async def expire(self, account: Account) -> None:
        """Let the account's token end: at the provider, and by the clock."""
        current = await self.stored(account)
        assert current.expires_at is not None
        self.clock.at = max(self.clock.at, current.expires_at + 1)

    async def expired(self, **more: Any) -> tuple[Connection, Account]:
        """Return a connection and an account there whose token has just ended."""
        connection = await self.connection(**more)
        account = await self.connect(connection)
        await self.expire(account)
        return connection, account

    async def seen_requests_above(self, before: int) -> None:
        """Wait until the provider has seen another refresh request."""
        for _ in range(300):
            if self.requests > before:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no request came")

    async def bring(self, connection: Connection, account: Account, text: str) -> None:
        """The app replaces the tokens."""
        await self.update(connection, account, Tokens(access=Secret(text), refresh=Secret(f"{text}-grant")))

    async def update(self, connection: Connection, account: Account, tokens: Tokens) -> None:
        """What the app does with PUT."""
        await self.imports.update(
            self.environment_id,
            connection.name,
            account.owner,
            tokens,
            account_id=account.id,
            acting_user=None,
            actor=Actor("api_key", "key"),
            request_id="",
        )


@contextlib.asynccontextmanager
async def house_on(
    database: str, data_dir: Path, *, around: Callable[[ASGIApp], ASGIApp] = lambda app: app, **settings: Any
) -> AsyncIterator[House]:
    """Build, and serve the sandbox on a free port; `around` may watch its requests."""
    clock = FrozenClock()
    sockets = bind("127.0.0.1", 0)
    config = Config(
        data_dir=data_dir,
        database=database,
        dev=True,
        refusal_spacing=SPACING,
        outbound_timeout=2.0,
        lease_seconds=6.0,
        **settings,
    )
    holdfast = await build(with_address(config, sockets[0].getsockname()[1]), clock)
    server = uvicorn.Server(uvicorn_config(around(holdfast.app)))
    serving = asyncio.ensure_future(server.serve(sockets=list(sockets)))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield _house(holdfast, clock, holdfast.sandbox)
    finally:
        server.should_exit = True
        await serving
        await holdfast.close()


@contextlib.asynccontextmanager
async def second_process(first: House, **settings: Any) -> AsyncIterator[House]:
    """Another server on the same database and key file; the provider is the first one's sandbox."""
    holdfast = await build(replace(first.holdfast.config, **settings), first.clock)
    try:
        yield _house(holdfast, first.clock, first.sandbox)
    finally:
        await holdfast.close()


def _house(holdfast: Holdfast, clock: FrozenClock, sandbox: Sandbox | None) -> House:
    assert sandbox is not None
    factory = ClientFactory(holdfast.vault, holdfast.outbound, clock, holdfast.config.base_url)
    reader = TokenReader(
        holdfast.database,
        holdfast.vault,
        clock,
        holdfast.accounts.connections,
        holdfast.accounts,
        holdfast.refresher,
        min_ttl=holdfast.config.min_ttl,
    )
    return House(holdfast=holdfast, clock=clock, sandbox=sandbox, factory=factory, reader=reader)


@pytest.fixture(scope="module", params=ENGINES)
async def built_house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    data_dir = tmp_path_factory.mktemp("house")
    database = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    async with house_on(database, data_dir) as house:
        yield house


@pytest.fixture
async def house(built_house: House) -> AsyncIterator[House]:
    """The module's house, its sandbox as new, everything that a test began finished after it."""
    built_house.sandbox.reset()
    yield built_house
    await built_house.holdfast.refresher.drain(10)

"""An administrator at the desk: a server, and a scripted browser that is signed in as its owner."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.access.administrators import Role
from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.connections import Connection
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from tests.parts.browser import Browser, Page
from tests.parts.postgres import Postgres
from tests.storage.engines import ENGINES

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, kw_only=True)
class Desk:
    holdfast: Holdfast
    browser: Browser

    @property
    def base(self) -> str:
        return f"{self.holdfast.config.base_url}/dashboard/default"

    async def get(self, path: str = "") -> Page:
        return await asyncio.to_thread(self.browser.get, f"{self.base}/{path}" if path else self.base)

    async def send(self, page: Page, path: str, **fields: Any) -> Page:
        """Send a form to `path` as that page would, with its form token. A list is a field sent several times; `__`
        in a name stands for a colon."""
        pairs = [("csrf", token_of(page))]
        for name, value in fields.items():
            name = name.replace("__", ":")
            pairs += [(name, one) for one in value] if isinstance(value, list) else [(name, str(value))]
        return await asyncio.to_thread(self.browser.post_form, f"{self.base}/{path}", pairs, from_page=page)

    async def sandbox_connection(self, *, secret: str = "", **more: Any) -> Connection:
        sandbox = self.holdfast.sandbox
        assert sandbox is not None
        client = ClientInput(sandbox.client_id, Secret(secret) if secret else sandbox.client_secret)
        given = {"provider_slug": "sandbox", "client_supply": "custom", "enabled": True, **more}
        return await self.holdfast.connections.create(
            self.holdfast.environment.id, NewConnection(client=client, **given), Actor.system()
        )

    async def entries(self, action: Action) -> list[Entry]:
        return await self.holdfast.database.transact(
            lambda tx: log.list_entries(tx, self.holdfast.environment.id, kinds=[log.Kind(action)], limit=100)
        )

    async def as_role(self, role: Role) -> "Desk":
        """Return another person's desk, of that role."""
        people = self.holdfast.people
        email = f"{role.value}@example.com"
        _, token = await people.invite(email, role, None)
        await people.accept(token.reveal(), email=email, name=role.value, password=PASSWORD)
        other = Desk(holdfast=self.holdfast, browser=Browser())
        await asyncio.to_thread(other.sign_in, email)
        return other

    def sign_in(self, email: str) -> None:
        base = self.holdfast.config.base_url
        page = self.browser.get(f"{base}/dashboard/sign-in")
        done = self.browser.post_form(
            f"{base}/dashboard/sign-in", {"email": email, "password": PASSWORD}, from_page=page
        )
        assert done.status == 200, done.shown()


def token_of(page: Page) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.shown()
    return found[1]


def words(page: Page) -> str:
    """Return what the page's main part says, without markup."""
    main = page.text.partition("<main")[2]
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", main.partition(">")[2]).split()))


@asynccontextmanager
async def desk_on(data_dir: Path, database: str = "", **settings: Any) -> AsyncIterator[Desk]:
    config = Config(
        **{"dev": True, "data_dir": data_dir, "database": database, "port": 0, "app_name": "Acme Notes", **settings}
    )
    async with running(config) as (holdfast, _):
        token = await holdfast.people.first_link()
        assert token is not None
        await holdfast.people.accept(token.reveal(), email="owner@example.com", name="Ada", password=PASSWORD)
        desk = Desk(holdfast=holdfast, browser=Browser())
        await asyncio.to_thread(desk.sign_in, "owner@example.com")
        yield desk


@pytest.fixture(scope="module", params=ENGINES)
async def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    database = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.fresh_database()
    async with desk_on(tmp_path_factory.mktemp("desk"), database) as made:
        yield made


@pytest.fixture(scope="module")
async def sqlite_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk_on(tmp_path_factory.mktemp("desk")) as made:
        yield made

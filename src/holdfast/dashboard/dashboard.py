"""The dashboard put together: its parts, its pages, its routes."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access import Keys
from holdfast.access import store as access_store
from holdfast.access.administrators import Administrators, SigningIn
from holdfast.accounts import Keeping
from holdfast.accounts.errands import Errands
from holdfast.accounts.removal import Removal
from holdfast.authorization import Links
from holdfast.clock import Clock
from holdfast.connections import Connections
from holdfast.dashboard.frame import Frame, environment_url
from holdfast.dashboard.pages.account import AccountPages
from holdfast.dashboard.pages.account_new import AccountNewPages
from holdfast.dashboard.pages.accounts import AccountsPages
from holdfast.dashboard.pages.activity import ActivityPages
from holdfast.dashboard.pages.connections import ConnectionPages
from holdfast.dashboard.pages.environments import EnvironmentPages
from holdfast.dashboard.pages.keys import KeyPages
from holdfast.dashboard.pages.overview import OverviewPages
from holdfast.dashboard.pages.people import PeoplePages
from holdfast.dashboard.pages.providers import ProviderPages
from holdfast.dashboard.signing_in import SignInPages
from holdfast.dashboard.story import Story
from holdfast.errors import NotFound
from holdfast.providers.loader import Catalog
from holdfast.storage import Database
from holdfast.tokens import Refresher
from holdfast.vault import Vault


@dataclass(frozen=True, kw_only=True)
class DashboardParts:
    """What the pages are made from."""

    database: Database
    vault: Vault
    clock: Clock
    people: Administrators
    signing_in: SigningIn
    keys: Keys
    connections: Connections
    catalog: Catalog
    removal: Removal
    keeping: Keeping
    errands: Errands
    links: Links
    refresher: Refresher
    base_url: str
    app_name: str
    dev: bool


class Dashboard:
    def __init__(self, parts: DashboardParts) -> None:
        self._parts = parts
        self._frame = Frame(
            parts.database,
            parts.signing_in,
            parts.clock,
            base_url=parts.base_url,
            app_name=parts.app_name,
            dev=parts.dev,
        )

    def routes(self) -> list[BaseRoute]:
        frame, parts = self._frame, self._parts
        story = Story(parts.database)
        return [
            frame.statics(),
            *SignInPages(frame, parts.people, parts.signing_in, self._home).routes(),
            *EnvironmentPages(frame, parts.database, parts.vault).routes(),
            *OverviewPages(frame, parts.database, parts.connections, story).routes(),
            *AccountNewPages(frame, parts.database, parts.connections, parts.keeping, parts.links).routes(),
            *AccountsPages(frame, parts.database, parts.connections, parts.errands).routes(),
            *AccountPages(frame, parts.database, parts.keeping, parts.links, parts.refresher, story).routes(),
            *ActivityPages(frame, parts.database, story).routes(),
            *ProviderPages(frame, parts.database, parts.connections, parts.catalog).routes(),
            *ConnectionPages(frame, parts.database, parts.connections, parts.removal).routes(),
            *KeyPages(frame, parts.database, parts.keys).routes(),
            *PeoplePages(frame, parts.database, parts.people).routes(),
            Route("/dashboard/{rest:path}", self._nothing, methods=["GET", "POST"]),
        ]

    async def _home(self) -> str:
        """Return the first environment's overview."""
        environments = await self._parts.database.transact(access_store.list_environments)
        if not environments:
            raise NotFound("there is no environment yet")
        return environment_url(environments[0])

    async def _nothing(self, request: Request) -> Response:
        if request.url.path.endswith("/") and request.method == "GET":
            return RedirectResponse(request.url.path.rstrip("/"), 308)
        signed_in = await self._frame.who(request)
        if signed_in is None and request.method == "GET":
            return self._frame.to_sign_in(request)
        return self._frame.problem(request, signed_in, None, NotFound("there is no such page"))

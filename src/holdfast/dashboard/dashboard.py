"""The dashboard put together: its parts, its pages, its routes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast import __version__
from holdfast.access import Clients, Keys
from holdfast.access import store as access_store
from holdfast.access.administrators import Administrators, SigningIn, SingleSignOn
from holdfast.accounts import Bulk, Keeping
from holdfast.accounts.errands import Errands
from holdfast.accounts.removal import Removal
from holdfast.approvals import Approvals
from holdfast.authorization import Links
from holdfast.clock import Clock
from holdfast.connections import ClientFactory, Connections
from holdfast.connections.checkup import CheckUp
from holdfast.connections.definitions import Definitions
from holdfast.dashboard.frame import Frame, environment_url
from holdfast.dashboard.pages.account import AccountPages
from holdfast.dashboard.pages.account_new import AccountNewPages
from holdfast.dashboard.pages.accounts import AccountsPages
from holdfast.dashboard.pages.activity import ActivityPages
from holdfast.dashboard.pages.approvals import ApprovalPages
from holdfast.dashboard.pages.branding import BrandingPages
from holdfast.dashboard.pages.connections import ConnectionPages
from holdfast.dashboard.pages.custom_providers import CustomProviderPages
from holdfast.dashboard.pages.environments import EnvironmentPages
from holdfast.dashboard.pages.keys import KeyPages
from holdfast.dashboard.pages.overview import OverviewPages
from holdfast.dashboard.pages.people import PeoplePages
from holdfast.dashboard.pages.providers import ProviderPages
from holdfast.dashboard.pages.settings import SettingsPages
from holdfast.dashboard.pages.status import StatusPage
from holdfast.dashboard.pages.usage import UsagePages
from holdfast.dashboard.pages.webhooks import WebhookPages
from holdfast.dashboard.signing_in import SignInPages
from holdfast.dashboard.single_sign_on import SingleSignOnPages
from holdfast.dashboard.story import Story
from holdfast.errors import NotFound
from holdfast.providers.loader import Catalog
from holdfast.storage import Database
from holdfast.tokens import Refresher
from holdfast.vault import Vault
from holdfast.webhooks import Endpoints
from holdfast.webhooks.deliveries.replay import Replay


@dataclass(frozen=True, kw_only=True)
class DashboardParts:
    """What the pages are made from."""

    database: Database
    vault: Vault
    clock: Clock
    people: Administrators
    signing_in: SigningIn
    single_sign_on: SingleSignOn | None
    keys: Keys
    clients: Clients
    connections: Connections
    factory: ClientFactory
    definitions: Definitions
    catalog: Catalog
    removal: Removal
    keeping: Keeping
    errands: Errands
    links: Links
    refresher: Refresher
    bulk: Bulk
    endpoints: Endpoints
    replay: Replay
    approvals: Approvals
    resting: Callable[[], frozenset[str]]
    """The providers' hosts that are left alone just now."""
    public_status: bool
    settings: Sequence[tuple[str, str]]
    """Each setting's variable and value, secrets taken out."""
    languages: Mapping[str, str]
    """What each language of the connect pages calls itself, by its tag."""
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
            single_sign_on=parts.single_sign_on.name if parts.single_sign_on else "",
        )

    def routes(self) -> list[BaseRoute]:
        frame, parts = self._frame, self._parts
        story, sso = Story(parts.database), parts.single_sign_on
        return [
            frame.statics(),
            *SignInPages(frame, parts.people, parts.signing_in, self._home).routes(),
            *(SingleSignOnPages(frame, sso, self._home).routes() if sso else ()),
            *EnvironmentPages(frame, parts.database, parts.vault).routes(),
            *OverviewPages(frame, parts.database, parts.connections, story).routes(),
            *AccountNewPages(frame, parts.database, parts.connections, parts.keeping, parts.links).routes(),
            *AccountsPages(frame, parts.database, parts.connections, parts.errands).routes(),
            *AccountPages(frame, parts.database, parts.keeping, parts.links, parts.refresher, story).routes(),
            *ActivityPages(frame, parts.database, story).routes(),
            *ApprovalPages(frame, parts.database, parts.approvals).routes(),
            *ProviderPages(frame, parts.database, parts.connections, parts.catalog).routes(),
            *CustomProviderPages(frame, parts.database, parts.definitions).routes(),
            *ConnectionPages(frame, parts.database, parts.connections, parts.removal, CheckUp(parts.factory)).routes(),
            *StatusPage(frame, parts.database, parts.connections, parts.resting, public=parts.public_status).routes(),
            *UsagePages(frame, parts.database).routes(),
            *WebhookPages(frame, parts.database, parts.endpoints, parts.replay).routes(),
            *KeyPages(frame, parts.database, parts.keys, parts.clients).routes(),
            *SettingsPages(frame, parts.database, parts.bulk, parts.settings, self._about()).routes(),
            *BrandingPages(frame, parts.database, parts.languages).routes(),
            *PeoplePages(frame, parts.database, parts.people).routes(),
            Route("/dashboard/{rest:path}", self._nothing, methods=["GET", "POST"]),
        ]

    def _about(self) -> dict[str, str]:
        engine = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self._parts.database.dialect]
        return {"Version": __version__, "Database": engine, "Providers known": str(len(self._parts.catalog))}

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

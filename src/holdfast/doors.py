"""The doors on one port: which is asked first, and what each is given of the rooms."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from holdfast import telemetry
from holdfast.api.bearers import Bearers
from holdfast.api.call_lane import CallLane
from holdfast.api.proxying import ProxyDoor
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit import ScalekitDoor
from holdfast.api.scalekit.paging import Pages
from holdfast.api.scalekit.parts import Parts as ScalekitParts
from holdfast.api.scalekit.provider_keys import ProviderKeys
from holdfast.api.sdk_proxy import SdkProxyShape
from holdfast.api.traced import Traced
from holdfast.api.widgets import Own, WidgetParts
from holdfast.api.workos import WorkosDoor
from holdfast.api.workos.parts import Parts as WorkosParts
from holdfast.api.workos.relay import RelayShape
from holdfast.api.workos.widgets import Pipes
from holdfast.connect import ConnectPages, HandoffPages, Looks, MinePages
from holdfast.dashboard import Dashboard, DashboardParts
from holdfast.lab import sandbox_routes
from holdfast.rooms import SANDBOX_PATH, Rooms
from holdfast.scrape import Scrape


def open_doors(rooms: Rooms) -> ASGIApp:
    """Return the whole server as one ASGI app: the lanes of token reads and of proxied calls; the proxy, as its bodies
    are streamed; the API doors, as their calls are the many; then the pages, and the sandbox in development."""
    limiter = RateLimiter(rooms.config.requests_per_minute, rooms.clock)
    parts = workos_parts(rooms, limiter)
    workos, scalekit = WorkosDoor(parts), ScalekitDoor(_scalekit_parts(rooms, limiter))
    operations = workos.app(_pages(rooms, workos, scalekit, _widget_parts(rooms, limiter)))
    proxy = ProxyDoor(
        rooms.proxy,
        (RelayShape(parts), SdkProxyShape()),
        bearers=Bearers(rooms.access_tokens),
        limiter=limiter,
        calls=RateLimiter(rooms.config.proxy_calls_per_minute, rooms.clock),
        fallback=scalekit.app(operations),
    )
    lane = workos.lane(operations, proxy, CallLane(proxy))
    return Traced(lane) if telemetry.is_on() else lane


def workos_parts(rooms: Rooms, limiter: RateLimiter) -> WorkosParts:
    return WorkosParts(
        database=rooms.database,
        vault=rooms.vault,
        clock=rooms.clock,
        keys=rooms.keys,
        widgets=rooms.widgets,
        connections=rooms.connections,
        accounts=rooms.accounts,
        imports=rooms.imports,
        removal=rooms.removal,
        reader=rooms.reader,
        plain=rooms.plain,
        begin=rooms.begin,
        finish=rooms.finish,
        order=rooms.order,
        endpoints=rooms.endpoints,
        limiter=limiter,
        base_url=rooms.config.base_url,
        dev=rooms.config.dev,
        max_body_bytes=rooms.config.max_body_bytes,
    )


def _scalekit_parts(rooms: Rooms, limiter: RateLimiter) -> ScalekitParts:
    return ScalekitParts(
        database=rooms.database,
        vault=rooms.vault,
        clock=rooms.clock,
        clients=rooms.clients,
        tokens=rooms.access_tokens,
        connections=rooms.connections,
        definitions=rooms.definitions,
        provider_keys=ProviderKeys(rooms.connections, rooms.catalog),
        accounts=rooms.accounts,
        imports=rooms.imports,
        removal=rooms.removal,
        keeping=rooms.keeping,
        bulk=rooms.bulk,
        links=rooms.links,
        verify=rooms.verify,
        organizations=rooms.organizations,
        reader=rooms.reader,
        plain=rooms.plain,
        pages=Pages(rooms.vault),
        order=rooms.order,
        limiter=limiter,
        base_url=rooms.config.base_url,
        max_body_bytes=rooms.config.max_body_bytes,
    )


def dashboard_parts(rooms: Rooms) -> DashboardParts:
    return DashboardParts(
        database=rooms.database,
        clock=rooms.clock,
        people=rooms.people,
        signing_in=rooms.signing_in,
        single_sign_on=rooms.single_sign_on,
        keys=rooms.keys,
        clients=rooms.clients,
        connections=rooms.connections,
        factory=rooms.factory,
        catalog=rooms.catalog,
        removal=rooms.removal,
        vault=rooms.vault,
        bulk=rooms.bulk,
        endpoints=rooms.endpoints,
        replay=rooms.replay,
        approvals=rooms.approvals,
        resting=rooms.gate.resting_endpoints,
        public_status=rooms.config.status_page == "public",
        settings=rooms.config.shown(),
        definitions=rooms.definitions,
        keeping=rooms.keeping,
        errands=rooms.errands,
        links=rooms.links,
        refresher=rooms.refresher,
        languages=rooms.languages.names,
        base_url=rooms.config.base_url,
        app_name=rooms.config.app_name,
        dev=rooms.config.dev,
    )


def _widget_parts(rooms: Rooms, limiter: RateLimiter) -> WidgetParts:
    return WidgetParts(
        database=rooms.database,
        tokens=rooms.widgets,
        origins=rooms.origins,
        mine=rooms.mine,
        limiter=limiter,
        base_url=rooms.config.base_url,
        app_name=rooms.config.app_name,
        max_body_bytes=rooms.config.max_body_bytes,
    )


def user_pages(rooms: Rooms) -> list[BaseRoute]:
    """Return what end users see: the pages of consent and forms, the widget's hand-off, My connections."""
    looks = Looks(rooms.database, rooms.languages, app_name=rooms.config.app_name)
    connect = ConnectPages(
        rooms.start, rooms.callback, rooms.fill, looks, rooms.signing_in, base_url=rooms.config.base_url
    )
    return [
        *connect.routes(),
        *HandoffPages(connect, rooms.widgets, rooms.languages).routes(),
        *MinePages(connect, rooms.mine, rooms.widgets, rooms.origins, base_url=rooms.config.base_url).routes(),
    ]


def _pages(rooms: Rooms, workos: WorkosDoor, scalekit: ScalekitDoor, widgets: WidgetParts) -> Router:
    config = rooms.config
    dashboard = Dashboard(dashboard_parts(rooms))
    routes: list[BaseRoute] = [
        *user_pages(rooms),
        Mount("/_widgets", Pipes(widgets).door()),
        Mount("/widgets/api", Own(widgets).door()),
        *dashboard.routes(),
        Route("/openapi.json", workos.openapi, methods=["GET"]),
        Route("/openapi/scalekit.json", scalekit.openapi, methods=["GET"]),
        Route("/healthz", _alive, methods=["GET"]),
        Route("/metrics", Scrape(rooms.database, rooms.clock, config).answer, methods=["GET"]),
        Route("/readyz", rooms.readiness.answer, methods=["GET"]),
    ]
    if rooms.sandbox is not None:
        routes.append(Mount(SANDBOX_PATH, routes=sandbox_routes(rooms.sandbox, config.base_url + SANDBOX_PATH)))
    return Router(routes, redirect_slashes=False, default=workos.not_found())


async def _alive(_request: Request) -> Response:
    """Whoever can answer this is alive: it asks nothing of anybody, so that no outage elsewhere restarts a server."""
    return PlainTextResponse("ok\n")

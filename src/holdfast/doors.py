"""The doors on one port: which is asked first, and what each is given of the rooms."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from holdfast.api.proxying import ProxyDoor
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit import ScalekitDoor
from holdfast.api.scalekit.paging import Pages
from holdfast.api.scalekit.parts import Parts as ScalekitParts
from holdfast.api.sdk_proxy import SdkProxyShape
from holdfast.api.workos import WorkosDoor
from holdfast.api.workos.parts import Parts as WorkosParts
from holdfast.api.workos.relay import RelayShape
from holdfast.connect import ConnectPages
from holdfast.dashboard import Dashboard, DashboardParts
from holdfast.lab import sandbox_routes
from holdfast.rooms import SANDBOX_PATH, Rooms
from holdfast.scrape import Scrape


def open_doors(rooms: Rooms) -> ASGIApp:
    """Return the whole server as one ASGI app: the token read's lane; the proxy, as its bodies are streamed; the API
    doors, as their calls are the many; then the pages, and the sandbox in development."""
    limiter = RateLimiter(rooms.config.requests_per_minute, rooms.clock)
    parts = workos_parts(rooms, limiter)
    workos, scalekit = WorkosDoor(parts), ScalekitDoor(_scalekit_parts(rooms, limiter))
    operations = workos.app(_pages(rooms, workos, scalekit))
    proxy = ProxyDoor(
        rooms.proxy,
        (RelayShape(parts), SdkProxyShape()),
        authenticate=rooms.keys.authenticate,
        recall=rooms.keys.recall,
        limiter=limiter,
        calls=RateLimiter(rooms.config.proxy_calls_per_minute, rooms.clock),
        fallback=scalekit.app(operations),
    )
    return workos.lane(operations, proxy)


def workos_parts(rooms: Rooms, limiter: RateLimiter) -> WorkosParts:
    return WorkosParts(
        database=rooms.database,
        vault=rooms.vault,
        clock=rooms.clock,
        keys=rooms.keys,
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
        accounts=rooms.accounts,
        imports=rooms.imports,
        removal=rooms.removal,
        organizations=rooms.organizations,
        reader=rooms.reader,
        plain=rooms.plain,
        pages=Pages(rooms.vault),
        limiter=limiter,
        base_url=rooms.config.base_url,
        max_body_bytes=rooms.config.max_body_bytes,
    )


def _pages(rooms: Rooms, workos: WorkosDoor, scalekit: ScalekitDoor) -> Router:
    config = rooms.config
    connect = ConnectPages(rooms.start, rooms.callback, rooms.fill, base_url=config.base_url, app_name=config.app_name)
    dashboard = Dashboard(
        DashboardParts(
            database=rooms.database,
            clock=rooms.clock,
            people=rooms.people,
            signing_in=rooms.signing_in,
            keys=rooms.keys,
            clients=rooms.clients,
            connections=rooms.connections,
            factory=rooms.factory,
            catalog=rooms.catalog,
            removal=rooms.removal,
            bulk=rooms.bulk,
            endpoints=rooms.endpoints,
            replay=rooms.replay,
            resting=rooms.gate.resting_endpoints,
            public_status=config.status_page == "public",
            settings=config.shown(),
            base_url=config.base_url,
            app_name=config.app_name,
            dev=config.dev,
        )
    )
    routes: list[BaseRoute] = [
        *connect.routes(),
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

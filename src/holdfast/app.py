"""The wiring: the one place where rooms are given their parts. A start builds a Holdfast; a door gets what it needs."""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from holdfast.access import Environment, Keys, ensure_environment
from holdfast.accounts import Accounts
from holdfast.accounts.imports import Imports
from holdfast.accounts.removal import Removal
from holdfast.api.rate import RateLimiter
from holdfast.api.scalekit.notifications import ScalekitRenderer
from holdfast.api.workos import WorkosDoor
from holdfast.api.workos.notifications import WorkosRenderer
from holdfast.api.workos.parts import Parts
from holdfast.authorization import Begin, Callback, Finish, Start
from holdfast.clock import Clock, SystemClock
from holdfast.config import Config
from holdfast.connect import ConnectPages
from holdfast.connections import ClientFactory, Connections
from holdfast.errors import Misconfigured
from holdfast.events import Actor
from holdfast.events.order import Order
from holdfast.events.sealing import Checkpoints, Sealer
from holdfast.events.sealing.checkpoints import line_sink
from holdfast.lab import Sandbox, sandbox_provider, sandbox_routes
from holdfast.outbound.client import Outbound
from holdfast.providers.loader import load_catalog
from holdfast.secret import Secret
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import migrate
from holdfast.tokens import Forecast, Gate, PlainReader, Refresher, Sweep, TokenReader
from holdfast.vault import LocalKeyFile, Vault
from holdfast.vault import store as vault_store
from holdfast.webhooks import Endpoints
from holdfast.webhooks.deliveries.delivery import DELAYS, Renderer
from holdfast.webhooks.deliveries.plan import Planner
from holdfast.webhooks.deliveries.replay import Replay
from holdfast.webhooks.deliveries.send import Sender
from holdfast.webhooks.endpoint import Dialect
from holdfast.worker import Loop

_log = structlog.get_logger("holdfast")

DEFAULT_ENVIRONMENT = "default"
SANDBOX_PATH = "/lab/sandbox"
CHECKPOINT_LOOK = 15.0
"""Seconds between two looks whether a checkpoint is due."""


@dataclass(frozen=True, kw_only=True)
class Holdfast:
    """A running server's parts. `first_key` is set by the start that made the environment, to be shown once."""

    config: Config
    database: Database
    vault: Vault
    clock: Clock
    outbound: Outbound
    environment: Environment
    keys: Keys
    accounts: Accounts
    refresher: Refresher
    sweep: Sweep
    forecast: Forecast
    sealer: Sealer
    checkpoints: Checkpoints
    endpoints: Endpoints
    planner: Planner
    sender: Sender
    replay: Replay
    app: ASGIApp
    first_key: Secret | None
    sandbox: Sandbox | None

    def loops(self) -> list[Loop]:
        """What the log asks for beside the doors; a loop that is turned off is not there."""
        config = self.config
        return [
            loop
            for wanted, loop in (
                (config.seal_interval, Loop(config.seal_interval, "sealing_failed", self.sealer.seal_all)),
                (config.delivery_interval, Loop(config.delivery_interval, "delivery_failed", self.deliver)),
                (config.checkpoint_interval, Loop(CHECKPOINT_LOOK, "checkpoint_failed", self.checkpoints.write)),
            )
            if wanted
        ]

    async def deliver(self) -> None:
        """Plan what is new in the log, and send what is due."""
        while await self.planner.look():
            pass
        await self.sender.run()

    async def close(self) -> None:
        """End in order: finish the refreshes under way, then let go of the network and the database."""
        await self.refresher.drain(self.config.lease_seconds)
        await self.sender.stop(self.config.delivery_timeout)
        await self.outbound.close()
        await self.database.close()


async def open_vault(config: Config, clock: Clock) -> tuple[Database, Vault]:
    """Open and migrate the database and unlock the vault. Makes the key file for an empty database, never else.

    Raises Misconfigured with one clear line: no key, no start.
    """
    database = await open_database(config.database_url())
    try:
        await migrate(database)
        path = config.key_path()
        if not path.exists():
            if not await database.transact(vault_store.is_empty):
                raise Misconfigured(
                    f"the key file {path} is missing, and the database was sealed with it: restore the file"
                )
            LocalKeyFile.create(path)
        vault = Vault(database, LocalKeyFile.load(path), clock)
        await vault.start()
    except DBAPIError as error:
        await database.close()
        raise Misconfigured(f"the database does not work: {str(error.orig).strip().splitlines()[0]}") from None
    except BaseException:
        await database.close()
        raise
    return database, vault


async def build(config: Config, clock: Clock | None = None) -> Holdfast:
    """Open everything and wire it up. `config.base_url` must be set (see `config.with_address`)."""
    clock = clock or SystemClock()
    database, vault = await open_vault(config, clock)
    environment, is_new = await ensure_environment(database, vault, clock, DEFAULT_ENVIRONMENT)
    order = Order(database)
    keys = Keys(database, vault, clock)
    first_key = (await keys.create(environment.id, "first key", Actor("operator")))[1] if is_new else None
    seed = vault.lookup_hash("sandbox", "client secret")
    sandbox = Sandbox(clock, client_name=config.app_name, secret_seed=seed) if config.dev else None
    catalog = load_catalog(config.provider_origins)
    lab = {"sandbox": sandbox_provider(config.base_url + SANDBOX_PATH)} if sandbox else {}
    connections = Connections(database, vault, clock, catalog, allow_http=config.dev, extra=lab)
    outbound = Outbound(allow_private=config.dev, total_timeout=config.outbound_timeout)
    factory = ClientFactory(vault, outbound, clock, config.base_url)
    accounts = Accounts(database, vault, clock, connections, max_per_owner=config.max_accounts_per_owner)
    most = config.sweep_concurrency
    gate = Gate(clock, concurrency=most, per_provider=config.refreshes_per_provider)
    refresher = Refresher(
        database,
        vault,
        clock,
        connections,
        factory,
        gate,
        lease_seconds=config.lease_seconds,
        refusal_spacing=config.refusal_spacing,
    )
    reader = TokenReader(database, vault, clock, connections, accounts, refresher, min_ttl=config.min_ttl)
    pages = ConnectPages(
        Start(accounts, factory),
        Callback(accounts, factory, connect_code_lifetime=config.connect_code_lifetime),
        base_url=config.base_url,
        app_name=config.app_name,
    )
    endpoints = Endpoints(database, vault, clock, dev=config.dev)
    workos = WorkosRenderer()
    renderers: dict[Dialect, Renderer] = {"workos": workos, "both": workos, "scalekit": ScalekitRenderer()}
    parts = Parts(
        database=database,
        vault=vault,
        clock=clock,
        keys=keys,
        connections=connections,
        accounts=accounts,
        imports=Imports(accounts, factory),
        removal=Removal(accounts),
        reader=reader,
        plain=PlainReader(database, vault, clock, connections, min_ttl=config.min_ttl),
        begin=Begin(
            accounts,
            base_url=config.base_url,
            lifetime=config.attempt_lifetime,
            dev=config.dev,
            max_per_owner=config.max_accounts_per_owner,
        ),
        finish=Finish(accounts),
        order=order,
        endpoints=endpoints,
        limiter=RateLimiter(config.requests_per_minute, clock),
        base_url=config.base_url,
        dev=config.dev,
        max_body_bytes=config.max_body_bytes,
    )
    return Holdfast(
        config=config,
        database=database,
        vault=vault,
        clock=clock,
        outbound=outbound,
        environment=environment,
        keys=keys,
        accounts=accounts,
        refresher=refresher,
        sweep=Sweep(database, clock, connections, refresher, gate, concurrency=most),
        forecast=Forecast(database, clock, days=config.expiring_soon_days),
        sealer=Sealer(database, clock, order),
        checkpoints=Checkpoints(
            database, vault, clock, interval=config.checkpoint_interval, sink=line_sink(config.checkpoint_file)
        ),
        endpoints=endpoints,
        planner=Planner(database, clock, order, renderers),
        sender=Sender(
            database,
            vault,
            clock,
            outbound,
            renderers,
            concurrency=config.delivery_concurrency,
            per_endpoint=config.deliveries_per_endpoint,
            timeout=config.delivery_timeout,
            delays=config.delivery_delays() or DELAYS,
        ),
        replay=Replay(database, clock, renderers),
        app=_app(pages, WorkosDoor(parts), sandbox, config.base_url),
        first_key=first_key,
        sandbox=sandbox,
    )


def _app(pages: ConnectPages, door: WorkosDoor, sandbox: Sandbox | None, base_url: str) -> ASGIApp:
    """The door first, as its calls are the many; then the pages; the sandbox in development only."""
    routes: list[BaseRoute] = [
        *pages.routes(),
        Route("/openapi.json", door.openapi, methods=["GET"]),
        Route("/healthz", _alive, methods=["GET"]),
    ]
    if sandbox is not None:
        routes.append(Mount(SANDBOX_PATH, routes=sandbox_routes(sandbox, base_url + SANDBOX_PATH)))
    return door.app(Router(routes, redirect_slashes=False, default=door.not_found()))


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n")

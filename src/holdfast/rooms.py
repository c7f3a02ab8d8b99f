"""The rooms, opened and given their parts: everything a server is made of below its doors."""

import ssl
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from holdfast.access import AccessTokens, Clients, Environment, Keys, Organizations, ensure_environment
from holdfast.access.administrators import Administrators, Issuer, OpenId, Role, SigningIn, SingleSignOn
from holdfast.access.clients import client_id
from holdfast.access.widgets import Origins, WidgetTokens
from holdfast.accounts import Accounts, Bulk, Keeping
from holdfast.accounts.errands import Errands
from holdfast.accounts.imports import Imports
from holdfast.accounts.removal import Removal
from holdfast.api.scalekit.notifications import ScalekitRenderer
from holdfast.api.workos.notifications import WorkosRenderer
from holdfast.approvals import Approvals
from holdfast.authorization import Begin, Callback, Fill, Finish, Links, Mine, Settle, Start, Verify
from holdfast.clock import Clock
from holdfast.config import Config
from holdfast.connect.words import Languages, read_languages
from holdfast.connections import ClientFactory, Connections, Definitions
from holdfast.errors import Misconfigured
from holdfast.events import Actor
from holdfast.events.order import Order
from holdfast.events.sealing import Checkpoints, Sealer
from holdfast.events.sealing.checkpoints import line_sink
from holdfast.events.usage import Roller
from holdfast.lab import Sandbox, sandbox_provider
from holdfast.outbound import Outbound, Streaming
from holdfast.providers.loader import Catalog, load_catalog
from holdfast.proxy import Proxy
from holdfast.proxy.credential import Credentials
from holdfast.proxy.ledger import Ledger
from holdfast.proxy.sites import Sites
from holdfast.readiness import Readiness
from holdfast.secret import Secret
from holdfast.storage import Database, open_database
from holdfast.storage.durability import check_durable
from holdfast.storage.migrations import ensure
from holdfast.tokens import (
    Forecast,
    Gate,
    Introspector,
    PlainReader,
    Refresher,
    RenewingReader,
    Revoker,
    Sweep,
    TokenReader,
)
from holdfast.vault import LocalKeyFile, Vault
from holdfast.vault import store as vault_store
from holdfast.webhooks import Endpoints
from holdfast.webhooks.deliveries.delivery import DELAYS, Renderer
from holdfast.webhooks.deliveries.plan import Planner
from holdfast.webhooks.deliveries.replay import Replay
from holdfast.webhooks.deliveries.send import Sender
from holdfast.webhooks.endpoint import Dialect
from holdfast.worker import Loop

DEFAULT_ENVIRONMENT = "default"
SANDBOX_PATH = "/lab/sandbox"
CHECKPOINT_LOOK = 15.0
"""Seconds between two looks whether a checkpoint is due."""
KEYS_LOOK = 5.0
"""Seconds between two looks for data keys that others have made: well below the headway that a rotation gives."""
REVOCATIONS_LOOK = 2.0
"""Seconds between two looks for tokens to end at their provider."""
INTROSPECTIONS_LOOK = 5.0
"""Seconds between two looks for tokens whose end is to be asked: short beside the life of any."""
ERRANDS_LOOK = 10.0
"""Seconds between two looks for errands that a process which ended has left."""


@dataclass(frozen=True, kw_only=True)
class Firsts:
    """What exists because of this start, to be shown once. None of it is kept."""

    key: Secret | None = None
    client: tuple[str, Secret] | None = None


@dataclass(frozen=True, kw_only=True)
class Rooms:
    config: Config
    clock: Clock
    database: Database
    vault: Vault
    outbound: Outbound
    catalog: Catalog
    languages: Languages
    environment: Environment
    """The one that the first start makes."""
    keys: Keys
    clients: Clients
    access_tokens: AccessTokens
    widgets: WidgetTokens
    origins: Origins
    organizations: Organizations
    people: Administrators
    signing_in: SigningIn
    single_sign_on: SingleSignOn | None
    connections: Connections
    definitions: Definitions
    factory: ClientFactory
    accounts: Accounts
    imports: Imports
    removal: Removal
    keeping: Keeping
    bulk: Bulk
    errands: Errands
    gate: Gate
    refresher: Refresher
    reader: TokenReader
    plain: RenewingReader
    revoker: Revoker
    introspector: Introspector
    sweep: Sweep
    forecast: Forecast
    begin: Begin
    start: Start
    callback: Callback
    fill: Fill
    mine: Mine
    finish: Finish
    links: Links
    verify: Verify
    order: Order
    sealer: Sealer
    checkpoints: Checkpoints
    roller: Roller
    endpoints: Endpoints
    planner: Planner
    sender: Sender
    replay: Replay
    proxy: Proxy
    approvals: Approvals
    readiness: Readiness
    sandbox: Sandbox | None
    firsts: Firsts

    def loops(self) -> list[Loop]:
        """What the log asks for beside the doors; a loop that is turned off is not there."""
        config = self.config
        return [
            loop
            for wanted, loop in (
                (config.seal_interval, Loop(config.seal_interval, "sealing_failed", self.sealer.seal_all)),
                (config.delivery_interval, Loop(config.delivery_interval, "delivery_failed", self.deliver)),
                (True, Loop(KEYS_LOOK, "keys_failed", self.vault.look)),
                (True, Loop(REVOCATIONS_LOOK, "revocations_failed", self.revoker.run)),
                (True, Loop(INTROSPECTIONS_LOOK, "introspections_failed", self.introspector.run)),
                (True, Loop(ERRANDS_LOOK, "errands_failed", self.errands.take_up)),
                (config.usage_interval, Loop(config.usage_interval, "usage_failed", self.roller.roll)),
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
        await self.errands.close()
        await self.proxy.close()
        await self.revoker.stop(self.config.outbound_timeout)
        await self.introspector.stop(self.config.outbound_timeout)
        await self.refresher.drain(self.config.lease_seconds)
        await self.sender.stop(self.config.delivery_timeout)
        await self.outbound.close()
        await self.database.close()


async def open_vault(config: Config, clock: Clock) -> tuple[Database, Vault]:
    """Open and migrate the database and unlock the vault. Makes the key file for an empty database, never else.

    Raises Misconfigured with one clear line: no key, no start.
    """
    database = await open_database(
        config.database_url(), pooler=config.database_pooler, connections=config.database_connections
    )
    try:
        await check_durable(database)
        await ensure(database, migrates=config.migrates(empty=False), migrates_empty=config.migrates(empty=True))
        path = config.key_path()
        if LocalKeyFile.is_missing(path):
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


async def open_rooms(config: Config, clock: Clock) -> Rooms:
    """Open everything and wire it up. `config.base_url` must be set (see `config.with_address`)."""
    database, vault = await open_vault(config, clock)
    environment, is_new = await ensure_environment(database, vault, clock, DEFAULT_ENVIRONMENT)
    keys, clients = Keys(database, vault, clock), Clients(database, vault, clock)
    people = Administrators(database, vault, clock)
    signing_in = SigningIn(database, vault, clock, people, config.proxies())
    # What the sandbox knows is in its process, so several workers would be several sandboxes.
    with_sandbox = config.dev and config.workers == 1
    seed = vault.lookup_hash("sandbox", "client secret")
    sandbox = Sandbox(clock, client_name=config.app_name, secret_seed=seed) if with_sandbox else None
    catalog = load_catalog(config.provider_origins)
    languages = read_languages(config.translations_dir)
    lab = {"sandbox": sandbox_provider(config.base_url + SANDBOX_PATH)} if config.dev else {}
    connections = Connections(database, vault, clock, catalog, allow_http=config.dev, extra=lab)
    outbound = Outbound(allow_private=config.dev, total_timeout=config.outbound_timeout, tls=_trust(config))
    factory = ClientFactory(vault, outbound, clock, config.base_url)
    accounts = Accounts(database, vault, clock, connections, max_per_owner=config.max_accounts_per_owner)
    most = config.sweep_concurrency
    at_one, of_one = config.refreshes_per_provider, config.refreshes_per_connection
    gate = Gate(clock, concurrency=most, per_provider=at_one, per_connection=of_one or at_one)
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
    plain = PlainReader(database, vault, clock, connections, min_ttl=config.min_ttl)
    settle = Settle(
        accounts,
        base_url=config.base_url,
        connect_code_lifetime=config.connect_code_lifetime,
        verification_lifetime=config.verification_lifetime,
    )
    order = Order(database)
    workos = WorkosRenderer()
    renderers: dict[Dialect, Renderer] = {"workos": workos, "both": workos, "scalekit": ScalekitRenderer()}
    start = Start(accounts, factory, lifetime=config.attempt_lifetime)
    begin = Begin(
        accounts,
        base_url=config.base_url,
        lifetime=config.attempt_lifetime,
        dev=config.dev,
        max_per_owner=config.max_accounts_per_owner,
    )
    fill = Fill(accounts, factory, start, settle)
    access_tokens = AccessTokens(database, vault, clock, keys, issuer=config.base_url)
    keeping = Keeping(accounts)
    approvals, sites = Approvals(database, vault, clock), Sites(database, factory)
    proxy = Proxy(
        Credentials(database, vault, connections, reader, plain, refresher, sites, approvals, allow_private=config.dev),
        Streaming(
            allow_private=config.dev,
            idle_timeout=config.proxy_idle_timeout,
            total_timeout=config.proxy_total_timeout,
            per_origin=config.proxy_connections,
            tls=_trust(config),
        ),
        Ledger(database),
        clock,
        per_account=config.proxy_calls_per_account,
        most_wait=config.proxy_max_wait,
    )
    return Rooms(
        config=config,
        clock=clock,
        database=database,
        vault=vault,
        outbound=outbound,
        catalog=catalog,
        languages=languages,
        environment=environment,
        keys=keys,
        clients=clients,
        access_tokens=access_tokens,
        widgets=WidgetTokens(database, vault, clock, access_tokens, issuer=config.base_url),
        origins=Origins(database, base_url=config.base_url, dev=config.dev),
        organizations=Organizations(database, clock),
        people=people,
        signing_in=signing_in,
        single_sign_on=_single_sign_on(config, outbound, database, vault, clock, signing_in),
        connections=connections,
        definitions=Definitions(database, clock, built_in=connections.built_in, allow_http=config.dev),
        factory=factory,
        accounts=accounts,
        imports=Imports(accounts, factory),
        removal=Removal(accounts),
        keeping=keeping,
        bulk=Bulk(accounts),
        errands=Errands(accounts),
        gate=gate,
        refresher=refresher,
        reader=reader,
        plain=RenewingReader(database, vault, clock, plain, reader, refresher, min_ttl=config.min_ttl),
        revoker=Revoker(database, vault, clock, outbound, gate, timeout=config.outbound_timeout),
        introspector=Introspector(database, vault, clock, connections, factory, gate),
        sweep=Sweep(database, clock, connections, refresher, gate, concurrency=most),
        forecast=Forecast(database, clock, days=config.expiring_soon_days),
        begin=begin,
        start=start,
        callback=Callback(accounts, factory, settle),
        fill=fill,
        mine=Mine(accounts, begin, fill),
        finish=Finish(accounts),
        links=Links(accounts, keeping, base_url=config.base_url, link_lifetime=config.link_lifetime, dev=config.dev),
        verify=Verify(accounts, base_url=config.base_url),
        order=order,
        sealer=Sealer(database, clock, order),
        checkpoints=Checkpoints(
            database, vault, clock, interval=config.checkpoint_interval, sink=line_sink(config.checkpoint_file)
        ),
        roller=Roller(database, order),
        endpoints=Endpoints(database, vault, clock, dev=config.dev),
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
        proxy=proxy,
        approvals=approvals,
        readiness=Readiness(database, vault),
        sandbox=sandbox,
        firsts=await _firsts(keys, clients, environment) if is_new else Firsts(),
    )


def _single_sign_on(
    config: Config, outbound: Outbound, database: Database, vault: Vault, clock: Clock, signing_in: SigningIn
) -> SingleSignOn | None:
    if not config.oidc_issuer:
        return None
    issuer = Issuer(
        url=config.oidc_issuer,
        client_id=config.oidc_client_id,
        client_secret=Secret(config.read_oidc_client_secret()),
        name=config.oidc_name,
        roles={domain.lower(): Role(role) for domain, role in config.oidc_domains.items()},
    )
    openid = OpenId(issuer, outbound, database, vault, clock, base_url=config.base_url, allow_http=config.dev)
    return SingleSignOn(openid, database, clock, signing_in)


async def _firsts(keys: Keys, clients: Clients, environment: Environment) -> Firsts:
    operator = Actor("operator")
    _, key = await keys.create(environment.id, "first key", operator)
    client, secret = await clients.create(environment.id, "first client", operator)
    return Firsts(key=key, client=(client_id(client), secret))


def _trust(config: Config) -> ssl.SSLContext | None:
    """Return the trust store for calls to providers; None = the usual one. The sandbox is served by ourselves, so with
    a development certificate its authority is trusted too."""
    if not config.tls_dev:
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(config.data_dir / "tls" / "ca.pem")
    return context

"""Settings: one frozen value, parsed and checked once at start. Every field can be set as HOLDFAST_<NAME>.

Rooms get the fields they need, never this value.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.errors import Misconfigured

MOST_WORKERS = 64
"""Far above what one machine can use of them; a slip of the finger is above that."""
Proxies = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
_SECRETS = frozenset({"metrics_token", "oidc_client_secret"})
_OIDC_ROLES = ("admin", "developer", "viewer")
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


@dataclass(frozen=True, kw_only=True)
class Config:
    data_dir: Path = Path("holdfast-data")
    """Where the embedded database and the local key file live."""
    database: str = ""
    """`sqlite:///path` or `postgresql://user@host/name`. Empty = SQLite in `data_dir`."""
    database_connections: int = 10
    """PostgreSQL connections that each worker may hold open."""
    database_pooler: str = "auto"
    """auto, none or transaction: whether pgbouncer or the like hands connections on at each COMMIT. auto notices."""
    migrate: str = "auto"
    """auto, always or never: whether a start brings an older schema up to date. auto = on SQLite and with `dev`."""
    key_file: Path | None = None
    """The local key file. Unset = `holdfast.key` in `data_dir`."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8787
    """TCP port, 0 = a free one."""
    workers: int = 1
    """Server processes that share the port and the work: one per core. More than 1 needs PostgreSQL."""
    drain_delay: float = 0.0
    """Seconds a stopping server answers 503 at /readyz, and everything else as ever, before it stops listening."""
    base_url: str = ""
    """The origin that browsers and providers reach this server at. Unset = `http(s)://localhost:<port>`."""
    trusted_proxies: str = ""
    """Peers whose X-Forwarded-For is believed, as `127.0.0.1,10.20.0.0/16`: your TLS terminators. Empty = none."""
    dev: bool = False
    """Development: plain HTTP, loopback providers and return URLs, the sandbox provider at /lab/sandbox."""
    tls_dev: bool = False
    """Development: TLS with a certificate for localhost from a local authority, both made and kept in `data_dir`."""
    tls_cert: Path | None = None
    """Serve TLS with this certificate chain (PEM)."""
    tls_key: Path | None = None
    """The certificate's private key (PEM)."""
    log_level: str = "info"
    """debug, info, warning or error."""
    app_name: str = "Holdfast"
    """The name that end users read on the connect pages, where their environment has none of its own."""
    translations_dir: Path | None = None
    """A directory with translations of those pages, a file for each language: `pt-BR.toml`. Read at the start."""
    attempt_lifetime: int = 600
    """Seconds a user has to finish connecting. At most 600."""
    connect_code_lifetime: int = 90
    """Seconds an app has to finish a session-bound connection."""
    link_lifetime: int = 60
    """Seconds a one-time link waits to be opened. From then on its user has `attempt_lifetime`."""
    verification_lifetime: int = 600
    """Seconds an app has to say who came back from a link, where users are verified."""
    cleanup_interval: int = 3600
    """Seconds between two looks for accounts that a clean-up policy takes. 0 = this process looks for none."""
    max_accounts_per_owner: int = 25
    """How many accounts one owner may connect through one connection."""
    max_body_bytes: int = 1_048_576
    """Largest request body accepted at the API doors."""
    requests_per_minute: int = 0
    """Per API key; more is answered 429 with Retry-After. 0 = no limit."""
    outbound_timeout: float = 20.0
    """Seconds a provider may take to answer a token request."""
    lease_seconds: float = 60.0
    """How long a refresh may hold its lease. Must exceed `outbound_timeout` twice over."""
    min_ttl: int = 60
    """A token with less life than this many seconds is refreshed before it is returned."""
    refusal_spacing: float = 1.0
    """Seconds between the two refusals it takes to declare a grant dead."""
    sweep_interval: float = 5.0
    """Seconds between two looks for accounts to refresh ahead of their end. 0 = this process looks for none."""
    sweep_concurrency: int = 32
    """How many background refreshes may run at once in this server; workers share the number out among them."""
    refreshes_per_provider: int = 8
    """How many of them may be at one provider."""
    refreshes_per_connection: int = 0
    """How many of these may be for one connection, so that its crowd leaves room for others. 0 = all of them."""
    expiring_soon_days: int = 7
    """Days ahead of the end of a consent that no refresh can extend, to write `account.expiring_soon`. 0 = never."""
    proxy_idle_timeout: float = 50.0
    """Seconds a proxied call may go without a byte in either direction."""
    proxy_total_timeout: float = 3600.0
    """Seconds a proxied call may take in all."""
    proxy_calls_per_account: int = 32
    """Proxied calls of one account under way at once in this process; more is answered 429."""
    proxy_calls_per_minute: int = 0
    """Proxied calls per environment and process; more is answered 429 with Retry-After. 0 = no limit."""
    proxy_connections: int = 128
    """Connections to one provider's host that the proxy has open at once in this process."""
    proxy_max_wait: float = 30.0
    """Seconds a proxied call waits at most for a provider that says "not before", where its caller asks for that."""
    seal_interval: float = 0.5
    """Seconds between two looks for entries of the log to seal. 0 = this process seals none."""
    checkpoint_interval: int = 3600
    """Seconds between two signed checkpoints of a log that has grown. 0 = this process makes none."""
    checkpoint_file: str = ""
    """Where each checkpoint is added as a line, to be kept out of the database's reach. `-` = standard output."""
    delivery_interval: float = 1.0
    """Seconds between two looks for webhook deliveries to make and to send. 0 = this process sends none."""
    delivery_concurrency: int = 32
    """How many webhook deliveries may be under way at once in this process."""
    deliveries_per_endpoint: int = 8
    """How many of them may be at one endpoint, each of another account."""
    delivery_timeout: float = 10.0
    """Seconds a webhook's receiver has to answer."""
    delivery_retries: str = ""
    """Seconds before each retry of a delivery, as `5,60,600`. Empty = twelve retries over three days."""
    usage_interval: float = 5.0
    """Seconds between two looks for entries of the log to count for the usage pages. 0 = this process counts none."""
    metrics: str = "off"
    """off, on or token: whether /metrics answers nobody, everybody, or who sends `metrics_token` as a bearer token."""
    metrics_token: str = field(default="", repr=False)
    """What a scraper of /metrics sends as its bearer token, with `metrics` = token. At least 16 characters."""
    status_page: str = "private"
    """private or public: whether /status, how providers do as seen from here, is for administrators or for all."""
    oidc_issuer: str = ""
    """OpenID Connect issuer that administrators may sign in at, as its metadata has it. Empty = passwords only."""
    oidc_client_id: str = ""
    """Our client id there; its redirect URI is `<base_url>/dashboard/sign-in/callback`."""
    oidc_client_secret: str = field(default="", repr=False)
    """The client secret that goes with it, or else `oidc_client_secret_file`."""
    oidc_client_secret_file: Path | None = None
    """A file that holds the client secret, read at start."""
    oidc_name: str = ""
    """The issuer's name on the sign-in page. Empty = its host."""
    oidc_domains: Mapping[str, str] = field(default_factory=dict)
    """`example.com=viewer,...`: role of whoever has a verified address there and no invitation. Empty = nobody."""
    provider_origins: Mapping[str, str] = field(default_factory=dict)
    """Development: `https://github.com=http://127.0.0.1:4001,...` sends a provider's traffic to an emulator."""

    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_dir / 'holdfast.db'}"

    def on_sqlite(self) -> bool:
        return self.database_url().startswith("sqlite:")

    def migrates(self, *, empty: bool) -> bool:
        """Tell whether a start changes the schema: an empty database's, or an older one."""
        if self.migrate == "auto":
            return empty or self.dev or self.on_sqlite()
        return self.migrate == "always"

    def share(self, number: int) -> "Config":
        """Return the config of one worker, counted from 0: what is so much for the server is shared out among all.

        No worker's share is below 1, so with more workers than a cap it is exceeded by as much.
        """
        most, at_one = _part(self.sweep_concurrency, self.workers, number), self.refreshes_per_provider
        at_one, of_one = min(most, _part(at_one, self.workers, number)), self.refreshes_per_connection
        of_one = of_one and _part(of_one, self.workers, number)
        return replace(self, sweep_concurrency=most, refreshes_per_provider=at_one, refreshes_per_connection=of_one)

    @property
    def tls(self) -> bool:
        return self.tls_dev or self.tls_cert is not None

    def proxies(self) -> Proxies:
        """Return the networks of `trusted_proxies`; an address is one of its own. Raises ValueError."""
        return tuple(ipaddress.ip_network(item.strip()) for item in self.trusted_proxies.split(",") if item.strip())

    def delivery_delays(self) -> tuple[float, ...]:
        """Return the seconds before each retry, none if the defaults apply. Raises ValueError."""
        return tuple(float(delay) for delay in self.delivery_retries.split(",") if delay.strip())

    def shown(self) -> list[tuple[str, str]]:
        """Return each setting's variable and value for people to read; what is secret in it is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["database"] = _PASSWORD.sub(r"\1:<sealed>@", self.database_url())
        for name in ("provider_origins", "oidc_domains"):
            values[name] = ", ".join(f"{a}={b}" for a, b in getattr(self, name).items())
        return [
            (
                f"HOLDFAST_{name.upper()}",
                "<sealed>" if name in _SECRETS and value else "" if value is None else str(value),
            )
            for name, value in values.items()
        ]

    def read_oidc_client_secret(self) -> str:
        """Return the client secret, from its file if it is in one. Raises Misconfigured."""
        if self.oidc_client_secret_file is None:
            return self.oidc_client_secret
        try:
            secret = self.oidc_client_secret_file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            secret = ""
        if not secret:
            raise Misconfigured(f"oidc_client_secret_file {self.oidc_client_secret_file} cannot be read, or is empty")
        return secret

    def key_path(self) -> Path:
        return self.key_file or self.data_dir / "holdfast.key"


def _part(whole: int, parts: int, number: int) -> int:
    return max(1, whole // parts + (number < whole % parts))


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Build the Config from HOLDFAST_* variables, then `overrides` that are not None. Raises Misconfigured."""
    environ = os.environ if environ is None else environ
    known = {f"HOLDFAST_{item.name.upper()}": item for item in fields(Config)}
    unknown = sorted(name for name in environ if name.startswith("HOLDFAST_") and name not in known)
    if unknown:
        raise Misconfigured(f"unknown setting {unknown[0]}; `holdfast settings` lists the known ones")
    values: dict[str, Any] = {
        item.name: _parse(variable, _kind(item.type), environ[variable])
        for variable, item in known.items()
        if variable in environ
    }
    values.update({name: value for name, value in overrides.items() if value is not None})
    return _checked(Config(**values))


def with_address(config: Config, port: int) -> Config:
    """Return the config with the port that was bound, and a base URL if none was set."""
    return replace(
        config, port=port, base_url=config.base_url or f"{'https' if config.tls else 'http'}://localhost:{port}"
    )


def _kind(annotation: Any) -> str:
    """Return a field's type as it is written: `int`, `Path | None`, `Mapping`."""
    return str(getattr(annotation, "__name__", annotation)).removeprefix("pathlib.")


def _parse(variable: str, kind: str, text: str) -> Any:
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}[
                text.lower()
            ]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind.startswith("Path"):
            return Path(text)
        if kind.startswith("Mapping"):
            return dict(pair.strip().split("=", 1) for pair in text.split(",") if pair.strip())
        return text
    except (KeyError, ValueError):
        raise Misconfigured(f"{variable} is not a valid {kind}: {text!r}") from None


def _checked(config: Config) -> Config:
    rules: list[tuple[object, str]] = [
        (0 <= config.port <= 65535, "port must be 0 to 65535"),
        (1 <= config.workers <= MOST_WORKERS, f"workers must be 1 to {MOST_WORKERS}: one per core is enough"),
        (
            config.workers <= 1 or not config.on_sqlite(),
            "more than 1 worker needs PostgreSQL (HOLDFAST_DATABASE): on SQLite all would wait for one writer",
        ),
        (0 <= config.drain_delay <= 300, "drain_delay must be 0 to 300 seconds"),
        (
            config.database_pooler in ("auto", "none", "transaction"),
            "database_pooler must be auto, none or transaction",
        ),
        (2 <= config.database_connections <= 500, "database_connections must be 2 to 500"),
        (config.migrate in ("auto", "always", "never"), "migrate must be auto, always or never"),
        (
            config.log_level in ("debug", "info", "warning", "error"),
            "log_level must be debug, info, warning or error",
        ),
        (30 <= config.attempt_lifetime <= 600, "attempt_lifetime must be 30 to 600 seconds"),
        (10 <= config.connect_code_lifetime <= 90, "connect_code_lifetime must be 10 to 90 seconds"),
        (10 <= config.link_lifetime <= 600, "link_lifetime must be 10 to 600 seconds"),
        (30 <= config.verification_lifetime <= 600, "verification_lifetime must be 30 to 600 seconds"),
        (config.cleanup_interval == 0 or config.cleanup_interval >= 60, "cleanup_interval must be 0, or at least 60"),
        (config.max_accounts_per_owner >= 1, "max_accounts_per_owner must be at least 1"),
        (config.max_body_bytes >= 1024, "max_body_bytes must be at least 1024"),
        (config.requests_per_minute >= 0, "requests_per_minute must not be negative"),
        (config.outbound_timeout > 0, "outbound_timeout must be above 0"),
        (
            config.lease_seconds > 2 * config.outbound_timeout,
            "lease_seconds must exceed twice outbound_timeout",
        ),
        (0 <= config.min_ttl <= 3600, "min_ttl must be 0 to 3600 seconds"),
        (
            config.sweep_interval == 0 or 0.1 <= config.sweep_interval <= 3600,
            "sweep_interval must be 0, or 0.1 to 3600",
        ),
        (1 <= config.sweep_concurrency <= 1000, "sweep_concurrency must be 1 to 1000"),
        (
            1 <= config.refreshes_per_provider <= config.sweep_concurrency,
            "refreshes_per_provider must be 1 to sweep_concurrency",
        ),
        (config.refreshes_per_connection >= 0, "refreshes_per_connection must be 0 or more"),
        (0 <= config.expiring_soon_days <= 365, "expiring_soon_days must be 0 to 365"),
        ((config.tls_cert is None) == (config.tls_key is None), "tls_cert and tls_key go together"),
        (not (config.tls_dev and config.tls_cert), "tls_dev brings a certificate of its own: leave tls_cert out"),
        (config.proxy_idle_timeout > 0, "proxy_idle_timeout must be above 0"),
        (config.proxy_total_timeout > 0, "proxy_total_timeout must be above 0"),
        (config.proxy_calls_per_account >= 1, "proxy_calls_per_account must be at least 1"),
        (config.proxy_calls_per_minute >= 0, "proxy_calls_per_minute must not be negative"),
        (config.proxy_connections >= 1, "proxy_connections must be at least 1"),
        (0 <= config.proxy_max_wait <= 300, "proxy_max_wait must be 0 to 300 seconds"),
        (config.seal_interval == 0 or 0.05 <= config.seal_interval <= 60, "seal_interval must be 0, or 0.05 to 60"),
        (
            config.delivery_interval == 0 or 0.05 <= config.delivery_interval <= 60,
            "delivery_interval must be 0, or 0.05 to 60",
        ),
        (1 <= config.delivery_concurrency <= 1000, "delivery_concurrency must be 1 to 1000"),
        (
            1 <= config.deliveries_per_endpoint <= config.delivery_concurrency,
            "deliveries_per_endpoint must be 1 to delivery_concurrency",
        ),
        (0 < config.delivery_timeout <= 60, "delivery_timeout must be above 0 and at most 60"),
        (_are_delays(config), "delivery_retries must be seconds, such as 5,60,600"),
        (
            _can(config.proxies),
            "trusted_proxies must be addresses and networks, such as 127.0.0.1,10.20.0.0/16",
        ),
        (config.checkpoint_interval >= 0, "checkpoint_interval must not be negative"),
        (
            config.usage_interval == 0 or 0.05 <= config.usage_interval <= 600,
            "usage_interval must be 0, or 0.05 to 600",
        ),
        (config.metrics in ("off", "on", "token"), "metrics must be off, on or token"),
        (
            config.metrics != "token" or len(config.metrics_token) >= 16,
            "metrics=token needs a metrics_token of at least 16 characters",
        ),
        (config.status_page in ("private", "public"), "status_page must be private or public"),
        (
            not config.oidc_issuer or (config.oidc_client_id and _has_one_secret(config)),
            "oidc_issuer needs oidc_client_id, and oidc_client_secret or oidc_client_secret_file",
        ),
        (
            not config.oidc_issuer or _is_issuer(config.oidc_issuer, dev=config.dev),
            "oidc_issuer must be an https URL without query, such as https://login.example.com",
        ),
        (
            all("." in domain and role in _OIDC_ROLES for domain, role in config.oidc_domains.items()),
            "oidc_domains must be domains with a role of admin, developer or viewer, such as example.com=viewer",
        ),
        (not config.provider_origins or config.dev, "provider_origins is for development: it needs dev"),
    ]
    for holds, message in rules:
        if not holds:
            raise Misconfigured(message)
    if config.base_url:
        _check_base_url(config)
    return config


def _can(parse: Callable[[], object]) -> bool:
    try:
        parse()
    except ValueError:
        return False
    return True


def _has_one_secret(config: Config) -> bool:
    return bool(config.oidc_client_secret) != (config.oidc_client_secret_file is not None)


def _is_issuer(url: str, *, dev: bool) -> bool:
    parts = urlsplit(url)
    schemes = ("https", "http") if dev else ("https",)
    return parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment


def _are_delays(config: Config) -> bool:
    try:
        return all(0 < delay <= 604_800 for delay in config.delivery_delays())
    except ValueError:
        return False


def _check_base_url(config: Config) -> None:
    parts = urlsplit(config.base_url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise Misconfigured("base_url must be an origin, such as https://connect.example.com")
    if parts.scheme == "http" and not loopback:
        raise Misconfigured("base_url must be https; plain http works on localhost only")
    object.__setattr__(config, "base_url", config.base_url.rstrip("/"))

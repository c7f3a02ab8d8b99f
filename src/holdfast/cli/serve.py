"""`holdfast serve`: one process, its sockets and its logs. Its end is in `drain`, several processes in `workers`."""

import asyncio
import contextlib
import errno
import logging
import math
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence

import structlog
import uvicorn
from rich.console import Console
from starlette.types import ASGIApp

from holdfast import __version__
from holdfast.app import Holdfast, build
from holdfast.cli.drain import Server
from holdfast.cli.http_protocol import BoundedHttpProtocol
from holdfast.config import Config, with_address
from holdfast.errors import Misconfigured
from holdfast.lab import Sandbox
from holdfast.secret import Secret
from holdfast.worker import Worker

GRACE_SECONDS = 10.0
"""How long a stopping server lets open requests finish, beyond the time that a provider may take."""


async def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM. Raises Misconfigured before anything is served if a setting is wrong."""
    set_up_logs(config.log_level)
    async with running(config) as (holdfast, server):
        announce(holdfast.config, holdfast.first_key, holdfast.sandbox)
        await server.ended.wait()


@contextlib.asynccontextmanager
async def running(
    config: Config, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[tuple[Holdfast, Server]]:
    """Bind, build, serve; on leaving, drain and close. `sockets`: what is listened to already."""
    listeners = bind(config.host, config.port) if sockets is None else sockets
    try:
        holdfast = await build(with_address(config, listeners[0].getsockname()[1]))
    except BaseException:
        for item in listeners:
            item.close()
        raise
    worker = Worker(
        holdfast.database,
        holdfast.clock,
        holdfast.sweep,
        holdfast.forecast,
        sweep_interval=config.sweep_interval,
    )
    worker.start()
    grace = config.outbound_timeout + GRACE_SECONDS
    server = Server(
        uvicorn_config(holdfast.app, grace),
        holdfast.readiness,
        delay=config.drain_delay,
        on_drain=worker.stop,
        shares=sockets is not None,
    )
    _stop_on_signals(server)
    try:
        await server.start(list(listeners))
        yield holdfast, server
    finally:
        await server.finish()
        await holdfast.close()


def _stop_on_signals(server: Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, server.stop)


def uvicorn_config(app: ASGIApp, grace: float = GRACE_SECONDS) -> uvicorn.Config:
    """Return how we run uvicorn; the benchmark's bare handler is run the same way."""
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(grace),
    )


def bind(host: str, port: int) -> Sequence[socket.socket]:
    """Listen on IPv4 and IPv6 alike: `localhost` is both loopbacks, `0.0.0.0` and `::` are all addresses."""
    families = {
        "localhost": ("127.0.0.1", "::1"),
        "127.0.0.1": ("127.0.0.1", "::1"),
        "0.0.0.0": ("0.0.0.0", "::"),  # noqa: S104  (asked for by name)
        "::": ("0.0.0.0", "::"),  # noqa: S104
    }
    bound: list[socket.socket] = []
    for address in families.get(host, (host,)):
        try:
            bound.append(_listen(address, bound[0].getsockname()[1] if bound else port))
        except OSError as error:
            # A machine without IPv6; or a free port was asked for, and it is free on IPv4 only.
            absent = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
            if bound and (absent or (port == 0 and error.errno == errno.EADDRINUSE)):
                continue
            for item in bound:
                item.close()
            reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise Misconfigured(f"cannot listen on {address} port {port}: {reason}") from None
    return bound


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def announce(config: Config, first_key: Secret | None, sandbox: Sandbox | None = None) -> None:
    """Tell the operator where it is, and this once the first API key."""
    console = Console(highlight=False)
    console.print(f"[bold]Holdfast {__version__}[/bold]{'  (development)' if config.dev else ''}")
    console.print(f"  URL       {config.base_url}")
    if first_key is not None:
        console.print(f"  API key   {first_key.reveal()}", soft_wrap=True)
        console.print("            shown this once; make more with `holdfast keys create`")
    console.print(f"  Database  {_without_password(config.database_url())}", soft_wrap=True)
    console.print(f"  Key file  {config.key_path()}", soft_wrap=True)
    if config.workers > 1:
        console.print(f"  Workers   {config.workers}")
    if sandbox is not None:  # a pretend provider's secret: it guards nothing
        console.print(f"  Sandbox   {config.base_url}/lab/sandbox/control")
        console.print(f"            client id {sandbox.client_id}", soft_wrap=True)
        console.print(f"            client secret {sandbox.client_secret.reveal()}", soft_wrap=True, markup=False)
    console.print(f"  API       {config.base_url}/openapi.json")
    sys.stdout.flush()


def _without_password(url: str) -> str:
    """Return the address as far as it is nobody's secret: what follows the `?` may hold a password too."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    user, at, host = place.rpartition("@")
    shown = "&".join(
        part for part in query.split("&") if part.split("=")[0] in ("host", "port", "target_session_attrs")
    )
    return f"{scheme}://{user.split(':')[0]}{at}{host}{'?' if shown else ''}{shown}"


def set_up_logs(level: str) -> None:
    """One JSON object a line on standard error. What is logged is named field by field; secrets have a type."""
    number = getattr(logging, level.upper())
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )

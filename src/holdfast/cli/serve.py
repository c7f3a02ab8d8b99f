"""`holdfast serve`: one process, its sockets and its logs. Its end is in `drain`, several processes in `workers`."""

import asyncio
import contextlib
import errno
import gc
import logging
import math
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TextIO, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from holdfast import telemetry
from holdfast.app import Holdfast, build
from holdfast.cli import tls
from holdfast.cli.announce import announce
from holdfast.cli.drain import Server
from holdfast.cli.protocols import AnyHttpProtocol
from holdfast.config import Config, Proxies, with_address
from holdfast.errors import Misconfigured
from holdfast.worker import Worker

_log = structlog.get_logger("holdfast.serve")

GRACE_SECONDS = 10.0
"""How long a stopping server lets open requests finish, beyond the time that a provider may take."""

YOUNG_OBJECTS = 10_000
"""Made, net of those let go, before the collector looks at them; Python's own 700 is what a few requests make."""


async def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM. Raises Misconfigured before anything is served if a setting is wrong."""
    set_up_logs(config.log_level)
    async with running(config) as (holdfast, server):
        announce(holdfast.config, holdfast.firsts, await holdfast.people.first_link(), holdfast.sandbox)
        await server.ended.wait()


@contextlib.asynccontextmanager
async def running(
    config: Config, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[tuple[Holdfast, Server]]:
    """Bind, build, serve; on leaving, drain and close. `sockets`: what is listened to already."""
    context = tls.server_context(config)
    listeners = bind(config.host, config.port) if sockets is None else sockets
    try:
        begin_telemetry()
        holdfast = await build(with_address(config, listeners[0].getsockname()[1]))
    except BaseException:
        for item in listeners:
            item.close()
        await telemetry.end()
        raise
    worker = Worker(
        holdfast.database,
        holdfast.clock,
        holdfast.sweep,
        holdfast.forecast,
        holdfast.bulk,
        sweep_interval=config.sweep_interval,
        cleanup_interval=config.cleanup_interval,
        others=holdfast.loops(),
    )
    worker.start()

    async def end_loops() -> None:
        holdfast.sender.close()
        await worker.stop()

    grace = config.outbound_timeout + GRACE_SECONDS
    server = Server(
        uvicorn_config(holdfast.app, grace, context, config.proxies()),
        holdfast.readiness,
        delay=config.drain_delay,
        on_drain=end_loops,
        shares=sockets is not None,
    )
    _stop_on_signals(server)
    # What is loaded by now stays for good. Left to the collector it is walked through again and again, which was a
    # seventh of what a proxied call costs. What is dead by now is too little (0.2 MB) to look for it first, for 0.1 s.
    # https://docs.python.org/3/library/gc.html#gc.freeze
    gc.freeze()
    # What is alive while some hundred requests are under way need not be walked through after every third of them.
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    gc.enable()
    try:
        await server.start(list(listeners))
        yield holdfast, server
    finally:
        await server.finish()
        await holdfast.close()
        await telemetry.end()


def begin_telemetry() -> None:
    """Send traces and metrics if the standard variables name a collector, and say why not where that cannot be: many
    platforms give them to every process, and a server that serves is worth more than one that tells of it."""
    if not telemetry.wanted(os.environ):
        return
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        _log.warning("telemetry_off", reason="OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf")
        return
    try:
        from holdfast.telemetry.otlp import Otlp
    except ImportError:
        _log.warning("telemetry_off", reason="the packages are not there: pip install 'holdfast[otel]'")
        return
    try:
        telemetry.begin(Otlp())
    except ValueError as error:  # a standard variable that the SDK cannot read; it names the variable
        _log.warning("telemetry_off", reason=str(error))


def _stop_on_signals(server: Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            loop.add_signal_handler(number, server.stop)


def uvicorn_config(
    app: ASGIApp, grace: float = GRACE_SECONDS, context: ssl.SSLContext | None = None, proxies: Proxies = ()
) -> uvicorn.Config:
    """Return how we run uvicorn; the benchmark's bare handler is run the same way. `proxies`: whose X-Forwarded-For is
    believed. uvicorn takes the address furthest to the right that is not one of them."""
    return uvicorn.Config(
        app,
        http=AnyHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=[str(network) for network in proxies],
        timeout_graceful_shutdown=math.ceil(grace),
        ssl_context_factory=None if context is None else lambda _config, _default: context,
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
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _LogStream())),
        cache_logger_on_first_use=True,
    )


class _LogStream:
    """Standard error for log lines. One that cannot be written (a full disk, a closed pipe) is left out: a log must not
    take away the answer to the request that it tells of."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()

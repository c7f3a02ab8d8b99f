"""PostgreSQL: asyncpg through SQLAlchemy's greenlet bridge, one pooled connection per transaction, READ COMMITTED.

A failover is how connections end. One that breaks is thrown away, and with it all that are as old; a transaction that
had not come to its COMMIT is run again on a new one, for as long as callers can be kept waiting. Of several hosts in
the address, the one that takes writes is used; a standby counts as down until it is promoted.

Nothing depends on the session: no SET that outlives a transaction, no LISTEN, no session lock, no temporary table.
Behind a pooler that hands connections on at each COMMIT, statements are sent without a name, inside a transaction.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from holdfast import telemetry
from holdfast.errors import Misconfigured
from holdfast.storage.engine import DirectWork, InDoubt, Work, first_line, is_away

T = TypeVar("T")

CONNECT_SECONDS = 5.0
"""A host that is up answers in milliseconds; one that has vanished must not hold up the next one for long."""
AWAY_SECONDS = 5.0
"""How long a transaction is tried again while the database is away. Promotion takes longer than that more often than
not; but callers wait meanwhile, and theirs time out."""
DIRECT_SECONDS = 15.0
"""For one small statement. A server that has stopped answering, without a word, is not waited for any longer."""
POOL_SECONDS = 10.0
MOST_KEPT = 4
"""Pooled connections kept for `direct`: one each for the kinds of batches there are, and two for reads."""
VANISHED_SECONDS = 10
"""Data that a host has not acknowledged for so long ends its connection: Linux alone would go on for a quarter hour."""
_RETRIED_SQLSTATES = {"40001", "40P01", "0A000"}
"""Serialization failure and deadlock: PostgreSQL asks for the transaction to be run again. And a prepared statement
whose table a migration has just changed: it is prepared anew."""
_PROBE = """SELECT current_setting('server_version_num'), pg_backend_pid(), current_setting('transaction_read_only')"""
_SECRETS = ("password", "passfile", "sslpassword", "sslkey")


class PostgresDatabase:
    dialect = "postgresql"

    def __init__(self, url: str, *, pooled: bool = False, connections: int = 10) -> None:
        self._url, self._pooled = url, pooled
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=self._create,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_use_lifo=True,  # what a connection used last is still in its caches
            hide_parameters=True,
        )
        self._running: set[asyncio.Task[Any]] = set()
        self._kept: list[tuple[AsyncConnection, Any]] = []

    @classmethod
    async def open(cls, url: str, *, pooler: str = "auto", connections: int = 10) -> "PostgresDatabase":
        """Look at the server first, over a connection of its own. Raises Misconfigured, saying what to do."""
        raw = await _first_connection(url)
        try:
            async with raw.transaction():
                version, backend, read_only = await raw.fetchrow(_PROBE)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise Misconfigured(f"cannot use the PostgreSQL database: {_scrubbed(first_line(error), url)}") from None
        finally:
            with contextlib.suppress(Exception):
                await raw.close(timeout=1)
        if int(version) < 150_000:
            raise Misconfigured(f"PostgreSQL 15 or newer is needed, this is {int(version) // 10_000}")
        if read_only == "on":
            raise Misconfigured(_STANDBY)
        # A pooler makes up the process id that it tells its clients: it is not that of whoever runs their statements.
        pooled = pooler == "transaction" or (pooler == "auto" and backend != raw.get_server_pid())
        return cls(url, pooled=pooled, connections=connections)

    @property
    def pooled(self) -> bool:
        """Whether a transaction pooler stands between."""
        return self._pooled

    async def transact(self, work: Work[T]) -> T:
        with telemetry.span("transaction", kind="client", nested=True, database="postgresql"):
            return await self._finish(self._attempt(work))

    async def direct(self, work: DirectWork[T], *, shielded: bool = True) -> T:
        if shielded:
            return await self._finish(self._directly(work))
        task: Any = asyncio.current_task()
        self._running.add(task)
        try:
            return await self._directly(work)
        finally:
            self._running.discard(task)

    async def _finish(self, attempt: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(attempt)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    # A transaction

    async def _attempt(self, work: Work[T], tries: int = 3) -> T:
        give_up_at, pause = time.monotonic() + AWAY_SECONDS, 0.05
        while True:
            try:
                return await self._once(work)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) in _RETRIED_SQLSTATES:
                    tries -= 1
                    if tries == 0:
                        raise
                    continue
                if not is_away(error) or time.monotonic() + pause > give_up_at:
                    raise
            except OSError:
                if time.monotonic() + pause > give_up_at:
                    raise
            # Apart from each other: what waited together must not come back together.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (no secret)
            pause = min(pause * 2, 0.8)

    async def _once(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            try:
                result = await connection.run_sync(_run, work)
            except DBAPIError as error:
                if is_away(error) and not error.connection_invalidated:
                    await connection.invalidate()
                raise
            try:
                await connection.commit()
            except (DBAPIError, OSError) as error:
                if not is_away(error):
                    raise
                await connection.invalidate()
                raise InDoubt from error
            return result

    # One statement

    async def _directly(self, work: DirectWork[T]) -> T:
        """Run on a connection that is kept for this: fetching one from the pool costs as much as the statement.

        Not run again: it commits itself, so it may have been carried out although its answer was lost.
        """
        connection, raw = await self._for_direct()
        done = False
        try:
            async with asyncio.timeout(DIRECT_SECONDS):
                result = await self._on(raw, work)
            done = True
            return result
        except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            done = not (isinstance(error, TimeoutError) or raw.is_closed() or is_away(error))
            if done:
                raise
            raise ConnectionError("the database does not answer just now") from error
        finally:
            if not done:
                raw.terminate()
                await connection.invalidate()
                await connection.close()
            elif len(self._kept) >= MOST_KEPT:
                if not self._pooled:
                    await raw.execute("RESET plan_cache_mode")
                await connection.close()
            else:
                self._kept.append((connection, raw))

    async def _on(self, raw: Any, work: DirectWork[T]) -> T:
        if not self._pooled:
            return await work.on_postgres(raw)
        async with raw.transaction():  # else its two messages could meet two servers
            return await work.on_postgres(raw)

    async def _for_direct(self) -> tuple[AsyncConnection, Any]:
        while self._kept:
            kept = self._kept.pop()
            if not kept[1].is_closed():
                return kept
            await kept[0].invalidate()
            await kept[0].close()
        connection = await self._engine.connect()
        raw: Any = (await connection.get_raw_connection()).driver_connection
        if not self._pooled:
            # A batch of few looks cheaper to the planner than the general case, so it would plan each batch anew, which
            # takes several times what running it does: https://www.postgresql.org/docs/current/sql-prepare.html (Notes)
            await raw.execute("SET plan_cache_mode = force_generic_plan")
        return connection, raw

    async def close(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=5)
        for connection, _ in self._kept:
            await connection.close()
        await self._engine.dispose()

    # Connecting

    def _create(self) -> Any:
        """Return a new connection for the pool. SQLAlchemy takes settings of its adapter nowhere else."""
        dbapi: Any = self._engine.sync_engine.dialect.dbapi
        if not self._pooled:
            return dbapi.connect(async_creator_fn=lambda: _connect(self._url, named=True))
        return dbapi.connect(
            async_creator_fn=lambda: _connect(self._url, named=False),
            prepared_statement_cache_size=0,
            prepared_statement_name_func=lambda: "",
        )


def _run(connection: Connection, work: Work[T]) -> T:
    return work(connection)


async def _connect(url: str, *, named: bool) -> Any:
    more: dict[str, Any] = {} if "target_session_attrs=" in url else {"target_session_attrs": "read-write"}
    if not named:
        more["statement_cache_size"] = 0
    try:
        raw = await asyncpg.connect(url, timeout=CONNECT_SECONDS, **more)
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise ConnectionError("no host of the database takes writes just now") from error
    _expect_life(raw)
    return raw


def _expect_life(raw: Any) -> None:
    """Let the kernel notice a host that has vanished without closing its connections."""
    transport = getattr(raw, "_transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", VANISHED_SECONDS // 2),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", VANISHED_SECONDS * 1000),
    ):
        if hasattr(socket, name):  # Linux has them all
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# The first connection, and what an operator reads when there is none

_STANDBY = (
    "this PostgreSQL takes no writes (a standby, or default_transaction_read_only): use the primary's address, "
    "or name all hosts, as in postgresql://user@host1,host2/name"
)
_UNREADABLE = (
    "the database's address cannot be read: it is postgresql://user:password@host:port/name, "
    "with @ : / ? # and % of the password written as %40 %3A %2F %3F %23 %25"
)


async def _first_connection(url: str) -> Any:
    try:
        return await _connect(url, named=False)
    except asyncpg.InvalidPasswordError as error:
        said, advice = first_line(error), "check the user and the password in HOLDFAST_DATABASE"
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        said, advice = first_line(error), "check the user, and the server's pg_hba.conf"
    except asyncpg.InvalidCatalogNameError as error:
        said, advice = first_line(error), "create it (createdb), or correct its name in HOLDFAST_DATABASE"
    except TimeoutError:
        said, advice = f"no answer within {CONNECT_SECONDS:.0f} s", "check the host, the port and the network"
    except ConnectionError as error:
        if isinstance(error.__cause__, asyncpg.TargetServerAttributeNotMatched):
            raise Misconfigured(_STANDBY) from None
        said, advice = first_line(error), "check that it runs, and the host and port in HOLDFAST_DATABASE"
    except OSError as error:
        said, advice = first_line(error), "check that it runs, and the host and port in HOLDFAST_DATABASE"
    except (asyncpg.ClientConfigurationError, ValueError, TypeError):
        raise Misconfigured(_UNREADABLE) from None  # what went wrong could quote the password
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        said, advice = first_line(error), "see the server's log"
    raise Misconfigured(f"cannot reach the PostgreSQL database: {_scrubbed(said, url)}; {advice}") from None


def _scrubbed(text: str, url: str) -> str:
    """Return the text without any secret of the address."""
    try:
        parts = urlsplit(url)
        secrets = {parts.netloc.rpartition("@")[0].partition(":")[2]}
        secrets |= {value for name, value in parse_qsl(parts.query) if name in _SECRETS}
    except ValueError:
        return "the address cannot be read"
    for secret in {form for one in secrets for form in (one, unquote(one)) if form}:
        text = text.replace(secret, "***")
    return text

"""The two engines behind one method: `transact(work)` runs a function in one transaction and commits it.

SQLite: one thread owns the one connection (WAL, synchronous=FULL). What is queued while a commit runs forms the next
batch: each piece of work in its own savepoint, one commit for all, so that a durable write costs a share of an fsync.
PostgreSQL: see `postgres`.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast import telemetry
from holdfast.errors import Misconfigured, Unavailable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Work = Callable[[Connection], T]

SQLITE_BUSY_MS = 10_000
"""How long a second process (the CLI beside a running server) waits for the write lock."""
SQLITE_MAPPED_BYTES = 2**31
"""Of the file, what is read where the system has it in memory, not copied into SQLite's own cache: among a million
accounts nearly every page would be. Read only, and given back when memory is short. A disk that cannot be read ends the
process instead of failing one read: https://www.sqlite.org/mmap.html"""
MAX_BATCH = 256
"""Enough to share an fsync among all callers that can be waiting; bounds what one failed commit takes with it."""
_AWAY_SQLSTATES = {"57P01", "57P02", "57P03", "57P05", "53300", "25006"}
"""Shut down, crashed, starting up, no room for another connection; and read-only, as a standby is until it is
promoted. With class 08, the connection's own: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class DirectWork(Protocol[T_co]):
    """Work in the engine's own SQL on the driver's own connection, once for each engine."""

    def on_sqlite(self, raw: sqlite3.Connection) -> T_co: ...

    async def on_postgres(self, raw: Any) -> T_co:
        """One statement on an asyncpg connection: it commits itself."""
        ...


class InDoubt(Unavailable):
    """The database went away while it committed: what was written may be there, or not. Look before doing it again."""

    default_code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__("the database went away in the middle of this, and may have kept it: look, then try again")


class Database(Protocol):
    """A durable store. `transact` returns what `work` returned once that is committed, and raises what it raised;
    `direct` does the same for the little work that cannot afford SQLAlchemy, and raises the driver's errors. Either is
    carried out although its caller be cancelled meanwhile; `shielded=False` is for one that never is: on PostgreSQL the
    statement then leaves a turn of the loop earlier.

    A transaction whose connection breaks before its COMMIT is run again, so work may run more than once: whatever it
    makes anew each time is fine. One that breaks in its COMMIT raises InDoubt, and is not."""

    dialect: str

    async def transact(self, work: Work[T]) -> T: ...

    async def direct(self, work: DirectWork[T], *, shielded: bool = True) -> T: ...

    async def close(self) -> None: ...


async def open_database(url: str, *, pooler: str = "auto", connections: int = 10) -> Database:
    """Open `sqlite:///path` or `postgresql://...`. Raises Misconfigured with one clear line if it cannot be reached.

    For PostgreSQL: `pooler` (auto, none or transaction) tells whether connections change hands at each COMMIT, and
    `connections` is the most that are open at once.
    """
    if url.startswith("sqlite:///"):
        return await SqliteDatabase.open(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        from holdfast.storage.postgres import PostgresDatabase

        return await PostgresDatabase.open(url, pooler=pooler, connections=connections)
    raise Misconfigured("database must be sqlite:///path or postgresql://user@host/name")


class SqliteDatabase:
    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="holdfast-sqlite", daemon=True)
        self._closed = False

    @classmethod
    async def open(cls, path: Path) -> "SqliteDatabase":
        database = cls(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database._thread.start()
            await database.transact(lambda tx: tx.exec_driver_sql("SELECT 1").scalar())
        except (DBAPIError, OSError, Unavailable) as error:
            if database._thread.ident is not None:
                await database.close()
            raise Misconfigured(f"cannot open the SQLite database {path}: {first_line(error)}") from None
        return database

    async def transact(self, work: Work[T]) -> T:
        with telemetry.span("transaction", kind="client", nested=True, database="sqlite"):
            return await self._queue(_in_savepoint(work))

    async def direct(self, work: DirectWork[T], *, shielded: bool = True) -> T:
        return await self._queue(_in_raw_savepoint(work))

    async def _queue(self, run: Work[T]) -> T:
        if self._closed:
            raise Unavailable("the database is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(run, done, loop))
        # A cancelled caller must not cancel the batch: the job stays queued, only its answer is dropped.
        return await asyncio.shield(done)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        engine = _sqlite_engine(self._path)
        connection: Connection | None = None
        while batch := self._next_batch():
            try:
                connection = connection or engine.connect()
                _run_batch(connection, batch)
            except Exception as error:
                for job in batch:
                    job.fail(error)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
        if connection is not None:
            connection.close()
        engine.dispose()

    def _next_batch(self) -> "list[_Job]":
        """Wait for work, then take all that is queued. Empty = closed and drained."""
        first = self._jobs.get()
        batch: list[_Job] = []
        while first is not None:
            batch.append(first)
            if len(batch) == MAX_BATCH:
                break
            try:
                first = self._jobs.get_nowait()
            except queue.Empty:
                break
        else:
            if batch:  # the end mark came behind work: finish the work, then see the mark again
                self._jobs.put(None)
        return batch


def _in_savepoint(work: Work[T]) -> Work[T]:
    def run(connection: Connection) -> T:
        with connection.begin_nested():
            return work(connection)

    return run


def _in_raw_savepoint(work: DirectWork[T]) -> Work[T]:
    def run(connection: Connection) -> T:
        raw: Any = connection.connection.driver_connection
        raw.execute("SAVEPOINT direct")
        try:
            return work.on_sqlite(raw)
        except BaseException:
            raw.execute("ROLLBACK TO direct")
            raise
        finally:
            raw.execute("RELEASE direct")

    return run


class _Job:
    """Work that undoes itself if it fails, and who waits for it."""

    __slots__ = ("_done", "_loop", "_result", "_run")

    def __init__(self, run: Work[Any], done: "asyncio.Future[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._run, self._done, self._loop = run, done, loop
        self._result: Any = None

    def run(self, connection: Connection) -> None:
        self._result = self._run(connection)

    def succeed(self) -> None:
        self._tell(self._done.set_result, self._result)

    def fail(self, error: BaseException) -> None:
        self._tell(self._done.set_exception, error)

    def _tell(self, settle: Callable[[Any], None], value: Any) -> None:
        def on_loop() -> None:
            if not self._done.done():
                settle(value)

        try:
            self._loop.call_soon_threadsafe(on_loop)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            return


def _run_batch(connection: Connection, batch: list[_Job]) -> None:
    """Run the batch in one transaction. A job that raises undoes only itself."""
    good: list[_Job] = []
    with connection.begin():
        for job in batch:
            try:
                job.run(connection)
            except Exception as error:
                # A full disk, among others, makes SQLite undo the whole transaction, not the savepoint alone, and
                # COMMIT then succeeds in committing nothing: https://www.sqlite.org/lang_transaction.html (Response To
                # Errors Within A Transaction). What earlier jobs wrote is gone, and they must not be told otherwise.
                if not _in_transaction(connection):
                    raise
                job.fail(error)
            else:
                good.append(job)
    for job in good:
        job.succeed()


def _in_transaction(connection: Connection) -> bool:
    raw = connection.connection.driver_connection
    return isinstance(raw, sqlite3.Connection) and raw.in_transaction


def _sqlite_engine(path: Path) -> sqlalchemy.Engine:
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": SQLITE_BUSY_MS / 1000}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _prepare(raw: Any, _record: object) -> None:
        # The driver's own transaction control would start transactions late and as readers: we say BEGIN ourselves.
        raw.isolation_level = None
        _switch_to_wal(raw)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={SQLITE_BUSY_MS}",
            "temp_store=MEMORY",
            "cache_size=-16384",
            f"mmap_size={SQLITE_MAPPED_BYTES}",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(raw: Any) -> None:
    """Turn write-ahead logging on. SQLite does not wait for its busy timeout here, so two first starts at once would
    leave one of them with "database is locked": https://www.sqlite.org/wal.html (section 8, Sometimes Queries Return
    SQLITE_BUSY In WAL Mode)."""
    until = time.monotonic() + SQLITE_BUSY_MS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def is_unavailable(error: BaseException) -> bool:
    """Tell whether the database, and not the work, is what failed."""
    if isinstance(error, OperationalError | OSError | TimeoutError | PoolTimeout):
        return True
    return is_away(error) or is_out_of_room(error)


def is_out_of_room(error: BaseException) -> bool:
    """Tell whether an error says that the database's disk or memory is used up, and not the work's fault."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        # "disk I/O error" is what a full disk is called where the shared-memory file has to grow.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    # Class 53 (insufficient resources), io_error: https://www.postgresql.org/docs/current/errcodes-appendix.html
    sqlstate = str(getattr(cause, "sqlstate", None) or "")
    return (sqlstate.startswith("53") and sqlstate not in _AWAY_SQLSTATES) or sqlstate == "58030"


def is_away(error: BaseException) -> bool:
    """Tell whether an error says that the connection, or the server behind it, is gone or not ready to write."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _is_away_state(getattr(error.orig, "sqlstate", None))
    return isinstance(error, OSError) or _is_away_state(getattr(error, "sqlstate", None))


def _is_away_state(sqlstate: str | None) -> bool:
    return sqlstate is not None and (sqlstate in _AWAY_SQLSTATES or sqlstate.startswith("08"))


def is_refused(error: BaseException) -> bool:
    """Tell whether the database is there and will never take what it was given: a driver's error of `direct`."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError | UnicodeError):
        return True
    # Classes 22 (data exception) and 23 (integrity): https://www.postgresql.org/docs/current/errcodes-appendix.html
    return str(getattr(error, "sqlstate", None) or "")[:2] in ("22", "23")


def first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__

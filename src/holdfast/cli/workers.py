"""`holdfast serve --workers N`: N server processes on one port, and the supervisor that starts them.

The supervisor loads the code, binds the port, has a child do what a first start does once (schema, key file, API key),
and forks the workers, which share its memory until they write to it. It runs no loop and no thread of its own, so there
is nothing that a fork could break. A worker that dies is started again, later each time if it keeps dying; one that
fails before any has been ready ends it all. All accept from the same sockets: a connection that waits for a dead
worker is another one's.

Whatever ends the supervisor ends the workers: SIGTERM and SIGINT are passed on, and each holds a pipe whose other end
is the supervisor's.
"""

import asyncio
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog
from rich.console import Console

from holdfast.app import build
from holdfast.cli.announce import announce, read, written
from holdfast.cli.serve import bind, running, set_up_logs
from holdfast.config import Config, with_address
from holdfast.errors import HoldfastError

_log = structlog.get_logger("holdfast.workers")
Runner = Callable[[Coroutine[Any, Any, Any]], Any]

STEADY_SECONDS = 30.0
"""A worker that has lived this long was well: its death counts as the first one."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 15.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def supervise(config: Config, runner: Runner) -> int:
    """Serve with `config.workers` processes until SIGINT or SIGTERM; return the exit status.

    `runner` runs a coroutine to its end. Raises Misconfigured before anything is served if a setting is wrong.
    """
    set_up_logs(config.log_level)
    sockets = bind(config.host, config.port)
    config = with_address(config, sockets[0].getsockname()[1])
    _preload()
    status, told = _in_child(lambda: _prepare(config, runner))
    if status:
        return status
    supervisor = _Supervisor(config, sockets, runner)
    return supervisor.run(told)


def _preload() -> None:
    """Load what a worker would load by itself, so that all share the one copy."""
    for name in (
        "holdfast.storage.postgres",
        "sqlalchemy.dialects.postgresql.asyncpg",
        "uvicorn.lifespan.off",
        "uvicorn.protocols.http.httptools_impl",
    ):
        importlib.import_module(name)


def _prepare(config: Config, runner: Runner) -> str:
    """Build the server once and close it again; return what this start made, written out."""

    async def once() -> str:
        holdfast = await build(config)
        link = await holdfast.people.first_link()
        await holdfast.close()
        return written(holdfast.firsts, link)

    return str(runner(once()))


@dataclass(slots=True)
class _Worker:
    """A place for a worker process. `pid` is None while none is there; `due` is when the next one is started."""

    number: int
    pid: int | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0
    ready: int | None = None
    """The reading end of the pipe over which it says that it serves."""


class _Supervisor:
    def __init__(self, config: Config, sockets: Sequence[socket.socket], runner: Runner) -> None:
        self._config, self._sockets, self._runner = config, sockets, runner
        self._workers = [_Worker(number) for number in range(config.workers)]
        self._life, self._life_end = os.pipe()
        self._stopping = False
        self._announced = False
        self._status = 0
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        self._former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def run(self, told: str) -> int:
        gc.freeze()  # a collection would write to every object, and so copy what is shared
        while True:
            self._reap()
            if self._stopping and all(worker.pid is None for worker in self._workers):
                return self._status
            self._start_those_due()
            if self._all_ready() and not self._announced and not self._stopping:
                self._announced = True
                announce(self._config, *read(told))
            self._wait()

    # Waiting

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stop(signal.Signals(number))

    def _stop(self, number: signal.Signals) -> None:
        """Pass it on. Our own listeners go first: what nobody would accept must not be queued."""
        self._stopping = True
        for item in self._sockets:
            item.close()
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, number)

    def _wait(self) -> None:
        now = time.monotonic()
        due = [worker.due - now for worker in self._workers if worker.pid is None]
        pipes = [worker.ready for worker in self._workers if worker.ready is not None]
        timeout = None if self._stopping or not due else max(0.0, min(due))
        found, _, _ = select.select([self._woken, *pipes], [], [], timeout)
        if self._woken in found:
            os.read(self._woken, 4096)
        for worker in self._workers:
            if worker.ready in found and worker.ready is not None and os.read(worker.ready, 1):
                os.close(worker.ready)
                worker.ready = None
                if self._announced:
                    _log.info("worker_ready", worker=worker.number, pid=worker.pid)

    def _all_ready(self) -> bool:
        return all(worker.pid is not None and worker.ready is None for worker in self._workers)

    # Starting and burying

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not self._stopping and worker.pid is None and worker.due <= now:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        reading, writing = os.pipe()
        worker.started, worker.ready = time.monotonic(), reading
        # Between the fork and the child's own handlers no signal may meet the supervisor's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._become(worker, writing)
        worker.pid = pid
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(writing)
        if self._stopping:
            os.kill(pid, signal.SIGTERM)

    def _become(self, worker: _Worker, writing: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        for number, former in self._former.items():
            signal.signal(number, former)
        os.close(self._life_end)
        for other in self._workers:
            if other.ready is not None:
                os.close(other.ready)
        config = self._config.share(worker.number)

        def told() -> None:
            os.write(writing, b"+")
            os.close(writing)

        _end_as(lambda: self._runner(_serve(config, self._sockets, self._life, told)))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for worker in self._workers:
                if worker.pid == pid:
                    self._bury(worker, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, status: int) -> None:
        never_ready, pid = worker.ready is not None, worker.pid
        worker.pid = None
        if worker.ready is not None:
            os.close(worker.ready)
            worker.ready = None
        if self._stopping:
            too_early = never_ready and status in (-signal.SIGTERM, -signal.SIGINT, 130)
            self._status = self._status or (0 if status == 0 or too_early else 1)
            return
        if not self._announced and never_ready:
            how = f"status {status}" if status >= 0 else signal.Signals(-status).name
            _say(f"worker {worker.number} of {len(self._workers)} did not start ({how})")
            self._status = status if status > 0 else 1
            self._stop(signal.SIGTERM)
            return
        now = time.monotonic()
        worker.deaths = 1 if now - worker.started > STEADY_SECONDS else worker.deaths + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(worker.deaths - 1, 16))
        worker.due = now + pause
        _log.error("worker_died", worker=worker.number, pid=pid, status=status, restart_in=round(pause, 1))


async def _serve(config: Config, sockets: Sequence[socket.socket], life: int, told: Callable[[], None]) -> None:
    async with running(config, sockets) as (_, server):
        asyncio.get_running_loop().add_reader(life, server.stop)
        told()
        await server.ended.wait()
        asyncio.get_running_loop().remove_reader(life)


# A child process


def _in_child(work: Callable[[], str]) -> tuple[int, str]:
    """Run work in a process of its own; return its exit status and what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _end_as(lambda: os.write(writing, work().encode()))
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (status if status >= 0 else 128 - status), text


def _end_as(work: Callable[[], object]) -> NoReturn:
    """Do it and end this process: 2 and one line for an operator's mistake, 1 for anything else that goes wrong."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    status = 0
    try:
        work()
    except HoldfastError as error:
        _say(error.message)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except BaseException as error:
        _log.error("worker_failed", error=type(error).__name__)
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(message: str) -> None:
    Console(stderr=True, highlight=False).print(f"holdfast: {message}", markup=False, soft_wrap=True)

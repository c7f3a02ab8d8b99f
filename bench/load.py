"""Loading a server with wrk or gRPC calls, and reading what it and the processes behind it have used meanwhile."""

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.grpc_load import STREAMS
from bench.machine import LOAD_CORE, cpu_seconds, pinned
from bench.plan import Failed
from bench.processes import Postgres, Process

_SCRIPT = """
math.randomseed({seed})
wrk.headers["Authorization"] = "Bearer {key}"
local at = {first} - 1
{ready}
local function ask(at) {asked} end
local asks = {{}}
init = function()
  for number = 0, {prepared} - 1 do asks[number] = ask(number) end
end
request = function()
  {choose}
  return asks[at] or ask(at)
end
{check}
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %.1f %.1f %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""
_CHOOSE = {
    "random": "at = math.random(0, {accounts} - 1)",
    "in_turn": "at = (at + 1) % {accounts}",
}
_MOST_PREPARED = 100_000
"""Requests made before the load begins, where there are no more: made meanwhile, they would slow what is measured."""
_ONCE_PER_SECOND = 15_000
"""Reads, about: how long `each_once` takes."""
_READY = {"read": 'wrk.method = "POST" wrk.headers["Content-Type"] = "application/json"', "call": ""}
_ASKED = {
    "read": """return wrk.format(nil, nil, nil, '{"user_id":"user_' .. at .. '"}')""",
    "call": """wrk.headers["X-Relay-User"] = "user_" .. at return wrk.format()""",
}
"""A token read has its user in the body, a proxied call in a header."""
# wrk counts what is not 2xx or 3xx; a read without a token is 200 all the same.
_CHECK = """
response = function(status, headers, body)
  if status == 200 and not string.find(body, '"access_token"', 1, true) then
    io.write("NO TOKEN " .. string.sub(body, 1, 200) .. "\\n")
  end
end
"""


_SEEDS = itertools.count(1)
"""Each run asks for other accounts than the one before: the same again would be a few, and in the caches by then."""


@dataclass(frozen=True)
class Measured:
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float
    """CPU microseconds of the server's process per request, and of the database's."""
    database_us: float


def wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise Failed("wrk is needed (apt-get install wrk)")
    return found


def measure(
    port: int,
    key: str,
    *,
    callers: int,
    seconds: float,
    accounts: int,
    server: Sequence[int],
    database: Callable[[], Sequence[int]] | None = None,
    order: Literal["random", "in_turn"] = "random",
    first: int = 0,
    path: str = "/data-integrations/github/token",
    kind: Literal["read", "call"] = "read",
    checked: bool = False,
    prepared: bool = True,
) -> Measured:
    """Load the server on loopback from the load's core for so many whole seconds, with so many connections.

    `database` returns the processes behind the server, as they are now. Raises Failed for any answer that is not 200;
    with `checked`, also for one without a token. `prepared`: the requests are made before the load begins, unless there
    are too many.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        text = _SCRIPT.format(
            key=key,
            seed=next(_SEEDS),
            first=first,
            ready=_READY[kind],
            asked=_ASKED[kind],
            prepared=accounts if prepared and accounts <= _MOST_PREPARED else 0,
            choose=_CHOOSE[order].format(accounts=accounts),
            check=_CHECK if checked else "",
        )
        script.write_text(text)
        command = [wrk(), "-t1", f"-c{callers}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        command = pinned([*command, "-s", str(script), f"http://127.0.0.1:{port}{path}"], LOAD_CORE)
        return _measured(command, server, database)


def each_once(server: Process, accounts: int, database: Postgres | None) -> None:
    """Read each account through the server, for what a server in use has behind it: accounts in its database's memory,
    and connections that know where. A connection's first touch of a page costs it more than all that follow."""
    read = 0
    while read < accounts:
        read += measure(
            server.port,
            server.key,
            callers=64,
            seconds=(accounts - read) / _ONCE_PER_SECOND,
            accounts=accounts,
            server=[server.pid],
            database=(lambda: database.pids(LOAD_CORE)) if database else None,
            order="in_turn",
            first=read,
        ).requests


def measure_grpc(
    port: int,
    key: str,
    *,
    callers: int,
    seconds: float,
    accounts: int,
    server: Sequence[int],
    database: Callable[[], Sequence[int]] | None = None,
) -> Measured:
    """As `measure`, by gRPC: a connection for every eight callers (bench/grpc_load.py). Raises Failed for any call
    without the status 0."""
    command = [sys.executable, "-m", "bench.grpc_load", "--port", str(port), "--key", key, "--seconds", f"{seconds:g}"]
    command += ["--connections", str(max(1, callers // STREAMS)), "--accounts", str(accounts)]
    return _measured(pinned(command, LOAD_CORE), server, database)


def _measured(command: list[str], server: Sequence[int], database: Callable[[], Sequence[int]] | None) -> Measured:
    before = cpu_seconds(server), cpu_seconds(database() if database else ())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"the load failed: {done.stderr[-300:] or done.stdout[:300]}")
    output = done.stdout
    # Asked again: a database makes processes as connections come, and they begin at nothing.
    after = cpu_seconds(server), cpu_seconds(database() if database else ())
    result = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", output)
    if result is None:
        raise Failed(f"the load said {output!r}")
    if int(result[5]) or "NO TOKEN" in output:
        raise Failed(f"{result[5]} of {result[1]} requests were not answered as they should be: {output[:400]!r}")
    requests, micros = int(result[1]), int(result[2])
    per_request = 1e6 / max(1, requests)
    return Measured(
        requests=requests,
        per_second=requests / (micros / 1e6),
        p50_ms=float(result[3]) / 1000,
        p99_ms=float(result[4]) / 1000,
        server_us=(after[0] - before[0]) * per_request,
        database_us=(after[1] - before[1]) * per_request,
    )

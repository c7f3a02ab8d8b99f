"""The processes to load: Holdfast with seeded accounts, the bare handler that is its ceiling, a token endpoint,
and what proxied calls are measured against."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from bench import relays
from bench.seed import TOKEN_LENGTH, Seed, seed
from holdfast.cli.serve import bind, running, uvicorn_config
from holdfast.config import Config
from holdfast.events import Actor

FEW = 10_000
"""Accounts: making them leaves nothing to speak of."""


async def serve(app: ASGIApp, port: int) -> None:
    """Serve a plain handler as Holdfast is served: the same uvicorn, corked alike."""
    server = uvicorn.Server(uvicorn_config(app))
    sockets = bind("127.0.0.1", port)
    print(f"ready {sockets[0].getsockname()[1]} none", flush=True)
    await server.serve(sockets=list(sockets))


def bare() -> ASGIApp:
    """Read the request, send a reply of the size that Holdfast sends."""
    body = b'{"active":true,"access_token":{"access_token":"' + b"x" * TOKEN_LENGTH + b'","scopes":[]}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def handler(_scope: Scope, receive: Receive, send: Send) -> None:
        await _whole(receive)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return handler


def token_endpoint(life: int) -> ASGIApp:
    """Grant whatever asks by refresh token a new pair of so many seconds; tell at /count how often."""
    seen = {"requests": 0, "first": 0.0, "last": 0.0}
    access = "x" * (TOKEN_LENGTH - 12)

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        await _whole(receive)
        if scope["path"] in ("/count", "/reset"):
            body = json.dumps(seen).encode()
            if scope["path"] == "/reset":
                seen.update(requests=0, first=0.0, last=0.0)
        else:
            seen["requests"] += 1
            seen["last"] = time.time()
            seen["first"] = seen["first"] or seen["last"]
            number = int(seen["requests"])
            body = (
                f'{{"access_token":"{number:012d}{access}","token_type":"bearer","expires_in":{life},'
                f'"refresh_token":"{number:012d}{"r" * 48}","scope":"repo"}}'
            ).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return handler


async def _whole(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


async def serve_holdfast(arguments: argparse.Namespace) -> bool:
    """Serve until told to end. Returns True instead if it has made many accounts: another process is to serve them, so
    that nothing is measured of what making a million leaves in memory. (Not where the sweep is at them by then.)"""
    upstream = arguments.upstream
    config = Config(
        port=arguments.port,
        host="127.0.0.1",
        database=arguments.database,
        data_dir=arguments.data_dir,
        log_level="error",
        dev=bool(upstream),
        provider_origins=dict.fromkeys(("https://github.com", "https://api.github.com"), upstream) if upstream else {},
        sweep_interval=arguments.sweep_interval,
        sweep_concurrency=64,
        refreshes_per_provider=64,
    )
    async with running(config) as (holdfast, server):
        made = await seed(holdfast, Seed(arguments.accounts, arguments.state))
        if made and arguments.accounts > FEW and not arguments.sweep_interval:
            return True
        key = holdfast.first_key or (await holdfast.keys.create(holdfast.environment.id, "bench", Actor("operator")))[1]
        print(f"ready {holdfast.config.base_url.rpartition(':')[2]} {key.reveal()}", flush=True)
        await server.ended.wait()
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("holdfast", "bare", "endpoint", "upstream", "relay", "relay_aiohttp"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--database", default="")
    parser.add_argument("--data-dir", type=Path, default=Path("build/bench-data"))
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--state", choices=("live", "ended", "due"), default="live")
    parser.add_argument("--upstream", default="", help="the origin of the token endpoint, or of the proxied API")
    parser.add_argument("--sweep-interval", type=float, default=0.0)
    parser.add_argument("--life", type=int, default=1, help="seconds that the endpoint's tokens live")
    arguments = parser.parse_args()
    work: Coroutine[Any, Any, bool | None]
    match arguments.role:
        case "bare":
            work = serve(bare(), arguments.port)
        case "endpoint":
            work = serve(token_endpoint(arguments.life), arguments.port)
        case "upstream":
            work = relays.upstream()
        case "relay":
            work = serve(relays.ours(arguments.upstream), arguments.port)
        case "relay_aiohttp":
            work = serve(relays.common(arguments.upstream), arguments.port)
        case _:
            work = serve_holdfast(arguments)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        again = runner.run(work)
    if again:
        os.execv(sys.executable, sys.orig_argv)


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.Loop


if __name__ == "__main__":
    main()

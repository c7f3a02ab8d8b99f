"""A server process to load: Holdfast with seeded accounts, or the bare handler that is its ceiling."""

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

from holdfast import ids
from holdfast.accounts import Account, OAuthCredential, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.credential import lay_in
from holdfast.app import Holdfast
from holdfast.cli.serve import bind, running, uvicorn_config
from holdfast.config import Config
from holdfast.connections.clients import ClientInput
from holdfast.connections.settings import NewConnection
from holdfast.events import Actor
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx

TOKEN_LENGTH = 700
"""Characters: what a JWT access token of a large provider has; the reply is about 1 KB."""
SEED_BATCH = 1000


async def serve_bare(port: int) -> None:
    """Read the request, send a reply of the size that Holdfast sends."""
    body = b'{"active":true,"access_token":{"access_token":"' + b"x" * TOKEN_LENGTH + b'","scopes":[]}}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def handler(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(uvicorn_config(handler))
    sockets = bind("127.0.0.1", port)
    print(f"ready {sockets[0].getsockname()[1]} none", flush=True)
    await server.serve(sockets=list(sockets))


async def serve_holdfast(port: int, database: str, data_dir: Path, accounts: int) -> None:
    config = Config(port=port, host="127.0.0.1", database=database, data_dir=data_dir, log_level="error")
    async with running(config) as (holdfast, server):
        await seed(holdfast, accounts)
        key = holdfast.first_key or (await holdfast.keys.create(holdfast.environment.id, "bench", Actor("operator")))[1]
        print(f"ready {holdfast.config.base_url.rpartition(':')[2]} {key.reveal()}", flush=True)
        await server.ended.wait()


async def seed(holdfast: Holdfast, count: int) -> None:
    """Make `count` users with one live account each: user_0, user_1, ..."""
    new = NewConnection(
        provider_slug="github",
        client_supply="custom",
        client=ClientInput("client", Secret("secret-of-the-bench")),
        enabled=True,
    )
    connections = holdfast.accounts.connections
    connection = await connections.create(holdfast.environment.id, new, Actor("operator"))
    await holdfast.vault.ready(holdfast.environment.id)
    now = holdfast.clock.now()
    credential = OAuthCredential(Secret("x" * TOKEN_LENGTH), Secret("r" * 60), now + 86_400, None, ("repo",))
    for first in range(0, count, SEED_BATCH):
        made = []
        for number in range(first, min(first + SEED_BATCH, count)):
            blank = Account(
                environment_id=holdfast.environment.id,
                id=ids.new_id(now),
                connection_id=connection.id,
                owner=Owner.user(f"user_{number}"),
                role="compatibility",
                method="oauth",
                status=Status.ACTIVE,
                created_at=now,
                updated_at=now,
            )
            laid = lay_in(blank, credential, holdfast.vault, Lifetime(), now)
            made.append(replace(laid, refresh_at=now + 80_000))

        def work(tx: Tx, made: list[Account] = made) -> None:
            for account in made:
                account_store.add(tx, account)

        await holdfast.database.transact(work)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--database", default="")
    parser.add_argument("--data-dir", type=Path, default=Path("build/bench-data"))
    parser.add_argument("--accounts", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.bare:
        work = serve_bare(arguments.port)
    else:
        work = serve_holdfast(arguments.port, arguments.database, arguments.data_dir, arguments.accounts)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.Loop


if __name__ == "__main__":
    main()

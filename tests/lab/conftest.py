"""The sandbox on a real server on loopback, mounted under a path as `holdfast serve --dev` does."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from holdfast.clock import FrozenClock
from holdfast.lab import Sandbox
from holdfast.lab.routes import routes
from tests.lab.app import App


@pytest_asyncio.fixture(scope="session")
async def running_app() -> AsyncIterator[App]:
    clock = FrozenClock()
    sandbox = Sandbox(clock)
    served = Starlette(routes=[Mount("/lab/sandbox", routes=routes(sandbox))])
    server = uvicorn.Server(uvicorn.Config(served, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(trust_env=False) as web:
        yield App(f"http://127.0.0.1:{port}/lab/sandbox", sandbox, clock, web)
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def app(running_app: App) -> App:
    """The shared sandbox, as if just started."""
    running_app.sandbox.reset()
    return running_app

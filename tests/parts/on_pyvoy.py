"""Holdfast as an ASGI app for pyvoy, Envoy with Python inside: built in the lifespan from HOLDFAST_* variables,
without the loops beside it. tests/parts/pyvoy.py runs it."""

from starlette.types import Receive, Scope, Send

from holdfast.app import Holdfast, build
from holdfast.config import load

_running: list[Holdfast] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        await _running[0].app(scope, receive, send)
        return
    await receive()
    _running.append(await build(load()))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _running.pop().close()
    await send({"type": "lifespan.shutdown.complete"})

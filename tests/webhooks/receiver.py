"""A receiver of webhooks, as an app would write one: it verifies with the vendors' own verifiers before it believes."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from scalekit.client import ScalekitClient
from standardwebhooks import Webhook
from workos import WorkOSClient

_workos = WorkOSClient(api_key="unused", client_id="unused")
_scalekit = ScalekitClient.__new__(ScalekitClient)  # its verifier needs no connection


def verify_workos(secret: str, headers: dict[str, str], body: bytes) -> None:
    _workos.webhooks.verify_event(event_body=body, event_signature=headers["WorkOS-Signature"], secret=secret)


def verify_standard(secret: str, headers: dict[str, str], body: bytes) -> None:
    Webhook(secret).verify(body, headers)


def verify_scalekit(secret: str, headers: dict[str, str], body: bytes) -> None:
    lower = {name.lower(): value for name, value in headers.items()}
    assert _scalekit.verify_webhook_payload(secret, lower, body)


Verify = Callable[[str, dict[str, str], bytes], None]


@dataclass
class Receiver:
    """Answers 200 to what it could verify. `trouble` may answer something else first; `seen` is all that was verified,
    duplicates too, and `taken` what it has answered 200 to."""

    verify: tuple[Verify, ...]
    secret: str = ""
    trouble: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    pause: float = 0.002
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> "Receiver":
        app = web.Application()
        app.router.add_post("/hook", self._hook)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body, headers = await request.read(), dict(request.headers)
        await asyncio.sleep(self.pause)
        try:
            for verify in self.verify:
                verify(self.secret, headers, body)
        except Exception as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return web.Response(status=400, text="bad signature")
        event = json.loads(body)
        self.seen.append(event)
        self.headers.append(headers)
        self.bodies.append(body)
        if self.trouble is not None and (answer := await self.trouble(request)) is not None:
            return answer
        self.taken.append(event)
        return web.Response(text="thanks")


async def never(_request: web.Request) -> web.StreamResponse | None:
    return web.Response(status=500, text="not today")


def sometimes(share: float, seed: int = 1) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """Fail this share of the time: half of it before anything is done, half after (so that a duplicate comes)."""
    luck = random.Random(seed)

    async def trouble(_request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=503, text="busy") if luck.random() < share else None

    return trouble

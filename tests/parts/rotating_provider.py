"""A token server that rotates refresh tokens, in a process of its own: the independent judge of refreshes.

It outlives the servers under test and remembers each refresh token that it was ever shown. A refresh token works once.
Shown again, it is answered with the current pair while the grace window holds (and nothing newer has been used);
otherwise the whole grant is dead, and the token is reported as presented again. It can end another process at a chosen
point of a chosen request, which no outsider could aim at.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from aiohttp import web

from tests.parts.process import ServerProcess

ROOT = Path(__file__).parent.parent.parent
CLIENT_ID, CLIENT_SECRET = "rotating-app", "a rotating+secret/0123456789"


@dataclass
class Settings:
    grace: float = 0.0
    """Seconds in which the refresh token used last may be shown again."""
    access_lifetime: float = 3600.0
    slow: float = 0.0
    """Requests are acted on at once and answered up to so many seconds later."""
    lose: int = 0
    """So many requests are acted on, and the connection is cut in place of an answer."""
    fail: int = 0
    """So many requests are acted on and answered 503."""
    down: bool = False
    """All are answered 503, and nothing is done."""
    hold: bool = False
    """Requests are acted on, and answered when this is taken back."""


@dataclass
class Grant:
    current: str = ""
    access: str = ""
    former: str = ""
    rotated_at: float = 0.0
    dead: bool = False


@dataclass
class Shot:
    """End process `pid` at request number `at`: `received`, `rotated` (not answered), or `answered`."""

    pid: int
    at: int
    point: str
    delay: float = 0.0


@dataclass
class State:
    settings: Settings = field(default_factory=Settings)
    grants: dict[str, Grant] = field(default_factory=dict)
    """By each refresh token that was ever given out."""
    accesses: dict[str, Grant] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)
    """How often a refresh token was shown and acted on, outside of the grace rule."""
    requests: int = 0
    turned_away: int = 0
    rotations: int = 0
    replayed: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    revoked: list[str] = field(default_factory=list)
    shot: Shot | None = None
    fired: list[str] = field(default_factory=list)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)


class _TokenServer:
    def __init__(self) -> None:
        self.state = State()

    # as a provider

    async def token(self, request: web.Request) -> web.StreamResponse:
        state, form = self.state, await request.post()
        state.requests += 1
        number = state.requests
        state.in_flight += 1
        state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            await self._fire(number, "received")
            if state.settings.down:
                state.turned_away += 1
                return web.json_response({"error": "temporarily_unavailable"}, status=503)
            status, body = self._rotate(str(form.get("refresh_token", "")))
            await self._fire(number, "rotated")
            if state.settings.slow:
                await asyncio.sleep(random.uniform(0, state.settings.slow))
            while state.settings.hold:
                await asyncio.sleep(0.01)
            if state.settings.lose:
                state.settings.lose -= 1
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            if state.settings.fail:
                state.settings.fail -= 1
                return web.json_response({"error": "server_error"}, status=503)
            if state.shot is not None and (state.shot.at, state.shot.point) == (number, "answered"):
                asyncio.get_running_loop().create_task(self._fire(number, "answered"))
            return web.json_response(body, status=status)
        finally:
            state.in_flight -= 1

    def _rotate(self, shown: str) -> tuple[int, dict[str, Any]]:
        state = self.state
        grant = state.grants.get(shown)
        now = time.monotonic()
        in_time = grant is not None and now - grant.rotated_at < state.settings.grace
        if grant is not None and not grant.dead and shown == grant.former and in_time:
            state.replayed += 1
            return 200, self._pair(grant)
        state.shown[shown] += 1
        if grant is None or grant.dead or shown != grant.current:
            if grant is not None:
                grant.dead = True
            return 400, {"error": "invalid_grant"}
        state.rotations += 1
        grant.former, grant.rotated_at = shown, now
        self._renew(grant)
        return 200, self._pair(grant)

    def _renew(self, grant: Grant) -> None:
        state = self.state
        state.accesses.pop(grant.access, None)
        grant.current, grant.access = f"rt-{secrets.token_urlsafe(24)}", f"at-{secrets.token_urlsafe(24)}"
        state.grants[grant.current] = state.accesses[grant.access] = grant

    def _pair(self, grant: Grant) -> dict[str, Any]:
        return {
            "access_token": grant.access,
            "refresh_token": grant.current,
            "expires_in": self.state.settings.access_lifetime,
            "token_type": "Bearer",
        }

    async def revoke(self, request: web.Request) -> web.Response:
        token = str((await request.post()).get("token", ""))
        self.state.revoked.append(token)
        grant = self.state.grants.get(token) or self.state.accesses.get(token)
        if grant is not None:
            grant.dead = True
        return web.Response()

    async def _fire(self, number: int, point: str) -> None:
        shot = self.state.shot
        if shot is None or (shot.at, shot.point) != (number, point):
            return
        self.state.shot = None
        if shot.delay:
            await asyncio.sleep(shot.delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(shot.pid, signal.SIGKILL)
        self.state.fired.append(point)

    # as a judge

    async def mint(self, request: web.Request) -> web.Response:
        grants = []
        for _ in range((await request.json())["count"]):
            grant = Grant()
            self._renew(grant)
            grants.append(self._pair(grant))
        return web.json_response(grants)

    async def settings(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            setattr(self.state.settings, name, value)
        return web.json_response({})

    async def shoot(self, request: web.Request) -> web.Response:
        asked = await request.json()
        after = asked.pop("after")
        self.state.shot = Shot(at=self.state.requests + after, **asked)
        return web.json_response({})

    async def works(self, request: web.Request) -> web.Response:
        """Tell of access tokens whether their grants live."""
        tokens = await request.json()
        live = self.state.accesses
        return web.json_response([token in live and not live[token].dead for token in tokens])

    async def report(self, _: web.Request) -> web.Response:
        state = self.state
        return web.json_response(
            {
                "requests": state.requests,
                "turned_away": state.turned_away,
                "rotations": state.rotations,
                "replayed": state.replayed,
                "presented_again": {token: times for token, times in state.shown.items() if times > 1},
                "in_flight": state.in_flight,
                "most_in_flight": state.most_in_flight,
                "revoked": state.revoked,
                "fired": state.fired,
            }
        )

    async def reset(self, _: web.Request) -> web.Response:
        self.state = State()
        return web.json_response({})


async def _serve() -> None:
    served = _TokenServer()
    app = web.Application(client_max_size=1 << 26)
    for name in ("mint", "settings", "shoot", "works", "reset"):
        app.router.add_post(f"/__{name}", getattr(served, name))
    app.router.add_get("/__report", served.report)
    app.router.add_post("/{path:.*revo.*}", served.revoke)
    app.router.add_post("/{path:.*token}", served.token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0, backlog=1024)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # ends with who started it
    await runner.cleanup()


class RotatingProvider:
    """The running token server, and what it has seen."""

    def __init__(self, log_path: Path) -> None:
        command = [sys.executable, "-m", "tests.parts.rotating_provider"]
        self._process = ServerProcess(command, log_path=log_path, cwd=ROOT)
        self.base_url = f"http://127.0.0.1:{json.loads(self._process.line())['port']}"
        self.client_id, self.client_secret = CLIENT_ID, CLIENT_SECRET
        self._http = httpx2.Client(timeout=60, trust_env=False)

    def mint(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the tokens of so many new grants."""
        return list(self._post("mint", {"count": count}))

    def set(self, **settings: Any) -> None:
        """Change settings: see `Settings`."""
        self._post("settings", settings)

    def shoot(self, pid: int, *, after: int, point: str, delay: float = 0.0) -> None:
        """End a process with SIGKILL at a point of the request that comes after so many others."""
        self._post("shoot", {"pid": pid, "after": after, "point": point, "delay": delay})

    def work(self, tokens: list[str]) -> list[bool]:
        """Tell of access tokens whether they are the newest of a live grant."""
        return list(self._post("works", tokens))

    def report(self) -> dict[str, Any]:
        """Return what was seen: requests, rotations, replayed (within the grace), presented_again (outside of it, by
        refresh token), most_in_flight, revoked."""
        return dict(self._http.get(f"{self.base_url}/__report").json())

    def reset(self) -> None:
        self._post("reset", {})

    def stop(self) -> None:
        self._http.close()
        self._process.stop()

    def _post(self, what: str, body: Any) -> Any:
        reply = self._http.post(f"{self.base_url}/__{what}", json=body)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    asyncio.run(_serve())

"""A lab whose sandbox is the provider of all, servers in front of it, and callers who count what becomes of calls."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx2

from holdfast.oauth2 import pkce
from tests.attacks.app import App, anyone, query_of
from tests.parts.postgres import Postgres
from tests.parts.server import HoldfastProcess

ADA = "ada@sandbox.test"
BACK = "http://localhost:3000/connected"


class Lab:
    """The sandbox provider in a server process of its own, so that it outlives those under test."""

    def __init__(self, data_dir: Path) -> None:
        self.server = HoldfastProcess(data_dir)
        self.app = App.of(self.server)
        self.app.switch(auto_consent_as=ADA)
        self.client = self.app.state()["client"]
        self._basic = quote_plus(self.client["id"]), quote_plus(self.client["secret"])  # RFC 6749, 2.3.1
        self._browser = httpx2.Client(timeout=30, trust_env=False)

    def consent(self) -> dict[str, Any]:
        """Return the tokens of a new grant."""
        verifier = pkce.new_verifier()
        asked = {
            "response_type": "code",
            "client_id": self.client["id"],
            "redirect_uri": BACK,
            "scope": "read offline",
            "state": "s",
            "code_challenge": pkce.s256(verifier),
            "code_challenge_method": "S256",
        }
        at = f"{self.server.base_url}/lab/sandbox"
        code = query_of(self._browser.get(f"{at}/authorize", params=asked).headers["location"])["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": verifier.reveal(),
        }
        reply = self._browser.post(f"{at}/token", data=form, auth=self._basic)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def close(self) -> None:
        self._browser.close()
        self.app.http.close()
        self.server.stop()


class Front:
    """A server under test. Its origin is the lab's, so that its sandbox is; it is called at its own port."""

    def __init__(
        self,
        lab: Lab,
        data_dir: Path,
        database: str,
        *,
        key: str = "",
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.lab, self.port = lab, free_port()
        self.server = HoldfastProcess(
            data_dir,
            database=database,
            port=self.port,
            arguments=arguments,
            env={
                "HOLDFAST_BASE_URL": lab.server.base_url,
                "HOLDFAST_OUTBOUND_TIMEOUT": "5",
                "HOLDFAST_LEASE_SECONDS": "11",
                **(env or {}),
            },
        )
        self.app = App(f"http://127.0.0.1:{self.port}", key or self.server.api_key)

    def set_up(self) -> None:
        client = self.lab.client
        reply = self.app.call(
            "POST",
            "/data-integrations",
            {
                "provider": "sandbox",
                "enabled": True,
                "scopes": ["read", "offline"],
                "credentials": {"type": "custom", "client_id": client["id"], "client_secret": client["secret"]},
            },
        )
        assert reply.status_code == 201, reply.text

    def account(self, *, left: float = 3600.0) -> str:
        """Bring in an account whose access token lives so much longer; return its user."""
        user, tokens = anyone(), self.lab.consent()
        ends = datetime.now(UTC) + timedelta(seconds=left)
        body = {
            "access_token": tokens["access_token"],
            "refresh_token": tokens["refresh_token"],
            "expires_at": ends.isoformat().replace("+00:00", "Z"),
            "scopes": ["read", "offline"],
        }
        reply = self.app.call("POST", f"/user_management/users/{user}/connected_accounts/sandbox", body)
        assert reply.status_code in (200, 201), reply.text
        return user

    def ready(self) -> tuple[int, Any]:
        reply = self.app.http.get(self.app.base_url + "/readyz")
        return reply.status_code, reply.json()

    def stop(self) -> int:
        self.app.http.close()
        return self.server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Tally:
    """What became of the calls. `lost`: a connection was made and the call was sent, and no whole answer came."""

    answers: Counter[int] = field(default_factory=Counter)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    inactive: list[Any] = field(default_factory=list)


class Caller:
    """One app with a connection that it keeps. It calls over and over until told to stop, or nobody listens."""

    def __init__(self, url: str, key: str, tally: Tally) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._key, self.tally = parts.hostname or "", parts.port or 0, key, tally
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, users: Sequence[str], stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set() and await self.read(users[number % len(users)]):
            number += 1
        self.hang_up()

    async def read(self, user: str) -> bool:
        """Ask for a user's token; tell whether somebody listened."""
        if self._line is None:
            try:
                self._line = await asyncio.open_connection(self._host, self._port)
            except OSError:
                self.tally.refused += 1
                return False
        body = json.dumps({"user_id": user}).encode()
        head = (
            f"POST /data-integrations/sandbox/token HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        reader, writer = self._line
        try:
            writer.write(head.encode() + body)
            answered = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answered.partition("content-length:")[2].split("\r\n")[0])
            content = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.tally.lost.append(repr(error))
            self.hang_up()
            return True
        status = int(answered.split(" ")[1])
        self.tally.answers[status] += 1
        if status == 200:
            said = json.loads(content)
            if said["active"]:
                self.tally.tokens.setdefault(user, set()).add(said["access_token"]["access_token"])
            else:
                self.tally.inactive.append(said)
        if "connection: close" in answered:
            self.hang_up()
        return True

    def hang_up(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None


async def under_load(
    fronts: Sequence[Front], users: Sequence[str], callers: int, stop: asyncio.Event, tally: Tally
) -> None:
    """Read with so many callers at each front until `stop`."""
    await asyncio.gather(
        *(
            Caller(front.app.base_url, front.app.api_key, tally).run([*users[n:], *users[:n]], stop)
            for front in fronts
            for n in range(callers)
        )
    )


def leases_held(postgres: Postgres, dsn: str) -> int:
    return int(postgres.sql(dsn, "SELECT count(*) FROM accounts WHERE lease_owner IS NOT NULL"))


def intents_open(postgres: Postgres, dsn: str) -> int:
    return int(postgres.sql(dsn, "SELECT count(*) FROM accounts WHERE intent_at IS NOT NULL"))

"""A server whose provider is the judge, with accounts, and callers who remember what they were given."""

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from sqlalchemy import select

from holdfast.accounts.store.table import account_of, accounts
from holdfast.clock import SystemClock
from holdfast.config import Config
from holdfast.rooms import open_vault
from holdfast.tokens.policy import fingerprint
from tests.attacks.app import App, anyone
from tests.operations.fleet import free_port
from tests.parts.postgres import Postgres
from tests.parts.process import NotStarted
from tests.parts.reads import EACH_READ
from tests.parts.rotating_provider import RotatingProvider
from tests.parts.server import HoldfastProcess

GRACE, STRICT = "xero", "airtable"
"""Two of the catalogue's providers: one lets a refresh token be shown again for half an hour, one ends the grant."""
GRACE_SECONDS = 1800.0
ORIGINS = {
    GRACE: ("https://identity.xero.com", "https://api.xero.com"),
    STRICT: ("https://airtable.com", "https://api.airtable.com"),
}
TIMES = {"HOLDFAST_OUTBOUND_TIMEOUT": "1.5", "HOLDFAST_LEASE_SECONDS": "3.1", "HOLDFAST_REFUSAL_SPACING": "0.2"}


@dataclass
class Tally:
    """What became of calls, and what was given out under which request id."""

    answers: Counter[int] = field(default_factory=Counter)
    given: dict[str, str] = field(default_factory=dict)
    """Whose token was given, by request id."""
    unanswered: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    """What kept answers from coming."""
    inactive: dict[str, str] = field(default_factory=dict)
    """What was said instead of a token, by user."""
    warned: int = 0
    slowest_seconds: float = 0.0
    failures: list[tuple[float, int, str]] = field(default_factory=list)
    """When (monotonic), status and body of each answer that was no 200."""


class Rig:
    def __init__(
        self,
        judge: RotatingProvider,
        data_dir: Path,
        *,
        slug: str = STRICT,
        database: str | None = None,
        postgres: Postgres | None = None,
        env: Mapping[str, str] | None = None,
        key: str = "",
        custom: Mapping[str, Any] | None = None,
    ) -> None:
        """`key`: that of a server which runs on the same database. `custom`: a provider of our own in the judge's
        place, with `client_id` and `client_secret` there."""
        self.judge, self.slug, self.data_dir = judge, slug, data_dir
        self._custom = custom
        self.database, self.postgres = database, postgres
        self.port = free_port()
        self._env = {**TIMES, "HOLDFAST_LOG_LEVEL": "error", **(env or {})}
        self.look_in = database
        """The address of the database that `rows` asks: after a failover, the one that took over."""
        self.server = self.start()
        self.key = key or self.server.api_key
        self.app = App(f"http://127.0.0.1:{self.port}", self.key)
        if not key:
            self._set_up()

    def start(self) -> HoldfastProcess:
        """Start the server, anew after it has ended."""
        self.server = HoldfastProcess(
            self.data_dir,
            database=self.database,
            port=self.port,
            env=self._env,
            provider_origins=dict.fromkeys(ORIGINS.get(self.slug, ()), self.judge.base_url),
        )
        return self.server

    def change(self, **settings: str) -> None:
        """Start with these settings from now on."""
        self._env.update(settings)

    def died(self) -> bool:
        return self.server.returncode is not None

    def close(self) -> None:
        self.app.http.close()
        with contextlib.suppress(NotStarted):
            self.server.thaw()
            self.server.kill()

    def _set_up(self) -> None:
        custom = dict(self._custom or {})
        client = {
            "type": "custom",
            "client_id": custom.pop("client_id", self.judge.client_id),
            "client_secret": custom.pop("client_secret", self.judge.client_secret),
        }
        body = {"provider": self.slug, "enabled": True, "scopes": [], "credentials": client}
        reply = self.app.call("POST", "/data-integrations", {**body, **({"custom_provider": custom} if custom else {})})
        assert reply.status_code == 201, reply.text

    # accounts

    async def accounts(self, count: int, *, left: float = 3600.0, ends: float | None = None) -> list[str]:
        """Bring in so many accounts whose tokens live `left` seconds, or end at `ends`; return their users."""
        return await self.bring(await asyncio.to_thread(self.judge.mint, count), left=left, ends=ends)

    async def bring(
        self, grants: Sequence[Mapping[str, Any]], *, left: float = 3600.0, ends: float | None = None
    ) -> list[str]:
        """Bring in accounts with these tokens; return their users."""
        users = [anyone() for _ in grants]
        gate = asyncio.Semaphore(16)

        async def bring(http: aiohttp.ClientSession, user: str, tokens: Mapping[str, Any]) -> None:
            when = datetime.fromtimestamp(ends, UTC) if ends else datetime.now(UTC) + timedelta(seconds=left)
            body = {
                "access_token": tokens["access_token"],
                "refresh_token": tokens["refresh_token"],
                "expires_at": when.isoformat().replace("+00:00", "Z"),
                "scopes": [],
            }
            url = f"{self.app.base_url}/user_management/users/{user}/connected_accounts/{self.slug}"
            async with gate, http.post(url, json=body) as reply:
                assert reply.status in (200, 201), await reply.text()

        async with self._session() as http:
            await asyncio.gather(*(bring(http, user, grant) for user, grant in zip(users, grants, strict=True)))
        return users

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self.key}"},
            timeout=aiohttp.ClientTimeout(total=60),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2),
        )

    # calls

    async def read(
        self, http: aiohttp.ClientSession, user: str, tally: Tally, *, min_ttl: int | None = None
    ) -> str | None:
        """Ask for a user's token and note what came of it; return the token."""
        body = {"user_id": user, **({} if min_ttl is None else {"min_ttl": min_ttl})}
        began = time.monotonic()
        try:
            async with http.post(f"{self.app.base_url}/data-integrations/{self.slug}/token", json=body) as reply:
                said = await reply.json()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            tally.unanswered += 1
            tally.troubles[repr(error)[:300]] += 1
            return None
        tally.slowest_seconds = max(tally.slowest_seconds, time.monotonic() - began)
        tally.answers[reply.status] += 1
        if reply.status != 200:
            tally.failures.append((began, reply.status, str(said)))
            return None
        tally.warned += any("warning" in name.lower() for name in reply.headers)
        if not said["active"]:
            tally.inactive[user] = said["error"]
            return None
        tally.given[reply.headers["x-request-id"]] = user
        return str(said["access_token"]["access_token"])

    async def read_all(self, users: Sequence[str], tally: Tally, *, min_ttl: int | None = None) -> list[str | None]:
        """Read each user's token once, sixteen at a time."""
        gate = asyncio.Semaphore(16)

        async def one(http: aiohttp.ClientSession, user: str) -> str | None:
            async with gate:
                return await self.read(http, user, tally, min_ttl=min_ttl)

        async with self._session() as http:
            return list(await asyncio.gather(*(one(http, user) for user in users)))

    async def load(
        self,
        users: list[str],
        tally: Tally,
        stop: asyncio.Event,
        *,
        callers: int = 8,
        min_ttl: int | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """Read tokens of random users until `stop`. Who has lost the account is taken off the list."""
        pick = chance or random.Random(0)

        async def caller(http: aiohttp.ClientSession) -> None:
            while not stop.is_set():
                if not users:
                    await asyncio.sleep(0.05)
                    continue
                user = pick.choice(users)
                if await self.read(http, user, tally, min_ttl=min_ttl) is None:
                    if user in tally.inactive and user in users:
                        users.remove(user)
                    await asyncio.sleep(0.02)

        async with self._session() as http:
            await asyncio.gather(*(caller(http) for _ in range(callers)))

    # what is stored

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database itself, whether its server runs or not."""
        if self.postgres is not None and self.look_in is not None:
            told = self.postgres.sql(self.look_in, sql).splitlines()
            return [tuple(line.split("|")) for line in told if line]
        path = self.data_dir / "holdfast.db"
        if self.database is not None:
            path = Path(unquote(urlsplit(self.database).path))
        with closing(sqlite3.connect(path, timeout=30)) as database:
            return database.execute(sql).fetchall()

    def open_intents(self) -> set[str]:
        """Return the fingerprints of the refresh tokens that were perhaps used, with no outcome on record."""
        return {str(row[0]) for row in self.rows("SELECT intent_print FROM accounts WHERE intent_at IS NOT NULL")}

    async def perhaps_used(self) -> set[str]:
        """Return those refresh tokens themselves, while no server runs."""
        config = Config(data_dir=self.data_dir, database=self.database or "")
        database, vault = await open_vault(config, SystemClock())
        try:
            found = await database.transact(
                lambda tx: [
                    account_of(row) for row in tx.execute(select(accounts).where(accounts.c.intent_at.is_not(None)))
                ]
            )
        finally:
            await database.close()
        tokens = set()
        for account in found:
            assert account.grant is not None
            assert account.intent_print == fingerprint(account.grant)
            tokens.add(vault.open(account.grant, account.grant_place()).reveal())
        return tokens

    def released_without_entry(self, tally: Tally) -> int:
        """Count the tokens that callers were given and of which the log knows nothing, or says they were another's."""
        engine = "sqlite" if self.postgres is None or self.look_in is None else "postgresql"
        found = self.rows(EACH_READ[engine])
        return len(tally.given.items() - {(str(request_id), str(user)) for request_id, user in found})

    def ended(self) -> dict[str, tuple[str, str]]:
        """Return status and reason by user, of accounts that are not active."""
        found = self.rows("SELECT user_id, status, reason FROM accounts WHERE status <> 'active'")
        return {str(user): (str(status), str(reason)) for user, status, reason in found}

    def announced(self) -> set[str]:
        """Return the users whose accounts' end is in the log as an event."""
        found = self.rows("SELECT user_id FROM entries WHERE action = 'account.reauthorization_needed'")
        return {str(row[0]) for row in found}


async def until(what: str, holds: Any, seconds: float = 30.0) -> float:
    """Wait until something holds; return how long that took. Raises AssertionError with `what`."""
    began = time.monotonic()
    while not await asyncio.to_thread(holds):
        assert time.monotonic() - began < seconds, what
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def points(chance: random.Random) -> Iterator[tuple[str, float]]:
    """Choose where the next kills hit: before, during and just after what a provider does."""
    while True:
        point = chance.choice(("received", "rotated", "answered"))
        yield point, chance.uniform(0, 0.004) if point == "answered" else 0.0

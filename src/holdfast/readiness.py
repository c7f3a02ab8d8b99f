"""Readiness: whether this process should be sent requests just now. Liveness is another question: `/healthz`.

`/readyz` answers 200 or 503 with a JSON body that says of each thing how it is, in words and without secrets.
"""

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast.storage import Database
from holdfast.storage.migrations import HEAD, Schema, Standing, look
from holdfast.vault import Vault

CHECK_SECONDS = 2.0
"""A database that takes longer for one row keeps callers waiting too."""
FRESH_SECONDS = 1.0
"""How long an answer is repeated, so that however many ask, the database is asked once."""
KEYS_FRESH_SECONDS = 30.0
"""A key service charges for each call, and reads do without it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `vital`: without it no request can be served."""

    name: str
    well: bool
    words: str
    vital: bool = True


class Readiness:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault
        self._checks: list[Check] = []
        self._looked_at = self._keys_looked_at = float("-inf")
        self._keys = Check("keys", True, "ok")
        self._looking: asyncio.Task[None] | None = None
        self.draining = False

    async def answer(self, _request: Request) -> Response:
        """Serve `/readyz`."""
        checks = [self._server(), *await self.checks()]
        ready = all(check.well or not check.vital for check in checks)
        body = {"status": "ready" if ready else "not ready", "checks": {check.name: check.words for check in checks}}
        return JSONResponse(body, 200 if ready else 503, headers={"cache-control": "no-store"})

    async def checks(self) -> list[Check]:
        """Look, unless somebody has just done so or is doing it. Never raises, and never takes long."""
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            if self._looking is None:
                self._looking = asyncio.ensure_future(self._look())
            await asyncio.shield(self._looking)
        return self._checks

    def _server(self) -> Check:
        return Check("server", not self.draining, "draining: it is about to end" if self.draining else "ok")

    async def _look(self) -> None:
        try:
            self._checks = [await self._look_at_database(), await self._look_at_keys()]
            self._looked_at = time.monotonic()
        finally:
            self._looking = None

    async def _look_at_database(self) -> Check:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                schema = await self._database.transact(look)
        except TimeoutError:
            return Check("database", False, f"no answer within {CHECK_SECONDS:.0f} s")
        except Exception as error:
            return Check("database", False, f"does not answer ({type(error).__name__})")
        return _judged(schema)

    async def _look_at_keys(self) -> Check:
        """The keys in memory serve on while the key provider is away, so this one is told and not vital."""
        if time.monotonic() - self._keys_looked_at > KEYS_FRESH_SECONDS or not self._keys.well:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._vault.check()
                self._keys = Check("keys", True, "ok")
            except Exception as error:
                words = f"the key provider does not answer ({type(error).__name__}); the keys in memory serve on"
                self._keys = Check("keys", False, words, vital=False)
            self._keys_looked_at = time.monotonic()
        return self._keys


def _judged(schema: Schema) -> Check:
    match schema.standing():
        case Standing.CURRENT | Standing.AHEAD:
            return Check("database", True, "ok")
        case Standing.EMPTY:
            return Check("database", False, "its tables are gone")
        case standing:
            return Check("database", False, f"its schema {schema.version} is {standing.value} ({HEAD})")

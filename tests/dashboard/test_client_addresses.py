"""Who is calling, behind a terminator, told by the limit of tries to sign in: it counts by address.

The tries are for an account that has to wait after wrong passwords: those are refused before a password is looked at,
which takes a good part of a second.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from holdfast.cli.serve import running
from holdfast.config import Config, load
from holdfast.errors import HoldfastError, Misconfigured
from tests.dashboard.person import owner_of
from tests.parts.h2 import h2_request

MOST = 30
TERMINATOR, OTHER = "127.0.0.1", "127.0.0.2"
PATH, FORM = "/dashboard/sign-in", "email=ada@example.com&password=not+this+one"
SENT = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
LIMITED, WAITING = "too many tries from your address", "too many wrong passwords"


async def _server(home: Path, trusted: str) -> AsyncIterator[int]:
    config = Config(dev=True, data_dir=home, port=0, host=TERMINATOR, trusted_proxies=trusted)
    async with running(config) as (holdfast, _):
        await owner_of(holdfast)
        wait = 0.0
        while wait < 60:  # until the account has to wait for longer than the tests take
            try:
                await holdfast.signing_in.with_password("ada@example.com", "not this one", "")
            except HoldfastError as error:
                left = getattr(error, "retry_after", None)
                wait = left or 0.0
                if left and left < 60:
                    await asyncio.sleep(left)
        yield holdfast.config.port

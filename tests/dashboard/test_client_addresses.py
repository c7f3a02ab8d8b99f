"""Who is calling, behind a terminator, told by the limit of tries to sign in: it counts by address.

The tries are for an account that has to wait after wrong passwords: they are refused before the password is looked at,
which would take long.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from holdfast.access.administrators import store
from holdfast.app import Holdfast
from holdfast.cli import tls
from holdfast.cli.serve import running
from holdfast.config import Config, load
from holdfast.errors import Misconfigured
from tests.dashboard.person import owner_of
from tests.parts.h2 import h2_request
from tests.parts.terminator import KINDS, Terminator, program

MOST = 30
TERMINATOR, OTHER = "127.0.0.1", "127.0.0.2"
PATH, FORM = "/dashboard/sign-in", "email=ada@example.com&password=not+this+one"
SENT = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
LIMITED, WAITING = "too many tries from your address", "too many wrong passwords"


@pytest.fixture(scope="module")
async def trusting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The port of a server that believes one of two peers on loopback, and those of a network behind it."""
    home = tmp_path_factory.mktemp("trusting")
    config = Config(dev=True, data_dir=home, port=0, host=TERMINATOR, trusted_proxies=f"{TERMINATOR}, 10.0.0.0/8")
    async with running(config) as (holdfast, _):
        await _ada_waits(holdfast)
        yield holdfast.config.port


async def _ada_waits(holdfast: Holdfast) -> None:
    ada = await owner_of(holdfast)
    waiting = replace(ada, failures=12, wait_until=holdfast.clock.now() + 900)
    await holdfast.database.transact(lambda tx: store.save(tx, waiting))


async def _tries(port: int, number: int, peer: str, *told: str) -> Counter[str]:
    """Try so often to sign in from `peer`, with these X-Forwarded-For lines; count what was answered."""
    headers = [*SENT.items(), *(("x-forwarded-for", line) for line in told)]
    transport = httpx2.AsyncHTTPTransport(local_address=peer)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        return Counter([_words((await client.post(PATH, content=FORM, headers=headers)).text) for _ in range(number)])


def _words(page: str) -> str:
    found = [words for words in (LIMITED, WAITING) if words in page]
    assert len(found) == 1, page
    return found[0]


async def test_the_address_that_a_trusted_terminator_names_is_the_one_that_is_limited(trusting: int) -> None:
    assert await _tries(trusting, MOST + 1, TERMINATOR, "9.9.9.9") == {WAITING: MOST, LIMITED: 1}
    assert await _tries(trusting, 1, TERMINATOR, "9.9.9.8") == {WAITING: 1}


async def test_what_the_caller_wrote_before_the_terminators_word_is_ignored(trusting: int) -> None:
    assert await _tries(trusting, MOST, TERMINATOR, "9.9.9.7") == {WAITING: MOST}
    for told in (["1.1.1.1, 9.9.9.7"], ["1.1.1.2", "9.9.9.7"], ["1.1.1.3, 9.9.9.7, 10.1.2.3"], ["9.9.9.7:4711"]):
        assert await _tries(trusting, 1, TERMINATOR, *told) == {LIMITED: 1}, told


async def test_callers_in_a_private_network_are_limited_too_where_terminators_are_named(trusting: int) -> None:
    assert await _tries(trusting, MOST + 1, TERMINATOR, "192.168.7.7") == {WAITING: MOST, LIMITED: 1}


async def test_http_2_is_read_alike(trusting: int) -> None:
    assert await _tries(trusting, MOST, TERMINATOR, "2001:db8:9::1") == {WAITING: MOST}
    headers = {name.encode(): value.encode() for name, value in SENT.items()}
    for told, words in ((b"2001:db8:9::1", LIMITED), (b"2001:db8:9::2", WAITING)):
        more = headers | {b"x-forwarded-for": told}
        reply = await asyncio.to_thread(h2_request, trusting, b"POST", PATH.encode(), more, FORM.encode())
        assert _words(reply.body.decode()) == words


async def test_a_header_from_anybody_else_is_ignored(trusting: int) -> None:
    for number in range(MOST):
        assert await _tries(trusting, 1, OTHER, f"8.8.8.{number}") == {WAITING: 1}
    assert await _tries(trusting, 1, OTHER, "8.8.8.200") == {LIMITED: 1}  # counted for who really sent them
    assert await _tries(trusting, 1, TERMINATOR, "8.8.8.8") == {WAITING: 1}  # and not for whom they named


@pytest.mark.parametrize("kind", KINDS)
async def test_a_terminator_as_the_page_sets_it_up_tells_the_truth(trusting: int, tmp_path: Path, kind: str) -> None:
    if program(kind) is None:
        pytest.skip(f"there is no {kind} here: apt-get install {kind}")
    assert tls.server_context(Config(tls_dev=True, data_dir=tmp_path)) is not None  # makes the certificate
    front = Terminator(kind, tmp_path / kind, tmp_path / "tls", trusting)
    trust = ssl.create_default_context(cafile=str(tmp_path / "tls" / "ca.pem"))
    caller = {"haproxy": "127.0.0.3", "caddy": "127.0.0.4"}[kind]
    try:
        transport = httpx2.AsyncHTTPTransport(local_address=caller, verify=trust)
        async with httpx2.AsyncClient(transport=transport, base_url=front.base_url, timeout=60) as client:
            for number in range(MOST + 1):
                headers = {**SENT, "x-forwarded-for": f"7.7.7.{number}"}
                reply = await client.post(PATH, content=FORM, headers=headers)
                assert _words(reply.text) == (WAITING if number < MOST else LIMITED)
    finally:
        front.stop()
    assert await _tries(trusting, 1, TERMINATOR, caller) == {LIMITED: 1}


async def test_without_the_setting_nobody_is_believed(tmp_path: Path) -> None:
    async with running(Config(dev=True, data_dir=tmp_path, port=0, host=TERMINATOR)) as (holdfast, _):
        await _ada_waits(holdfast)
        assert await _tries(holdfast.config.port, MOST + 1, TERMINATOR, "9.9.9.9") == {WAITING: MOST + 1}


@pytest.mark.parametrize("text", ["*", "haproxy.internal", "10.0.0.1/8", "127.0.0.1;::1"])
def test_what_is_no_address_and_no_network_is_refused_at_start(text: str) -> None:
    with pytest.raises(Misconfigured, match="trusted_proxies"):
        load({"HOLDFAST_TRUSTED_PROXIES": text})

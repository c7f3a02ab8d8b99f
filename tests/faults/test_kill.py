"""kill -9 of the server, again and again, in the middle of refreshes."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2
import pytest

from holdfast.oauth2 import pkce
from tests.attacks.app import query_of
from tests.faults.figures import Figures, form
from tests.faults.rig import GRACE, GRACE_SECONDS, STRICT, Rig, Tally, points, until
from tests.parts.browser import Browser
from tests.parts.oidc_provider import OidcProvider

KILLS, REFRESHES = form(5, 200), form(150, 10_000)
ACCOUNTS = form(24, 400)
LONGEST = form(120, 1500)
"""Seconds after which no further kill is begun."""
ALWAYS = 3600
"""Asked for as `min_ttl`, with tokens that live shorter: each read refreshes."""


@pytest.mark.parametrize("kind", ["grace", "strict"])
async def test_kill_of_the_server(kind: str, rigs: Callable[..., Rig], figures: Figures) -> None:
    rig = rigs(slug=GRACE if kind == "grace" else STRICT)
    judge, chance = rig.judge, figures.random
    judge.set(access_lifetime=1800, slow=0.02, grace=GRACE_SECONDS if kind == "grace" else 0)
    users = await rig.accounts(ACCOUNTS, left=1800)
    everybody, tally, stop, caught = list(users), Tally(), asyncio.Event(), Counter[str]()
    in_flight, kills, began = 0, 0, time.monotonic()
    load = asyncio.ensure_future(rig.load(users, tally, stop, min_ttl=ALWAYS, chance=chance))
    aim = points(chance)
    while kills < KILLS and time.monotonic() - began < LONGEST:
        point, delay = next(aim)
        judge.shoot(rig.server.pid, after=chance.randint(1, 2 * REFRESHES // KILLS), point=point, delay=delay)
        await until("no refresh that could be hit", rig.died, 120)
        kills += 1
        doubted = await rig.perhaps_used()
        in_flight += len(doubted - caught.keys())
        caught.update(doubted)
        await asyncio.to_thread(rig.start)
        if len(users) < ACCOUNTS // 2:
            new = await rig.accounts(ACCOUNTS // 2, left=1800)
            everybody += new
            users += new
    wanted = REFRESHES * kills // KILLS
    await until("too few refreshes", lambda: judge.report()["rotations"] >= wanted, 120)
    stop.set()
    await load
    # A last refresh of everybody: who lives with a refresh token that is worth nothing shows now.
    await asyncio.sleep(3.2)
    judge.set(slow=0)
    tokens: dict[str, str] = {}
    for _ in range(3):  # an account whose retry time is not over answers with what it has
        left = [user for user in everybody if user not in tokens and user not in tally.inactive]
        found = await rig.read_all(left, tally, min_ttl=ALWAYS)
        tokens.update({user: token for user, token in zip(left, found, strict=True) if token})
        await asyncio.sleep(0.5)
    report, ended = judge.report(), rig.ended()
    works = dict(zip(tokens, judge.work(list(tokens.values())), strict=True))
    lost = [user for user in everybody if not works.get(user)]
    told = [user for user in lost if ended.get(user) == ("expired", "rotation_lost") and user in rig.announced()]
    again = report["presented_again"]
    figures.tell(
        kills=kills,
        refreshes=report["rotations"],
        accounts=len(everybody),
        in_flight_at_kill=in_flight,
        lost_announced=len(told),
        lost_silently=len(lost) - len(told),
        replayed_in_grace=report["replayed"],
        tried_once_more_after_a_kill=len(again),
        double_refreshes=sum(times > 1 + caught[token] for token, times in again.items()),
        tokens_released=len(tally.given),
        released_without_entry=rig.released_without_entry(tally),
    )
    assert kills == KILLS, "the time was too short for them all"
    assert figures.values["lost_silently"] == 0, (lost, ended)
    assert figures.values["double_refreshes"] == 0
    assert figures.values["released_without_entry"] == 0
    assert {status for status in tally.answers if status >= 500} <= {503}
    assert len(told) <= (0 if kind == "grace" else in_flight)
    if kind == "grace":
        assert not again


@pytest.mark.node
async def test_kill_of_the_server_at_a_certified_provider(
    rigs: Callable[..., Rig], oidc_provider: OidcProvider, figures: Figures
) -> None:
    custom = {
        "client_id": oidc_provider.client_id,
        "client_secret": oidc_provider.client_secret,
        "name": "Certified",
        "authorization_url": oidc_provider.authorize_url,
        "token_url": oidc_provider.token_url,
        "authenticate_via": "basic_auth_header",
    }
    rig, chance, kills = rigs(slug="certified", custom=custom), figures.random, form(3, 30)
    users = await rig.bring(await asyncio.to_thread(_consents, oidc_provider, form(8, 60)), left=1800)
    everybody, tally, stop = list(users), Tally(), asyncio.Event()
    caught, asked = set[str](), oidc_provider.refreshes()
    load = asyncio.ensure_future(rig.load(users, tally, stop, min_ttl=ALWAYS, chance=chance, callers=6))
    for _ in range(kills):
        before = oidc_provider.refreshes()
        enough = before + chance.randint(3, 20)
        with contextlib.suppress(AssertionError):  # few may be left by now
            await until("", lambda enough=enough: oidc_provider.refreshes() >= enough, 5)
        await asyncio.sleep(chance.uniform(0, 0.02))
        await asyncio.to_thread(rig.server.kill)
        caught |= rig.open_intents()
        await asyncio.to_thread(rig.start)
    await asyncio.sleep(1)
    stop.set()
    await load
    await asyncio.sleep(3.2)
    for _ in range(3):
        await rig.read_all([user for user in everybody if user not in tally.inactive], tally, min_ttl=ALWAYS)
        await asyncio.sleep(0.5)
    final, ended, told = Tally(), rig.ended(), rig.announced()
    tokens = await rig.read_all(everybody, final)
    lost = [user for user, token in zip(everybody, tokens, strict=True) if not await _works(oidc_provider, token)]
    announced = [user for user in lost if ended.get(user) == ("expired", "rotation_lost") and user in told]
    figures.tell(
        kills=kills,
        refreshes=oidc_provider.refreshes() - asked,
        accounts=len(everybody),
        in_flight_at_kill=len(caught),
        lost_announced=len(announced),
        lost_silently=len(lost) - len(announced),
        released_without_entry=rig.released_without_entry(tally),
    )
    assert len(lost) == len(announced), (lost, ended)
    assert len(lost) <= len(caught)
    assert rig.released_without_entry(tally) == 0


def _consents(provider: OidcProvider, count: int) -> list[dict[str, Any]]:
    """Return the tokens of so many people who have said yes."""
    found = []
    for number in range(count):
        verifier = pkce.new_verifier()
        back = "http://127.0.0.1:9/callback"
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": back,
            "state": "s",
            "scope": "openid offline_access read",
            "prompt": "consent",
            "code_challenge": pkce.s256(verifier),
            "code_challenge_method": "S256",
            "login_hint": f"person-{number}",
        }
        with Browser() as browser:
            landed = query_of(browser.walk(f"{provider.authorize_url}?{urlencode(asked)}", stop_at=back))
        form = {"grant_type": "authorization_code", "code": landed["code"], "redirect_uri": back}
        client = quote_plus(provider.client_id), quote_plus(provider.client_secret)  # RFC 6749, 2.3.1
        reply = httpx2.post(provider.token_url, data={**form, "code_verifier": verifier.reveal()}, auth=client)
        assert reply.status_code == 200, reply.text
        found.append(dict(reply.json()))
    return found


async def _works(provider: OidcProvider, token: str | None) -> bool:
    if token is None:
        return False
    async with httpx2.AsyncClient() as http:
        reply = await http.get(provider.userinfo_url, headers={"authorization": f"Bearer {token}"})
    return bool(reply.status_code == 200)

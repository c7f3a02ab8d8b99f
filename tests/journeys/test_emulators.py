"""Journeys at other people's emulators of GitHub, Google, Slack and Microsoft, with the catalogue's own entries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import pytest

from tests.journeys.conftest import QUICK
from tests.journeys.journey import Journey, new
from tests.parts.emulate import Emulators
from tests.parts.server import HoldfastProcess

pytestmark = pytest.mark.node

Begin = Callable[..., Journey]
LONGEST = 3600
"""Asking for a token that lives this long makes one that has lived a moment be renewed: no need to wait an hour."""


@dataclass(frozen=True)
class Vendor:
    """How one vendor answers the question who a token's user is, for its second user."""

    name: str
    whoami: str
    path: tuple[str, ...]
    """Where the answer names the user,"""
    said: str
    """and what it says."""
    label: str
    """How a connected account says whose it is."""
    method: str = "GET"

    def __str__(self) -> str:
        return self.name


GITHUB = Vendor("github", "https://api.github.com/user", ("login",), "hubot", "hubot")
GOOGLE = Vendor(
    "google", "https://openidconnect.googleapis.com/v1/userinfo", ("email",), "grace@example.com", "grace@example.com"
)
SLACK = Vendor("slack", "https://slack.com/api/auth.test", ("user",), "grace", "Acme", "POST")
MICROSOFT = Vendor(
    "microsoft", "https://graph.microsoft.com/v1.0/me", ("mail",), "grace@example.com", "grace@example.com"
)
VENDORS = (GITHUB, GOOGLE, SLACK, MICROSOFT)
RENEWING = (GOOGLE, MICROSOFT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(
        tmp_path_factory.mktemp("journeys-emulators"), provider_origins=emulators.provider_origins(), env=QUICK
    )
    yield running
    running.stop()


@pytest.fixture
async def journey(journey_on: Begin, server: HoldfastProcess, emulators: Emulators) -> Journey:
    """A journey on a server where all four vendors are set up."""
    begun = journey_on(server)
    listed = await begun.sdk.pipes.list_data_integrations(limit=100)
    there = {item.slug for item in listed.data}
    for vendor in VENDORS:
        app = emulators[vendor.name]
        begun.secrets.add(app.client_secret)
        if vendor.name not in there:
            await begun.set_up(vendor.name, client_id=app.client_id, client_secret=app.client_secret)
    return begun


def asked_directly(emulators: Emulators, vendor: Vendor, token: str) -> str | None:
    """Ask the vendor's API, without Holdfast, whose token this is; None if it does not take it."""
    origin, _, path = vendor.whoami.removeprefix("https://").partition("/")
    url = f"{emulators.provider_origins()[f'https://{origin}']}/{path}"
    reply = httpx2.request(vendor.method, url, headers={"authorization": f"Bearer {token}"})
    if reply.status_code != 200:
        return None
    told = reply.json()
    for name in vendor.path:
        told = told[name]
    return str(told)


async def renewed(journey: Journey, slug: str, user: str) -> str:
    """Read a token that has the longest life one can ask for."""
    reply = httpx2.post(
        f"{journey.server.base_url}/data-integrations/{slug}/token",
        json={"user_id": user, "min_ttl": LONGEST},
        headers={"authorization": f"Bearer {journey.server.api_key}"},
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    token = str(reply.json()["access_token"]["access_token"])
    journey.secrets.add(token)
    return token


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_an_account_is_connected_and_its_token_works_at_the_vendor(
    journey: Journey, emulators: Emulators, vendor: Vendor
) -> None:
    user, before = new("user"), emulators.counts()[vendor.name]
    landed = await journey.connect(vendor.name, user, choose=emulators[vendor.name].users[1])
    assert landed.keys() == {"state"}, landed
    account = await journey.sdk.pipes.get_user_connected_account(user, vendor.name)
    assert account.account_identifier == vendor.label
    token = await journey.token(vendor.name, user)
    assert asked_directly(emulators, vendor, token) == vendor.said
    assert emulators.counts()[vendor.name] == before + 1, "the code was used once, the first time right"
    assert await journey.token(vendor.name, user) == token
    assert await journey.events(user) == ["connected"]

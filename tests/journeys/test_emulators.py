"""Journeys at other people's emulators of GitHub, Google, Slack and Microsoft, with the catalogue's own entries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import pytest

from tests.journeys.conftest import QUICK
from tests.journeys.journey import FAILED, RETURN_TO, Journey, new
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
    member: str
    """The member of the answer that names the user,"""
    said: str
    """and what it says."""
    label: str
    """How a connected account says whose it is."""
    method: str = "GET"

    def __str__(self) -> str:
        return self.name


GITHUB = Vendor("github", "https://api.github.com/user", "login", "hubot", "hubot")
GOOGLE = Vendor(
    "google", "https://openidconnect.googleapis.com/v1/userinfo", "email", "grace@example.com", "grace@example.com"
)
# Slack's token is the app's bot's, whoever consented; and its account is a workspace.
SLACK = Vendor("slack", "https://slack.com/api/auth.test", "user", "holdfast-test-app", "Acme", "POST")
MICROSOFT = Vendor("microsoft", "https://graph.microsoft.com/v1.0/me", "mail", "grace@example.com", "grace@example.com")
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
    return str(reply.json()[vendor.member]) if reply.status_code == 200 else None


async def renewed(journey: Journey, slug: str, user: str) -> str:
    """Read a token that has the longest life one can ask for."""
    reply = await journey.post(f"/data-integrations/{slug}/token", user_id=user, min_ttl=LONGEST)
    token = str(reply["access_token"]["access_token"])
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
    assert asked_directly(emulators, vendor, "never-issued") != vendor.said
    assert emulators.counts()[vendor.name] == before + 1, "the code was used once, the first time right"
    assert await journey.token(vendor.name, user) == token
    assert await journey.events(user) == ["connected"]


@pytest.mark.parametrize("vendor", RENEWING, ids=str)
async def test_a_token_is_renewed_again_and_again(journey: Journey, emulators: Emulators, vendor: Vendor) -> None:
    user = new("user")
    assert "error" not in await journey.connect(vendor.name, user, choose=emulators[vendor.name].users[1])
    tokens = [await journey.token(vendor.name, user)]
    for _ in range(2):  # Microsoft's refresh token is another one each time; Google's stays and is not sent again
        before = emulators.counts()[vendor.name]
        tokens.append(await renewed(journey, vendor.name, user))
        assert emulators.counts()[vendor.name] == before + 1
        assert asked_directly(emulators, vendor, tokens[-1]) == vendor.said
    assert len(set(tokens)) == 3
    assert await journey.token(vendor.name, user) == tokens[-1]


@pytest.mark.parametrize("vendor", (GITHUB, SLACK), ids=str)
async def test_a_token_that_does_not_end_is_never_renewed(
    journey: Journey, emulators: Emulators, vendor: Vendor
) -> None:
    user = new("user")
    assert "error" not in await journey.connect(vendor.name, user, choose=emulators[vendor.name].users[1])
    before = emulators.counts()[vendor.name]
    assert await renewed(journey, vendor.name, user) == await journey.token(vendor.name, user)
    assert emulators.counts()[vendor.name] == before
    read = await journey.sdk.pipes.get_access_token(vendor.name, user_id=user)
    assert read.active is True
    assert (read.access_token.expires_at, read.access_token.missing_scopes) == (None, [])


@pytest.mark.parametrize("vendor", RENEWING, ids=str)
async def test_a_grant_that_the_vendor_has_forgotten_needs_its_owner(
    journey: Journey, emulators: Emulators, vendor: Vendor
) -> None:
    """Here the vendor forgets the person too, whose successor of the same name is somebody else."""
    user, person = new("user"), emulators[vendor.name].users[1]
    assert "error" not in await journey.connect(vendor.name, user, choose=person)
    emulators.reset(vendor.name)
    path = f"/data-integrations/{vendor.name}"
    refused = await journey.post(f"{path}/token", user_id=user, min_ttl=LONGEST)
    assert refused == {"active": False, "error": "needs_reauthorization"}
    assert await journey.events(user) == ["connected", "reauthorization_needed"]

    landed = await journey.connect(vendor.name, user, choose=person)
    assert landed["error"] == "account_mismatch"
    assert f"another '{person}'" in landed["error_description"]
    assert await journey.refused(vendor.name, user) == "needs_reauthorization"

    switch = {"user_id": user, "return_to": RETURN_TO, "allow_account_switch": True}
    link = await journey.post(f"{path}/authorize", **switch)
    assert "error" not in await journey.walk(link["url"], user, choose=person)
    assert asked_directly(emulators, vendor, await journey.token(vendor.name, user)) == vendor.said
    assert await journey.events(user) == ["connected", "reauthorization_needed", "connected"]


async def test_one_owner_connects_two_people_and_can_tell_them_apart(journey: Journey, emulators: Emulators) -> None:
    user, (ada, grace) = new("user"), emulators.google.users
    await journey.connect("google", user, choose=grace)
    await journey.connect("google", user, choose=ada, connection_intent="add", account_display_name="Work")
    listed = await journey.sdk.pipes.list_user_data_providers(user, supports_multiple_connections=True)
    [row] = [item for item in listed.data if item.slug == "google"]
    assert {account.account_identifier for account in row.connected_accounts} == {ada, grace}
    [added] = [account for account in row.connected_accounts if account.account_display_name == "Work"]
    assert added.account_identifier == ada
    read = await journey.sdk.pipes.get_access_token("google", user_id=user, connected_account_id=added.id)
    assert read.active is True
    journey.secrets.add(read.access_token.access_token)
    assert asked_directly(emulators, GOOGLE, read.access_token.access_token) == ada


@pytest.mark.parametrize("vendor", (GITHUB, GOOGLE, MICROSOFT), ids=str)
async def test_a_reconnect_as_somebody_else_changes_nothing(
    journey: Journey, emulators: Emulators, vendor: Vendor
) -> None:
    user, (ada, grace) = new("user"), emulators[vendor.name].users
    assert "error" not in await journey.connect(vendor.name, user, choose=grace)
    token = await journey.token(vendor.name, user)
    landed = await journey.connect(vendor.name, user, choose=ada)
    assert landed["error"] == "account_mismatch"
    assert await journey.token(vendor.name, user) == token
    assert await journey.state(vendor.name, user) == "connected"


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_a_wrong_client_secret_is_told_at_once(journey: Journey, emulators: Emulators, vendor: Vendor) -> None:
    user, organization, app = new("user"), new("org"), emulators[vendor.name]
    await journey.set_up(vendor.name, client_id=app.client_id, client_secret="another-secret", ownership="organization")
    landed = await journey.connect(
        vendor.name, user, choose=app.users[1], connection_owner="organization", organization_id=organization
    )
    assert landed["error"] == "invalid_client_id"
    assert await journey.events(user, [FAILED]) == ["connection_failed"]


async def test_what_slack_says_of_the_workspace_goes_with_the_credential(
    journey: Journey, emulators: Emulators
) -> None:
    user = new("user")
    await journey.connect("slack", user, choose="grace")
    read = await journey.sdk.pipes.create_data_integration_credential("slack", user_id=user)
    assert read.active is True
    journey.secrets.add(read.credential.value)
    assert read.credential.metadata["team_name"] == "Acme"
    assert read.credential.metadata["team_id"].startswith("T")
    assert {"bot_user_id", "user_id"} <= read.credential.metadata.keys()


@dataclass(frozen=True)
class Proxied:
    """A call that an app makes by the proxy, as its vendor's documentation has it."""

    slug: str
    path: str
    member: str
    said: str

    def __str__(self) -> str:
        return self.slug


PROXIED = (
    Proxied("github", "/user", "login", "hubot"),
    Proxied("google", "/oauth2/v2/userinfo", "email", "grace@example.com"),
    Proxied("microsoft", "/v1.0/me", "mail", "grace@example.com"),
)


@pytest.mark.parametrize("call", PROXIED, ids=str)
async def test_a_vendors_api_is_called_without_its_token_in_sight(
    journey: Journey, emulators: Emulators, call: Proxied
) -> None:
    user = new("user")
    assert "error" not in await journey.connect(call.slug, user, choose=emulators[call.slug].users[1])
    base, bearer = journey.server.base_url, {"authorization": f"Bearer {journey.api_key}"}
    relayed = httpx2.get(f"{base}/relay/{call.slug}{call.path}", headers={**bearer, "x-relay-user": user})
    assert (relayed.status_code, relayed.headers["x-relay-upstream-status"]) == (200, "200"), relayed.text
    assert relayed.json()[call.member] == call.said
    named = {"Connection_name": call.slug, "identifier": user}
    proxied = httpx2.get(f"{base}/proxy{call.path}", headers={**bearer, **named})
    assert proxied.json()[call.member] == call.said
    missing = httpx2.get(f"{base}/proxy/no/such/thing", headers={**bearer, **named})
    assert missing.headers["x-holdfast-upstream-status"] == str(missing.status_code)
    assert missing.status_code in (404, 501)
    token = await journey.token(call.slug, user)
    assert token not in relayed.text + str(relayed.headers) + journey.server.log()


async def test_a_repository_is_made_and_read_at_github_through_the_proxy(
    journey: Journey, emulators: Emulators
) -> None:
    user, name = new("user"), new("repo")
    await journey.connect("github", user, choose="hubot")
    headers = {"authorization": f"Bearer {journey.api_key}", "x-relay-user": user}
    base = f"{journey.server.base_url}/relay/github"
    made = httpx2.post(f"{base}/user/repos", headers=headers, json={"name": name})
    assert made.status_code == 201, made.text
    read = httpx2.get(f"{base}/repos/hubot/{name}?per_page=1", headers=headers)
    assert read.json()["full_name"] == f"hubot/{name}"


async def test_a_token_that_google_has_forgotten_is_renewed_within_the_call(
    journey: Journey, emulators: Emulators
) -> None:
    user = new("user")
    await journey.connect("google", user, choose=emulators.google.users[1])
    token = await journey.token("google", user)
    origin = emulators.provider_origins()["https://oauth2.googleapis.com"]
    httpx2.post(f"{origin}/oauth2/revoke", data={"token": token})
    headers = {"authorization": f"Bearer {journey.api_key}", "x-relay-user": user}
    read = httpx2.get(f"{journey.server.base_url}/relay/google/oauth2/v2/userinfo", headers=headers)
    assert (read.status_code, read.json().get("email")) == (200, "grace@example.com")
    assert await journey.token("google", user) != token

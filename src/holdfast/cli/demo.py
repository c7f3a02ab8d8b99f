"""`holdfast demo`: one whole journey, from a user's consent to a token that is always live, told step by step.

Everything goes through the real HTTP interfaces: the official `workos` SDK as the app, a scripted browser as its user,
and the lab's sandbox as the provider.
"""

import asyncio
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urljoin, urlsplit

import aiohttp
import structlog
from rich.console import Console

from holdfast.app import Holdfast
from holdfast.cli.serve import running
from holdfast.config import Config
from holdfast.errors import Misconfigured
from holdfast.events import Actor
from holdfast.oauth2 import pkce

if TYPE_CHECKING:
    from workos import AsyncWorkOSClient

USER = "user_ada"
SHORT_LIFE = 1
"""Seconds the sandbox's access tokens live in the first half of the journey, so that one can be seen to expire."""
RETURN_TO = "http://localhost:3000/connected"
"""Where an app would be; the scripted browser stops before following it there."""


@dataclass
class Story:
    """The steps told so far and the figures for the last line."""

    console: Console
    began: float = field(default_factory=time.perf_counter)
    steps: int = 0
    first_token: float = 0.0
    refreshes: int = 0

    def tell(self, headline: str, *details: str) -> None:
        self.steps += 1
        seconds = time.perf_counter() - self.began
        self.console.print(f"[bold]{self.steps:2}.[/bold] {headline} [dim]{seconds:5.2f} s[/dim]", soft_wrap=True)
        for line in details:
            self.console.print(f"    {line}", style="dim", soft_wrap=True)


async def run(*, once: bool, port: int) -> int:
    """Run the journey; return the exit status. Without `once` the server keeps running until it is interrupted."""
    try:
        from workos import AsyncWorkOSClient
    except ImportError:
        raise Misconfigured("the demo needs the workos SDK: pip install 'holdfast[demo]'") from None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    console = Console(highlight=False)
    story = Story(console)
    data_dir = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    config = Config(dev=True, data_dir=data_dir, port=0 if once else port, app_name="Demo App", refusal_spacing=0.2)
    try:
        async with running(config) as (holdfast, server):
            key = (
                holdfast.first_key
                or (await holdfast.keys.create(holdfast.environment.id, "demo", Actor("operator")))[1]
            )
            story.tell(f"The server is up at {holdfast.config.base_url}", f"embedded database in {data_dir}")
            sdk = AsyncWorkOSClient(api_key=key.reveal(), client_id="client_demo", base_url=holdfast.config.base_url)
            async with aiohttp.ClientSession() as web:
                final = await _journey(story, holdfast, sdk, Browser(web))
            _figures(story, final)
            if not once:
                console.print(f"\nThe server keeps running. API key: {key.reveal()}", soft_wrap=True)
                console.print(f"Sandbox switches: {holdfast.config.base_url}/lab/sandbox/control   (Ctrl-C ends)")
                await server.ended.wait()
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    return 0


async def _journey(story: Story, holdfast: Holdfast, sdk: "AsyncWorkOSClient", browser: "Browser") -> str:
    from workos.common.models import DataIntegrationCredentialType
    from workos.pipes.models import DataIntegrationCredentialsInput

    sandbox, pipes = holdfast.sandbox, sdk.pipes
    assert sandbox is not None  # noqa: S101  (the demo runs in development mode)
    await pipes.create_data_integration(
        provider="sandbox",
        enabled=True,
        credentials=DataIntegrationCredentialsInput(
            type=DataIntegrationCredentialType("custom"),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret.reveal(),
        ),
    )
    story.tell("The app sets up the provider: pipes.create_data_integration(provider='sandbox')")
    control = f"{holdfast.config.base_url}/lab/sandbox/control"
    await browser.post(f"{control}/switches", {"access_lifetime": SHORT_LIFE})
    await sdk.user_management.create_redirect_uri(uri=RETURN_TO)

    account = await _connect(story, holdfast, sdk, browser)
    story.tell(f"Connected: {account.account_identifier}", f"{account.id}, scopes {', '.join(account.scopes)}")

    first = await _token(sdk)
    story.first_token = time.perf_counter() - story.began
    story.tell("The app reads the token: pipes.get_access_token('sandbox', user_id=...)", _shown(first))

    before = sandbox.counters()["refresh_token"]  # the sweep may renew it before the app asks: that counts too
    await asyncio.sleep(SHORT_LIFE + 0.1)
    second = await _token(sdk)
    story.refreshes += sandbox.counters()["refresh_token"] - before
    _expect(second.access_token != first.access_token, "a fresh token after the old one expired")
    story.tell("The token expires at the provider; the app reads again and gets a fresh one", _shown(second))

    readers = await asyncio.gather(*(_token(sdk) for _ in range(20)))
    _expect(len({token.access_token for token in readers}) == 1, "the same token for all readers")
    story.tell("Twenty readers at once get the same live token")

    await browser.post(f"{control}/revoke", {})
    await asyncio.sleep(SHORT_LIFE + 0.1)
    dead = await pipes.get_access_token("sandbox", user_id=USER)
    _expect(not dead.active and _value(dead.error) == "needs_reauthorization", "needs_reauthorization")
    state = (await pipes.get_user_connected_account(USER, "sandbox")).state
    story.tell(
        "The user takes the app's access back at the provider",
        f"active: false, error: {_value(dead.error)}; state {_value(state)}",
    )

    await browser.post(f"{control}/switches", {"access_lifetime": 3600})
    await _connect(story, holdfast, sdk, browser)
    third = await _token(sdk)
    story.tell("The user connects again, and the token is live", _shown(third))

    await pipes.delete_user_connected_account(USER, "sandbox")
    gone = await pipes.get_access_token("sandbox", user_id=USER)
    _expect(not gone.active, "nothing left")
    names = [
        "pipes.connected_account.connected",
        "pipes.connected_account.reauthorization_needed",
        "pipes.connected_account.disconnected",
    ]
    log = await sdk.events.list_events(events=names)
    story.tell(
        "The user disconnects",
        f"active: false, error: {_value(gone.error)}",
        "the log: " + ", ".join(str(getattr(item, "event", "")) for item in log.data),
    )
    return _value(gone.error)


async def _connect(story: Story, holdfast: Holdfast, sdk: "AsyncWorkOSClient", browser: "Browser") -> Any:
    """The app asks for a link, its user consents in a browser, the app finishes with its verifier."""
    verifier = pkce.new_verifier()
    link = await sdk.pipes.authorize_data_integration(
        "sandbox",
        user_id=USER,
        return_to=RETURN_TO,
        code_challenge=pkce.s256(verifier),
        code_challenge_method="S256",
    )
    story.tell("The app asks for a link and sends its user there", link.url)
    landed = await browser.walk(link.url, stop_at=RETURN_TO)
    params = parse_qs(urlsplit(landed).query)
    _expect("connect_code" in params, f"a connect_code in {sorted(params)}")
    _expect(params["state"] == [link.state], "the app's own state")
    story.tell("The user consents at the provider and comes back with a connect_code")
    finished = await sdk.pipes.finish_connection(
        connect_code=params["connect_code"][0], code_verifier=verifier.reveal(), state=link.state
    )
    return finished.connected_account


async def _token(sdk: "AsyncWorkOSClient") -> Any:
    reply = await sdk.pipes.get_access_token("sandbox", user_id=USER)
    _expect(bool(reply.active), "an active token")
    return reply.access_token


def _shown(token: Any) -> str:
    text, ends = token.access_token, token.expires_at
    return f"{text[:6]}...{text[-4:]}, ends {ends:%H:%M:%S}" if ends else f"{text[:6]}...{text[-4:]}"


def _value(item: Any) -> str:
    return str(getattr(item, "value", item))


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise Misconfigured(f"the demo did not see {what}")


def _figures(story: Story, final: str) -> None:
    seconds = time.perf_counter() - story.began
    story.console.print(
        f"done: {seconds:.2f} s in all, first live token after {story.first_token:.2f} s,"
        f" refreshes seen {story.refreshes}, final status {final}",
        soft_wrap=True,
    )


class Browser:
    """A user's browser, scripted: follows redirects by hand, keeps cookies, submits the forms it meets."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def walk(self, url: str, *, stop_at: str, steps: int = 12) -> str:
        """Go from `url`, consenting on the way, until a redirect leads to `stop_at`; return that address."""
        method, data = "GET", None
        for _ in range(steps):
            async with self._session.request(method, url, data=data, allow_redirects=False) as reply:
                text = await reply.text()
                if reply.status in (301, 302, 303, 307):
                    url, method, data = urljoin(url, reply.headers["location"]), "GET", None
                    if url.startswith(stop_at):
                        return url
                    continue
            form = Form.first(text)
            if form is None:
                raise Misconfigured(f"the demo's browser stopped at {urlsplit(url).path}, status {reply.status}")
            url, method, data = urljoin(url, form.action or url), "POST", form.consent()
        raise Misconfigured("the demo's browser was sent in circles")

    async def post(self, url: str, body: dict[str, Any]) -> None:
        async with self._session.post(url, json=body) as reply:
            if reply.status >= 400:
                raise Misconfigured(f"the sandbox answered {reply.status}")


class Form(HTMLParser):
    """The first form of a page: its fields, and what pressing its (affirmative) button sends."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[tuple[str, str]] = []
        self.seen = False
        self._inside = False

    @classmethod
    def first(cls, page: str) -> "Form | None":
        form = cls()
        form.feed(page)
        return form if form.seen else None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.seen:
            self.seen = self._inside = True
            self.action = at.get("action", "")
        elif self._inside and tag == "button" and at.get("name"):
            self.buttons.append((at["name"], at.get("value", "")))
        elif self._inside and tag == "input" and at.get("name"):
            unchecked = at.get("type") in ("checkbox", "radio") and "checked" not in at
            if not unchecked:
                self.fields.append((at["name"], at.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def consent(self) -> list[tuple[str, str]]:
        yes = [button for button in self.buttons if not re.search("den|cancel|refuse", button[1], re.IGNORECASE)]
        return [*self.fields, *yes[:1]]

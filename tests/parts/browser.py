"""Two kinds of browser: a scripted one over plain HTTP, and Chromium through playwright."""

import asyncio
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from tests.parts.forms import Form, forms

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium

MAX_STEPS = 25
_REDIRECTS = (301, 302, 303, 307, 308)
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


class LostWay(AssertionError):
    """The browser came to rest, or went in circles, before it reached where it was to stop."""


@dataclass(frozen=True)
class Page:
    """What a request brought back."""

    method: str
    url: str
    status: int
    headers: httpx2.Headers
    text: str
    forms: tuple[Form, ...] = field(repr=False)

    @property
    def redirect(self) -> str | None:
        """Where the page sends the browser, None if it stays."""
        location = self.headers.get("location") if self.status in _REDIRECTS else None
        return urljoin(self.url, location) if location is not None else None

    def shown(self) -> str:
        """Return a short description for a failed test: address without its query, status, first words."""
        words = " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", self.text, flags=re.S).split())
        return f"{urlsplit(self.url)._replace(query='').geturl()} (status {self.status}): {words[:300]}"


class Browser:
    """One person's browser: own cookies, redirects followed by hand, forms submitted with the headers Chrome sends.

    `visited` holds every address in order, also the one `walk` stopped before. Secure cookies are not sent over
    plain HTTP. It is synchronous; in an async test use `walk_async`, or asyncio.to_thread. `authority`: a CA to trust,
    beside nobody else.
    """

    def __init__(self, authority: Path | None = None) -> None:
        self.visited: list[str] = []
        trust = ssl.create_default_context(cafile=str(authority)) if authority else True
        self._client = httpx2.Client(follow_redirects=False, timeout=30, trust_env=False, verify=trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cookies(self) -> httpx2.Cookies:
        return self._client.cookies

    def close(self) -> None:
        self._client.close()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, follow: bool = True) -> Page:
        """Open an address as if it was typed in; with `follow`, go on to where redirects lead."""
        page = self._send("GET", url, None, {"sec-fetch-site": "none", **(headers or {})})
        return self._rest(page) if follow else page

    def post_form(
        self,
        url: str,
        fields: Fields,
        *,
        from_page: Page | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        """Send a form, from `from_page` if given: its Origin and Sec-Fetch-Site are then what a browser would say."""
        told = {**_told(from_page, url), **(headers or {})}
        page = self._send("POST", url, fields, told)
        return self._rest(page) if follow else page

    def submit(
        self,
        page: Page,
        *,
        deny: bool = False,
        choose: str | None = None,
        untick: Collection[str] = (),
        follow: bool = True,
    ) -> Page:
        """Press a button of the page: the refusing one if `deny`, in the form that names `choose` if given.

        `choose` also picks among radio buttons; checkboxes whose value is in `untick` are left empty.
        """
        form = _chosen(page, deny=deny, choose=choose)
        url, sent = urljoin(page.url, form.action or page.url), form.sends(deny=deny, choose=choose, untick=untick)
        if form.method == "post":
            return self.post_form(url, sent, from_page=page, follow=follow)
        return self.get(str(httpx2.URL(url, params=sent)), follow=follow)

    def walk(
        self,
        url: str,
        *,
        stop_at: str,
        deny: bool = False,
        choose: str | None = None,
        untick: Collection[str] = (),
    ) -> str:
        """Go from `url` through redirects and forms until a step leads to an address that begins with `stop_at`.

        Return that address; it is not asked for. `choose` names the account on pages that offer several, `untick`
        the boxes to leave empty. With `deny` the first page that can be refused is refused. Raises LostWay with what
        is on the page it got stuck at.
        """
        page = self._send("GET", url, None, {"sec-fetch-site": "none"})
        for _ in range(MAX_STEPS):
            onward = page.redirect
            if onward is not None:
                if onward.startswith(stop_at):
                    self.visited.append(onward)
                    return onward
                page = self._onward(page, onward)
            elif not page.forms:
                raise LostWay(f"wanted {stop_at}, came to rest at {page.shown()}")
            else:
                refuse = deny and any(button.refuses for form in page.forms for button in form.buttons)
                page = self.submit(page, deny=refuse, choose=choose, untick=untick, follow=False)
        raise LostWay(f"wanted {stop_at}, still on the way after {MAX_STEPS} steps: {page.shown()}")

    async def walk_async(self, url: str, **options: Any) -> str:
        """`walk`, with the same options, in a thread: for a test whose server runs in its own event loop."""
        return await asyncio.to_thread(self.walk, url, **options)

    def _rest(self, page: Page) -> Page:
        for _ in range(MAX_STEPS):
            onward = page.redirect
            if onward is None:
                return page
            page = self._onward(page, onward)
        raise LostWay(f"redirected without end: {page.shown()}")

    def _onward(self, page: Page, url: str) -> Page:
        # 307 and 308 make browsers send the form again, to the new address: wrong wherever it happens in these tests.
        if page.status in (307, 308) and page.method == "POST":
            raise LostWay(f"a {page.status} after a POST: {page.shown()}")
        return self._send("GET", url, None, {"sec-fetch-site": _site(page.url, url)})

    def _send(self, method: str, url: str, fields: Fields | None, headers: Mapping[str, str]) -> Page:
        self.visited.append(url)
        data: dict[str, list[str]] = {}
        for name, value in fields.items() if isinstance(fields, Mapping) else fields or ():
            data.setdefault(name, []).append(value)
        told = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-mode": "navigate"}
        reply = self._client.request(
            method, url, data=data if fields is not None else None, headers={**told, **headers}
        )
        html = "html" in reply.headers.get("content-type", "")
        found = forms(reply.text) if html else ()
        return Page(method, url, reply.status_code, reply.headers, reply.text, found)


def _chosen(page: Page, *, deny: bool, choose: str | None) -> Form:
    named = [form for form in page.forms if choose is None or form.names(choose)]
    if not named and len(page.forms) == 1:
        named = list(page.forms)  # a page that asks something else before it asks who one is
    fitting = [form for form in named if any(button.refuses == deny for button in form.buttons)]
    if not named or (deny and not fitting):
        raise LostWay(f"no form {'refuses' if deny else f'for {choose!r}'} on {page.shown()}")
    return (fitting or named)[0]


def _told(page: Page | None, url: str) -> dict[str, str]:
    if page is None:
        return {"sec-fetch-site": "none"}
    # A page with this policy makes browsers hide the origin of its forms as well.
    # https://fetch.spec.whatwg.org/#append-a-request-origin-header
    hidden = page.headers.get("referrer-policy") == "no-referrer"
    return {"origin": "null" if hidden else _origin(page.url), "sec-fetch-site": _site(page.url, url)}


def _site(from_url: str, to_url: str) -> str:
    if _origin(from_url) == _origin(to_url):
        return "same-origin"
    return "same-site" if urlsplit(from_url).hostname == urlsplit(to_url).hostname else "cross-site"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@asynccontextmanager
async def chromium() -> AsyncIterator["Chromium"]:
    """Start a headless Chromium: the one on the path, or playwright's own where none is."""
    from playwright.async_api import async_playwright

    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = os.environ.get("CHROMIUM") or next((path for path in found if path), None)
    if path is None and os.environ.get("CI"):
        raise RuntimeError("CI needs Chromium: no browser test may be left out there")
    if path is None:
        pytest.skip("no Chromium on this machine: set CHROMIUM to one")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()

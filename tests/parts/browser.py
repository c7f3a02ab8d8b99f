"""Two kinds of browser: a scripted one over plain HTTP, and Chromium through playwright."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

import httpx2

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium

MAX_STEPS = 25
_REDIRECTS = (301, 302, 303, 307, 308)
_REFUSING = re.compile(r"\b(deny|denied|cancel|refuse|reject|decline|no)\b", re.IGNORECASE)
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
class Button:
    name: str
    value: str
    text: str = ""

    @property
    def refuses(self) -> bool:
        return bool(_REFUSING.search(f"{self.value} {self.text}"))


@dataclass(frozen=True)
class Form:
    """A form of a page: what it would send, its buttons and the words a user reads in it."""

    action: str
    method: str
    fields: tuple[tuple[str, str], ...]
    buttons: tuple[Button, ...]
    text: str

    def names(self, who: str) -> bool:
        """Tell whether `who` is written in this form, or sent by it."""
        return who in self.text or any(who == value for _, value in self.fields)

    def sends(self, *, deny: bool = False) -> list[tuple[str, str]]:
        """Return the fields with the pressed button among them: the affirmative one unless `deny`."""
        pressed = next((button for button in self.buttons if button.refuses == deny), None)
        named = [(pressed.name, pressed.value)] if pressed is not None and pressed.name else []
        return [*self.fields, *named]


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
    plain HTTP. It is synchronous; in an async test use `walk_async`, or asyncio.to_thread.
    """

    def __init__(self) -> None:
        self.visited: list[str] = []
        self._client = httpx2.Client(follow_redirects=False, timeout=30, trust_env=False)

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

    def submit(self, page: Page, *, deny: bool = False, choose: str | None = None, follow: bool = True) -> Page:
        """Press a button of the page: the refusing one if `deny`, in the form that names `choose` if given."""
        form = _chosen(page, deny=deny, choose=choose)
        url, sent = urljoin(page.url, form.action or page.url), form.sends(deny=deny)
        if form.method == "post":
            return self.post_form(url, sent, from_page=page, follow=follow)
        return self.get(str(httpx2.URL(url, params=sent)), follow=follow)

    def walk(self, url: str, *, stop_at: str, deny: bool = False, choose: str | None = None) -> str:
        """Go from `url` through redirects and forms until a step leads to an address that begins with `stop_at`.

        Return that address; it is not asked for. `choose` names the account on pages that offer several. With `deny`
        the first page that can be refused is refused. Raises LostWay with what is on the page it got stuck at.
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
                page = self.submit(page, deny=refuse, choose=choose, follow=False)
        raise LostWay(f"wanted {stop_at}, still on the way after {MAX_STEPS} steps: {page.shown()}")

    async def walk_async(self, url: str, *, stop_at: str, deny: bool = False, choose: str | None = None) -> str:
        """`walk` in a thread, for a test whose server runs in its own event loop."""
        return await asyncio.to_thread(self.walk, url, stop_at=stop_at, deny=deny, choose=choose)

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
        forms = _forms(reply.text) if html else ()
        return Page(method, url, reply.status_code, reply.headers, reply.text, forms)


def _chosen(page: Page, *, deny: bool, choose: str | None) -> Form:
    forms = [form for form in page.forms if choose is None or form.names(choose)]
    if not forms and len(page.forms) == 1:
        forms = list(page.forms)  # a page that asks something else before it asks who one is
    fitting = [form for form in forms if any(button.refuses == deny for button in form.buttons)]
    if not forms or (deny and not fitting):
        raise LostWay(f"no form {'refuses' if deny else f'for {choose!r}'} on {page.shown()}")
    return (fitting or forms)[0]


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


def _forms(page: str) -> tuple[Form, ...]:
    parser = _FormParser()
    parser.feed(page)
    return tuple(parser.forms)


class _FormParser(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: tuple[str, str] | None = None
        self._fields: list[tuple[str, str]] = []
        self._buttons: list[Button] = []
        self._words: list[str] = []
        self._button_from: int | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value if value is not None else "" for name, value in attrs}
        if tag == "form":
            self._form = (at.get("action", ""), at.get("method", "get").lower())
            self._fields, self._buttons, self._words = [], [], []
        elif self._form is None or "disabled" in at:
            return
        elif tag == "button" and at.get("type", "submit") == "submit":
            self._buttons.append(Button(at.get("name", ""), at.get("value", "")))
            self._button_from = len(self._words)
        elif tag == "input":
            self._input(at)

    def _input(self, at: Mapping[str, str]) -> None:
        kind, name, value = at.get("type", "text"), at.get("name", ""), at.get("value", "")
        if kind in ("submit", "image"):
            self._buttons.append(Button(name, value, value))
        elif name and (kind not in ("checkbox", "radio") or "checked" in at):
            self._fields.append((name, value or ("on" if kind == "checkbox" else "")))

    def handle_data(self, data: str) -> None:
        if self._form is not None and data.strip():
            self._words.append(data.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag == "button" and self._button_from is not None:
            last = self._buttons[-1]
            self._buttons[-1] = Button(last.name, last.value, " ".join(self._words[self._button_from :]))
            self._button_from = None
        elif tag == "form" and self._form is not None:
            action, method = self._form
            self.forms.append(Form(action, method, tuple(self._fields), tuple(self._buttons), " ".join(self._words)))
            self._form = None


@asynccontextmanager
async def chromium() -> AsyncIterator["Chromium"]:
    """Start a headless Chromium: the one on the path, or playwright's own where none is."""
    from playwright.async_api import async_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()

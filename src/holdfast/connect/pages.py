"""The steps a browser walks: the link (a page that names whose account is being connected, and asks for what has to be
typed in), the start, the callback, and a page that says it is done. All in the environment's look and words."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

import structlog
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from holdfast.access.administrators import SigningIn, session_cookie
from holdfast.authorization import Callback, Fill, Landed, Opened, Start
from holdfast.authorization.callback import Failed
from holdfast.authorization.fill import is_tried
from holdfast.authorization.settle import SUCCESS_PATH, NoVerifyUrl
from holdfast.authorization.start import AdministratorNeeded, AttemptOver
from holdfast.connect.looks import Look, Looks
from holdfast.connect.problems import field_faults, form_fields, problem_facts
from holdfast.errors import HoldfastError, Invalid, NotFound
from holdfast.ids import is_id
from holdfast.providers import custom

if TYPE_CHECKING:
    from jinja2 import Environment as Templates

_log = structlog.get_logger("holdfast.connect")

COOKIE_LIFETIME = 3600
"""Longer than any attempt: one cookie marks the browser for all the attempts it starts within the hour."""

MOST_FORM_BYTES = 131_072
"""A few private keys, percent-encoded."""

MOST_FIELDS = 100
_LONGEST_NAME = 200
"""Of a provider, as the success page shows it."""
_ENGLISH = Markup(' lang="en"')
"""On what the catalogue of providers says, in pages of another language: a screen reader is to know."""
_FIELD = "field-"
"""Before the names that a provider's entry gives to fields, so that none is taken for one of ours."""

PAGE_HEADERS = {
    # form-action: the form leads to the provider by a redirect, whose host and further hops we cannot list.
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none';"
    " frame-ancestors 'none'; form-action 'self' https: http://localhost:* http://127.0.0.1:*",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin-allow-popups",
}


class ConnectPages:
    def __init__(
        self, start: Start, callback: Callback, fill: Fill, looks: Looks, signing_in: SigningIn, *, base_url: str
    ) -> None:
        self.start, self._callback, self._fill, self._looks = start, callback, fill, looks
        self._signing_in = signing_in
        self.secure = base_url.startswith("https:")
        # __Host-: https only, this host only, path /. Browsers refuse that prefix on plain http, which is development.
        self.cookie = "__Host-holdfast" if self.secure else "holdfast"
        self._place_cookie = self.cookie + "-at"
        """Which environment this browser last connected something in: no secret, and good for the look alone."""
        self._done_cookie = self.cookie + "-done"
        """What this browser has connected and not been told of yet; empty where that is more than one."""
        self._success_url = base_url + SUCCESS_PATH

    @cached_property
    def _templates(self) -> "Templates":
        from jinja2 import Environment, PackageLoader, select_autoescape  # 60 ms, not for a server to begin with

        return Environment(
            loader=PackageLoader("holdfast.connect"), autoescape=select_autoescape(default=True), trim_blocks=True
        )

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/data-integrations/{link}/authorize-redirect", self.link, methods=["GET", "HEAD"]),
            Route("/data-integrations/{link}/authorize-redirect", self.go, methods=["POST"]),
            Route("/data-integrations/{name}/{key}/callback", self.callback, methods=["GET"]),
            Route("/connect/links/{link}", self.link, methods=["GET", "HEAD"]),
            Route("/connect/links/{link}", self.go, methods=["POST"]),
            Route(SUCCESS_PATH, self.success, methods=["GET"]),
            Route("/sso/v1/oauth/{connection}/callback", self.callback_by_id, methods=["GET"]),
            *self._looks.routes(),
            Mount("/connect/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]

    async def link(self, request: Request) -> Response:
        """Show whose account is being connected; a session-bound attempt goes straight on, its app confirms the user.

        A HEAD request or a prefetch looks and starts nothing.
        """
        browser, link = request.cookies.get(self.cookie), request.path_params["link"]
        try:
            opened = await self.start.open(link, browser)
            if opened.attempt.session_bound and request.method == "GET" and not _is_prefetch(request):
                return await self.to_provider(request, browser)
        except HoldfastError as error:
            return await self.problem(request, error, await self._environment_of(link))
        return await self._confirm(request, opened, 200, {}, None)

    async def go(self, request: Request) -> Response:
        """Start: mark the browser and send it to the provider. Only from our own page."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            told = Failed("other_site", "this step can be taken from Holdfast's own page only")
            return await self.problem(request, told, await self._environment_of(request.path_params["link"]))
        browser, link = request.cookies.get(self.cookie), request.path_params["link"]
        try:
            sent = await read_typed(request)
            opening = sent.get("opening", "")
            typed = {name.removeprefix(_FIELD): value for name, value in sent.items() if name.startswith(_FIELD)}
            if sent.get("decision") == "cancel":
                return await self._leave(request, await self.start.cancel(link, browser, opening))
            opened = await self.start.open(link, browser, opening)
            known = opened.administrators_only and await self._is_administrator(request)
            try:
                if opened.effective.connection.method != "oauth":
                    landed = await self._fill.submit(link, browser, opening, typed, administrator=known)
                    return await self._leave(request, landed)
                return await self.to_provider(request, browser, opening, typed, administrator=known)
            except AdministratorNeeded:
                return await self._confirm(request, opened, 403, typed, None)
            except Invalid as error:
                if not (error.fields and opened.fields):
                    raise
                return await self._confirm(request, opened, 422, typed, error)
        except HoldfastError as error:
            return await self.problem(request, error, await self._environment_of(link))

    async def to_provider(
        self,
        request: Request,
        browser: str | None,
        opening: str = "",
        typed: Mapping[str, str] | None = None,
        *,
        administrator: bool = False,
    ) -> Response:
        """Start the request's link, mark the browser, and send it on. Raises as `Start.start` does."""
        link = request.path_params["link"]
        started = await self.start.start(link, browser, opening, typed, administrator=administrator)
        response = RedirectResponse(started.provider_url, 303 if request.method == "POST" else 302, PAGE_HEADERS)
        self._mark(response, self.cookie, started.browser)
        self._mark(response, self._place_cookie, started.environment_id)
        return response

    async def _is_administrator(self, request: Request) -> bool:
        return await self._signing_in.who(request.cookies.get(session_cookie(secure=self.secure), "")) is not None

    def _mark(self, response: Response, cookie: str, value: str) -> None:
        response.set_cookie(
            cookie, value, max_age=COOKIE_LIFETIME, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    async def callback(self, request: Request) -> Response:
        """The provider's redirect URI."""
        key = request.path_params["key"].removeprefix("dik_")
        try:
            if not is_id(key):
                raise NotFound("this redirect URI is not known here")
            landed = await self._callback.land(
                request.path_params["name"],
                key,
                request.query_params.multi_items(),
                request.cookies.get(self.cookie),
            )
        except HoldfastError as error:
            return await self.problem(request, error)
        return await self._leave(request, landed)

    async def callback_by_id(self, request: Request) -> Response:
        """The provider's redirect URI of connections that are named by id in it."""
        connection_id = request.path_params["connection"].removeprefix("conn_")
        try:
            if not is_id(connection_id):
                raise NotFound("this redirect URI is not known here")
            browser = request.cookies.get(self.cookie)
            params = request.query_params.multi_items()
            return await self._leave(request, await self._callback.land_by_id(connection_id, params, browser))
        except HoldfastError as error:
            return await self.problem(request, error)

    async def success(self, request: Request) -> Response:
        """Where a browser rests once its account is connected. Names the provider to the browser that connected it,
        once, and says nothing that somebody else could not read."""
        provider = unquote(request.cookies.get(self._done_cookie, ""))[:_LONGEST_NAME]
        response = await self.page(request, "done.html", 200, {"provider": provider if provider.isprintable() else ""})
        if self._done_cookie in request.cookies:
            response.delete_cookie(self._done_cookie, path="/", secure=self.secure, httponly=True, samesite="lax")
        return response

    async def _confirm(
        self, request: Request, opened: Opened, status: int, typed: Mapping[str, str], error: Invalid | None
    ) -> Response:
        look = await self.look(request, opened.attempt.environment_id)
        faults = error.fields if error is not None else ()
        wrong = field_faults(look.words, opened.effective.provider.name, opened.fields, faults)
        facts = _confirm_facts(opened, look, typed, wrong)
        facts["closed"] = opened.administrators_only and not await self._is_administrator(request)
        return self.draw("confirm.html", status, look, facts)

    async def _leave(self, request: Request, landed: Landed) -> Response:
        """Send the browser back to the app, or show how it ended where there is no way back."""
        if landed.url is not None:
            response: Response = RedirectResponse(landed.url, 303, PAGE_HEADERS)
            if landed.environment_id:
                self._mark(response, self._place_cookie, landed.environment_id)
            if landed.error is None:
                self._mark(response, self._done_cookie, self._done_with(request, landed))
            return response
        look = await self.look(request, landed.environment_id or None)
        if landed.error is None:
            return self.draw("done.html", 200, look, {"provider": landed.provider_name})
        return self.draw("failed.html", 400, look, problem_facts(look, landed.error, landed.description))

    def _done_with(self, request: Request, landed: Landed) -> str:
        """Return what the success page may name. A browser that is sent to the app first, to have its user verified,
        may connect something else meanwhile: then nobody knows which of the two it comes from."""
        name = quote(landed.provider_name[:_LONGEST_NAME], safe="")
        before = request.cookies.get(self._done_cookie, name)
        return name if landed.url == self._success_url or before == name else ""

    async def _environment_of(self, link: str) -> str | None:
        """Return whose look a link's failure page wears, as far as that can be found out."""
        try:
            return await self.start.environment_of(link)
        except HoldfastError:
            return None

    async def problem(
        self, request: Request, error: HoldfastError, environment_id: str | None = None, back: str = ""
    ) -> Response:
        """Tell what went wrong, on a page of its own. `back`: a path of ours that leads on, where there is one."""
        status = 404 if isinstance(error, NotFound) else 410 if isinstance(error, AttemptOver) else 400
        if not isinstance(error, NotFound | AttemptOver | Failed | NoVerifyUrl):
            _log.warning("connect_page_failed", code=error.code)
        look = await self.look(request, environment_id)
        return self.draw("failed.html", status, look, {**problem_facts(look, error.code, error.message), "back": back})

    async def look(self, request: Request, environment_id: str | None) -> Look:
        """Return the look of an environment; where none is known, of the one that this browser was in before."""
        before = request.cookies.get(self._place_cookie, "")
        return await self._looks.look(request, environment_id or (before if is_id(before) else None))

    async def page(
        self,
        request: Request,
        name: str,
        status: int,
        facts: Mapping[str, Any],
        headers: Mapping[str, str] = PAGE_HEADERS,
        *,
        environment_id: str | None = None,
    ) -> Response:
        return self.draw(name, status, await self.look(request, environment_id), facts, headers)

    def draw(
        self, name: str, status: int, look: Look, facts: Mapping[str, Any], headers: Mapping[str, str] = PAGE_HEADERS
    ) -> Response:
        english = "" if look.words.language.startswith("en") else _ENGLISH
        shown = {"app": look.app, "look": look, "t": look.words, "english": english, **facts}
        told = {**headers, "content-language": look.words.language, "vary": "accept-language"}
        return HTMLResponse(self._templates.get_template(name).render(shown), status, told)


async def read_typed(request: Request) -> dict[str, str]:
    """Return what our form sent. Reads no more than such a form can hold."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            raise Failed("form_too_large", "this form is larger than ours")
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
        )
    except ValueError:
        raise Failed("form_malformed", "this form is not one of ours") from None


def _is_prefetch(request: Request) -> bool:
    purpose = request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")
    return "prefetch" in purpose or "preview" in purpose


def _confirm_facts(
    opened: Opened, look: Look, typed: Mapping[str, str], wrong: Mapping[str, Markup | str]
) -> dict[str, Any]:
    provider, owner = opened.effective.provider, opened.attempt.owner
    oauth = opened.effective.connection.method == "oauth"
    return {
        "provider": provider.name,
        "owner": owner.user_id or owner.organization_id,
        "owner_is_organization": owner.kind == "organization",
        "organization": owner.organization_id if owner.kind == "user" else "",
        "acting_user": opened.attempt.acting_user if owner.kind == "organization" else "",
        "oauth": oauth,
        "tried": is_tried(opened.effective),
        "opening": opened.opening if opened.attempt.by_link else "",
        "fields": form_fields(look.words, opened.fields, typed, wrong),
        "wrong": wrong.get("") or (look.words("form.look") if wrong else ""),
        "scopes": [(scope, provider.scope_help.get(scope, "")) for scope in opened.effective.scopes] if oauth else [],
        "hosts": sorted(custom.hosts(provider)) if oauth and provider.custom else [],
    }

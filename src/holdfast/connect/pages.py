"""The steps a browser walks: the link (a page that names whose account is being connected, and asks for what has to be
typed in), the start, the callback, and a page that says it is done."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from holdfast.authorization import Callback, Fill, Landed, Opened, Start
from holdfast.authorization.callback import Failed
from holdfast.authorization.settle import NoVerifyUrl
from holdfast.authorization.start import AttemptOver
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
    def __init__(self, start: Start, callback: Callback, fill: Fill, *, base_url: str, app_name: str) -> None:
        self.start, self._callback, self._fill, self.app_name = start, callback, fill, app_name
        self.secure = base_url.startswith("https:")
        # __Host-: https only, this host only, path /. Browsers refuse that prefix on plain http, which is development.
        self.cookie = "__Host-holdfast" if self.secure else "holdfast"

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
            Route("/connect/success", self.success, methods=["GET"]),
            Route("/sso/v1/oauth/{connection}/callback", self.callback_by_id, methods=["GET"]),
            Mount("/connect/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]

    async def link(self, request: Request) -> Response:
        """Show whose account is being connected; a session-bound attempt goes straight on, its app confirms the user.

        A HEAD request or a prefetch looks and starts nothing.
        """
        browser = request.cookies.get(self.cookie)
        try:
            opened = await self.start.open(request.path_params["link"], browser)
            if opened.attempt.session_bound and request.method == "GET" and not _is_prefetch(request):
                return await self.to_provider(request, browser)
        except HoldfastError as error:
            return self.problem(error)
        return self.page("confirm.html", 200, _confirm_facts(opened, self.app_name, {}, {}))

    async def go(self, request: Request) -> Response:
        """Start: mark the browser and send it to the provider. Only from our own page."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return self.problem(Failed("other_site", "this step can be taken from Holdfast's own page only"))
        browser, link = request.cookies.get(self.cookie), request.path_params["link"]
        try:
            sent = await read_typed(request)
            opening = sent.get("opening", "")
            typed = {name.removeprefix(_FIELD): value for name, value in sent.items() if name.startswith(_FIELD)}
            if sent.get("decision") == "cancel":
                return self._leave(await self.start.cancel(link, browser, opening))
            opened = await self.start.open(link, browser, opening)
            try:
                if opened.effective.connection.method != "oauth":
                    return self._leave(await self._fill.submit(link, browser, opening, typed))
                return await self.to_provider(request, browser, opening, typed)
            except Invalid as error:
                if not (error.fields and opened.fields):
                    raise
                wrong = {fault["field"]: fault["message"] for fault in error.fields}
                return self.page("confirm.html", 422, _confirm_facts(opened, self.app_name, typed, wrong))
        except HoldfastError as error:
            return self.problem(error)

    async def to_provider(
        self, request: Request, browser: str | None, opening: str = "", typed: Mapping[str, str] | None = None
    ) -> Response:
        """Start the request's link, mark the browser, and send it on. Raises as `Start.start` does."""
        started = await self.start.start(request.path_params["link"], browser, opening, typed)
        response = RedirectResponse(started.provider_url, 303 if request.method == "POST" else 302, PAGE_HEADERS)
        response.set_cookie(
            self.cookie,
            started.browser,
            max_age=COOKIE_LIFETIME,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )
        return response

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
            return self.problem(error)
        return self._leave(landed)

    async def callback_by_id(self, request: Request) -> Response:
        """The provider's redirect URI of connections that are named by id in it."""
        connection_id = request.path_params["connection"].removeprefix("conn_")
        try:
            if not is_id(connection_id):
                raise NotFound("this redirect URI is not known here")
            browser = request.cookies.get(self.cookie)
            params = request.query_params.multi_items()
            return self._leave(await self._callback.land_by_id(connection_id, params, browser))
        except HoldfastError as error:
            return self.problem(error)

    async def success(self, request: Request) -> Response:
        """Where a browser rests once its account is connected. Says nothing that somebody else could not read."""
        return self.page("done.html", 200, {"app": self.app_name, "provider": "", "credential": True})

    def _leave(self, landed: Landed) -> Response:
        """Send the browser back to the app, or show how it ended where there is no way back."""
        if landed.url is not None:
            return RedirectResponse(landed.url, 303, PAGE_HEADERS)
        if landed.error is None:
            return self.page("done.html", 200, {"app": self.app_name, "provider": landed.provider_name})
        return self.page("failed.html", 400, _problem_facts(landed.error, landed.description, self.app_name))

    def problem(self, error: HoldfastError) -> Response:
        status = 404 if isinstance(error, NotFound) else 410 if isinstance(error, AttemptOver) else 400
        if not isinstance(error, NotFound | AttemptOver | Failed | NoVerifyUrl):
            _log.warning("connect_page_failed", code=error.code)
        return self.page("failed.html", status, _problem_facts(error.code, error.message, self.app_name))

    def page(
        self, name: str, status: int, facts: Mapping[str, Any], headers: Mapping[str, str] = PAGE_HEADERS
    ) -> Response:
        return HTMLResponse(self._templates.get_template(name).render({"app": self.app_name, **facts}), status, headers)


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


def _confirm_facts(opened: Opened, app_name: str, typed: Mapping[str, str], wrong: Mapping[str, str]) -> dict[str, Any]:
    provider, owner = opened.effective.provider, opened.attempt.owner
    return {
        "app": app_name,
        "provider": provider.name,
        "initial": provider.name[:1].upper(),
        "owner": owner.user_id or owner.organization_id,
        "owner_is_organization": owner.kind == "organization",
        "organization": owner.organization_id if owner.kind == "user" else "",
        "acting_user": opened.attempt.acting_user if owner.kind == "organization" else "",
        "oauth": opened.effective.connection.method == "oauth",
        "opening": opened.opening if opened.attempt.by_link else "",
        "fields": [
            {"field": item, "value": "" if item.secret else typed.get(item.name, ""), "wrong": wrong.get(item.name)}
            for item in opened.fields
        ],
        "wrong": wrong.get("") or ("" if not wrong else "Please look at the marked fields."),
        "scopes": [(scope, provider.scope_help.get(scope, "")) for scope in opened.effective.scopes],
        "hosts": sorted(custom.hosts(provider)) if provider.custom else [],
    }


def _problem_facts(code: str, message: str, app_name: str) -> dict[str, Any]:
    denied = code == "access_denied"
    words = f"{message[:1].upper()}{message[1:]}" if "_" not in message.split(" ")[0] else message
    return {
        "app": app_name,
        "title": "Not connected" if denied else "This did not work",
        "message": words.rstrip("."),
        "code": code,
    }

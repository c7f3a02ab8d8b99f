"""What every page stands in: session, environment, rights, form tokens, rendering, and how a mistake is told."""

import hmac
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import structlog
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from holdfast import __version__
from holdfast.access import Environment
from holdfast.access import store as access_store
from holdfast.access.administrators import Right, SignedIn, SigningIn, may, session_cookie
from holdfast.clock import Clock
from holdfast.dashboard import words
from holdfast.dashboard.uploads import MOST_UPLOAD_BYTES, is_multipart, read_multipart
from holdfast.errors import (
    Conflict,
    HoldfastError,
    Invalid,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from holdfast.storage import Database

if TYPE_CHECKING:
    from jinja2 import Environment as Templates

_log = structlog.get_logger("holdfast.dashboard")

MOST_FORM_BYTES = 256 * 1024
MOST_FIELDS = 2000
NAVIGATION: tuple[tuple[str, str, str, Right], ...] = (
    ("", "Overview", "home", Right.SEE),
    ("accounts", "Accounts", "people", Right.SEE),
    ("connections", "Connections", "plug", Right.SEE),
    ("providers", "Providers", "grid", Right.SEE),
    ("activity", "Activity", "list", Right.SEE),
    ("approvals", "Approvals", "hand", Right.CONFIGURE),
    ("usage", "Usage", "chart", Right.SEE),
    ("webhooks", "Webhooks", "bell", Right.SEE),
    ("keys", "Keys", "key", Right.KEYS),
    ("people", "People", "shield", Right.PEOPLE),
    ("settings", "Settings", "gear", Right.SEE),
)
"""Path under the environment, label, icon, and the right it takes to see it."""

_STATUS: tuple[tuple[type[HoldfastError], int], ...] = (
    (NotFound, 404),
    (Refused, 403),
    (Unauthenticated, 401),
    (TooMany, 429),
    (Conflict, 409),
    (Invalid, 422),
    (Unavailable, 503),
)
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One checked request: who, in which environment, with what form. A page's handler gets this and nothing else."""

    request: Request
    signed_in: SignedIn
    environment: Environment
    form: FormData = field(default_factory=FormData)

    @property
    def environment_id(self) -> str:
        return self.environment.id

    @property
    def path(self) -> Mapping[str, str]:
        return self.request.path_params

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)[:500]

    def text(self, name: str) -> str:
        """Return a form field, stripped; "" when it was not sent."""
        value = self.form.get(name)
        return value.strip() if isinstance(value, str) else ""

    def secret(self, name: str) -> str:
        """Return a form field as it was typed: spaces may belong to a secret."""
        value = self.form.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        return [value.strip() for value in self.form.getlist(name) if isinstance(value, str)]

    async def upload(self, name: str) -> bytes:
        """Return the bytes of a file that was sent along; b"" for none."""
        value = self.form.get(name)
        return await value.read() if isinstance(value, UploadFile) else b""

    def may(self, right: Right) -> bool:
        return may(self.signed_in.administrator.role, right)

    def url(self, path: str = "") -> str:
        """Return the address of a page of this environment."""
        return environment_url(self.environment, path)


Page = Callable[[Visit], Awaitable[Response]]


def environment_url(environment: Environment, path: str = "") -> str:
    return f"/dashboard/{quote(environment.name, safe='')}" + (f"/{path}" if path else "")


class Frame:
    def __init__(
        self,
        database: Database,
        signing_in: SigningIn,
        clock: Clock,
        *,
        base_url: str,
        app_name: str,
        dev: bool,
        single_sign_on: str = "",
    ) -> None:
        """`single_sign_on`: the issuer that people may sign in at, by the name they know; "" for none."""
        self._database, self._signing_in, self.clock = database, signing_in, clock
        self.base_url, self.app_name, self.dev = base_url, app_name, dev
        self.single_sign_on = single_sign_on
        self.secure = base_url.startswith("https:")
        self.cookie = session_cookie(secure=self.secure)

    @cached_property
    def templates(self) -> "Templates":
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # 60 ms: with the first page

        made = Environment(
            loader=PackageLoader("holdfast.dashboard"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        made.filters.update(words.filters(self.clock))
        made.globals.update(version=__version__, app_name=self.app_name, dev=self.dev)
        made.globals["single_sign_on"] = self.single_sign_on
        return made

    def statics(self) -> BaseRoute:
        return Mount("/dashboard/static", StaticFiles(directory=Path(__file__).parent / "static"))

    def get(self, path: str, page: Page, right: Right = Right.SEE) -> Route:
        """A page of an environment: `path` stands under /dashboard/{environment}."""

        async def endpoint(request: Request) -> Response:
            return await self._visit(request, page, right)

        return Route(_full(path), endpoint, methods=["GET"])

    def post(self, path: str, act: Page, right: Right) -> Route:
        """An act: it takes the form token and a request from our own pages."""

        async def endpoint(request: Request) -> Response:
            return await self._visit(request, act, right, acting=True)

        return Route(_full(path), endpoint, methods=["POST"])

    def get_installation(self, path: str, page: Page, right: Right = Right.SEE) -> Route:
        """A page of the whole server, shown within the environment that `?at=` names, or the first."""

        async def endpoint(request: Request) -> Response:
            return await self._visit(request, page, right)

        return Route(f"/dashboard/{path}", endpoint, methods=["GET"])

    def post_installation(self, path: str, act: Page, right: Right) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._visit(request, act, right, acting=True)

        return Route(f"/dashboard/{path}", endpoint, methods=["POST"])

    async def who(self, request: Request) -> SignedIn | None:
        return await self._signing_in.who(request.cookies.get(self.cookie, ""))

    async def form_of(self, request: Request, signed_in: SignedIn | None) -> FormData:
        """Read a form that one of our own pages sent. Raises Refused for any other, Invalid for one too large."""
        if not self.is_ours(request):
            raise Refused("this form was sent from another site", code="other_site")
        kind = request.headers.get("content-type", "")
        uploads = signed_in is not None and is_multipart(kind)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > (MOST_UPLOAD_BYTES if uploads else MOST_FORM_BYTES):
                raise Invalid("this form is too large", code="form_too_large")
        form = FormData(_files_and_fields(kind, bytes(body)) if uploads else _fields(body))
        # PostgreSQL takes none, not even to look for it.
        if any("\0" in value for _, value in form.multi_items() if isinstance(value, str)):
            raise Invalid("this form cannot be read", code="form_unreadable")
        if signed_in is not None:
            token = form.get("csrf")
            if not isinstance(token, str) or not hmac.compare_digest(token.encode(), signed_in.csrf.encode()):
                raise Refused("this form is from another session: load the page again", code="stale_form")
        return form

    def is_ours(self, request: Request) -> bool:
        """Tell whether a browser says that the request comes from a page of this server (Fetch Metadata, Origin)."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = request.headers.get("origin")
        if origin is None or origin == self.base_url:
            return True
        return origin.partition("://")[2] == request.headers.get("host")

    async def _visit(self, request: Request, page: Page, right: Right, *, acting: bool = False) -> Response:
        signed_in = await self.who(request)
        if signed_in is None:
            return self.to_sign_in(request)
        try:
            if "\0" in request.scope["path"] or "%00" in request.scope["query_string"].decode("latin-1"):
                raise NotFound("there is nothing at this address")  # no database takes a zero byte
            environment = await self._environment(request)
            form = await self.form_of(request, signed_in) if acting else FormData()
        except HoldfastError as error:
            return self.problem(request, signed_in, None, error)
        visit = Visit(request, signed_in, environment, form)
        try:
            if not visit.may(right):
                raise Refused(
                    f"your role ({signed_in.administrator.role}) does not let you do this: ask an owner or an admin"
                )
            return await page(visit)
        except HoldfastError as error:
            return self.problem(request, signed_in, environment, error)

    async def _environment(self, request: Request) -> Environment:
        name = request.path_params.get("environment") or request.query_params.get("at", "")
        found = await self._database.transact(lambda tx: access_store.environment_by_name(tx, name))
        if found is None and "environment" not in request.path_params:
            found = next(iter(await self._database.transact(access_store.list_environments)), None)
        if found is None:
            raise NotFound("there is no such environment")
        return found

    def to_sign_in(self, request: Request) -> Response:
        """Send to the sign-in page, and back to a page that was asked for (never to an act)."""
        back = request.url.path if request.method == "GET" and "x-live" not in request.headers else ""
        if "x-live" in request.headers:
            return Response(status_code=401)
        where = "/dashboard/sign-in" + (f"?next={quote(back)}" if back not in ("", "/dashboard") else "")
        return RedirectResponse(where, 303)

    def page(self, visit: Visit, template: str, *, status: int = 200, **facts: Any) -> Response:
        """Render a page of an environment. `facts` are what its template names; `title` belongs to the template."""
        shown = {
            "visit": visit,
            "me": visit.signed_in.administrator,
            "csrf": visit.signed_in.csrf,
            "environment": visit.environment,
            "here": visit.request.url.path,
            "navigation": [
                (visit.url(path), label, icon, _section(visit) == path)
                for path, label, icon, right in NAVIGATION
                if visit.may(right)
            ],
            "flash": words.flash(visit.query("did")),
            "url": visit.url,
            "errors": {},
            "typed": {},
            "Right": Right,
            **facts,
        }
        return self._html(template, status, shown)

    def plain_page(self, template: str, *, status: int = 200, **facts: Any) -> Response:
        """Render a page for somebody who is not signed in."""
        return self._html(template, status, {"errors": {}, "typed": {}, **facts})

    def part(self, visit: Visit, template: str, **facts: Any) -> Response:
        """Render a part of a page, for `data-live`."""
        shown = {"visit": visit, "csrf": visit.signed_in.csrf, "url": visit.url, "Right": Right, **facts}
        return self._html(template, 200, shown)

    def done(self, visit: Visit, path: str, did: str = "") -> Response:
        """After an act: go to a page of this environment, which says what was done."""
        return RedirectResponse(visit.url(path) + (f"{'&' if '?' in path else '?'}did={did}" if did else ""), 303)

    def mistakes(
        self, visit: Visit, template: str, error: HoldfastError, *, hidden: set[str] | None = None, **facts: Any
    ) -> Response:
        """Show a form again with the error beside its field and what was typed, except what is `hidden`. An error of a
        field that the page does not have stands above it."""
        typed: dict[str, Any] = {}
        for name in visit.form:
            if name != "csrf" and name not in (hidden or set()):
                values = visit.texts(name)
                typed[name] = values[0] if len(values) == 1 else values
        status, errors = status_of(error), errors_of(error)
        reply = self.page(visit, template, status=status, errors=errors, typed=typed, **facts)
        if "" in errors or any(f'id="{name}-problem"'.encode() in reply.body for name in errors):
            return reply
        return self.page(visit, template, status=status, errors={"": error.message}, typed=typed, **facts)

    def problem(
        self, request: Request, signed_in: SignedIn | None, environment: Environment | None, error: HoldfastError
    ) -> Response:
        """A page that says what was wrong, for what is no mistake in a form."""
        status = status_of(error)
        if environment is not None and signed_in is not None:
            return self.page(Visit(request, signed_in, environment), "problem.html", status=status, error=error)
        return self._html("problem_plain.html", status, {"error": error})

    def set_session(self, response: Response, token: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie, token, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax"
        )

    def _html(self, template: str, status: int, facts: Mapping[str, Any]) -> Response:
        return HTMLResponse(self.templates.get_template(template).render(facts), status, headers=_HEADERS)


def _files_and_fields(content_type: str, body: bytes) -> list[tuple[str, str | UploadFile]]:
    read = read_multipart(content_type, body).items()
    return [
        (name, UploadFile(io.BytesIO(value), size=len(value)) if isinstance(value, bytes) else value)
        for name, value in read
    ]


def _fields(body: bytearray) -> list[tuple[str, str | UploadFile]]:
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Invalid("this form cannot be read", code="form_unreadable") from None
    return list[tuple[str, str | UploadFile]](fields)


LONGEST_NEXT = 500


def next_page(text: str) -> str:
    """Return a page of the dashboard, or "" for anything else: a sign-in leads nowhere but here.

    None has a path as long as `LONGEST_NEXT`, which a sign-in elsewhere has to carry in a cookie."""
    if len(text) > LONGEST_NEXT:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    fine = not parts.scheme and not parts.netloc and parts.path.startswith("/dashboard/") and "\\" not in text
    return parts.path if fine else ""


def status_of(error: HoldfastError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def errors_of(error: HoldfastError) -> dict[str, str]:
    """Return what to write beside which field; "" is the form as a whole."""
    found = {item["field"]: item.get("message", error.message) for item in error.fields if "field" in item}
    return found or {"": error.message}


def _full(path: str) -> str:
    return "/dashboard/{environment}" + (f"/{path}" if path else "")


def _section(visit: Visit) -> str:
    parts = visit.request.url.path.split("/")
    return parts[3] if len(parts) > 3 else ""

"""My connections: a page where an end user sees and looks after their own accounts, without any script.

The app sends its user's browser there by a form with a widget token (a token in an address would leak). The token
becomes a cookie of this host for as long as it lives.
"""

import hmac
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.access.widgets import NotThisSession, Origins, WidgetSession, WidgetTokens
from holdfast.authorization import Mine, Own, Row
from holdfast.authorization.fill import is_tried
from holdfast.connect.looks import Look
from holdfast.connect.pages import PAGE_HEADERS, ConnectPages, read_typed
from holdfast.connect.problems import field_faults, form_fields
from holdfast.errors import HoldfastError, Invalid, Refused
from holdfast.ids import is_id

_PATH = "/connections/mine"
_FIELD = "field-"
_CHECKED_AT = ("same-origin", "none")


class MinePages:
    def __init__(
        self, connect: ConnectPages, mine: Mine, tokens: WidgetTokens, origins: Origins, *, base_url: str
    ) -> None:
        self._connect, self._mine, self._tokens, self._origins = connect, mine, tokens, origins
        self._home = base_url + _PATH
        self._cookie = connect.cookie + "-mine"

    def routes(self) -> list[BaseRoute]:
        return [
            Route(_PATH, self.show, methods=["GET", "HEAD"]),
            Route(_PATH, self.open, methods=["POST"]),
            Route(_PATH + "/connect", self.connect, methods=["POST"]),
            Route(_PATH + "/disconnect", self.disconnect, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        """Take a token that the app's page sends in a form, from a registered origin only: with somebody else's token
        a stranger could have this browser's user connect accounts to that somebody."""
        try:
            token = (await read_typed(request)).get("token", "")
            session = await self._tokens.authenticate(token)
            origin = request.headers.get("origin", "null")
            if not await self._origins.allows(origin, session.environment_id):
                raise Refused(
                    "this page is opened by a form on a page of the app whose origin is registered as a CORS origin"
                )
        except HoldfastError as error:
            return await self._problem(request, error)
        response = RedirectResponse(_PATH, 303, PAGE_HEADERS)
        response.set_cookie(
            self._cookie,
            token,
            max_age=max(1, int(session.ends_at - self._tokens.now())),
            path="/",
            secure=self._connect.secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def show(self, request: Request) -> Response:
        try:
            session, proof = await self._session(request)
            rows = await self._mine.rows(session)
        except HoldfastError as error:
            return await self._problem(request, error)
        look = await self._connect.look(request, session.environment_id)
        facts = {
            "user": session.user_id,
            "organization": session.organization_id,
            "proof": proof,
            "told": look.words("mine.nothing_done") if "error" in request.query_params else "",
            "rows": [_facts(row, look) for row in rows],
            "accounts": True,
        }
        return self._connect.draw("mine.html", 200, look, facts)

    async def connect(self, request: Request) -> Response:
        """Go to the provider by a link of its own, or show a form and take what was typed."""
        try:
            session, proof = await self._session(request)
            sent = await self._sent(request, proof)
            row = await self._mine.row(session, sent.get("name", ""))
            account_id = _account_id(sent)
            typed = {name.removeprefix(_FIELD): value for name, value in sent.items() if name.startswith(_FIELD)}
            if row.fields and "typed" not in sent:
                return await self._form(request, session, row, proof, account_id, {}, None)
            try:
                return await self._go(session, row, account_id, typed)
            except Invalid as error:
                if not (error.fields and row.fields):
                    raise
                return await self._form(request, session, row, proof, account_id, typed, error)
        except HoldfastError as error:
            return await self._problem(request, error)

    async def _go(self, session: WidgetSession, row: Row, account_id: str | None, typed: Mapping[str, str]) -> Response:
        name = row.effective.connection.name
        if row.effective.connection.method != "oauth":
            await self._mine.submit(session, name, typed, account_id=account_id)
            return RedirectResponse(_PATH, 303, PAGE_HEADERS)
        config = {key: value.strip() for key, value in typed.items() if value.strip()}
        begun = await self._mine.authorize(session, name, account_id=account_id, config=config, return_to=self._home)
        return RedirectResponse(begun.url, 303, PAGE_HEADERS)

    async def disconnect(self, request: Request) -> Response:
        """Ask once, then end an account."""
        try:
            session, proof = await self._session(request)
            sent = await self._sent(request, proof)
            account_id = _account_id(sent) or ""
            if "sure" in sent:
                await self._mine.disconnect(session, account_id)
                return RedirectResponse(_PATH, 303, PAGE_HEADERS)
            account, row = await self._mine.one(session, account_id)
            facts = {
                "provider": row.effective.provider.name,
                "label": account.label or account.identifier,
                "id": account.id,
                "proof": proof,
            }
            at = session.environment_id
            return await self._connect.page(request, "mine_disconnect.html", 200, facts, environment_id=at)
        except HoldfastError as error:
            return await self._problem(request, error)

    async def _session(self, request: Request) -> tuple[WidgetSession, str]:
        """Return the session of the browser's cookie, and the proof that its own forms bear."""
        token = request.cookies.get(self._cookie)
        if token is None:
            raise NotThisSession("open this page from the app")
        return await self._tokens.authenticate(token), self._tokens.proof("form", token)

    async def _sent(self, request: Request, proof: str) -> dict[str, str]:
        sent = await read_typed(request)
        own = hmac.compare_digest(sent.get("proof", "").encode(), proof.encode())
        if not own or request.headers.get("sec-fetch-site", "same-origin") not in _CHECKED_AT:
            raise Refused("this step can be taken from Holdfast's own page only")
        return sent

    async def _form(
        self,
        request: Request,
        session: WidgetSession,
        row: Row,
        proof: str,
        account_id: str | None,
        typed: Mapping[str, str],
        error: Invalid | None,
    ) -> Response:
        look = await self._connect.look(request, session.environment_id)
        provider = row.effective.provider.name
        wrong = field_faults(look.words, provider, row.fields, error.fields if error is not None else ())
        facts = {
            "provider": provider,
            "name": row.effective.connection.name,
            "id": account_id,
            "proof": proof,
            "oauth": row.effective.connection.method == "oauth",
            "tried": is_tried(row.effective),
            "wrong": wrong.get("") or (look.words("form.look") if wrong else ""),
            "fields": form_fields(look.words, row.fields, typed, wrong),
        }
        return self._connect.draw("mine_form.html", 422 if wrong else 200, look, facts)

    async def _problem(self, request: Request, error: HoldfastError) -> Response:
        if isinstance(error, NotThisSession):
            return await self._connect.page(request, "mine_over.html", 403, {})
        back = _PATH if self._cookie in request.cookies else ""
        return await self._connect.problem(request, error, back=back)


def _account_id(sent: Mapping[str, str]) -> str | None:
    found = sent.get("account", "")
    return found if is_id(found) else None


def _facts(row: Row, look: Look) -> dict[str, object]:
    connection, provider = row.effective.connection, row.effective.provider
    return {
        "name": connection.name,
        "title": provider.name,
        "description": connection.description or "",
        "connects": row.connects,
        "accounts": [_account(own, row, look) for own in row.accounts],
    }


def _account(own: Own, row: Row, look: Look) -> dict[str, object]:
    account, provider = own.account, row.effective.provider
    reason = f"reason.{account.reason.value}" if account.reason else ""
    return {
        "id": account.id,
        "label": account.label or account.identifier or "",
        "last4": account.last4,
        "state": own.state,
        "why": look.words(reason, provider=provider.name, app=look.app) if look.words.has(reason) else "",
        "missing": [provider.scope_help.get(scope) or scope for scope in own.absent],
    }

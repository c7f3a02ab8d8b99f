"""The sandbox's pages: consent, for the person; control, for the developer, as a page and as JSON."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.errors import Invalid
from holdfast.lab.asking import Asked, Refusal, read_request
from holdfast.lab.people import PEOPLE, SCOPES, Person, person
from holdfast.lab.sandbox import Sandbox
from holdfast.lab.switches import from_form
from holdfast.lab.wire import issuer, read_form, refusal
from holdfast.secret import Secret


class Pages:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        from jinja2 import Environment, PackageLoader, select_autoescape  # only in development

        self._templates = Environment(
            loader=PackageLoader("holdfast.lab"), autoescape=select_autoescape(default=True), trim_blocks=True
        )
        self._style = self._templates.get_template("style.css").render()
        # The style stands in the page; its hash lets it in without 'unsafe-inline' and without a nonce.
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._headers = {
            "content-security-policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
            " frame-ancestors 'none'",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/authorize", self.ask, methods=["GET"]),
            Route("/authorize", self.answer, methods=["POST"]),
            Route("/control", self.control, methods=["GET"]),
            Route("/control/state", self.state, methods=["GET"]),
            Route("/control/switches", self.switches, methods=["POST"]),
            Route("/control/expire", self.expire, methods=["POST"]),
            Route("/control/revoke", self.revoke, methods=["POST"]),
            Route("/control/clients", self.clients, methods=["POST"]),
            Route("/control/reset", self.reset, methods=["POST"]),
        ]

    # consent

    async def ask(self, request: Request) -> Response:
        """Show who asks for what; or, by a switch, let a person consent at once."""
        asked = self._read(request)
        if isinstance(asked, Response):
            return asked
        who = person(self._sandbox.switches.auto_consent_as)
        if who is not None:
            return self._consented(request, asked, who, asked.scopes)
        facts = {
            "app": self._sandbox.client_name,
            "people": PEOPLE,
            "scopes": [(scope, SCOPES[scope]) for scope in asked.scopes],
            "redirect_uri": asked.redirect_uri,
        }
        return self._page("consent.html", 200, facts)

    async def answer(self, request: Request) -> Response:
        """The person pressed a button. The form goes to the address it was shown at, so the request is read again."""
        asked = self._read(request)
        if isinstance(asked, Response):
            return asked
        pairs = await read_form(request)
        if isinstance(pairs, Refusal):
            return self._problem(pairs)
        form = dict(pairs)
        if form.get("decision") != "allow":
            return self._denied(request, asked)
        who = person(form.get("person"))
        if who is None:
            return self._problem(Refusal("invalid_request", "Choose one of the sandbox's people."))
        return self._consented(request, asked, who, tuple(value for name, value in pairs if name == "scope"))

    def _read(self, request: Request) -> Asked | Response:
        base = issuer(self._sandbox, request)
        origin = "/".join(base.split("/", 3)[:3])
        read = read_request(request.query_params.multi_items(), client_id=self._sandbox.client_id, origin=origin)
        match read:
            case Asked():
                return read
            case Refusal():
                return self._problem(read)
            case asked, refused:
                return _go(asked.answer(base, error=refused.error, error_description=refused.description))

    def _consented(self, request: Request, asked: Asked, who: Person, ticked: tuple[str, ...]) -> Response:
        code = self._sandbox.consent(asked, who, ticked)
        if code is None:
            return self._denied(request, asked)
        return _go(asked.answer(issuer(self._sandbox, request), code=code))

    def _denied(self, request: Request, asked: Asked) -> Response:
        words = "The person did not allow it."
        return _go(asked.answer(issuer(self._sandbox, request), error="access_denied", error_description=words))

    # control

    async def control(self, request: Request) -> Response:
        base = issuer(self._sandbox, request)
        return self._page("control.html", 200, {**self._sandbox.state(), "base": base, "known_scopes": SCOPES})

    async def state(self, request: Request) -> Response:
        return JSONResponse({"issuer": issuer(self._sandbox, request), **self._sandbox.state()})

    async def switches(self, request: Request) -> Response:
        """Set the switches that are named (JSON) or all of them (the page's form)."""
        return await self._change(request, lambda given: self._sandbox.set(**given))

    async def expire(self, request: Request) -> Response:
        return await self._change(
            request, lambda given: {"expired": self._sandbox.expire(**_only(given, "subject", "access_token"))}
        )

    async def revoke(self, request: Request) -> Response:
        return await self._change(request, lambda given: {"revoked": self._sandbox.revoke(**_only(given, "subject"))})

    async def clients(self, request: Request) -> Response:
        """Add a client, given by `client_id` and `client_secret`."""
        return await self._change(request, self._add_client)

    def _add_client(self, given: dict[str, Any]) -> dict[str, str]:
        client = _only(given, "client_id", "client_secret")
        self._sandbox.add_client(client.get("client_id", ""), Secret(client.get("client_secret", "")))
        return {"client_id": client["client_id"]}

    async def reset(self, request: Request) -> Response:
        return await self._change(request, lambda _: self._sandbox.reset())

    async def _change(self, request: Request, change: Callable[[dict[str, Any]], Any]) -> Response:
        """Carry out a change sent as JSON, and answer in JSON; or sent by the page's form, and show the page again."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return refusal(Refusal("access_denied", "The switches are set from the sandbox's own page only.", 403))
        by_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        try:
            if by_form:
                pairs = await read_form(request)
                if isinstance(pairs, Refusal):
                    return self._problem(pairs)
                is_switches = request.url.path.endswith("/switches")
                given = from_form(pairs) if is_switches else {name: value for name, value in pairs if value}
            else:
                given = _json_object(await request.body())
            done = change(given)
        except Invalid as error:
            refused = Refusal("invalid_request", error.message)
            return self._problem(refused) if by_form else refusal(refused)
        if by_form:
            return RedirectResponse(f"{issuer(self._sandbox, request)}/control", 303, self._headers)
        return JSONResponse(msgspec.to_builtins(done) if done is not None else {})

    def _problem(self, refused: Refusal) -> Response:
        return self._page("problem.html", refused.status, {"problem": refused})

    def _page(self, name: str, status: int, facts: Mapping[str, Any]) -> Response:
        page = self._templates.get_template(name).render(facts, style=self._style)
        return HTMLResponse(page, status, self._headers)


def _go(url: str) -> Response:
    # 303 after a POST, so that no browser sends the form on: RFC 9700 section 4.12.
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid("The body must be a JSON object.") from None


def _only(given: Mapping[str, Any], *names: str) -> dict[str, str]:
    for name, value in given.items():
        if name not in names or not isinstance(value, str):
            raise Invalid(f"Only {' and '.join(names)} can be given here, as text.")
    return dict(given)

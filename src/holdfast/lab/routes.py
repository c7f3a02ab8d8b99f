"""The sandbox's endpoints for machines: token, revocation, userinfo, metadata, a small API."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.clock import iso
from holdfast.lab.asking import Refusal
from holdfast.lab.pages import Pages
from holdfast.lab.people import SCOPES, person
from holdfast.lab.sandbox import GRANT_TYPES, AccessToken, Issued, Sandbox
from holdfast.lab.switches import Failing
from holdfast.lab.wire import NO_STORE, LostReply, check_client, issuer, read_form, refusal

_ECHO_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_MOST_ECHOED = 64 * 1024
"""Bytes of a body that come back; its whole size is told."""

_ERROR_FOR_STATUS = {400: "invalid_request", 401: "invalid_client", 403: "access_denied", 429: "slow_down"}


def sandbox_routes(sandbox: Sandbox, base_url: str) -> list[BaseRoute]:
    """Return the sandbox's routes, relative to where they are mounted, and tell it its address: `base_url`."""
    sandbox.issuer = base_url.rstrip("/")
    return routes(sandbox)


def routes(sandbox: Sandbox) -> list[BaseRoute]:
    """Return everything under the sandbox's base, to be mounted there."""
    at = _Endpoints(sandbox)
    return [
        *Pages(sandbox).routes(),
        Route("/token", at.token, methods=["POST"]),
        Route("/revoke", at.revoke, methods=["POST"]),
        Route("/userinfo", at.userinfo, methods=["GET"]),
        Route("/api/me", at.me, methods=["GET"]),
        Route("/api/echo", at.echo, methods=_ECHO_METHODS),
        Route("/api/echo/{rest:path}", at.echo, methods=_ECHO_METHODS),
        Route("/.well-known/oauth-authorization-server", at.metadata, methods=["GET"]),
    ]


class _Endpoints:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def token(self, request: Request) -> Response:
        """RFC 6749 section 3.2. The switches decide what becomes of the request on its way in and its answer on its
        way out; the latter concern requests that changed something only."""
        pairs, sandbox = await read_form(request), self._sandbox
        form = {} if isinstance(pairs, Refusal) else dict(pairs)
        sandbox.count(form.get("grant_type", ""))
        if sandbox.take_lost_reply("before"):
            return LostReply()
        if failing := sandbox.take_failure("before"):
            return _failure(failing)
        slow = sandbox.switches.slow_seconds
        outcome = pairs if isinstance(pairs, Refusal) else self._grant(request, pairs)
        if slow:
            await asyncio.sleep(slow)
        if isinstance(outcome, Refusal):
            return _refused(request, outcome)
        if sandbox.take_lost_reply("after"):
            return LostReply()
        if failing := sandbox.take_failure("after"):
            return _failure(failing)
        return JSONResponse(_token_reply(outcome), headers=NO_STORE)

    def _grant(self, request: Request, pairs: Sequence[tuple[str, str]]) -> Issued | Refusal:
        form = dict(pairs)
        if len(form) != len(pairs):
            return Refusal("invalid_request", "A parameter is there more than once.")
        client = check_client(self._sandbox, request, form)
        if isinstance(client, Refusal):
            return client
        if client != self._sandbox.client_id and form.get("grant_type") != "client_credentials":
            return Refusal("unauthorized_client", "Clients that were added may act in their own name only.")
        scopes = tuple(dict.fromkeys(form.get("scope", "").split()))
        match form.get("grant_type"):
            case "authorization_code":
                return self._sandbox.redeem(
                    form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier")
                )
            case "refresh_token":
                return self._sandbox.refresh(form.get("refresh_token", ""), scopes)
            case "client_credentials":
                return self._sandbox.client_token(scopes, client)
            case None:
                return Refusal("invalid_request", "There is no grant_type.")
            case _:
                return Refusal("unsupported_grant_type", f"The sandbox takes {', '.join(GRANT_TYPES)}.")

    async def revoke(self, request: Request) -> Response:
        """RFC 7009: 200 for a token that is gone, whether or not it ever was there."""
        pairs = await read_form(request)
        if isinstance(pairs, Refusal):
            return refusal(pairs)
        form = dict(pairs)
        client = check_client(self._sandbox, request, form)
        if isinstance(client, Refusal):
            return _refused(request, client)
        if not form.get("token"):
            return refusal(Refusal("invalid_request", "There is no token to revoke."))
        self._sandbox.end(form["token"], client)
        return Response(status_code=200, headers=NO_STORE)

    async def userinfo(self, request: Request) -> Response:
        """Who the token's person is: `sub` always, name and e-mail address where `profile` was granted."""
        token = self._admit(request)
        if isinstance(token, Response):
            return token
        who = person(token.subject)
        if who is None:
            return _bearer_refusal(Refusal("insufficient_scope", "The token is the app's own, no person's.", 403))
        if "profile" not in token.scopes:
            return JSONResponse({"sub": who.sub})
        return JSONResponse({"sub": who.sub, "name": who.name, "email": who.email, "email_verified": True})

    async def me(self, request: Request) -> Response:
        """The API's smallest call: whose token this is, what it may do, until when."""
        token = self._admit(request)
        if isinstance(token, Response):
            return token
        return JSONResponse(
            {"subject": token.subject, "scopes": list(token.scopes), "expires_at": iso(token.expires_at)}
        )

    async def echo(self, request: Request) -> Response:
        """Return the request as it arrived, without its credential. Reading needs `read`, the rest `write`."""
        token = self._admit(request, "read" if request.method in ("GET", "HEAD") else "write")
        if isinstance(token, Response):
            return token
        body = await request.body()
        return JSONResponse(
            {
                "method": request.method,
                "path": f"/{request.path_params.get('rest', '')}",
                "query": list(request.query_params.multi_items()),
                "headers": [pair for pair in request.headers.items() if pair[0] not in ("authorization", "cookie")],
                "body": body[:_MOST_ECHOED].decode("utf-8", "replace"),
                "body_bytes": len(body),
                "subject": token.subject,
            }
        )

    def _admit(self, request: Request, scope: str | None = None) -> AccessToken | Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            # No credential, so no error code either: RFC 6750 section 3.1.
            return Response(status_code=401, headers={"www-authenticate": 'Bearer realm="sandbox"'})
        found = self._sandbox.admit(text.strip())
        if isinstance(found, Refusal):
            return _bearer_refusal(found)
        if scope is not None and scope not in found.scopes:
            return _bearer_refusal(Refusal("insufficient_scope", f"This call needs the scope {scope}.", 403))
        return found

    async def metadata(self, request: Request) -> Response:
        """RFC 8414."""
        base = issuer(self._sandbox, request)
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "revocation_endpoint": f"{base}/revoke",
                "userinfo_endpoint": f"{base}/userinfo",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": list(GRANT_TYPES),
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )


def _token_reply(issued: Issued) -> dict[str, object]:
    """RFC 6749 section 5.1; `scope` always, for consent may have been given in part."""
    reply: dict[str, object] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "scope": " ".join(issued.scopes),
    }
    if issued.expires_in is not None:
        reply["expires_in"] = issued.expires_in
    if issued.refresh_token is not None:
        reply["refresh_token"] = issued.refresh_token
    return reply


def _failure(failing: Failing) -> Response:
    error = failing.error or _ERROR_FOR_STATUS.get(failing.status, "temporarily_unavailable")
    phrase = HTTPStatus(failing.status).phrase if failing.status in set(HTTPStatus) else "Error"
    headers = {} if failing.retry_after is None else {"retry-after": str(failing.retry_after)}
    return refusal(Refusal(error, f"{phrase}, as the sandbox was told to answer.", failing.status), headers)


def _refused(request: Request, refused: Refusal) -> Response:
    """A client that tried HTTP Basic is told so: RFC 6749 section 5.2."""
    tried = refused.status == 401 and "authorization" in request.headers
    return refusal(refused, {"www-authenticate": 'Basic realm="sandbox"'} if tried else None)


def _bearer_refusal(refused: Refusal) -> Response:
    """RFC 6750 section 3."""
    says = f'Bearer realm="sandbox", error="{refused.error}", error_description="{refused.description}"'
    return refusal(refused, {"www-authenticate": says})

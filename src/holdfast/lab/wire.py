"""Reading requests and writing answers, for the endpoints and the pages alike."""

import base64
import binascii
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from holdfast.lab.asking import Refusal
from holdfast.lab.sandbox import Sandbox
from holdfast.secret import Secret

NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
"""RFC 6749 section 5.1."""

_LARGEST_BODY = 64 * 1024


class LostReply(Response):
    """A reply that gets lost: the head of an answer that never comes, then the end of the connection.

    ASGI has no message for "hang up". A server must close a connection whose promised body is missing, so that is how
    it is said: a Content-Length, nothing after it, and a return. uvicorn logs one line and closes; the client sees the
    connection end inside a reply of which it has read no byte of body, and cannot tell what became of its request.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1024")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


def issuer(sandbox: Sandbox, request: Request) -> str:
    """Return the sandbox's address, which is its issuer: as configured, or as this request reached it."""
    # Not request.base_url: that is the whole server's, without the path the sandbox is mounted at.
    return sandbox.issuer or f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def refusal(refused: Refusal, headers: dict[str, str] | None = None) -> JSONResponse:
    """RFC 6749 section 5.2."""
    body = {"error": refused.error, "error_description": refused.description}
    return JSONResponse(body, refused.status, {**NO_STORE, **(headers or {})})


async def read_form(request: Request) -> list[tuple[str, str]] | Refusal:
    """Return an urlencoded body's pairs. Anything else is refused: RFC 6749 section 4.1.3."""
    body = await request.body()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" and body:
        return Refusal("invalid_request", "The body must be application/x-www-form-urlencoded.")
    if len(body) > _LARGEST_BODY:
        return Refusal("invalid_request", "The body is too large.", 413)
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return Refusal("invalid_request", "The body is not urlencoded.")


def check_client(sandbox: Sandbox, request: Request, form: dict[str, str]) -> str | Refusal:
    """Return the id of the client that authenticated, or why none did.

    HTTP Basic or body members, not both: RFC 6749 section 2.3.
    """
    header = request.headers.get("authorization")
    if header is not None and "client_secret" in form:
        return Refusal("invalid_request", "The client authenticated twice, by header and by body.")
    if header is None:
        named, secret = form.get("client_id", ""), form.get("client_secret", "")
    else:
        pair = _basic(header)
        if pair is None:
            return Refusal("invalid_client", "The Authorization header is not HTTP Basic.", 401)
        named, secret = pair
        if form.get("client_id", named) != named:
            return Refusal("invalid_request", "The header names another client than the body.")
    if not sandbox.authenticates(named, Secret(secret)):
        return Refusal("invalid_client", "The client_id or the client_secret is wrong.", 401)
    return named


def _basic(header: str) -> tuple[str, str] | None:
    """Each half was form-encoded before they were joined: RFC 6749 section 2.3.1. The sandbox insists on it."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(user), unquote_plus(password)) if colon else None

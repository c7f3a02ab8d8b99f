"""How SDKs sign in: `POST /oauth/token` (RFC 6749 section 4.4), and the keys that check its tokens, `GET /keys`."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote_plus

import msgspec
from starlette.types import Receive, Scope, Send

from holdfast import ids, telemetry
from holdfast.access import AccessTokens, Clients
from holdfast.api.intake import log_unexpected, named, read_body
from holdfast.errors import HoldfastError, Invalid, Unauthenticated, Unavailable
from holdfast.secret import Secret

TOKEN_PATHS = ("/oauth/token", "//oauth/token")
"""The second is what an environment URL with a slash at its end gives in one of the SDKs."""
KEYS_PATHS = ("/keys", "//keys")
_MOST_BYTES = 8192


class SignIn:
    def __init__(self, clients: Clients, tokens: AccessTokens) -> None:
        self._clients, self._tokens = clients, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = "req_" + ids.new_id()
        is_token = scope["path"] in TOKEN_PATHS
        scope[telemetry.ROUTE] = (TOKEN_PATHS if is_token else KEYS_PATHS)[0]
        headers: dict[str, str] = {"cache-control": "no-store", "pragma": "no-cache"}
        try:
            if scope["method"] not in (("POST",) if is_token else ("GET", "HEAD")):
                await _send(send, 405, {"error": "invalid_request"}, {"allow": "POST" if is_token else "GET"})
                return
            if is_token:
                status, body = 200, await self._token(scope, receive)
            else:
                status, body, headers = 200, await self._tokens.jwks(), {"cache-control": "public, max-age=300"}
        except Exception as raised:
            error = named(raised, request_id)
            status, body = _refusal(error, request_id)
            if status == 401:
                headers["www-authenticate"] = 'Basic realm="holdfast"'
            if status == 500:
                log_unexpected(error, request_id)
        await _send(send, status, body, headers, head=scope["method"] == "HEAD")

    async def _token(self, scope: Scope, receive: Receive) -> dict[str, object]:
        headers = dict(reversed(scope["headers"]))
        form = _form(headers, await read_body(headers, receive, _MOST_BYTES))
        grant = form.get("grant_type")
        if grant is None:
            raise Invalid("grant_type is missing", code="invalid_request")
        if grant != "client_credentials":
            raise Invalid("grant_type must be client_credentials", code="unsupported_grant_type")
        client_id, secret = _credentials(headers, form)
        client = await self._clients.authenticate(client_id, secret)
        token, seconds = await self._tokens.issue(client, client_id)
        return {"access_token": token.reveal(), "token_type": "Bearer", "expires_in": seconds, "scope": "openid"}


def _form(headers: Mapping[bytes, bytes], raw: bytes) -> dict[str, str]:
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/x-www-form-urlencoded":
        raise Invalid("the body must be application/x-www-form-urlencoded", code="invalid_request")
    try:
        found = parse_qs(raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise Invalid("the body cannot be read", code="invalid_request") from None
    if any(len(values) > 1 for values in found.values()):  # RFC 6749 section 3.2
        raise Invalid("a parameter is given more than once", code="invalid_request")
    return {name: values[0] for name, values in found.items() if values[0]}


def _credentials(headers: Mapping[bytes, bytes], form: Mapping[str, str]) -> tuple[str, Secret]:
    """Return id and secret, from the form or from Basic; of other schemes the SDKs send their former token: not looked
    at (RFC 6749 section 2.3.1)."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"basic":
        if "client_secret" in form:
            raise Invalid("give the client's secret once: in the form, or by Basic", code="invalid_request")
        try:
            name, colon, secret = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            name = colon = secret = ""
        if colon and form.get("client_id") in (None, unquote_plus(name)):
            return unquote_plus(name), Secret(unquote_plus(secret))
    elif "client_id" in form and "client_secret" in form:
        return form["client_id"], Secret(form["client_secret"])
    raise Unauthenticated("client_id and client_secret are needed", code="invalid_client")


def _refusal(error: Exception, request_id: str) -> tuple[int, dict[str, object]]:
    """Return an error as RFC 6749 section 5.2 has it."""
    match error:
        case Unauthenticated():
            return 401, {"error": "invalid_client", "error_description": error.message}
        case Invalid():
            known = ("unsupported_grant_type", "invalid_request")
            word = error.code if error.code in known else "invalid_request"
            return 400, {"error": word, "error_description": error.message}
        case Unavailable():
            return 503, {"error": "temporarily_unavailable", "error_description": error.message}
        case HoldfastError():
            return 400, {"error": "invalid_request", "error_description": error.message}
    return 500, {"error": "server_error", "error_description": f"Quote the request id {request_id}."}


async def _send(
    send: Send, status: int, body: Mapping[str, object], more: Mapping[str, str], *, head: bool = False
) -> None:
    data = msgspec.json.encode(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    headers += [(name.encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else data})

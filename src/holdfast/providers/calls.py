"""Side calls of an entry (revoke, identity, discover, probe) as requests; a credential's place in an API
call."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, urlencode

from holdfast.errors import Invalid
from holdfast.http import Request
from holdfast.providers.entry import Call, CallAuth, Placement
from holdfast.providers.templates import Settled, fill, fill_url
from holdfast.secret import Secret


def build(
    call: Call,
    *,
    values: Mapping[str, str],
    token: Secret,
    client_id: str | None,
    client_secret: Secret | None,
) -> Request:
    """Return the request that the descriptor stands for. Sends nothing.

    `values` come from `templates.settle`; plain ones are accepted if they are harmless in a URL. Raises
    Invalid naming what is missing.
    """
    known = _Known(values, token, client_id, client_secret)
    headers = {"Accept": "application/json"}
    headers.update({name: known.fill(text) for name, text in call.headers.items()})
    params = {name: known.fill(text) for name, text in call.params.items()}
    _authenticate(call.auth, known, headers, params)
    url = known.fill_url(call.url)
    body: bytes | None = None
    if call.json is not None or call.body == "json":
        document = {**{name: known.fill(text) for name, text in (call.json or {}).items()}, **params}
        body = json.dumps(document, separators=(",", ":")).encode()
        headers.setdefault("Content-Type", "application/json")
    elif call.body == "form":
        body = urlencode(params).encode()
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    elif call.body == "query" and params:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(params)}"
    return Request(call.method, url, headers, body)


def place(placement: Placement, token: Secret, values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and query members that carry the credential in a call to the provider's API.

    With `where: path` both are empty: the entry's `base_url` holds `{token}` itself.
    """
    known = _Known(values, token, None, None)
    if placement.where == "bearer":
        return {"Authorization": f"Bearer {token.reveal()}"}, {}
    if placement.where == "basic":
        pair = f"{known.fill(placement.username or '')}:{known.fill(placement.password or '')}"
        return {"Authorization": _basic(pair)}, {}
    if placement.where == "path":
        return {}, {}
    member = {placement.name or "Authorization": known.fill(placement.value)}
    return (member, {}) if placement.where == "header" else ({}, member)


class _Known:
    """Everything a side call's templates may name: the checked values, and the protocol's own secrets."""

    def __init__(
        self, values: Mapping[str, str], token: Secret, client_id: str | None, client_secret: Secret | None
    ) -> None:
        self.values = values
        self.protocol = {"token": token.reveal(), "access_token": token.reveal()}
        if client_id is not None:
            self.protocol["client_id"] = client_id
        if client_secret is not None:
            self.protocol["client_secret"] = client_secret.reveal()

    def fill(self, text: str) -> str:
        return fill(text, {**self.values, **self.protocol})

    def fill_url(self, text: str) -> str:
        # A client id may hold any printable character (RFC 6749, appendix A.1); encoded it stays one segment.
        encoded = {name: quote(value, safe="") for name, value in self.protocol.items()}
        proven = self.values.proven if isinstance(self.values, Settled) else frozenset()
        return fill_url(text, Settled({**self.values, **encoded}, proven | encoded.keys()))

    def client(self) -> tuple[str, str]:
        if "client_id" not in self.protocol:
            raise Invalid("This call needs the connection's client id.", code="missing_client_id")
        return self.protocol["client_id"], self.protocol.get("client_secret", "")


def _authenticate(auth: CallAuth, known: _Known, headers: dict[str, str], params: dict[str, str]) -> None:
    match auth.kind:
        case "bearer":
            headers["Authorization"] = f"Bearer {known.protocol['token']}"
        case "client_basic":
            # Each half is form-encoded before they are joined: RFC 6749, section 2.3.1.
            headers["Authorization"] = _basic(":".join(quote_plus(part) for part in known.client()))
        case "client_post":
            params["client_id"], secret = known.client()
            if secret:
                params["client_secret"] = secret
        case "header":
            headers[auth.name or "Authorization"] = known.fill(auth.value or "{token}")
        case "basic":
            headers["Authorization"] = _basic(f"{known.fill(auth.username)}:{known.fill(auth.password)}")
        case "none":
            pass


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()

"""How a client shows who it is at a token endpoint: RFC 6749 section 2.3, RFC 7523, and what providers made
of them."""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never
from urllib.parse import quote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from holdfast.errors import Misconfigured
from holdfast.oauth2.dialect import ClientAuth, Dialect
from holdfast.secret import Secret

Algorithm = Literal["RS256", "PS256", "ES256", "HS256"]

_ASSERTION_SECONDS = 60
"""An assertion is made for one request; a minute covers the way there and a clock that is a little off."""

_GENERATED_SECRET_SECONDS = 300
"""A generated secret is made anew for each request too. Apple would take six months:
https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret"""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Client:
    """Our registration at a provider.

    `private_key` is a PEM, for the methods that sign; `key_id` goes with it.
    """

    client_id: str
    client_secret: Secret | None
    private_key: Secret | None = None
    key_id: str | None = None


@dataclass(frozen=True)
class Proof:
    """What to add to a request so that it is the client's. Standard parameter names."""

    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def prove(dialect: Dialect, client: Client, *, audience: str, now: float) -> Proof:
    """Return the proof that `dialect` asks for. `audience` is the endpoint's URL. Raises Misconfigured."""
    if dialect.generated_secret is not None:
        client = _with_generated_secret(client, dialect.generated_secret, now)
    return prove_by(
        _method(dialect, client),
        client,
        audience=dialect.assertion_audience or audience,
        algorithm=dialect.assertion_algorithm,
        now=now,
    )


def prove_by(method: ClientAuth, client: Client, *, audience: str, now: float, algorithm: Algorithm = "RS256") -> Proof:
    """Return the proof by one method. Raises Misconfigured if the secret or key it needs is missing."""
    match method:
        case "none":
            return Proof({"client_id": client.client_id})
        case "client_secret_post":
            return Proof({"client_id": client.client_id, "client_secret": _secret(client).reveal()})
        case "client_secret_basic":
            # Both halves are form-encoded first, or a secret with `:` or `%` in it means something else:
            # https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
            user, password = quote_plus(client.client_id), quote_plus(_secret(client).reveal())
            return Proof(headers={"Authorization": _basic(user, password)})
        case "secret_as_basic_user":
            return Proof(headers={"Authorization": _basic(_secret(client).reveal(), "")})
        case "private_key_jwt":
            return _asserted(client, _key(client), algorithm, audience, now)
        case "client_secret_jwt":
            return _asserted(client, _secret(client), "HS256", audience, now)
        case _ as never:
            assert_never(never)


def _method(dialect: Dialect, client: Client) -> ClientAuth:
    public = not client.client_secret and not client.private_key
    may_be_public = not dialect.client_secret_required or "none" in dialect.client_auth_also
    return "none" if public and may_be_public else dialect.client_auth


def _asserted(client: Client, key: Secret, algorithm: Algorithm, audience: str, now: float) -> Proof:
    """RFC 7523 section 3. `client_id` is optional there, and demanded by some (Microsoft)."""
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
    }
    assertion = _signed(claims, key, algorithm, client.key_id, now, _ASSERTION_SECONDS)
    return Proof(
        {
            "client_id": client.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
        }
    )


def _with_generated_secret(client: Client, claims: Mapping[str, str], now: float) -> Client:
    filled = {name: value.replace("{client_id}", client.client_id) for name, value in claims.items()}
    text = _signed(filled, _key(client), "ES256", client.key_id, now, _GENERATED_SECRET_SECONDS)
    return Client(client.client_id, Secret(text), client.private_key, client.key_id)


def _signed(
    claims: Mapping[str, str], key: Secret, algorithm: Algorithm, key_id: str | None, now: float, seconds: int
) -> str:
    header = {"alg": algorithm} if key_id is None else {"alg": algorithm, "kid": key_id}
    try:
        return jwt.encode(
            header,
            {**claims, "iat": int(now), "exp": int(now) + seconds},
            _jwk(key, algorithm),
            algorithms=[algorithm],
        )
    except (JoseError, ValueError, TypeError):
        # Without its cause: the library's words may quote the key.
        raise Misconfigured(
            f"The client's key cannot sign with {algorithm}. Enter it again, as PEM.",
            code="client_key_unusable",
        ) from None


def _jwk(key: Secret, algorithm: Algorithm) -> OctKey | ECKey | RSAKey:
    match algorithm:
        case "HS256":
            return OctKey.import_key(key.reveal())
        case "ES256":
            return ECKey.import_key(key.reveal())
        case _:
            return RSAKey.import_key(key.reveal())


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _secret(client: Client) -> Secret:
    if not client.client_secret:
        raise Misconfigured("The connection has no client secret. Enter it.", code="client_secret_missing")
    return client.client_secret


def _key(client: Client) -> Secret:
    if not client.private_key:
        raise Misconfigured("The connection has no private key. Enter it.", code="client_key_missing")
    return client.private_key

"""Reading an ID token (OpenID Connect Core 1.0 section 3.1.3.7): its signature, and each claim that binds it to us.

Pure: the keys, the time and what the claims must say are passed in. A token that fails says why, in words that hold
nothing of it.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry, extract_compact

from holdfast.errors import Refused

Key = RSAKey | ECKey | OKPKey

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures with a public key only: `none` proves nothing, and HS256 would take the issuer's published key, or our own
client secret, for a signer."""
LONGEST_TOKEN = 16_384
SKEW = 60.0
"""Seconds that two clocks may differ by."""
_KINDS = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("Ed",)}
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)


class TokenRefused(Refused):
    """The ID token is not one that the issuer made for this sign-in. The message is safe to show."""

    default_code = "id_token_refused"


class KeyUnknown(TokenRefused):
    """No key at hand fits the signature: the issuer may have made a new one."""


def read_keys(document: object) -> tuple[Key, ...]:
    """Return the public signing keys of a JSON Web Key Set (RFC 7517 section 5). What cannot be understood is left out,
    as is what is no public key."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    found: list[Key] = []
    for item in listed if isinstance(listed, list) else []:
        if not isinstance(item, Mapping) or item.get("use", "sig") != "sig":
            continue
        try:
            if item.get("kty") not in _KINDS:
                continue
            key = import_key({str(name): value for name, value in item.items()})
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, RSAKey | ECKey | OKPKey):
            found.append(key)
    return tuple(found)


def signed_claims(token: str, keys: Sequence[Key]) -> Mapping[str, Any]:
    """Return the claims of a token that one of the keys has signed, none of them checked.

    Raises KeyUnknown if no key fits, TokenRefused for what is no signed token.
    """
    if len(token) > LONGEST_TOKEN or token.count(".") != 2:
        raise TokenRefused("the ID token cannot be read")
    try:
        header = extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, KeyError):
        raise TokenRefused("the ID token cannot be read") from None
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefused("the ID token is not signed with a public-key algorithm")
    for key in keys:
        said = key.as_dict(private=False)
        fits = str(algorithm).startswith(_KINDS[key.key_type]) and said.get("alg", algorithm) == algorithm
        if not fits or (key_id is not None and said.get("kid") is not None and said["kid"] != key_id):
            continue
        try:
            return jwt.decode(token, key, registry=_REGISTRY).claims
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    raise KeyUnknown("the ID token's signature fits none of the issuer's keys")


def check_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: float) -> None:
    """Raise TokenRefused unless the claims say: from this issuer, for this client, for this sign-in, in force now."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    said, subject = claims.get("nonce"), claims.get("sub")
    ends, made, begins = (_time(claims.get(name, other)) for name, other in (("exp", None), ("iat", None), ("nbf", 0)))
    rules = (
        (claims.get("iss") == issuer, "the ID token is another issuer's"),
        (client_id in audiences, "the ID token is for another client"),
        (len(audiences) == 1 or "azp" in claims, "the ID token is for several clients and does not name one"),
        (claims.get("azp", client_id) == client_id, "the ID token was made for another client"),
        (ends is not None and ends + SKEW > now, "the ID token has ended"),
        (made is not None and made - SKEW < now, "the ID token is from the future"),
        (begins is not None and begins - SKEW < now, "the ID token is not valid yet"),
        (
            isinstance(said, str) and hmac.compare_digest(said.encode(errors="replace"), nonce.encode()),
            "the ID token was made for another sign-in (nonce)",
        ),
        (isinstance(subject, str) and 1 <= len(subject) <= 255 and subject.isprintable(), "the ID token names nobody"),
    )
    for holds, message in rules:
        if not holds:
            raise TokenRefused(message)


def _time(value: object) -> float | None:
    # Within what a float holds exactly: JSON has no bound, and a larger one is no time.
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53
    return float(value) if fits and isinstance(value, int | float) else None

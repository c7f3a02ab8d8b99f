"""Proof key for code exchange, RFC 7636.

S256 only: `plain` shows the verifier to whoever sees the redirect.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode

from holdfast.secret import Secret

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636 section 4.1."""


def new_verifier() -> Secret:
    """Return a verifier of 256 random bits (43 characters)."""
    return Secret(secrets.token_urlsafe(32))


def s256(verifier: Secret | str) -> str:
    """Return the challenge that goes with `verifier`."""
    digest = hashlib.sha256(_text(verifier).encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_verifier(text: str) -> bool:
    """Tell whether `text` has the length and the characters of a verifier."""
    return _VERIFIER.fullmatch(text) is not None


def matches(verifier: Secret | str, challenge: str) -> bool:
    """Tell, in constant time, whether `challenge` was made from `verifier`.

    What is no verifier matches nothing.
    """
    return is_verifier(_text(verifier)) and hmac.compare_digest(s256(verifier).encode(), challenge.encode())


def _text(verifier: Secret | str) -> str:
    return verifier.reveal() if isinstance(verifier, Secret) else verifier

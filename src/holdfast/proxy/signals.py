"""What a reply says of the token and of the pace. Pure: facts of the catalogue, a status, a body if it is short."""

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from holdfast.oauth2.paths import first
from holdfast.outbound.wire import Pairs
from holdfast.providers.entry import Provider

MOST_LOOKED_AT = 16_384
"""Bytes of a body that may hold a provider's own word for "expired". Such replies are short."""


def reads_bodies(provider: Provider) -> bool:
    """Tell whether this provider says "expired" in a body that has another status than 401."""
    return any(rule.at == "api" and rule.values and rule.status != 401 for rule in provider.dead)


def says_ended(provider: Provider, status: int, body: bytes | None) -> bool:
    """Tell whether the token has ended, so that a renewed one may be taken: 401, or the provider's own signal.

    Any 401 counts: the rest of the catalogue's rules tell why, and a token that cannot be renewed is not.
    """
    if status == 401:
        return True
    rules = [
        rule
        for rule in provider.dead
        if rule.at == "api" and rule.means == "refresh_once" and rule.status in (None, status)
    ]
    for rule in rules:
        if not rule.values:
            if rule.status is not None:
                return True
        elif body is not None and any(value.encode() in body for value in rule.values):
            try:
                said = first(msgspec.json.decode(body), rule.field)
            except msgspec.DecodeError:
                continue
            if said in rule.values:
                return True
    return False


def asks_to_wait(provider: Provider, status: int, headers: Pairs, now: float) -> float | None:
    """Return for how many seconds the provider wants to be left alone, if it says so."""
    hints = provider.api.rate if provider.api is not None else None
    if status != 429 and (hints is None or status not in hints.status):
        return None
    known = {name: value.decode("latin-1") for name, value in headers}
    wait = _retry_after(known.get(b"retry-after"), now)
    if wait is None and hints is not None and hints.reset is not None and _is_spent(known, hints.remaining):
        wait = _until(known.get(hints.reset.lower().encode()), hints.reset_format, now)
    return wait


def _is_spent(known: Mapping[bytes, str], remaining: str | None) -> bool:
    return remaining is None or known.get(remaining.lower().encode(), "0").strip() == "0"


def _until(text: str | None, form: str, now: float) -> float | None:
    if text is None or form == "iso8601":
        return None
    try:
        at = float(text)
    except ValueError:
        return None
    return max(0.0, at - now if form == "unix" else at) if math.isfinite(at) else None


def _retry_after(text: str | None, now: float) -> float | None:
    """Read Retry-After: seconds or a date (RFC 9110 section 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None

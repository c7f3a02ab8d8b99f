"""What a span or a measurement may say: this list and nothing else.

An attribute has the name it goes out under and a shape. What is not listed is dropped, and so is a value that has not
its shape: a secret that got into the wrong place is no status, no host and no word of letters. Names are those of
https://opentelemetry.io/docs/specs/semconv/ where there is one.
"""

import re
from collections.abc import Callable, Mapping

Value = str | int
_Fits = Callable[[object], Value | None]


def _one_of(*words: str, other: str | None = None) -> _Fits:
    known = frozenset(words)
    return lambda value: value if isinstance(value, str) and value in known else other


def _like(pattern: str) -> _Fits:
    fits = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and fits.fullmatch(value) else None


def _number(most: int) -> _Fits:
    return lambda value: value if type(value) is int and 0 <= value <= most else None


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "CONNECT", "TRACE")
_CODE = _like(r"[A-Za-z]+(_[A-Za-z]+){0,7}|[1-5]xx")
"""A code of ours or a class's name: letters only, as no token is."""
_ULID = _like(r"[0-9A-HJKMNP-TV-Z]{26}")

ALLOWED: Mapping[str, tuple[str, _Fits]] = {
    "method": ("http.request.method", _one_of(*_METHODS, other="_OTHER")),
    "route": ("http.route", _like(r"[A-Za-z0-9_./:{}*-]{1,200}")),
    "status": ("http.response.status_code", _number(999)),
    "grpc_status": ("rpc.grpc.status_code", _number(16)),
    "rpc_status": ("rpc.response.status_code", _like(r"[A-Z]+(_[A-Z]+){0,3}")),
    "door": ("holdfast.door", _one_of("workos", "scalekit", "proxy", "widgets", "pages")),
    "host": ("server.address", _like(r"[a-z0-9.:\[\]_-]{1,253}")),
    "port": ("server.port", _number(65535)),
    "provider": ("holdfast.provider", _like(r"[a-z][a-z0-9_-]{0,63}")),
    "account": ("holdfast.account.id", _ULID),
    "delivery": ("holdfast.delivery.id", _ULID),
    "request": ("holdfast.request.id", _like(r"(req|prx)_[0-9A-HJKMNP-TV-Z]{26}(_\d{1,12})?")),
    "queued": ("holdfast.sweep.queued", _number(1_000_000)),
    "outcome": ("holdfast.outcome", _CODE),
    "operation": ("holdfast.operation", _like(r"[A-Za-z]+([._][A-Za-z]+){0,9}")),
    "error": ("error.type", _CODE),
    "database": ("db.system.name", _one_of("sqlite", "postgresql")),
}


def allowed(attributes: Mapping[str, object]) -> dict[str, Value]:
    """Return what of these may go out, under the names it goes out under."""
    kept: dict[str, Value] = {}
    for name, value in attributes.items():
        known = ALLOWED.get(name)
        fitting = None if known is None or value is None else known[1](value)
        if known is not None and fitting is not None:
            kept[known[0]] = fitting
    return kept

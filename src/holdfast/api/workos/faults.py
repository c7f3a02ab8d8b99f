"""The one table of this door's errors: our error classes to the wire's statuses and bodies.

A 400 or 403 body never has `error`: the Node SDK would take it for an OAuth error. Every body is a JSON object.
"""

import math

from msgspec import UNSET

from holdfast.api.dispatch import Rendered, retry_after
from holdfast.api.intake import BodyTooLarge, MethodNotAllowed
from holdfast.api.workos.outputs import Fault
from holdfast.errors import (
    Conflict,
    HoldfastError,
    Invalid,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from holdfast.vault.sealed import CannotOpen

STATUSES: tuple[tuple[type[HoldfastError], int], ...] = (
    (BodyTooLarge, 413),
    (MethodNotAllowed, 405),
    (Unprocessable, 422),
    (Invalid, 400),
    (Unauthenticated, 401),
    (Refused, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooMany, 429),
    (Unavailable, 503),
    (CannotOpen, 503),
)
"""First match wins: special classes before their bases.

CannotOpen: a stored secret was altered or moved, or its key is gone. The caller did nothing wrong (so no 4xx) and may
try again once the operator has mended it; nobody knows when that is, so there is no Retry-After.
"""


def render(error: Exception) -> Rendered:
    """Return an error as this wire shows it. What is not meant for callers is a plain 500."""
    status = next((code for kind, code in STATUSES if isinstance(error, kind)), 500)
    if status == 500 or not isinstance(error, HoldfastError):
        fault = Fault(message="Something went wrong on our side. Quote the request id.", code="internal_error")
        return Rendered(500, fault, {})
    if isinstance(error, MethodNotAllowed):
        return Rendered(status, Fault(message=error.message, code=error.code), {"allow": ", ".join(error.allowed)})
    wait = error.retry_after if isinstance(error, TooMany | Unavailable) else None
    fault = Fault(
        message=error.message,
        code=error.code,
        errors=list(error.fields) or UNSET,
        retry_after=UNSET if wait is None else max(1, math.ceil(wait)),
    )
    return Rendered(status, fault, {} if wait is None else retry_after(wait))

"""Errors carry a stable code, a sentence that is safe to show, and no transport status: each door maps them.

HoldfastError
+- NotFound            the thing does not exist, or not for this caller
+- Conflict            it exists already, or several match
+- Invalid             the request cannot be understood or breaks a rule of shape
+- Refused             understood, and not allowed
+- Unauthenticated     no valid key
+- TooMany             slow down; `retry_after` seconds
+- Unavailable         a part we depend on is away; try again
+- Misconfigured       the operator must change something; raised at start
"""

from collections.abc import Mapping, Sequence


class HoldfastError(Exception):
    """Base of every error that a caller is meant to see. `code` is stable; `message` is for people."""

    default_code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, fields: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.fields = tuple(dict(field) for field in fields)


class NotFound(HoldfastError):
    default_code = "entity_not_found"


class Conflict(HoldfastError):
    default_code = "conflict"


class Invalid(HoldfastError):
    default_code = "invalid_request_parameters"


class Unprocessable(Invalid):
    """Well-formed, and still against a rule of the thing it is about."""


class Refused(HoldfastError):
    default_code = "policy_denied"


class Unauthenticated(HoldfastError):
    default_code = "unauthenticated"


class TooMany(HoldfastError):
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(HoldfastError):
    default_code = "unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Misconfigured(HoldfastError):
    default_code = "misconfigured"

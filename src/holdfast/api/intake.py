"""What every door does with a request before and after it means anything: its body, its bound, its failures."""

from collections.abc import Mapping

import structlog
from sqlalchemy.exc import IntegrityError
from starlette.types import Receive

from holdfast.errors import Conflict, HoldfastError, Invalid, Unavailable
from holdfast.storage.engine import is_out_of_room, is_unavailable
from holdfast.vault.sealed import CannotOpen

_log = structlog.get_logger("holdfast.api")


class BodyTooLarge(Invalid):
    default_code = "request_body_too_large"


class MethodNotAllowed(HoldfastError):
    """There is an operation at this path, under another method. `allowed` goes into `Allow` (RFC 9110, 15.5.6)."""

    default_code = "method_not_allowed"

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} does not exist here; there is {', '.join(allowed)}")
        self.allowed = allowed


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Return the whole body. Raises BodyTooLarge beyond `most` bytes, before they are read where that is declared."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > most:
        raise _too_large(most)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("the request ended before its body did", code="incomplete_request")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request body may hold {most} bytes at most")


def named(error: Exception, request_id: str) -> Exception:
    """Return the error that callers are told of: a word of ours for what the database says. Logs what is not theirs."""
    if isinstance(error, IntegrityError):
        return Conflict("somebody else changed the same thing at the same moment: try again")
    if is_out_of_room(error):
        _log.error("database_out_of_room", request_id=request_id, error=type(error).__name__)
        return Unavailable(
            "the database has no room left to write to, so nothing was done: its operator has to free some",
            code="database_unavailable",
            retry_after=5.0,
        )
    if is_unavailable(error):
        _log.error("database_unavailable", request_id=request_id, error=type(error).__name__)
        return Unavailable("the database does not answer just now: try again", code="database_unavailable")
    if isinstance(error, CannotOpen):
        _log.error("stored_secret_refused", request_id=request_id, reason=error.message)
    return error


def log_unexpected(error: Exception, request_id: str) -> None:
    """Log the type and the place, never the text: it could quote a value that came with the request."""
    _log.error("unexpected_error", request_id=request_id, error=type(error).__name__, at=_place(error))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""

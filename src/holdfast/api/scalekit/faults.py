"""The one table of this door's errors: our error classes to gRPC statuses and `scalekit.v1.errdetails.ErrorInfo`.

`ErrorInfo.error_code` is the wire's word, which SDKs turn into exception classes; our own stable code travels in
`debug_info.detail`, the request id in `request_info`. What is not meant for callers is INTERNAL and says nothing.
"""

from dataclasses import dataclass
from enum import IntEnum

from holdfast.api.intake import BodyTooLarge, MethodNotAllowed
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.errors import (
    Conflict,
    HoldfastError,
    Invalid,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from holdfast.vault.sealed import CannotOpen


class Code(IntEnum):
    """https://grpc.github.io/grpc/core/md_doc_statuscodes.html"""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


HTTP_STATUS: dict[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""As grpc-gateway has it: the REST side's statuses."""


class Exists(Conflict):
    default_code = "already_exists"


class Unimplemented(HoldfastError):
    default_code = "unimplemented"


class TooLate(HoldfastError):
    """The caller's deadline has passed."""

    default_code = "deadline_exceeded"


class FailedPrecondition(HoldfastError):
    """Nothing wrong with the request, and the thing is in no state for it."""

    default_code = "failed_precondition"


class ToolError(HoldfastError):
    """An upstream said no. Security of its callers: never mistaken for a refusal of ours, and never retried by SDKs."""

    default_code = "tool_error"

    def __init__(self, text: str, *, status: Code, execution_id: str, tool_code: str) -> None:
        super().__init__(text)
        self.status, self.execution_id, self.tool_code = status, execution_id, tool_code


STATUSES: tuple[tuple[type[HoldfastError], Code, str], ...] = (
    (BodyTooLarge, Code.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
    (MethodNotAllowed, Code.UNIMPLEMENTED, "UNIMPLEMENTED"),
    (Unimplemented, Code.UNIMPLEMENTED, "UNIMPLEMENTED"),
    (TooLate, Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    (FailedPrecondition, Code.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    (Invalid, Code.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    (Unauthenticated, Code.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (Refused, Code.PERMISSION_DENIED, "PERMISSION_DENIED"),
    (NotFound, Code.NOT_FOUND, "RESOURCE_NOT_FOUND"),
    (Exists, Code.ALREADY_EXISTS, "ALREADY_EXISTS"),
    (Conflict, Code.ABORTED, "ABORTED"),
    (TooMany, Code.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
    (Unavailable, Code.UNAVAILABLE, "UNAVAILABLE"),
    (CannotOpen, Code.UNAVAILABLE, "UNAVAILABLE"),
)
"""First match wins: special classes before their bases."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as this wire shows it; `info` is an ErrorInfo."""

    code: Code
    text: str
    info: Message
    retry_after: float | None = None

    def status(self) -> Message:
        """Return google.rpc.Status: its code and message are those of the call, or SDKs refuse it."""
        found = message("google.rpc.Status", code=int(self.code), message=self.text)
        found.details.add().Pack(self.info)
        return found


def render(error: Exception, request_id: str) -> Fault:
    """Return the fault of any exception."""
    info = message("errdetails.ErrorInfo", request_info={"request_id": request_id})
    if isinstance(error, ToolError):
        info.error_code = "TOOL_ERROR"
        info.tool_error_info.execution_id = error.execution_id
        info.tool_error_info.tool_error_code = error.tool_code
        info.tool_error_info.tool_error_message = error.message
        return Fault(error.status, error.message, info)
    known = next(((code, word) for kind, code, word in STATUSES if isinstance(error, kind)), None)
    if known is None or not isinstance(error, HoldfastError):
        info.error_code = "INTERNAL"
        return Fault(Code.INTERNAL, f"Something went wrong on our side. Quote the request id {request_id}.", info)
    code, info.error_code = known
    info.debug_info.detail = error.code
    for broken in error.fields if code is Code.INVALID_ARGUMENT else ():
        info.validation_error_info.field_violations.add(
            field=broken.get("field", ""),
            description=broken.get("description", error.message),
            constraint=broken.get("code", ""),
        )
    return Fault(code, error.message, info, error.retry_after if isinstance(error, TooMany | Unavailable) else None)

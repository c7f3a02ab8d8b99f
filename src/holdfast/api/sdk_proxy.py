"""`/proxy/<path>`: the AgentKit SDKs' `actions.request`, any method, with the headers that name the account.

The connection is `connection_name` (or `connection-name`, `connector`), the account its owner's `identifier` or
`connected_account_id`. Errors are in the shape of grpc-gateway; the provider's answers carry
X-Holdfast-Upstream-Status, ours do not.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast import ids
from holdfast.accounts import Owner
from holdfast.api.dispatch import Rendered, retry_after
from holdfast.api.proxying import UPSTREAM_STATUS, Incoming, wait_of
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
from holdfast.outbound import NotSent, ReplyLost
from holdfast.proxy import Asked, AuthorizationRequired
from holdfast.vault.sealed import CannotOpen

_PREFIX = "/proxy/"
_MOST_ID = 256

# Our classes to HTTP statuses and google.rpc codes, as grpc-gateway pairs them; first match wins.
_CODES: tuple[tuple[type[HoldfastError], int, int], ...] = (
    (AuthorizationRequired, 400, 9),
    (Invalid, 400, 3),
    (Unauthenticated, 401, 16),
    (Refused, 403, 7),
    (NotFound, 404, 5),
    (Conflict, 409, 6),
    (TooMany, 429, 8),
    (NotSent, 502, 14),
    (ReplyLost, 502, 14),
    (Unavailable, 503, 14),
    (CannotOpen, 503, 14),
)


class Status(msgspec.Struct, frozen=True):
    """google.rpc.Status, as grpc-gateway writes it."""

    code: int
    message: str
    details: list[dict[str, Any]]


@dataclass(frozen=True)
class SdkProxyShape:
    upstream_status: tuple[bytes, ...] = (UPSTREAM_STATUS,)
    template: str = "/proxy/{path}"

    def takes(self, raw_path: str) -> bool:
        return raw_path.startswith(_PREFIX) or raw_path == "/proxy"

    def read(self, call: Incoming) -> Asked:
        """Return what is asked. Raises Invalid for headers that do not name one account."""
        connection = call.header(b"connection_name", b"connection-name", b"connector")
        identifier = call.header(b"identifier", b"user_id")
        account, organization = (
            call.header(b"connected_account_id", b"connected-account-id"),
            call.header(b"organization_id"),
        )
        if not account and not (connection and (identifier or organization)):
            raise Invalid(
                "the headers connection_name and identifier (or connected_account_id) say whose account is used"
            )
        for text in (connection, identifier, account, organization):
            if len(text) > _MOST_ID or "\0" in text:
                raise Invalid(f"a header that names an account may hold {_MOST_ID} characters at most")
        account_id = ids.without_prefix("ca", account) if account else None
        if account and account_id is None:
            raise NotFound("there is no such connected account", code="connected_account_not_found")
        whole = not identifier and organization and not account
        return Asked(
            principal=call.principal,
            confirm=call.confirm,
            connection=connection or None,
            owner=Owner.organization(organization) if whole else Owner.user(identifier, organization or None),
            account_id=account_id,
            method=call.method,
            path=call.path.removeprefix("/proxy") or "/",
            query=call.query,
            headers=call.pairs,
            wait=wait_of(call),
            request_id=call.request_id,
        )

    async def render(self, error: Exception, _asked: Asked | None) -> Rendered:
        if not isinstance(error, HoldfastError):
            return _status(500, 13, "Something went wrong on our side. Quote the request id.", "INTERNAL_ERROR")
        status, code = next(((at, code) for kind, at, code in _CODES if isinstance(error, kind)), (500, 13))
        if status == 500:
            return _status(500, 13, "Something went wrong on our side. Quote the request id.", "INTERNAL_ERROR")
        wait = error.retry_after if isinstance(error, TooMany | Unavailable) and status != 502 else None
        return _status(status, code, error.message, error.code.upper(), {} if wait is None else retry_after(wait))


def _status(status: int, code: int, message: str, name: str, headers: dict[str, str] | None = None) -> Rendered:
    detail = {"@type": "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo", "error_code": name}
    return Rendered(status, Status(code, message, [detail]), headers or {})

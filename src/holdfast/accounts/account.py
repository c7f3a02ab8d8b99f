"""The Account record, its status machine, and what follows from them without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

from holdfast.connections.connection import OwnerKind
from holdfast.errors import Conflict
from holdfast.providers.entry import Method
from holdfast.vault import Place, Sealed

Role = Literal["compatibility", "standard"]
"""The one account per owner and connection that callers see who know nothing of several, or one beside it."""


class Status(StrEnum):
    PENDING = "pending"
    VERIFYING = "verifying"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ERROR = "error"
    SUSPENDED = "suspended"


class Reason(StrEnum):
    """Why an account is not active. A closed list; the provider's own words stand beside it, scrubbed."""

    REFRESH_REFUSED = "refresh_refused"
    ROTATION_LOST = "rotation_lost"
    NO_REFRESH_TOKEN = "no_refresh_token"  # noqa: S105  (a name, not a secret)
    NO_CREDENTIAL = "no_credential"
    SET_BY_APP = "set_by_app"
    MEMBERSHIP_ENDED = "establishing_member_membership_ended"
    REVOKED_BY_USER = "revoked_by_user"
    REVOKED_BY_ADMINISTRATOR = "revoked_by_administrator"
    REVOKED_AT_PROVIDER = "revoked_at_provider"
    UNUSABLE = "unusable"
    PAUSED = "paused"


_TRANSITIONS: frozenset[tuple[Status, Status]] = frozenset(
    {
        (Status.PENDING, Status.VERIFYING),
        (Status.PENDING, Status.ACTIVE),
        (Status.VERIFYING, Status.ACTIVE),
        (Status.ACTIVE, Status.EXPIRED),
        (Status.EXPIRED, Status.ACTIVE),
        (Status.ACTIVE, Status.REVOKED),
        (Status.ACTIVE, Status.ERROR),
        (Status.ERROR, Status.ACTIVE),
        (Status.ACTIVE, Status.SUSPENDED),
        (Status.SUSPENDED, Status.ACTIVE),
        # Taken back while it was not in use: its credential goes all the same.
        (Status.EXPIRED, Status.REVOKED),
        (Status.ERROR, Status.REVOKED),
        (Status.SUSPENDED, Status.REVOKED),
    }
)
_BY_AUTHORISATION = frozenset({Status.EXPIRED, Status.REVOKED, Status.ERROR, Status.PENDING, Status.VERIFYING})


UNFINISHED = frozenset({Status.PENDING, Status.VERIFYING})
"""Never connected yet: nothing to hand out, and nothing to lose."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose account: a user (within an organization, or none), or an organization as a whole."""

    kind: OwnerKind
    user_id: str
    organization_id: str

    @classmethod
    def user(cls, user_id: str, organization_id: str | None = None) -> "Owner":
        return cls("user", user_id, organization_id or "")

    @classmethod
    def organization(cls, organization_id: str) -> "Owner":
        return cls("organization", "", organization_id)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Without slots: a dict of some fifty fields is copied at once."""

    environment_id: str
    id: str
    connection_id: str
    owner: Owner
    role: Role
    method: Method
    status: Status
    created_at: float
    updated_at: float
    version: int = 1
    """Rises with every change; `credential_version` with every new credential, which is sealed for it."""
    credential_version: int = 0
    reason: Reason | None = None
    detail: str | None = None
    """What happened and what to do about it, in words fit for the account's owner."""
    label: str | None = None
    identifier: str | None = None
    subject: str | None = None
    """The provider's stable id of the account, pinned: reconnecting as another one is refused."""
    established_by: str | None = None
    client_ref: str | None = None
    scopes: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Non-secret members of token replies and callbacks that the provider's API needs (instance_url)."""
    api_config: Mapping[str, Any] = field(default_factory=dict)
    """What the app keeps with the account on how to call the provider (version, domain, headers): JSON, no secret."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The app's own labels."""
    access: Sealed | None = None
    """The access token or API key: what is vended."""
    grant: Sealed | None = None
    """What the next access token is obtained with: refresh token or client secret. Never vended."""
    details: Sealed | None = None
    """All fields of a credential that has several, JSON by field name; `access` is the one that is vended alone."""
    last4: str = ""
    oauth_client_id: str | None = None
    """The account's own client id, where its method is client_credentials."""
    expires_at: float | None = None
    grant_expires_at: float | None = None
    consent_ends_at: float | None = None
    """An end that no refresh puts off: then only the owner can help, and is told ahead of it."""
    notice_at: float | None = None
    """When that end was announced; once for each consent."""
    refresh_at: float | None = None
    refreshed_at: float | None = None
    retry_at: float | None = None
    failures: int = 0
    """Failed refreshes in a row, of whatever kind; `refusals` counts the unexplained refusals among them, in a row."""
    refusals: int = 0
    warning: str | None = None
    intent_at: float | None = None
    intent_print: str | None = None
    """An open intent: a refresh request that may have been sent and has not been settled."""
    fence: int = 0

    def but(self, **changes: Any) -> "Account":
        """Return the account with these changes, as `dataclasses.replace` does at ten times the cost: a refresh makes
        several, and there are some fifty fields."""
        return Account.of({**self.__dict__, **changes})

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Account":
        """Return the account of these fields, all of them, at a fraction of the constructor's cost. The dict becomes
        the record's own."""
        if len(values) != len(_FIELDS):  # a field that is missing, or a name that is none
            raise TypeError(f"these are not an account's fields: {', '.join(sorted(values.keys() ^ _FIELDS))}")
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        return made

    def access_place(self, credential_version: int | None = None) -> Place:
        return self._place("access", credential_version)

    def grant_place(self, credential_version: int | None = None) -> Place:
        return self._place("grant", credential_version)

    def details_place(self, credential_version: int | None = None) -> Place:
        return self._place("details", credential_version)

    def _place(self, field_name: str, credential_version: int | None) -> Place:
        version = self.credential_version if credential_version is None else credential_version
        return Place(self.environment_id, self.id, field_name, version)

    def to(
        self, status: Status, now: float, *, reason: Reason | None = None, detail: str | None = None, **changes: Any
    ) -> "Account":
        """Return the account in another status, with further changes. Raises Conflict for a transition that does not
        exist."""
        if status != self.status and (self.status, status) not in _TRANSITIONS:
            raise Conflict(f"an account that is {self.status} cannot become {status}")
        return self.but(status=status, reason=reason, detail=detail, updated_at=now, **changes)

    def authorised(self, now: float) -> "Account":
        """Return the account as active after a new authorisation by its owner, whatever ended it before."""
        if self.status is Status.SUSPENDED:
            raise Conflict("this account is suspended: resume it first")
        if self.status in _BY_AUTHORISATION or self.status is Status.ACTIVE:
            return replace(
                self,
                status=Status.ACTIVE,
                reason=None,
                detail=None,
                warning=None,
                failures=0,
                refusals=0,
                retry_at=None,
                notice_at=None,
                intent_at=None,
                intent_print=None,
                updated_at=now,
            )
        raise Conflict(f"an account that is {self.status} cannot be authorised")


_FIELDS = frozenset(item.name for item in fields(Account))


def emptied(account: Account) -> Account:
    """Return the account without its credential, and nothing to renew. Its status is the caller's."""
    return replace(
        account,
        access=None,
        grant=None,
        details=None,
        last4="",
        oauth_client_id=None,
        expires_at=None,
        grant_expires_at=None,
        consent_ends_at=None,
        refresh_at=None,
        retry_at=None,
        intent_at=None,
        intent_print=None,
        credential_version=account.credential_version + 1,
    )


def snapshot(account: Account, connection_name: str) -> dict[str, Any]:
    """Return what an entry says of an account: no secret, enough to tell an app what happened."""
    return {
        "connection_id": account.connection_id,
        "connection": connection_name,
        "owner_kind": account.owner.kind,
        "role": account.role,
        "method": account.method,
        "label": account.label,
        "identifier": account.identifier,
        "scopes": list(account.scopes),
        "status": account.status.value,
        "reason": account.reason.value if account.reason else None,
        "detail": account.detail,
        "last4": account.last4,
        "established_by": account.established_by,
        "expires_at": account.expires_at,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }

"""The Attempt record: a state that we made and verify, and what is known of a try at connecting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import UNSET, UnsetType

from holdfast.accounts import Owner
from holdfast.accounts.install import Intent
from holdfast.vault import Place, Sealed


class Stage(StrEnum):
    BEGUN = "begun"
    STARTED = "started"
    CONSUMED = "consumed"
    """The callback has come; the code is being exchanged. Never returned to."""
    AUTHORIZED = "authorized"
    """Waiting for the app to finish with its verifier."""
    VERIFYING = "verifying"
    """Waiting for the app to say who its user is."""
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    environment_id: str
    id: str
    connection_id: str
    owner: Owner
    acting_user: str
    """The user in whose name the app asks: the owner, or the member acting for an organization."""
    intent: Intent
    stage: Stage
    link_hash: str
    created_at: float
    expires_at: float
    by_link: bool = False
    """Begun by a one-time link: it ends soon unless opened, and its user may have to be verified afterwards."""
    user_verify_url: str | None = None
    account_id: str | None = None
    return_to: str | None = None
    app_state: str = ""
    code_challenge: str | None = None
    label: str | None | UnsetType = UNSET
    config: Mapping[str, str] = field(default_factory=dict)
    switch_identity: bool = False
    key_id: str = ""
    state_hash: str | None = None
    browser_hash: str | None = None
    verifier: Sealed | None = None
    client_ref: str | None = None
    connect_code_hash: str | None = None
    """Of the code that the app finishes with: a connect code, or an auth request id."""
    connect_code_ends: float | None = None
    pending: Sealed | None = None
    """The credential obtained and not yet anybody's: JSON, sealed for this attempt."""

    @property
    def session_bound(self) -> bool:
        return self.code_challenge is not None

    def verifier_place(self) -> Place:
        return Place(self.environment_id, self.id, "verifier", 1)

    def pending_place(self) -> Place:
        return Place(self.environment_id, self.id, "pending", 1)


@dataclass(frozen=True, slots=True)
class Landed:
    """Where the browser goes from here: to `url`, or to a page of ours if the app named no place to return to."""

    url: str | None
    error: str | None = None
    description: str = ""
    provider_name: str = ""
    environment_id: str = ""


def landed_with_error(attempt: Attempt, provider_name: str, code: str, words: str) -> Landed:
    """Return the way back to the app with the error, as RFC 6749 section 4.1.2.1 names it."""
    if attempt.return_to is None:
        return Landed(None, code, words, provider_name, attempt.environment_id)
    told = {"error": code, "error_description": words, "state": attempt.app_state}
    return Landed(back_to(attempt.return_to, told), code, words, provider_name, attempt.environment_id)


def back_to(return_to: str, params: Mapping[str, str]) -> str:
    """Return `return_to` with parameters added to its query; parameters of the same name there are replaced."""
    parts = urlsplit(return_to)
    kept = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in params]
    return urlunsplit(parts._replace(query=urlencode([*kept, *params.items()])))


def appended(url: str, params: Mapping[str, str]) -> str:
    """Return `url`, otherwise as it was given, with parameters at the end of its query."""
    address, hash_sign, fragment = url.partition("#")
    joint = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(params)}{hash_sign}{fragment}"

"""What an answer of the provider makes of the account: turn and outcome in, verdict out. Nothing is sent or stored."""

from dataclasses import dataclass, replace

from holdfast.accounts import Account, Reason, Status
from holdfast.accounts.credential import from_grant, lay_in
from holdfast.accounts.expiry import due_at
from holdfast.connections import Effective
from holdfast.connections.connection import Client
from holdfast.connections.provider_client import Lost, Outcome, Unsent
from holdfast.events import Action, Actor
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.tokens import policy, told
from holdfast.tokens.outcome import Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, RetryAt
from holdfast.vault import Vault

REFUSALS_TO_GIVE_UP = 3
"""Unexplained refusals in a row (no invalid_grant, no outage) before an account is called unusable."""
MISCONFIGURED_PAUSE = 60.0
"""Seconds a connection with an alert rests: one alert, not a refused request for each of its accounts."""


_ITSELF = Actor.system()


@dataclass(frozen=True, slots=True)
class Turn:
    """Our turn to refresh: the account as read under the lease, and all that the request needs."""

    account: Account
    fence: int
    effective: Effective
    client: Client | None
    intent: policy.Normal | policy.Resolve

    opened: Secret | None = None
    """The account's `grant` in clear, where it has been opened already."""
    actor: Actor = _ITSELF
    """Who asked for it: the server itself, or an administrator."""

    def grant(self, vault: Vault) -> Secret | None:
        return grant_of(self.account, vault) if self.opened is None else self.opened

    @property
    def resolving(self) -> bool:
        return isinstance(self.intent, policy.Resolve)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The account afterwards, what to tell the caller, and what to log."""

    account: Account
    result: RefreshOutcome
    action: Action


def judge(turn: Turn, outcome: Outcome, vault: Vault, now: float) -> Verdict:
    """Judge what the provider answered, or that it did not. New tokens are sealed for the account."""
    account, name = turn.account, turn.effective.provider.name
    grant = grant_in(outcome)
    if grant is not None:
        after = _renewed(turn, grant, vault, now)
        if isinstance(outcome, TokenRefusal):  # a good pair came with a value that must not be kept
            after = replace(after, warning=outcome.description)
        return Verdict(after, Refreshed(after), Action.TOKEN_REFRESHED)
    match outcome:
        case TokenRefusal(kind="dead_grant"):
            return _dead(turn, outcome, now)
        case TokenRefusal(kind="misconfigured") if account.method == "client_credentials":
            return _unusable(turn, outcome, now)  # the client refused is the account's own
        case TokenRefusal(kind="misconfigured"):
            why = told.happened(name, outcome)
            after = _failed(_nothing_used_up(turn), now, MISCONFIGURED_PAUSE, told.mended_by_administrator(why))
            return Verdict(after, Misconfigured(why), Action.TOKEN_REFRESH_FAILED)
        case TokenRefusal(kind="refused") if account.refusals + 1 >= REFUSALS_TO_GIVE_UP:
            return _unusable(turn, outcome, now)
        case TokenRefusal(kind="refused"):
            later = _later(turn, told.happened(name, outcome), outcome.retry_after, now)
            return replace(later, account=replace(later.account, refusals=account.refusals + 1))
        case TokenRefusal(kind="throttled"):
            return _later(turn, told.happened(name, outcome), outcome.retry_after, now)
        case Unsent(reason, damaged):
            return _later(turn, reason, None, now, damaged=damaged)
        case Lost(reason):
            return _unresolved(turn, reason, None, now)
        case TokenRefusal():  # 5xx, or a success without a token: the provider may have rotated
            return _unresolved(turn, told.happened(name, outcome), outcome.retry_after, now)
    raise AssertionError("unreachable")


def grant_in(outcome: Outcome) -> TokenGrant | None:
    """Return the tokens that came, be it in a reply that was refused for something else in it."""
    if isinstance(outcome, TokenGrant):
        return outcome
    return outcome.salvaged if isinstance(outcome, TokenRefusal) else None


def grant_of(account: Account, vault: Vault) -> Secret | None:
    """Return what the next token is obtained with: a refresh token, or a client secret."""
    return vault.open(account.grant, account.grant_place()) if account.grant else None


def print_of(account: Account) -> str:
    """Return what an intent remembers the grant by; empty without one."""
    return "" if account.grant is None else policy.fingerprint(account.grant)


def needs_intent(turn_account: Account, lifetime: Lifetime) -> bool:
    """Tell whether a request may use up what it is made with. Client credentials are never used up."""
    return turn_account.method == "oauth" and policy.rotates(lifetime)


def _renewed(turn: Turn, grant: TokenGrant, vault: Vault, now: float) -> Account:
    account, provider = turn.account, turn.effective.provider
    renewed = account.to(
        Status.ACTIVE,
        now,
        failures=0,
        refusals=0,
        retry_at=None,
        warning=None,
        intent_at=None,
        intent_print=None,
    )
    former = turn.grant(vault)
    credential = from_grant(grant, provider, account.scopes or turn.effective.scopes, now, former=former)
    if account.method == "client_credentials":
        return _minted(renewed, grant, former, credential.expires_at, vault, provider.lifetime, now)
    kept = grant.refresh_token is None and provider.lifetime.refresh_idle is None
    if grant.refresh_expires_at is None and (kept or account.consent_ends_at) and account.grant_expires_at:
        credential = replace(credential, grant_expires_at=account.grant_expires_at)
    return lay_in(renewed, credential, vault, provider.lifetime, now)


def _minted(
    account: Account,
    grant: TokenGrant,
    secret: Secret | None,
    expires_at: float | None,
    vault: Vault,
    lifetime: Lifetime,
    now: float,
) -> Account:
    minted = replace(account, credential_version=account.credential_version + 1)
    return replace(
        minted,
        access=vault.seal(grant.access_token, minted.access_place()),
        grant=vault.seal(secret, minted.grant_place()) if secret else None,
        expires_at=expires_at,
        refresh_at=due_at(expires_at, now, lifetime, renewable=True),
        refreshed_at=now,
        scopes=tuple(grant.scopes) if grant.scopes is not None else account.scopes,
        kept={**account.kept, **grant.kept},
    )


def _dead(turn: Turn, refusal: TokenRefusal, now: float) -> Verdict:
    name = turn.effective.provider.name
    if turn.resolving:
        reason = Reason.ROTATION_LOST
        what = f"{name} no longer accepts this account's refresh token: the answer to an earlier refresh was lost"
    else:
        reason = Reason.REFRESH_REFUSED
        what = told.happened(name, refusal)
    return _ended(turn, Status.EXPIRED, reason, told.connected_again(what), now)


def _unusable(turn: Turn, refusal: TokenRefusal, now: float) -> Verdict:
    what = f"{turn.effective.provider.name} refuses to renew this account's token ({told.answer(refusal)})"
    return _ended(turn, Status.ERROR, Reason.UNUSABLE, told.connected_again(what), now)


def _ended(turn: Turn, status: Status, reason: Reason, detail: str, now: float) -> Verdict:
    after = replace(
        turn.account.to(status, now, reason=reason, detail=detail),
        intent_at=None,
        intent_print=None,
        refresh_at=None,
        retry_at=None,
    )
    return Verdict(after, NeedsReauthorization(reason, detail), Action.TOKEN_REFRESH_FAILED)


def _later(turn: Turn, why: str, asked: float | None, now: float, *, damaged: bool = False) -> Verdict:
    wait = policy.backoff(turn.account.failures, asked=asked)
    after = _failed(_nothing_used_up(turn), now, wait, told.tried_again(why))
    result = RetryAt(now + wait, why, asked=not damaged, damaged=damaged)
    return Verdict(after, result, Action.TOKEN_REFRESH_FAILED)


def _unresolved(turn: Turn, why: str, asked: float | None, now: float) -> Verdict:
    """The provider may have acted: the intent stays open, and the next attempt follows its rule."""
    wait = policy.backoff(turn.account.failures, asked=asked)
    after = _failed(turn.account, now, wait, told.tried_again(why))
    if needs_intent(turn.account, turn.effective.provider.lifetime):
        began = turn.account.intent_at if turn.resolving else now
        after = replace(after, intent_at=began, intent_print=print_of(turn.account))
    return Verdict(after, RetryAt(now + wait, why), Action.TOKEN_REFRESH_UNRESOLVED)


def _nothing_used_up(turn: Turn) -> Account:
    """This request used nothing up. An intent left open by an earlier one stays open."""
    return turn.account if turn.resolving else replace(turn.account, intent_at=None, intent_print=None)


def _failed(account: Account, now: float, wait: float, warning: str) -> Account:
    return replace(
        account,
        failures=account.failures + 1,
        refusals=0,
        retry_at=now + wait,
        warning=warning,
        updated_at=now,
    )

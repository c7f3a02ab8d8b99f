"""Writing down what came of a refresh, in one transaction, beside whatever happened to the account meanwhile.

Rules, in order. Deletion wins. A newer credential wins, but a rotated refresh token is never dropped for the one it
replaced. Tokens that nobody else holds are stored even if the lease has passed on. A status that somebody set
meanwhile stands, unless it only says that the token we have exchanged no longer works.
"""

from dataclasses import replace

import structlog

from holdfast.accounts import Account, OAuthCredential, Reason, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.credential import lay_in
from holdfast.accounts.expiry import is_end_unsaid
from holdfast.accounts.install import account_entry
from holdfast.accounts.introspections import is_wanted
from holdfast.accounts.introspections import store as introspection_store
from holdfast.accounts.revocations import Orphan, end_orphan
from holdfast.connections import store as connection_store
from holdfast.connections.entries import alert_ended, connection_entry
from holdfast.connections.provider_client import Outcome
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.oauth2.replies import TokenGrant
from holdfast.storage import Connection as Tx
from holdfast.tokens.outcome import Gone, Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, RetryAt
from holdfast.tokens.verdict import Turn, Verdict, grant_in, grant_of, judge
from holdfast.vault import Vault

_log = structlog.get_logger("holdfast.tokens")

_REFUSED = (Reason.ROTATION_LOST, Reason.REFRESH_REFUSED)
"""Why an account expired while we held its new tokens: somebody presented the old one after us."""


def settle(tx: Tx, turn: Turn, outcome: Outcome, vault: Vault, now: float) -> RefreshOutcome:
    """Store the outcome and give up the lease; return what to tell the caller. The account's keys must be ready."""
    before, grant = turn.account, grant_in(outcome)
    current = account_store.get(tx, before.environment_id, before.id, lock=True)
    if current is None:
        # The deletion wins, and what was minted meanwhile is ended too.
        if grant is not None:
            end_orphan(tx, vault, _orphan(turn, grant), now)
        return Gone()
    verdict = _beside(current, judge(turn, outcome, vault, now), before, now, lifts=grant is not None)
    after, version = verdict.account, before.credential_version
    written = account_store.settle(tx, after, fence=turn.fence, credential_version=version)
    if not written and grant is not None:
        written = account_store.settle_late(tx, after, credential_version=version)
    if not written:
        return _overtaken(tx, turn, current, grant, vault, now)
    if grant is not None and asks_for_end(turn, grant):
        introspection_store.add(tx, after, now)
    name = turn.effective.connection.name
    entry = account_entry(after, name, verdict.action, turn.actor, now)
    if isinstance(verdict.result, RetryAt | Misconfigured):  # the account is well, so it does not say why
        entry = replace(entry, data={**entry.data, "detail": verdict.result.why})
    log.append(tx, entry)
    if after.status is not current.status:
        lifted = after.status is Status.ACTIVE
        action = Action.ACCOUNT_CONNECTED if lifted else Action.ACCOUNT_REAUTHORIZATION_NEEDED
        log.append(tx, account_entry(after, name, action, Actor.system(), now, was=current.status))
    _alert(tx, turn, verdict.result, now)
    return verdict.result


def asks_for_end(turn: Turn, grant: TokenGrant) -> bool:
    """Tell whether the provider is to be asked when this token ends, after it is stored."""
    return is_wanted(turn.effective.provider, end_unsaid=is_end_unsaid(grant))


def ended(account: Account) -> NeedsReauthorization:
    return NeedsReauthorization(account.reason or Reason.UNUSABLE, account.detail or "")


def _beside(current: Account, verdict: Verdict, before: Account, now: float, *, lifts: bool) -> Verdict:
    """Return the verdict next to a status that was set meanwhile. New tokens are kept for the day it is taken back."""
    if current.status is before.status:
        return verdict
    if lifts and current.status is Status.EXPIRED and current.reason in _REFUSED:
        return _unproven(verdict, now)
    stands = replace(verdict.account, status=current.status, reason=current.reason, detail=current.detail)
    return Verdict(stands, ended(current), verdict.action)


def _unproven(verdict: Verdict, now: float) -> Verdict:
    """The old refresh token was presented again after us. A provider may have refused just that, or have ended ours
    with it (RFC 9700 section 4.14.2): nothing of the pair is handed out until it has been refreshed, which is due."""
    account = verdict.account
    if account.grant is None:
        return verdict
    why = "a late answer brought new tokens, which are refreshed once before they are handed out"
    return Verdict(replace(account, expires_at=now, refresh_at=now, retry_at=None), RetryAt(now, why), verdict.action)


def _overtaken(
    tx: Tx, turn: Turn, current: Account, grant: TokenGrant | None, vault: Vault, now: float
) -> RefreshOutcome:
    """The account has another credential than the one we started from, or the turn is somebody else's."""
    account_store.give_up_lease(tx, current.environment_id, current.id, fence=turn.fence)
    sent = grant_of(turn.account, vault)
    rotated = grant is not None and grant.refresh_token is not None and grant.refresh_token != sent
    if grant is not None and rotated and sent is not None and grant_of(current, vault) == sent:
        current = _adopted(tx, turn, current, grant, vault, now)
    else:
        if grant is not None and current.access is None and current.grant is None:  # disconnected meanwhile
            end_orphan(tx, vault, _orphan(turn, grant), now)
        _log.warning("late_refresh_refused", account=current.id, fence=turn.fence)
    return Refreshed(current) if current.status is Status.ACTIVE else ended(current)


def _orphan(turn: Turn, grant: TokenGrant) -> Orphan:
    before = turn.account
    return Orphan(
        effective=turn.effective,
        client=turn.client,
        account_id=before.id,
        owner=before.owner,
        subject=before.subject,
        cause="refreshed_meanwhile",
        access=grant.access_token,
        refresh=grant.refresh_token,
        values={**before.config, **before.kept, **grant.kept},
    )


def _adopted(tx: Tx, turn: Turn, current: Account, grant: TokenGrant, vault: Vault, now: float) -> Account:
    """The app brought an access token of its own and left the refresh token that we have just exchanged: keep the
    app's access token, and put the new refresh token in the place of the used one."""
    credential = OAuthCredential(
        access=vault.open(current.access, current.access_place()) if current.access else None,
        refresh=grant.refresh_token,
        expires_at=current.expires_at,
        grant_expires_at=grant.refresh_expires_at or current.grant_expires_at,
        scopes=current.scopes,
        kept=grant.kept,
    )
    settled = replace(current, intent_at=None, intent_print=None, updated_at=now)
    adopted = lay_in(settled, credential, vault, turn.effective.provider.lifetime, now)
    account_store.save(tx, adopted)
    name = turn.effective.connection.name
    log.append(tx, account_entry(adopted, name, Action.TOKEN_REFRESHED, turn.actor, now))
    return adopted


def _alert(tx: Tx, turn: Turn, result: RefreshOutcome, now: float) -> None:
    """One alert for a client that is refused, and its end once it works. Accounts keep their status."""
    connection, client_ref = turn.effective.connection, turn.account.client_ref
    if client_ref is None:
        return
    if isinstance(result, Misconfigured):
        if connection_store.raise_alert(tx, connection.environment_id, connection.id, client_ref, result.why, now):
            entry = connection_entry(connection, Action.CONNECTION_MISCONFIGURED, Actor.system(), now)
            log.append(tx, replace(entry, data={**entry.data, "alert": result.why}))
        return
    works = isinstance(result, Refreshed) and connection.alert_client_ref == client_ref
    if works and connection_store.clear_alert(tx, connection.environment_id, connection.id, client_ref):
        log.append(tx, alert_ended(connection, Actor.system(), now, client_changed=False))

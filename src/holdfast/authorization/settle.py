"""What becomes of a credential once it is obtained: an account at once, or laid aside until the app has finished.

An app that began with a challenge finishes with its verifier. An app that made a link and wants its user verified is
told by `auth_request_id`, and says who that user is. Else the account is connected here.
"""

from collections.abc import Mapping
from dataclasses import replace

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.accounts import Account, Accounts, Connecting, Credential, Status
from holdfast.accounts import store as account_store
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage, appended, back_to
from holdfast.authorization.begin import attempt_entry
from holdfast.authorization.pending import lay_aside
from holdfast.connections import Effective
from holdfast.errors import HoldfastError
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.providers.identity import ProviderIdentity
from holdfast.storage import Connection as Tx

SUCCESS_PATH = "/connect/success"


class NoVerifyUrl(HoldfastError):
    """The environment has its users verified, and the app has not said where."""

    default_code = "user_verify_url_missing"


class Gone(HoldfastError):
    """What an attempt was for was deleted meanwhile, or the attempt itself has ended."""

    default_code = "target_deleted"


class Settle:
    def __init__(
        self, accounts: Accounts, *, base_url: str, connect_code_lifetime: float, verification_lifetime: float
    ) -> None:
        self._accounts, self._success = accounts, base_url + SUCCESS_PATH
        self._connect_code_lifetime, self._verification_lifetime = connect_code_lifetime, verification_lifetime

    async def settle(
        self,
        attempt: Attempt,
        effective: Effective,
        credential: Credential,
        identity: ProviderIdentity | None,
        config: Mapping[str, str] | None = None,
    ) -> str | None:
        """Settle a consumed attempt; return where the browser goes now, None for a page of ours.

        Raises what connecting raises, NoVerifyUrl and Gone: then nothing is settled.
        """
        if attempt.session_bound:
            return await self._prepare_finish(attempt, credential, identity)

        def work(tx: Tx) -> str | None:
            if attempt.by_link:
                action = Action.TOKENS_OBTAINED if effective.connection.method == "oauth" else Action.CONSENT_GIVEN
                self._log(tx, attempt, effective, action)
                verify_url = verify_url_of(tx, attempt)
                if verify_url is not None:
                    return self._await_verification(tx, attempt, effective, credential, identity, config, verify_url)
            plan = plan_of(attempt, effective, credential, identity, Actor("end_user", attempt.acting_user), config)
            self._accounts.connect_in(tx, plan)
            _leave(tx, emptied(attempt, Stage.FINISHED))
            if attempt.by_link:
                return self._success
            return back_to(attempt.return_to, {"state": attempt.app_state}) if attempt.return_to else None

        return await self._accounts.database.transact(work)

    async def _prepare_finish(
        self, attempt: Attempt, credential: Credential, identity: ProviderIdentity | None
    ) -> str | None:
        accounts = self._accounts
        connect_code = ids.opaque()
        waiting = replace(
            emptied(attempt, Stage.AUTHORIZED),
            pending=lay_aside(attempt, credential, identity, accounts.vault),
            connect_code_hash=accounts.vault.lookup_hash("connect_code", connect_code),
            connect_code_ends=accounts.clock.now() + self._connect_code_lifetime,
        )
        await accounts.database.transact(lambda tx: _leave(tx, waiting))
        if attempt.return_to is None:
            return None
        return back_to(attempt.return_to, {"connect_code": connect_code, "state": attempt.app_state})

    def _await_verification(
        self,
        tx: Tx,
        attempt: Attempt,
        effective: Effective,
        credential: Credential,
        identity: ProviderIdentity | None,
        config: Mapping[str, str] | None,
        verify_url: str,
    ) -> str:
        """Lay the credential aside and mark an account that has none as verifying; what an active one has, stays."""
        accounts = self._accounts
        account = self._account(tx, attempt)
        now = accounts.clock.now()
        if account.status is Status.PENDING:
            verifying = account.to(Status.VERIFYING, now)
            account_store.save(tx, verifying)
            name, actor = effective.connection.name, Actor("end_user", attempt.acting_user)
            accounts.log(tx, verifying, name, Action.ACCOUNT_VERIFYING, actor, was=account.status)
        request_id = ids.opaque()
        waiting = replace(
            emptied(attempt, Stage.VERIFYING),
            pending=lay_aside(attempt, credential, identity, accounts.vault, dict(config or {})),
            connect_code_hash=accounts.vault.lookup_hash("auth_request", request_id),
            connect_code_ends=now + self._verification_lifetime,
        )
        _leave(tx, waiting)
        told = {"auth_request_id": request_id}
        return appended(verify_url, {**told, "state": attempt.app_state} if attempt.app_state else told)

    def _account(self, tx: Tx, attempt: Attempt) -> Account:
        found = account_store.get(tx, attempt.environment_id, attempt.account_id or "", lock=True)
        if found is None:
            raise Gone("this connection was deleted meanwhile")
        return found

    def _log(self, tx: Tx, attempt: Attempt, effective: Effective, action: Action) -> None:
        actor, now = Actor("end_user", attempt.acting_user), self._accounts.clock.now()
        log.append(tx, attempt_entry(attempt, effective.connection.name, action, actor, now))


def _leave(tx: Tx, attempt: Attempt) -> None:
    """Write what becomes of a consumed attempt. Raises Gone if it is not there, or has become something else: an
    account that waited for its verification would wait for ever."""
    if not store.advance(tx, attempt, from_stages=(Stage.CONSUMED,)):
        raise Gone("this sign-in was ended meanwhile: start again from the app", code="authorization_state_expired")


def verify_url_of(tx: Tx, attempt: Attempt) -> str | None:
    """Return where this attempt's user is to be verified; None where nobody asks. Raises NoVerifyUrl."""
    if attempt.user_verify_url:
        return attempt.user_verify_url
    environment = access_store.environment(tx, attempt.environment_id)
    if environment is not None and environment.user_verification == "custom":
        raise NoVerifyUrl("user_verify_url not configured for verification redirect")
    return None


def for_administrators(tx: Tx, attempt: Attempt) -> bool:
    """Tell whether only an administrator who is signed in may go on with a link: so the environment may say."""
    environment = access_store.environment(tx, attempt.environment_id) if attempt.by_link else None
    return environment is not None and environment.user_verification == "administrators"


def plan_of(
    attempt: Attempt,
    effective: Effective,
    credential: Credential,
    identity: ProviderIdentity | None,
    actor: Actor,
    config: Mapping[str, str] | None = None,
) -> Connecting:
    """Return what the attempt comes to, as an account to connect."""
    return Connecting(
        effective=effective,
        owner=attempt.owner,
        credential=credential,
        intent=attempt.intent,
        actor=actor,
        account_id=attempt.account_id,
        label=attempt.label,
        identity=identity,
        switch_identity=attempt.switch_identity,
        established_by=attempt.acting_user or None,
        client_ref=attempt.client_ref,
        config={**attempt.config, **(config or {})},
    )


def emptied(attempt: Attempt, stage: Stage) -> Attempt:
    return replace(attempt, stage=stage, verifier=None, pending=None)

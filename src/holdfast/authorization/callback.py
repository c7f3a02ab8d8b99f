"""The provider sends the browser back. Everything is checked before the code is used, and the attempt is consumed once.

Order: state known, for this connection's redirect URI, in time, from the browser that started, from the provider we
sent it to (RFC 9207); then the attempt is consumed; only then does a request leave for the token endpoint.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from holdfast import ids
from holdfast.accounts import Account, Accounts, Connecting, OAuthCredential
from holdfast.accounts import store as account_store
from holdfast.accounts.credential import from_grant
from holdfast.accounts.install import check_identity
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Landed, Stage, back_to, landed_with_error
from holdfast.authorization.begin import failure_entry
from holdfast.connections import ClientFactory, Connection, Effective, ProviderClient
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.connections.provider_client import Lost, Unsent
from holdfast.errors import HoldfastError, NotFound
from holdfast.events import Actor
from holdfast.events import store as log
from holdfast.oauth2.callback import CallbackCode, CallbackDenied, CallbackForged
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.providers.identity import ProviderIdentity
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx


class Failed(HoldfastError):
    """An attempt came to nothing, for a reason worth telling the app and its user."""

    default_code = "installation_failed"

    def __init__(self, code: str, message: str, *, provider_error: str | None = None) -> None:
        super().__init__(message, code=code)
        self.provider_error = provider_error


class PendingGrant(msgspec.Struct):
    """An obtained credential between callback and finish, stored sealed."""

    access: str
    refresh: str | None
    expires_at: float | None
    grant_expires_at: float | None
    scopes: tuple[str, ...]
    kept: dict[str, str]
    subject: str | None
    label: str | None
    account_id: str | None


@dataclass(frozen=True, slots=True)
class _Arrival:
    attempt: Attempt
    effective: Effective
    client: Client | None


class Callback:
    def __init__(self, accounts: Accounts, factory: ClientFactory, *, connect_code_lifetime: float) -> None:
        self._accounts, self._factory = accounts, factory
        self._connect_code_lifetime = connect_code_lifetime

    async def land(
        self, name: str, callback_key: str, params: Sequence[tuple[str, str]], browser: str | None
    ) -> Landed:
        """Judge the callback and connect the account (or prepare its finish).

        Raises NotFound for an unknown redirect URI, Failed where nothing is known of the attempt, so that there is
        nowhere safe to return to. All else comes back as a Landed that leads to the app's `return_to`.
        """
        arrival = await self._arrive(name, callback_key, params, browser)
        attempt, provider = arrival.attempt, arrival.effective.provider.name
        try:
            client, code = await self._judge(arrival, params)
            await self._consume(attempt)
            params_of_return = await self._exchange(arrival, client, code)
        except HoldfastError as error:
            return await self._fail(arrival, error)
        if attempt.return_to is None:
            return Landed(None, provider_name=provider)
        return Landed(back_to(attempt.return_to, params_of_return), provider_name=provider)

    async def _arrive(
        self, name: str, callback_key: str, params: Sequence[tuple[str, str]], browser: str | None
    ) -> _Arrival:
        accounts = self._accounts
        states = [value for key, value in params if key == "state"]
        if len(states) != 1 or not states[0]:
            raise Failed("invalid_state", "the provider sent you back without a state: start again from the app")
        hashed = accounts.vault.lookup_hash("state", states[0])

        def work(tx: Tx) -> _Arrival:
            connection = connection_store.by_callback_key(tx, callback_key)
            if connection is None or connection.name != name:
                raise NotFound("this redirect URI is not known here")
            attempt = store.by_state(tx, connection.environment_id, hashed)
            # Path and attempt must name the same connection: an honest provider's code cannot be brought to another.
            if attempt is None or attempt.connection_id != connection.id:
                raise Failed(
                    "invalid_state",
                    "this sign-in is not known here, or was used already: start again from the app",
                )
            self._check_browser(attempt, browser)
            ref = attempt.client_ref
            client = connection_store.client(tx, attempt.environment_id, ref) if ref else None
            effective = accounts.connections.effective(tx, connection, attempt.owner.organization_id)
            return _Arrival(attempt, effective, client)

        arrival = await accounts.database.transact(work)
        await accounts.vault.ready(arrival.attempt.environment_id)
        return arrival

    def _check_browser(self, attempt: Attempt, browser: str | None) -> None:
        hashed = self._accounts.vault.lookup_hash("browser", browser or "")
        if browser is None or not hmac.compare_digest(hashed, attempt.browser_hash or ""):
            raise Failed(
                "other_browser",
                "this sign-in was started in another browser: start again from the app in this one",
            )

    async def _judge(self, arrival: _Arrival, params: Sequence[tuple[str, str]]) -> tuple[ProviderClient, CallbackCode]:
        attempt = arrival.attempt
        if attempt.stage is not Stage.STARTED:
            raise AlreadyUsed("authorization_state_expired", "this sign-in was used already: start again from the app")
        if attempt.expires_at <= self._accounts.clock.now():
            raise Failed("authorization_state_expired", "this sign-in took too long: start again from the app")
        client = await self._factory.client_for(arrival.effective, arrival.client, attempt.config)
        match client.read_callback(params):
            case CallbackCode() as code:
                return client, code
            case CallbackDenied(error, description):
                words = description or "the sign-in was not completed at the provider"
                raise Failed(error or "access_denied", words, provider_error=error)
            case CallbackForged(reason):
                raise Failed("provider_error", f"the provider's answer is not genuine: {reason}")
        raise AssertionError("unreachable")

    async def _consume(self, attempt: Attempt) -> None:
        consumed = replace(attempt, stage=Stage.CONSUMED)
        if not await self._accounts.database.transact(
            lambda tx: store.advance(tx, consumed, from_stages=(Stage.STARTED,))
        ):
            raise AlreadyUsed("authorization_state_expired", "this sign-in was used already: start again from the app")

    async def _exchange(self, arrival: _Arrival, client: ProviderClient, code: CallbackCode) -> dict[str, str]:
        """Use the code, find out who this is, and connect or prepare the finish. Return what `return_to` is told."""
        attempt, accounts = arrival.attempt, self._accounts
        verifier = accounts.vault.open(attempt.verifier, attempt.verifier_place()) if attempt.verifier else None
        outcome = await client.exchange_code(code.code, verifier)
        if not isinstance(outcome, TokenGrant):
            raise _no_grant(outcome, arrival.effective.provider.name)
        identity = await self._identity(arrival, client, outcome, code.kept)
        credential = from_grant(outcome, arrival.effective.provider, arrival.effective.scopes, accounts.clock.now())
        credential = replace(credential, kept={**code.kept, **credential.kept})
        if attempt.session_bound:
            return await self._prepare_finish(arrival, credential, identity)
        await accounts.database.transact(lambda tx: self._connect(tx, arrival, credential, identity))
        return {"state": attempt.app_state}

    async def _identity(
        self, arrival: _Arrival, client: ProviderClient, grant: TokenGrant, callback: Mapping[str, str]
    ) -> ProviderIdentity | None:
        """Find out who this is, and refuse a reconnect as somebody else before anything is stored."""
        found = await client.identify(grant, callback)
        attempt = arrival.attempt
        target = await self._accounts.database.transact(lambda tx: _target(tx, attempt))
        if target is None or target.subject is None:
            return None if isinstance(found, Lost) else found
        if found is None and arrival.effective.provider.identity is not None:
            found = Lost("its answer names nobody")
        if isinstance(found, Lost):
            raise Failed("provider_error", f"it could not be checked whose account this is ({found.reason}): try again")
        check_identity(target, found, switch=attempt.switch_identity)
        return found

    def _connect(
        self, tx: Tx, arrival: _Arrival, credential: OAuthCredential, identity: ProviderIdentity | None
    ) -> None:
        attempt = arrival.attempt
        plan = plan_of(attempt, arrival.effective, credential, identity, Actor("end_user", attempt.acting_user))
        self._accounts.connect_in(tx, plan)
        store.advance(tx, emptied(attempt, Stage.FINISHED), from_stages=(Stage.CONSUMED,))

    async def _prepare_finish(
        self, arrival: _Arrival, credential: OAuthCredential, identity: ProviderIdentity | None
    ) -> dict[str, str]:
        accounts, attempt = self._accounts, arrival.attempt
        connect_code = ids.opaque()
        pending = PendingGrant(
            access=credential.access.reveal() if credential.access else "",
            refresh=credential.refresh.reveal() if credential.refresh else None,
            expires_at=credential.expires_at,
            grant_expires_at=credential.grant_expires_at,
            scopes=credential.scopes,
            kept=dict(credential.kept),
            subject=identity.id if identity else None,
            label=identity.label if identity else None,
            account_id=identity.account_id if identity else None,
        )
        sealed = accounts.vault.seal(Secret(msgspec.json.encode(pending).decode()), attempt.pending_place())
        waiting = replace(
            emptied(attempt, Stage.AUTHORIZED),
            pending=sealed,
            connect_code_hash=accounts.vault.lookup_hash("connect_code", connect_code),
            connect_code_ends=accounts.clock.now() + self._connect_code_lifetime,
        )
        await accounts.database.transact(lambda tx: store.advance(tx, waiting, from_stages=(Stage.CONSUMED,)))
        return {"connect_code": connect_code, "state": attempt.app_state}

    async def _fail(self, arrival: _Arrival, error: HoldfastError) -> Landed:
        """Write the failure down and send the browser back with it."""
        attempt, connection = arrival.attempt, arrival.effective.connection
        provider_error = error.provider_error if isinstance(error, Failed) else None
        if not isinstance(error, AlreadyUsed):
            await self._accounts.database.transact(
                lambda tx: self._log_failure(tx, attempt, connection, error, provider_error)
            )
        return landed_with_error(attempt, arrival.effective.provider.name, error.code, error.message)

    def _log_failure(
        self,
        tx: Tx,
        attempt: Attempt,
        connection: Connection,
        error: HoldfastError,
        provider_error: str | None,
    ) -> None:
        now = self._accounts.clock.now()
        stages = (Stage.BEGUN, Stage.STARTED, Stage.CONSUMED)
        if store.advance(tx, emptied(attempt, Stage.FAILED), from_stages=stages):
            log.append(
                tx,
                failure_entry(attempt, connection.name, error.code, error.message, now, provider_error=provider_error),
            )


class AlreadyUsed(Failed):
    """A replayed callback: the attempt has had its outcome, which is left as it is."""


def plan_of(
    attempt: Attempt,
    effective: Effective,
    credential: OAuthCredential,
    identity: ProviderIdentity | None,
    actor: Actor,
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
        established_by=attempt.acting_user,
        client_ref=attempt.client_ref,
        config=attempt.config,
    )


def _target(tx: Tx, attempt: Attempt) -> Account | None:
    """Return the account that this attempt would replace the credential of, if any."""
    if attempt.account_id is not None:
        return account_store.get(tx, attempt.environment_id, attempt.account_id)
    if attempt.intent == "add":
        return None
    mine = account_store.of_owner(tx, attempt.environment_id, attempt.connection_id, attempt.owner)
    return next((account for account in mine if account.role == "compatibility"), None)


def emptied(attempt: Attempt, stage: Stage) -> Attempt:
    return replace(attempt, stage=stage, verifier=None, pending=None)


def _no_grant(outcome: TokenRefusal | Unsent | Lost, provider: str) -> Failed:
    match outcome:
        case TokenRefusal(kind="misconfigured"):
            return Failed(
                "invalid_client_id",
                f"{provider} refuses this app's client credentials: {outcome.description or outcome.error}",
                provider_error=outcome.error,
            )
        case TokenRefusal(kind="malformed"):
            return Failed("unexpected_response_format", f"{provider}'s answer holds no usable token")
        case TokenRefusal():
            words = outcome.description or outcome.error
            return Failed(
                "authorization_code_exchange_error",
                f"{provider} did not accept the sign-in: {words}",
                provider_error=outcome.error,
            )
        case _:
            return Failed(
                "authorization_code_exchange_error",
                f"{provider} could not be reached to complete the sign-in",
            )

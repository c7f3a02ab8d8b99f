"""The provider sends the browser back. Everything is checked before the code is used, and the attempt is consumed once.

Order: state known, for this connection's redirect URI, in time, from the browser that started, from the provider we
sent it to (RFC 9207); then the attempt is consumed; only then does a request leave for the token endpoint.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from holdfast.accounts import Accounts, OAuthCredential
from holdfast.accounts.credential import from_grant
from holdfast.accounts.install import check_identity
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Landed, Stage, landed_with_error
from holdfast.authorization.begin import attempt_entry, failure_entry, target_of
from holdfast.authorization.pending import end_refused
from holdfast.authorization.settle import Settle, emptied
from holdfast.connections import ClientFactory, Connection, Effective, ProviderClient
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.connections.provider_client import Lost, Unsent
from holdfast.errors import HoldfastError, NotFound
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.oauth2.callback import CallbackCode, CallbackDenied, CallbackForged
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.providers.identity import ProviderIdentity, chosen_site
from holdfast.storage import Connection as Tx

NOT_COMPLETED = "the sign-in was not completed at the provider"


class Failed(HoldfastError):
    """An attempt came to nothing, for a reason worth telling the app and its user."""

    default_code = "installation_failed"

    def __init__(self, code: str, message: str, *, provider_error: str | None = None) -> None:
        super().__init__(message, code=code)
        self.provider_error = provider_error


_Find = Callable[[Tx, str], tuple[Connection | None, Attempt | None]]
"""Finds the connection that a redirect URI names, and the attempt that its state does."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    attempt: Attempt
    effective: Effective
    client: Client | None


class Callback:
    def __init__(self, accounts: Accounts, factory: ClientFactory, settle: Settle) -> None:
        self._accounts, self._factory, self._settle = accounts, factory, settle

    async def land(
        self, name: str, callback_key: str, params: Sequence[tuple[str, str]], browser: str | None
    ) -> Landed:
        """Judge the callback and connect the account (or prepare its finish).

        Raises NotFound for an unknown redirect URI, Failed where nothing is known of the attempt, so that there is
        nowhere safe to return to. All else comes back as a Landed that leads to the app's `return_to`.
        """

        def find(tx: Tx, hashed: str) -> tuple[Connection, Attempt | None]:
            connection = connection_store.by_callback_key(tx, callback_key)
            if connection is None or connection.name != name:
                raise NotFound("this redirect URI is not known here")
            attempt = store.by_state(tx, connection.environment_id, hashed)
            return connection, None if connection.callback_by_id else attempt

        return await self._land(find, params, browser)

    async def land_by_id(self, connection_id: str, params: Sequence[tuple[str, str]], browser: str | None) -> Landed:
        """As `land`, at the redirect URI that names its connection by id. Raises Failed for an unknown one too."""

        def find(tx: Tx, hashed: str) -> tuple[Connection | None, Attempt | None]:
            attempt = store.by_state_anywhere(tx, hashed)
            connection = connection_store.by_id(tx, attempt.environment_id, connection_id) if attempt else None
            return connection, attempt if connection and connection.callback_by_id else None

        return await self._land(find, params, browser)

    async def _land(self, find: _Find, params: Sequence[tuple[str, str]], browser: str | None) -> Landed:
        arrival = await self._arrive(find, params, browser)
        attempt, provider = arrival.attempt, arrival.effective.provider.name
        consumed = False
        try:
            client, code = await self._judge(arrival, params)
            await self._consume(arrival)
            consumed = True
            url = await self._exchange(arrival, client, code)
        except HoldfastError as error:
            return await fail(self._accounts, attempt, arrival.effective, error, consumed=consumed)
        return Landed(url, provider_name=provider, environment_id=attempt.environment_id)

    async def _arrive(self, find: _Find, params: Sequence[tuple[str, str]], browser: str | None) -> _Arrival:
        accounts = self._accounts
        states = [value for key, value in params if key == "state"]
        if len(states) != 1 or not states[0]:
            raise Failed("invalid_state", "the provider sent you back without a state: start again from the app")
        hashed = accounts.vault.lookup_hash("state", states[0])

        def work(tx: Tx) -> _Arrival:
            connection, attempt = find(tx, hashed)
            # Path and attempt must name the same connection: an honest provider's code cannot be brought to another.
            if attempt is None or connection is None or attempt.connection_id != connection.id:
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
                words = description or NOT_COMPLETED
                raise Failed(error or "access_denied", words, provider_error=error)
            case CallbackForged(reason):
                raise Failed("provider_error", f"the provider's answer is not genuine: {reason}")
        raise AssertionError("unreachable")

    async def _consume(self, arrival: _Arrival) -> None:
        attempt = arrival.attempt
        name, now = arrival.effective.connection.name, self._accounts.clock.now()
        actor = Actor("end_user", attempt.acting_user)

        def work(tx: Tx) -> bool:
            won = store.advance(tx, replace(attempt, stage=Stage.CONSUMED), from_stages=(Stage.STARTED,))
            if won and attempt.by_link:
                log.append(tx, attempt_entry(attempt, name, Action.CONSENT_GIVEN, actor, now))
            return won

        if not await self._accounts.database.transact(work):
            raise AlreadyUsed("authorization_state_expired", "this sign-in was used already: start again from the app")

    async def _exchange(self, arrival: _Arrival, client: ProviderClient, code: CallbackCode) -> str | None:
        """Use the code, find out who this is, and connect or prepare the finish. Return where the browser goes."""
        attempt, accounts = arrival.attempt, self._accounts
        verifier = accounts.vault.open(attempt.verifier, attempt.verifier_place()) if attempt.verifier else None
        outcome = await client.exchange_code(code.code, verifier)
        if not isinstance(outcome, TokenGrant):
            raise _no_grant(outcome, arrival.effective.provider.name)
        effective = arrival.effective
        credential = from_grant(outcome, effective.provider, effective.scopes, accounts.clock.now())
        credential = replace(credential, kept={**code.kept, **credential.kept})
        identity = await client.identify(outcome, code.kept)
        known = None if isinstance(identity, Lost) else identity
        try:
            await self._check_identity(arrival, identity)
            credential = await self._on_site(arrival, client, credential, known)
            return await self._settle.settle(attempt, effective, credential, known)
        except HoldfastError:  # nothing was settled, and nobody has these tokens
            await accounts.database.transact(
                lambda tx: end_refused(tx, accounts, attempt, effective, credential, known)
            )
            raise

    async def _on_site(
        self,
        arrival: _Arrival,
        client: ProviderClient,
        credential: OAuthCredential,
        identity: ProviderIdentity | None,
    ) -> OAuthCredential:
        """Return the credential with the values of the site that it works on, where the provider tells sites apart.

        The account's former site does not outlive a credential that does not reach it, or that is another person's.
        What cannot be told now does not keep anybody from connecting: the first call of the API asks again.
        """
        discover, attempt = arrival.effective.provider.discover, arrival.attempt
        if discover is None or credential.access is None:
            return credential
        sites = await client.sites(credential.access, credential.kept)
        target = await self._accounts.database.transact(lambda tx: target_of(tx, attempt))
        if isinstance(sites, Lost):
            former = target.subject if target is not None else None
            is_same = identity is None or former in (None, identity.id)
            return credential if is_same else replace(credential, outdated=tuple(discover.set))
        site = chosen_site(sites, {**(target.kept if target else {}), **attempt.config})
        return replace(credential, kept={**credential.kept, **(site or {})}, outdated=tuple(discover.set))

    async def _check_identity(self, arrival: _Arrival, found: ProviderIdentity | Lost | None) -> None:
        """Refuse a reconnect as somebody else before anything is stored."""
        attempt = arrival.attempt
        target = await self._accounts.database.transact(lambda tx: target_of(tx, attempt))
        if target is None or target.subject is None:
            return
        if found is None and arrival.effective.provider.identity is not None:
            found = Lost("its answer names nobody")
        if isinstance(found, Lost):
            raise Failed("provider_error", f"it could not be checked whose account this is ({found.reason}): try again")
        check_identity(target, found, switch=attempt.switch_identity)


async def fail(
    accounts: Accounts, attempt: Attempt, effective: Effective, error: HoldfastError, *, consumed: bool = False
) -> Landed:
    """Write the failure of an attempt down; return the way back for the browser.

    `consumed`: by whoever calls. One that another callback has consumed is that one's to end.
    """
    provider_error = error.provider_error if isinstance(error, Failed) else None
    name, now = effective.connection.name, accounts.clock.now()

    def work(tx: Tx) -> None:
        stages = (Stage.BEGUN, Stage.STARTED, *((Stage.CONSUMED,) if consumed else ()))
        if store.advance(tx, emptied(attempt, Stage.FAILED), from_stages=stages):
            told = failure_entry(tx, attempt, name, error.code, error.message, now, provider_error=provider_error)
            log.append(tx, told)

    if not isinstance(error, AlreadyUsed):
        await accounts.database.transact(work)
    return landed_with_error(attempt, effective.provider.name, error.code, error.message)


class AlreadyUsed(Failed):
    """A replayed callback: the attempt has had its outcome, which is left as it is."""


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

"""Filling in a form: a credential that is typed in, tried at the provider where the entry says how, and settled."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from holdfast.accounts import Accounts, ApiKey, ClientCredential, Credential
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Landed, Stage
from holdfast.authorization.callback import fail
from holdfast.authorization.settle import Settle
from holdfast.authorization.start import AttemptOver, Start
from holdfast.connections import ClientFactory, Effective, ProviderClient
from holdfast.connections.provider_client import Lost, Unsent
from holdfast.errors import HoldfastError, Invalid
from holdfast.http import Reply
from holdfast.oauth2.refusals import look
from holdfast.oauth2.replies import TokenRefusal
from holdfast.providers.entry import Provider
from holdfast.providers.forms import Typed, main_field, read_form
from holdfast.secret import Secret


class Fill:
    def __init__(self, accounts: Accounts, factory: ClientFactory, start: Start, settle: Settle) -> None:
        self._accounts, self._factory, self._start, self._settle = accounts, factory, start, settle

    async def submit(
        self, link: str, browser: str | None, opening: str, typed: Mapping[str, str], *, administrator: bool = False
    ) -> Landed:
        """Take what was typed, try it, and connect the account (or lay it aside until its user is verified).

        Raises Invalid with an item in `fields` for each field that is wrong, and uses nothing up: the user may try
        again. Raises NotFound, AttemptOver, NoVerifyUrl or AdministratorNeeded. All else comes back as a Landed.
        """
        opened = await self._start.open(link, browser, opening)
        opened.check_person(administrator=administrator)
        effective = opened.effective
        credential, config = await self.check(effective, typed)
        attempt = await self._consume(opened.attempt)
        try:
            url = await self._settle.settle(attempt, effective, credential, None, config)
        except HoldfastError as error:
            return await fail(self._accounts, attempt, effective, error, consumed=True)
        return Landed(url, provider_name=effective.provider.name, environment_id=attempt.environment_id)

    async def check(self, effective: Effective, typed: Mapping[str, str]) -> tuple[Credential, Mapping[str, str]]:
        """Return the credential and the settings that were typed, tried at the provider where its entry says how.

        Raises Invalid with an item in `fields` for each field that is wrong. Stores nothing.
        """
        method = effective.connection.method
        read = read_form(effective.provider, effective.config, typed, method=method)
        credential = _credential(read, typed, method == "client_credentials")
        await self._try(effective, credential, read)
        return credential, read.config

    async def _consume(self, attempt: Attempt) -> Attempt:
        consumed = replace(attempt, stage=Stage.CONSUMED)
        if not await self._accounts.database.transact(
            lambda tx: store.advance(tx, consumed, from_stages=(Stage.BEGUN, Stage.STARTED))
        ):
            raise AttemptOver("this link was used already: go back to the app and ask for a new one")
        return consumed

    async def _try(self, effective: Effective, credential: Credential, read: Typed) -> None:
        """Refuse what the provider refuses. What cannot be tried is taken at its word."""
        provider = effective.provider
        if isinstance(credential, ClientCredential):
            client = self._client(effective, credential.client_id, credential.client_secret, read)
            outcome = await client.mint()
            if isinstance(outcome, TokenRefusal) and outcome.kind in ("misconfigured", "dead_grant", "refused"):
                raise _wrong("client_secret", f"{provider.name} does not accept these client credentials.")
            if isinstance(outcome, Unsent | Lost):
                raise _away(provider)
            return
        if provider.probe is None or not isinstance(credential, ApiKey):
            return
        client = self._client(effective, "", None, read)
        reply = await client.probe(credential.key)
        if reply is None or isinstance(reply, Lost):
            raise _away(provider)
        if is_refused(provider, reply):
            raise _wrong(main_field(provider), f"{provider.name} does not accept this.")
        if reply.status >= 500 or reply.status == 429:
            raise _away(provider)

    def _client(self, effective: Effective, client_id: str, secret: Secret | None, read: Typed) -> ProviderClient:
        plain = msgspec.json.decode(read.details.reveal(), type=dict[str, str])
        return self._factory.client_of_account(effective, client_id, secret, {**plain, **read.config})


def is_tried(effective: Effective) -> bool:
    """Tell whether what is typed in is tried at the provider before it is kept."""
    method = effective.connection.method
    return method == "client_credentials" or (method == "api_key" and effective.provider.probe is not None)


def is_refused(provider: Provider, reply: Reply) -> bool:
    """Tell whether a reply to the entry's harmless call says that the credential is no good.

    By the entry's own rules where it has some (a restricted key may be refused there and be good elsewhere).
    """
    rules = [rule for rule in provider.dead if rule.at == "api" and rule.means in ("reconnect", "refresh_once")]
    if not rules:
        return reply.status in (401, 403)
    try:
        document = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        document = None
    return any(
        rule.status in (None, reply.status)
        and (not rule.values or str(look([document], rule.field)) in rule.values)
        and not (rule.status is None and not rule.values)
        for rule in rules
    )


def _credential(read: Typed, typed: Mapping[str, str], is_client: bool) -> Credential:
    if is_client:
        return ClientCredential(typed["client_id"].strip(), read.key)
    return ApiKey(read.key, read.details)


def _away(provider: Provider) -> Invalid:
    return _wrong("", f"{provider.name} could not be reached to check this just now: try again.", "away")


def _wrong(name: str, message: str, code: str = "refused") -> Invalid:
    return Invalid(message, code="credential_refused", fields=[{"field": name, "code": code, "message": message}])

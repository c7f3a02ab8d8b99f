"""Beginning an attempt: the app asks for a link to send its user to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from holdfast import ids
from holdfast.access import check_return_to
from holdfast.access import store as access_store
from holdfast.accounts import Account, Accounts, Owner, select_account
from holdfast.accounts import store as account_store
from holdfast.accounts.install import Intent
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage
from holdfast.connections import Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, Invalid, Unprocessable
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.providers.templates import check_config
from holdfast.storage import Connection as Tx

LINK_LENGTH = 24
"""Letters and digits, as the wire has it: 142 bits, single use and short-lived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    environment_id: str
    name: str
    owner: Owner
    acting_user: str
    actor: Actor
    return_to: str | None = None
    code_challenge: str | None = None
    intent: Intent = "auto"
    account_id: str | None = None
    label: str | None | UnsetType = UNSET
    config: Mapping[str, str] = field(default_factory=dict)
    switch_identity: bool = False
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """The link to send the user to, and the state that comes back to the app with them."""

    url: str
    state: str
    finish_required: bool
    link: str = ""
    """The part of `url` that nobody can guess."""


class Begin:
    def __init__(self, accounts: Accounts, *, base_url: str, lifetime: float, dev: bool, max_per_owner: int) -> None:
        self._accounts, self._base_url, self._lifetime = accounts, base_url, lifetime
        self._dev, self._max_per_owner = dev, max_per_owner

    async def begin(self, ask: Beginning) -> Begun:
        """Make an attempt and its link. Nothing happens at the provider, and no account changes.

        Raises NotFound, Conflict, Refused, or Invalid (`invalid_return_to`, `return_to_requires_exact_match`,
        `invalid_data_integration`).
        """
        accounts = self._accounts
        await accounts.vault.ready(ask.environment_id)
        link, state = ids.opaque(LINK_LENGTH), ids.opaque()

        def work(tx: Tx) -> None:
            connection = accounts.connections.find(tx, ask.environment_id, ask.name, ask.owner.kind)
            effective = accounts.connections.effective(tx, connection, ask.owner.organization_id)
            _check_oauth(effective)
            check_usable(effective)
            check_client(tx, effective)
            accounts.check_may_act(tx, ask.environment_id, ask.owner, ask.acting_user)
            self._check_return_to(tx, ask)
            self._check_target(tx, ask, connection.id)
            now = accounts.clock.now()
            attempt = Attempt(
                environment_id=ask.environment_id,
                id=ids.new_id(now),
                connection_id=connection.id,
                owner=ask.owner,
                acting_user=ask.acting_user,
                intent=ask.intent,
                stage=Stage.BEGUN,
                link_hash=accounts.vault.lookup_hash("link", link),
                account_id=ask.account_id,
                return_to=ask.return_to,
                app_state=state,
                code_challenge=ask.code_challenge,
                label=ask.label,
                config=check_config(effective.provider, ask.config, scope="installation", pinned=effective.config),
                switch_identity=ask.switch_identity,
                key_id=ask.actor.id,
                client_ref=effective.client_ref,
                created_at=now,
                expires_at=now + self._lifetime,
            )
            store.add(tx, attempt)
            log.append(tx, attempt_entry(attempt, connection.name, Action.ATTEMPT_BEGUN, ask.actor, now))

        await accounts.database.transact(work)
        url = f"{self._base_url}/data-integrations/{link}/authorize-redirect"
        return Begun(url, state, ask.code_challenge is not None, link)

    def _check_return_to(self, tx: Tx, ask: Beginning) -> None:
        exact = ask.code_challenge is not None
        if ask.return_to is None:
            if exact:
                raise Invalid(
                    "code_challenge needs return_to: the connect_code is sent there", code="invalid_return_to"
                )
            return
        registered = [item.uri for item in access_store.list_redirect_uris(tx, ask.environment_id)]
        # Users come back to our own pages too, where they see what they have connected.
        check_return_to(ask.return_to, registered, exact=exact, dev=self._dev, own=self._base_url)

    def _check_target(self, tx: Tx, ask: Beginning, connection_id: str) -> None:
        """Refuse at once what could not be finished."""
        mine = account_store.of_owner(tx, ask.environment_id, connection_id, ask.owner)
        if ask.intent == "reauthorize":
            select_account(mine, account_id=ask.account_id, plural=False)
        elif (ask.intent == "add" or not any(a.role == "compatibility" for a in mine)) and (
            len(mine) >= self._max_per_owner
        ):
            raise Conflict(
                f"this owner has {len(mine)} connected accounts here, the limit",
                code="connected_account_limit_reached",
            )


def _check_oauth(effective: Effective) -> None:
    connection = effective.connection
    if connection.method != "oauth":
        raise Unprocessable(
            f"'{connection.name}' connects by {connection.method}: there is nothing to authorize in a browser",
            code="auth_method_mismatch",
        )


def check_usable(effective: Effective) -> None:
    """Refuse a connection that is not enabled, or that has no OAuth client for this owner."""
    connection = effective.connection
    if not effective.enabled:
        raise Invalid(f"the data integration '{connection.name}' is not enabled", code="invalid_data_integration")
    if connection.method == "oauth" and effective.client_ref is None:
        raise Invalid(
            f"'{connection.name}' has no client credentials for this owner yet",
            code="invalid_data_integration",
        )


def check_client(tx: Tx, effective: Effective) -> None:
    """Refuse if the client has no secret where one is needed: a changed host has cleared it."""
    ref, dialect = effective.client_ref, effective.provider.oauth2
    if ref is None or dialect is None or not dialect.client_secret_required or dialect.client_auth == "none":
        return
    client = connection_store.client(tx, effective.connection.environment_id, ref)
    if client is None or client.secret is None:
        raise Invalid(
            f"'{effective.connection.name}' has no client secret: set its credentials again",
            code="invalid_data_integration",
        )


def attempt_entry(attempt: Attempt, name: str, action: Action, actor: Actor, now: float, **data: str | None) -> Entry:
    return Entry(
        environment_id=attempt.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        account_id=attempt.account_id or "",
        connection_id=attempt.connection_id,
        user_id=attempt.owner.user_id or attempt.acting_user,
        organization_id=attempt.owner.organization_id,
        data={
            "attempt_id": attempt.id,
            "connection_id": attempt.connection_id,
            "connection": name,
            "owner_kind": attempt.owner.kind,
            "intent": attempt.intent,
            **data,
        },
    )


def failure_entry(
    tx: Tx, attempt: Attempt, name: str, code: str, words: str, now: float, *, provider_error: str | None = None
) -> Entry:
    """Return the entry of an attempt that came to nothing. `provider_error` is the provider's own word, if any.

    Its `target` says what was to be connected: the owner's `compatibility` account or a `standard` one beside it, anew,
    or `another` account.
    """
    target = target_of(tx, attempt)
    standard = target is not None and target.role == "standard"
    return attempt_entry(
        attempt,
        name,
        Action.ACCOUNT_CONNECTION_FAILED,
        Actor("end_user", attempt.acting_user),
        now,
        target="another" if attempt.intent == "add" else "standard" if standard else "compatibility",
        identifier=target.identifier if target is not None else None,
        error_code=code,
        error_reason=words,
        provider_error=provider_error,
        provider_error_description=words if provider_error else None,
    )


def target_of(tx: Tx, attempt: Attempt) -> Account | None:
    """Return the account that this attempt would replace the credential of, if any."""
    if attempt.account_id is not None:
        return account_store.get(tx, attempt.environment_id, attempt.account_id)
    if attempt.intent == "add":
        return None
    mine = account_store.of_owner(tx, attempt.environment_id, attempt.connection_id, attempt.owner)
    return next((account for account in mine if account.role == "compatibility"), None)

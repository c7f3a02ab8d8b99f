"""One-time links: the app asks for an address where its user connects one account, by consent or by a form.

A link ends soon unless it is opened; from then on its user has as long as any attempt. Looking at it uses nothing up.
"""

from dataclasses import dataclass, replace

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import check_verify_url
from holdfast.accounts import Account, Accounts, Given, Keeping, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.install import account_entry
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage
from holdfast.authorization.begin import check_client, check_usable
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.storage import Connection as Tx

LONGEST_STATE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFor:
    """Whose account at which connection: by (name, owner), made if there is none, or by the account's own id."""

    environment_id: str
    actor: Actor
    name: str = ""
    owner: Owner | None = None
    account_id: str | None = None
    state: str = ""
    """Comes back to `user_verify_url` as it is."""
    user_verify_url: str | None = None
    lifetime: float | None = None
    """Seconds until the link ends unless it is opened. None = as configured, for an app that sends its user on."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    url: str
    expires_at: float
    """When it ends unless it is opened before."""
    account: Account


class Links:
    def __init__(self, accounts: Accounts, keeping: Keeping, *, base_url: str, link_lifetime: float, dev: bool) -> None:
        self._accounts, self._keeping, self._base_url = accounts, keeping, base_url
        self._lifetime, self._dev = link_lifetime, dev

    async def make(self, ask: LinkFor) -> Link:
        """Make a link, and a pending account where there is none. What an account has stays until it is completed.

        Works in any state but one: Conflict `account_suspended` for a paused account, which its owner cannot resume.
        Raises NotFound, Invalid (`invalid_user_verify_url`, `invalid_state`, a connection that is not enabled or has
        no client), Unprocessable for a connection that nobody connects in a browser, Refused.
        """
        if len(ask.state) > LONGEST_STATE:
            raise Invalid(f"state is longer than {LONGEST_STATE} characters", code="invalid_state")
        verify_url = check_verify_url(ask.user_verify_url, dev=self._dev)
        accounts = self._accounts
        await accounts.vault.ready(ask.environment_id)
        link = ids.opaque()

        def work(tx: Tx) -> Link:
            account = self._account(tx, ask)
            now = accounts.clock.now()
            attempt = self._attempt(tx, ask, account, link, verify_url, now)
            return Link(f"{self._base_url}/connect/links/{link}", attempt.expires_at, account)

        try:
            return await accounts.database.transact(work)
        except IntegrityError:  # two first links at once: the account is there now
            return await accounts.database.transact(work)

    def _account(self, tx: Tx, ask: LinkFor) -> Account:
        if ask.account_id is not None:
            found = account_store.get(tx, ask.environment_id, ask.account_id)
            if found is None:
                raise NotFound("there is no such connected account", code="connected_account_not_found")
        elif ask.owner is not None:
            found, _ = self._keeping.get_or_create_in(
                tx, ask.environment_id, ask.name, ask.owner, Given(), ask.actor, ask.request_id
            )
        else:
            raise Invalid("say whose account the link is for")
        if found.status is Status.SUSPENDED:
            raise Conflict("this account is paused: resume it first", code="account_suspended")
        return found

    def _attempt(
        self, tx: Tx, ask: LinkFor, account: Account, link: str, verify_url: str | None, now: float
    ) -> Attempt:
        accounts = self._accounts
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        if connection is None:
            raise NotFound("there is no such connected account", code="connected_account_not_found")
        if connection.method in ("delegated", "trusted_idp", "none"):
            how = "without a credential" if connection.method == "none" else f"by {connection.method}"
            raise Unprocessable(
                f"'{connection.name}' connects {how}: there is nothing to connect in a browser",
                code="auth_method_mismatch",
            )
        effective = accounts.connections.effective(tx, connection, account.owner.organization_id)
        check_usable(effective)
        check_client(tx, effective)
        accounts.check_may_act(tx, account.environment_id, account.owner, None)
        attempt = Attempt(
            environment_id=account.environment_id,
            id=ids.new_id(now),
            connection_id=connection.id,
            owner=account.owner,
            acting_user=account.owner.user_id,
            intent="reauthorize",
            stage=Stage.BEGUN,
            link_hash=accounts.vault.lookup_hash("link", link),
            by_link=True,
            user_verify_url=verify_url,
            account_id=account.id,
            app_state=ask.state,
            config=account.config,
            key_id=ask.actor.id,
            client_ref=effective.client_ref,
            created_at=now,
            expires_at=now + (ask.lifetime or self._lifetime),
        )
        store.add(tx, attempt)
        entry = account_entry(account, connection.name, Action.LINK_CREATED, ask.actor, now, ask.request_id)
        log.append(tx, replace(entry, data={**entry.data, "attempt_id": attempt.id}))
        return attempt

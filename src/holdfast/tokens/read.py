"""Reading a token. One transaction finds the account, decides, and writes the read's entry; the credential leaves after
that is durable, and not before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from holdfast import metrics
from holdfast.access import store as access_store
from holdfast.accounts import Account, Accounts, Owner, Reason, Status, select_account
from holdfast.accounts import store as account_store
from holdfast.accounts.install import account_entry
from holdfast.clock import Clock
from holdfast.connections import Connection, Connections, Effective
from holdfast.errors import HoldfastError, NotFound, Unauthenticated, Unavailable, Unprocessable
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.oauth2.scopes import missing
from holdfast.providers.entry import Method
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens import policy
from holdfast.tokens.outcome import Gone, Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, RetryAt
from holdfast.tokens.refresh import Refresher
from holdfast.vault import Vault
from holdfast.vault.sealed import CannotOpen


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Who wants which owner's token."""

    environment_id: str
    name: str
    owner: Owner
    actor: Actor
    acting_user: str | None = None
    account_id: str | None = None
    plural: bool = False
    min_ttl: float | None = None
    methods: tuple[Method, ...] = ("oauth",)
    """Credential kinds this caller can take."""
    request_id: str = ""
    checks_key: bool = False
    """Whether the actor is a key that is only believed so far: it is checked in the transaction that vends."""
    permit: Callable[[Effective, Account], None] | None = None
    """Raises if the credential is not to be read for what it is wanted for. Asked in the transaction that vends, with
    what that sees; what it raises is the caller's."""
    spend: Callable[[Tx, Effective, Account], None] | None = None
    """Called once there is a credential that can leave, in the transaction that writes of it: what is good for one
    credential is spent there, or nothing leaves. May be called again where a transaction is; raises as `permit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vended:
    """A credential that was good when it left, and what goes with it."""

    account: Account
    secret: Secret
    """Empty where the account's method is `none`: for callers who ask for that one too."""
    missing_scopes: tuple[str, ...]
    config: Mapping[str, str]
    warnings: tuple[str, ...]
    effective: Effective
    """The connection it was read through, as it stood then: where this credential may go."""


@dataclass(frozen=True, slots=True)
class Inactive:
    """There is no credential to hand out, and why."""

    why: str
    """`not_installed` or `needs_reauthorization`."""
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    account: Account
    effective: Effective
    decision: policy.Decision
    missing: tuple[str, ...]


class TokenReader:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        connections: Connections,
        accounts: Accounts,
        refresher: Refresher,
        *,
        min_ttl: float,
    ) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self._connections, self._accounts, self._refresher = connections, accounts, refresher
        self._min_ttl = min_ttl

    async def read(self, ask: Ask) -> Vended | Inactive:
        """Return a usable credential, refreshing first if it is stale. Does not refuse for missing optional scopes.

        Raises NotFound, Conflict (several accounts match), Refused, Unprocessable `auth_method_mismatch`, and
        Unavailable when the token has ended and the provider cannot renew it just now.
        """
        await self._vault.ready(ask.environment_id)
        found = await self._database.transact(lambda tx: self._look(tx, ask, settled=False))
        if isinstance(found, Inactive):
            metrics.READS.add(found.why)
            return found
        if isinstance(found.decision, policy.Renew):
            outcome = await self._refresher.refresh(found.account)
            return await self.renewed(ask, outcome, fallback=found.decision.fallback)
        return await self._vend(found)

    async def renewed(self, ask: Ask, outcome: RefreshOutcome, *, fallback: bool) -> Vended | Inactive:
        """Return what there is after a refresh, without another. `fallback`: the former token still lives.

        Raises as `read`.
        """
        match outcome:
            case Gone():
                return Inactive("not_installed")
            case NeedsReauthorization(reason, detail):
                return Inactive("needs_reauthorization", reason, detail)
            case Misconfigured() | RetryAt() if not fallback:
                raise self._not_now(outcome)
            case Refreshed() | Misconfigured() | RetryAt():
                # Of a provider that was asked, the account says it.
                why = outcome.why if isinstance(outcome, RetryAt) and not outcome.asked else None
                found = await self._database.transact(lambda tx: self._look(tx, ask, settled=True, why=why))
        return found if isinstance(found, Inactive) else await self._vend(found)

    def _look(self, tx: Tx, ask: Ask, *, settled: bool, why: str | None = None) -> _Found | Inactive:
        """Find and judge. If the token can leave as it is (`settled`: it has to), write the entry of the read. `why`: a
        token with less life than is asked for was not renewed."""
        if ask.checks_key:
            key = access_store.key_by_id(tx, ask.environment_id, ask.actor.id)
            if key is None or key.revoked_at is not None:
                raise Unauthenticated("the API key is not valid: it was revoked")
        connection = self._connections.find(tx, ask.environment_id, ask.name, ask.owner.kind)
        self._accounts.check_may_act(tx, ask.environment_id, ask.owner, ask.acting_user)
        if connection.method not in ask.methods:
            raise _mismatch(ask.name, connection.method)
        mine = account_store.of_owner(tx, ask.environment_id, connection.id, ask.owner)
        try:
            account = select_account(mine, account_id=ask.account_id, plural=ask.plural)
        except NotFound:
            if ask.account_id is not None:
                raise
            return Inactive("not_installed")
        effective = self._connections.effective(tx, connection, ask.owner.organization_id)
        if ask.permit is not None:
            ask.permit(effective, account)
        now = self._clock.now()
        if account.status in (Status.PENDING, Status.VERIFYING, Status.REVOKED, Status.SUSPENDED):
            return Inactive("not_installed", account.reason, account.detail or "")
        absent = _missing(effective, account)
        if policy.missing_required(account, connection.required_scopes, absent):
            return Inactive("needs_reauthorization", None, f"required scopes were not granted: {', '.join(absent)}")
        min_ttl = policy.default_ttl(account, self._min_ttl) if ask.min_ttl is None else ask.min_ttl
        decision = policy.decide(account, now, min_ttl)
        if isinstance(decision, policy.Stop):
            if account.status is Status.ACTIVE and decision.reason is not None:
                self._expire(tx, account, connection.name, decision, now)
            return Inactive("needs_reauthorization", decision.reason, decision.detail)
        if isinstance(decision, policy.Renew) and settled:
            if account.access is None or (account.expires_at is not None and account.expires_at <= now):
                raise self._not_now(None)
            warning = account.warning or why
            decision = policy.Serve(False, (warning,) if warning else ())
        if isinstance(decision, policy.Serve):
            decision = _with_alert(decision, account, connection, now)
            if ask.spend is not None:
                ask.spend(tx, effective, account)
            entry = account_entry(account, connection.name, Action.CREDENTIAL_READ, ask.actor, now, ask.request_id)
            log.append(tx, replace(entry, data={"connection": connection.name, "method": account.method}))
        return _Found(account, effective, decision, absent)

    def _expire(self, tx: Tx, seen: Account, name: str, stop: policy.Stop, now: float) -> None:
        """Write down that a token has ended which nothing can renew. The first read to notice does."""
        account = account_store.get(tx, seen.environment_id, seen.id, lock=True)
        if account is None or account.version != seen.version:
            return
        expired = account.to(Status.EXPIRED, now, reason=stop.reason, detail=stop.detail)
        account_store.save(tx, replace(expired, refresh_at=None))
        action = Action.ACCOUNT_REAUTHORIZATION_NEEDED
        log.append(tx, account_entry(expired, name, action, Actor.system(), now, was=account.status))

    async def _vend(self, found: _Found) -> Vended:
        account, decision = found.account, found.decision
        if not isinstance(decision, policy.Serve) or (account.access is None and account.method != "none"):
            raise self._not_now(None)
        secret = Secret("")
        if account.access is not None:
            secret = await self._vault.open_fresh(account.access, account.access_place())
        if decision.due:
            self._refresher.start(account)
        metrics.READS.add("ok")
        return Vended(
            account=account,
            secret=secret,
            missing_scopes=found.missing,
            config=shown_config(found.effective, account),
            warnings=decision.warnings,
            effective=found.effective,
        )

    def _not_now(self, outcome: RetryAt | Misconfigured | None) -> HoldfastError:
        metrics.READS.add("unavailable")
        now = self._clock.now()
        match outcome:
            case RetryAt(why=why, damaged=True):
                return CannotOpen(why)
            case RetryAt(at, why):
                message, wait = (
                    f"the token has ended and could not be renewed just now: {why}",
                    max(1.0, at - now),
                )
            case Misconfigured(why):
                message = f"the token has ended and cannot be renewed: {why}; an administrator has to correct it"
                wait = 60.0
            case _:
                message, wait = "the token has ended and could not be renewed just now", 1.0
        return Unavailable(message, code="provider_unavailable", retry_after=wait)


def _with_alert(served: policy.Serve, account: Account, connection: Connection, now: float) -> policy.Serve:
    """Say of a token that is due, and has not been tried itself, that its connection's client is refused."""
    if connection.alert is None or connection.alert_client_ref != account.client_ref or served.warnings:
        return served
    if account.refresh_at is None or account.refresh_at > now:
        return served
    return replace(served, warnings=(f"{connection.alert}; an administrator has to correct it",))


def _missing(effective: Effective, account: Account) -> tuple[str, ...]:
    dialect = effective.provider.oauth2
    if account.method != "oauth" or dialect is None or dialect.scopes_fixed_by_app:
        return ()
    return missing(effective.scopes, account.scopes, dialect.scope_implies)


def shown_config(effective: Effective, account: Account) -> dict[str, str]:
    """Return the declared, non-secret config of connection and account, over the provider's defaults."""
    declared = effective.provider.config
    values = {name: item.default for name, item in declared.items() if item.default is not None}
    values.update(effective.config)
    values.update(account.config)
    return {name: value for name, value in values.items() if name in declared and not declared[name].secret}


def _mismatch(name: str, method: Method) -> Unprocessable:
    if method == "none":
        message = f"'{name}' connects without a credential: there is no token to read. Call it through the proxy"
        return Unprocessable(message, code="auth_method_mismatch")
    hint = "POST /data-integrations/{slug}/token" if method == "oauth" else "POST /data-integrations/{slug}/credentials"
    return Unprocessable(f"'{name}' connects by {method}: use {hint}", code="auth_method_mismatch")

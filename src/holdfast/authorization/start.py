"""Starting an attempt: a browser opens the link, sees whose account is being connected, and goes to the provider.

Looking at the link consumes nothing (mail scanners do). The browser that starts is remembered; the callback must come
from the same one. It may start again, another browser may not.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast import ids
from holdfast.accounts import Accounts
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Landed, Stage, landed_with_error
from holdfast.authorization.begin import failure_entry
from holdfast.authorization.settle import for_administrators, verify_url_of
from holdfast.connections import ClientFactory, Effective
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.errors import HoldfastError, NotFound
from holdfast.events import store as log
from holdfast.oauth2 import pkce
from holdfast.providers.forms import FormField, form_of
from holdfast.providers.templates import check_config
from holdfast.storage import Connection as Tx

CHANGED_MIND = "the user changed their mind before signing in"


class AttemptOver(HoldfastError):
    """The link was used or is too old. The app has to make a new one."""

    default_code = "authorization_state_expired"


class AdministratorNeeded(HoldfastError):
    """The environment's links are for administrators, and none is signed in."""

    default_code = "administrator_needed"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the confirmation page shows, and asks for."""

    attempt: Attempt
    effective: Effective
    fields: tuple[FormField, ...] = ()
    """What the user has to type in: settings that a sign-in needs, or a credential. Empty = a press of a button."""
    opening: str = ""
    """Goes back with the form: proof that a short-lived link was opened in time."""
    administrators_only: bool = False
    """Only with one signed in can it be gone on with."""

    def check_person(self, *, administrator: bool) -> None:
        """Raise AdministratorNeeded if this is for administrators and the browser is not one's."""
        if self.administrators_only and not administrator:
            raise AdministratorNeeded("links of this environment are for its administrators: sign in to the dashboard")


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and the cookie value that marks it as the one that started."""

    provider_url: str
    browser: str
    environment_id: str


class Start:
    def __init__(self, accounts: Accounts, factory: ClientFactory, *, lifetime: float) -> None:
        self._accounts, self._factory, self._lifetime = accounts, factory, lifetime

    async def open(self, link: str, browser: str | None, opening: str = "") -> Opened:
        """Return what a link is about. Raises NotFound, AttemptOver or NoVerifyUrl. Changes nothing."""
        opened, _ = await self._find(link, browser, opening)
        return replace(opened, opening=opening or self._opening(link))

    async def start(
        self,
        link: str,
        browser: str | None,
        opening: str = "",
        typed: Mapping[str, str] | None = None,
        *,
        administrator: bool = False,
    ) -> Started:
        """Bind the attempt to this browser and return the provider's authorization URL.

        Each start has a fresh state and PKCE verifier. Raises NotFound, AttemptOver, NoVerifyUrl or
        AdministratorNeeded; Invalid with `fields` for what was typed wrong.
        """
        opened, client = await self._find(link, browser, opening)
        opened.check_person(administrator=administrator)
        accounts, attempt = self._accounts, opened.attempt
        if opened.fields:
            attempt = replace(attempt, config={**attempt.config, **_settings(opened, typed or {})})
        browser = browser or ids.opaque()
        state, verifier = ids.opaque(), pkce.new_verifier()
        # A link's ten minutes begin with its first start, and starting again does not prolong them.
        opens = attempt.by_link and attempt.stage is Stage.BEGUN
        ends = accounts.clock.now() + self._lifetime if opens else attempt.expires_at
        provider = await self._factory.client_for(opened.effective, client, attempt.config)
        challenged = provider.dialect.pkce != "omit"  # as it is now: the code is exchanged as this request was made
        started = replace(
            attempt,
            stage=Stage.STARTED,
            expires_at=ends,
            state_hash=accounts.vault.lookup_hash("state", state),
            browser_hash=accounts.vault.lookup_hash("browser", browser),
            verifier=accounts.vault.seal(verifier, attempt.verifier_place()) if challenged else None,
        )
        url = provider.authorization_url(state=state, code_challenge=pkce.s256(verifier) if challenged else None)
        if not await accounts.database.transact(
            lambda tx: store.advance(tx, started, from_stages=(Stage.BEGUN, Stage.STARTED))
        ):
            raise AttemptOver("this link was used already")
        return Started(url, browser, attempt.environment_id)

    async def cancel(self, link: str, browser: str | None, opening: str = "") -> Landed:
        """End an attempt at its user's wish, before the provider was asked. The app is told as of any denial."""
        opened, _ = await self._find(link, browser, opening)
        accounts, attempt = self._accounts, opened.attempt

        def work(tx: Tx) -> None:
            now = accounts.clock.now()
            ended = replace(attempt, stage=Stage.FAILED, verifier=None)
            if store.advance(tx, ended, from_stages=(Stage.BEGUN, Stage.STARTED)):
                name = opened.effective.connection.name
                log.append(tx, failure_entry(tx, attempt, name, "access_denied", CHANGED_MIND, now))

        await accounts.database.transact(work)
        return landed_with_error(attempt, opened.effective.provider.name, "access_denied", CHANGED_MIND)

    async def environment_of(self, link: str) -> str | None:
        """Return the environment of a link, also of one that is over; None for an unknown one."""
        hashed = self._accounts.vault.lookup_hash("link", link)
        attempt = await self._accounts.database.transact(lambda tx: store.by_link(tx, hashed))
        return attempt.environment_id if attempt is not None else None

    async def _find(self, link: str, browser: str | None, opening: str) -> tuple[Opened, Client | None]:
        accounts = self._accounts
        hashed = accounts.vault.lookup_hash("link", link)

        def work(tx: Tx) -> tuple[Opened, Client | None]:
            attempt = store.by_link(tx, hashed)
            if attempt is None:
                raise NotFound("this link is not known here")
            connection = connection_store.by_id(tx, attempt.environment_id, attempt.connection_id)
            if connection is None:
                raise NotFound("what this link was for does not exist any more")
            self._check_open(attempt, browser, opened_in_time=self._is_opening(link, opening))
            if attempt.by_link:
                verify_url_of(tx, attempt)  # told now, not after the user has consented
            effective = accounts.connections.effective(tx, connection, attempt.owner.organization_id)
            ref = attempt.client_ref
            client = connection_store.client(tx, attempt.environment_id, ref) if ref else None
            fields, closed = _fields(attempt, effective), for_administrators(tx, attempt)
            return Opened(attempt, effective, fields, administrators_only=closed), client

        found = await accounts.database.transact(work)
        await accounts.vault.ready(found[0].attempt.environment_id)
        return found

    def _check_open(self, attempt: Attempt, browser: str | None, *, opened_in_time: bool) -> None:
        if attempt.expires_at <= self._accounts.clock.now() and not (attempt.by_link and opened_in_time):
            raise AttemptOver("this link has expired: go back to the app and ask for a new one")
        if attempt.stage is Stage.BEGUN:
            return
        # A session-bound attempt may be started anew anywhere: what a mail scanner started is not lost for
        # its user, and the account is the app's to finish, with its verifier.
        if attempt.stage is Stage.STARTED and (attempt.session_bound or self._is_starter(attempt, browser)):
            return
        raise AttemptOver("this link was used already: go back to the app and ask for a new one")

    def _is_starter(self, attempt: Attempt, browser: str | None) -> bool:
        if browser is None or attempt.browser_hash is None:
            return False
        return hmac.compare_digest(self._accounts.vault.lookup_hash("browser", browser), attempt.browser_hash)

    def _opening(self, link: str) -> str:
        """Return a proof for the page's form that the link was alive when it was opened.

        The link itself stays as short-lived as it was: what leaked with an address bar or a mail is no proof.
        """
        ends = int(self._accounts.clock.now() + self._lifetime)
        return f"{ends}.{self._opening_hash(link, ends)}"

    def _is_opening(self, link: str, opening: str) -> bool:
        ends, _, proof = opening.partition(".")
        if not ends.isascii() or not ends.isdigit() or len(ends) > 12:
            return False
        in_time = int(ends) > self._accounts.clock.now()
        genuine = hmac.compare_digest(self._opening_hash(link, int(ends)).encode(), proof.encode())
        return genuine and in_time

    def _opening_hash(self, link: str, ends: int) -> str:
        return self._accounts.vault.lookup_hash("opening", f"{link}.{ends}")


def _fields(attempt: Attempt, effective: Effective) -> tuple[FormField, ...]:
    """Return what the user is asked for: for a sign-in, the settings it cannot do without; else the credential."""
    if not attempt.by_link:
        return ()
    method, provider = effective.connection.method, effective.provider
    if method != "oauth":
        return form_of(provider, effective.config, method=method)
    known = {**effective.config, **attempt.config}
    settings = form_of(provider, known, method="oauth")
    return tuple(item for item in settings if item.required)


def _settings(opened: Opened, typed: Mapping[str, str]) -> dict[str, str]:
    provider = opened.effective.provider
    given = {item.name: typed[item.name].strip() for item in opened.fields if typed.get(item.name, "").strip()}
    pinned = {**opened.effective.config, **opened.attempt.config}
    return check_config(provider, given, scope="installation", pinned=pinned)

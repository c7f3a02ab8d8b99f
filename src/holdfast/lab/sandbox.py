"""The sandbox's state: codes, grants, access tokens, switches, counters. In memory, for one event loop.

No method waits for anything, so each is one step to everyone else.
"""

import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from holdfast import ids
from holdfast.clock import Clock, iso
from holdfast.errors import Invalid
from holdfast.lab import switches as switching
from holdfast.lab.asking import Asked, Refusal
from holdfast.lab.grant import Grant, Over, Renewed, Reused, present
from holdfast.lab.people import PEOPLE, SCOPES, Person, person
from holdfast.lab.switches import Failing, Switches, When
from holdfast.oauth2 import pkce
from holdfast.secret import Secret

SANDBOX_CLIENT_ID = "sandbox-app"

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")

_CODE_SECONDS = 60
"""RFC 6749 section 4.1.2 allows ten minutes; a callback that takes a minute has something wrong with it."""

_MOST_ACCESS_TOKENS = 20_000
"""Past this, those long dead are forgotten, so that a soak test does not fill the memory."""


@dataclass(frozen=True, slots=True)
class Code:
    asked: Asked
    subject: str
    scopes: tuple[str, ...]
    expires_at: float
    grant_id: str | None = None
    """The grant it was swapped for; a code has one use."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    subject: str | None
    """None: the app's own, by client credentials."""
    scopes: tuple[str, ...]
    expires_at: float
    grant_id: str | None
    client_id: str
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A successful answer of the token endpoint."""

    access_token: str = field(repr=False)
    expires_in: int | None
    refresh_token: str | None = field(repr=False)
    scopes: tuple[str, ...]


class Sandbox:
    def __init__(
        self,
        clock: Clock,
        *,
        client_name: str = "Holdfast",
        issuer: str | None = None,
        secret_seed: str | None = None,
    ) -> None:
        """`issuer` is this provider's address; by default it is where each request was sent to.

        The same `secret_seed` makes the same client secret, so that an integration outlives a restart.
        """
        seed = secret_seed or secrets.token_hex(16)
        self.client_id = SANDBOX_CLIENT_ID
        # Every character that an encoding may lose is in it, so that a client which forgets one is found out at once:
        # https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
        self.client_secret = Secret(f"sbx+{seed[:24]}/=&%:{seed[24:32]}")
        self.client_name = client_name
        self.issuer = issuer
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything but the app's registration."""
        self.switches = Switches()
        self._clients = {self.client_id: self.client_secret}
        self._codes: dict[str, Code] = {}
        self._grants: dict[str, Grant] = {}
        self._families: dict[str, str] = {}
        self._tokens: dict[str, AccessToken] = {}
        self._counts: Counter[str] = Counter()

    # clients

    def add_client(self, client_id: str, client_secret: Secret) -> None:
        """Let another client act in its own name (client credentials). Raises Invalid."""
        if not client_id or not client_secret or client_id == self.client_id:
            raise Invalid("A client needs a client_id of its own and a client_secret.")
        self._clients[client_id] = client_secret

    def authenticates(self, client_id: str, client_secret: Secret) -> bool:
        known = self._clients.get(client_id)
        # Secret compares in constant time.
        return known is not None and known == client_secret

    # consent

    def consent(self, asked: Asked, who: Person, ticked: tuple[str, ...]) -> str | None:
        """Return a code for what `who` allows, or None if the sandbox was told to deny."""
        self.switches, denied = switching.take_denial(self.switches)
        if denied:
            return None
        scopes = tuple(scope for scope in asked.scopes if scope in ticked and scope not in self.switches.drop_scopes)
        code = ids.opaque(32)
        self._codes[code] = Code(asked, who.sub, scopes, self._clock.now() + _CODE_SECONDS)
        return code

    # the token endpoint

    def count(self, grant_type: str) -> None:
        """Count a token request as it arrives, whatever comes of it."""
        self._counts[grant_type if grant_type in GRANT_TYPES else "other"] += 1

    def redeem(self, text: str, redirect_uri: str, verifier: str | None) -> Issued | Refusal:
        """Swap a code: RFC 6749 section 4.1.3. A second use ends what the first one gave (section 4.1.2)."""
        code = self._codes.get(text)
        if code is None:
            return Refusal("invalid_grant", "There is no such code.")
        if code.grant_id is not None:
            self._grants[code.grant_id] = self._grants[code.grant_id].over("its code was used twice")
            return Refusal("invalid_grant", "The code was used before.")
        if code.expires_at <= self._clock.now():
            return Refusal("invalid_grant", "The code has expired.")
        if redirect_uri != code.asked.redirect_uri:
            return Refusal("invalid_grant", "The redirect_uri is not the one that the code was sent to.")
        challenge = code.asked.challenge
        if challenge is None and verifier is not None:
            # Someone cut the challenge out of the request on its way: RFC 9700 section 2.1.1.
            return Refusal("invalid_grant", "A code_verifier came for a code that was asked for without challenge.")
        if challenge is not None and not pkce.matches(verifier or "", challenge):
            return Refusal("invalid_grant", "The code_verifier does not match the challenge.")
        grant = Grant(
            id=ids.new_id(self._clock.now()),
            subject=code.subject,
            scopes=code.scopes,
            since=self._clock.now(),
            refresh_token=_new_token("sbx_rt_") if "offline" in code.scopes else None,
        )
        self._codes[text] = replace(code, grant_id=grant.id)
        self._keep(grant)
        return self._issue(grant.subject, grant.scopes, grant.id, grant.refresh_token)

    def refresh(self, text: str, narrowed: tuple[str, ...] = ()) -> Issued | Refusal:
        """RFC 6749 section 6, by the switches' rules on rotation."""
        grant = self._grants.get(self._families.get(text, ""))
        if grant is None:
            return Refusal("invalid_grant", "There is no such refresh token.")
        if set(narrowed) - set(grant.scopes):
            return Refusal("invalid_scope", "More was asked for than was granted.")
        if text != grant.refresh_token:
            self._counts["refresh_replays"] += 1
        outcome = present(
            grant,
            text,
            rotates=self.switches.rotates,
            grace=self.switches.reuse_grace,
            now=self._clock.now(),
            fresh=_new_token("sbx_rt_"),
        )
        match outcome:
            case Over(reason):
                return Refusal("invalid_grant", f"The grant has ended: {reason}.")
            case Reused(grant):
                self._keep(grant)
                return Refusal("invalid_grant", "The refresh token was used before.")
            case Renewed(grant):
                self._keep(grant)
                shown = None if self.switches.omit_refresh_token else grant.refresh_token
                return self._issue(grant.subject, narrowed or grant.scopes, grant.id, shown)

    def client_token(self, scopes: tuple[str, ...], client_id: str | None = None) -> Issued | Refusal:
        """RFC 6749 section 4.4: a token for the client itself, and no refresh token with it."""
        if unknown := set(scopes) - SCOPES.keys():
            return Refusal("invalid_scope", f"The sandbox has no scope {min(unknown)!r:.40}.")
        return self._issue(None, scopes or ("read",), None, None, client_id)

    def _keep(self, grant: Grant) -> None:
        self._grants[grant.id] = grant
        if grant.refresh_token is not None:
            self._families[grant.refresh_token] = grant.id

    def _issue(
        self,
        subject: str | None,
        scopes: tuple[str, ...],
        grant_id: str | None,
        refresh_token: str | None,
        client_id: str | None = None,
    ) -> Issued:
        now, lifetime = self._clock.now(), self.switches.access_lifetime
        if len(self._tokens) >= _MOST_ACCESS_TOKENS:
            self._tokens = {text: token for text, token in self._tokens.items() if token.expires_at > now}
        text = _new_token("sbx_at_")
        self._tokens[text] = AccessToken(subject, scopes, now + lifetime, grant_id, client_id or self.client_id)
        return Issued(text, None if self.switches.omit_expires_in else lifetime, refresh_token, scopes)

    # what may go wrong on the way out

    def take_failure(self, when: When) -> Failing | None:
        self.switches, failing = switching.take_failure(self.switches, when)
        return failing

    def take_lost_reply(self, when: When) -> bool:
        self.switches, lost = switching.take_lost_reply(self.switches, when)
        return lost

    # using and ending tokens

    def admit(self, text: str) -> AccessToken | Refusal:
        """Return what a bearer token stands for. The refusals are RFC 6750's, section 3.1."""
        token = self._tokens.get(text)
        if token is None:
            return Refusal("invalid_token", "There is no such access token.", 401)
        grant = self._grants.get(token.grant_id or "")
        if token.revoked or (grant is not None and grant.ended):
            return Refusal("invalid_token", "The access token was revoked.", 401)
        if token.expires_at <= self._clock.now():
            return Refusal("invalid_token", "The access token has expired.", 401)
        return token

    def end(self, text: str, client_id: str | None = None) -> None:
        """RFC 7009: a refresh token takes its whole grant along, an access token goes alone.

        Unknown ones, and those of another client, are no error.
        """
        self._counts["revocations"] += 1
        client_id = client_id or self.client_id
        if client_id == self.client_id and (grant_id := self._families.get(text)) is not None:
            self._grants[grant_id] = self._grants[grant_id].over("the app revoked it")
        elif (token := self._tokens.get(text)) is not None and token.client_id == client_id:
            self._tokens[text] = replace(token, revoked=True)

    # the control page

    def set(self, **changes: Any) -> Switches:
        """Set some of the switches. Raises Invalid."""
        self.switches = switching.changed(self.switches, changes)
        return self.switches

    def expire(self, subject: str | None = None, access_token: str | None = None) -> int:
        """Let live access tokens expire now: one, one person's, or all. Refresh tokens stay good. Return how many."""
        now, count, subject = self._clock.now(), 0, _subject(subject)
        for text, token in self._tokens.items():
            wanted = text == access_token if access_token is not None else subject in (None, token.subject)
            if wanted and token.expires_at > now:
                self._tokens[text] = replace(token, expires_at=now)
                count += 1
        return count

    def revoke(self, subject: str | None = None) -> int:
        """End the live grants of one person, or of all: they took the app's access back. Return how many."""
        subject = _subject(subject)
        live = [grant for grant in self._grants.values() if not grant.ended and subject in (None, grant.subject)]
        for grant in live:
            self._grants[grant.id] = grant.over("the person took the app's access back")
        return len(live)

    def counters(self) -> dict[str, int]:
        """Return token requests by grant type, refresh tokens presented after their rotation, and revocations."""
        names = (*GRANT_TYPES, "other", "refresh_replays", "revocations")
        return {name: self._counts[name] for name in names}

    def state(self) -> dict[str, Any]:
        """Return everything but the tokens, newest grant first."""
        now = self._clock.now()
        live = Counter(token.grant_id for token in self._tokens.values() if token.expires_at > now)
        return {
            "client": {"id": self.client_id, "secret": self.client_secret.reveal(), "name": self.client_name},
            "people": [{"sub": one.sub, "name": one.name, "email": one.email} for one in PEOPLE],
            "switches": msgspec.to_builtins(self.switches),
            "counters": self.counters(),
            "grants": [_shown(grant, live[grant.id]) for grant in reversed(self._grants.values())],
        }


def _shown(grant: Grant, live_tokens: int) -> dict[str, Any]:
    who = person(grant.subject)
    return {
        "id": grant.id,
        "subject": grant.subject,
        "name": who.name if who else grant.subject,
        "scopes": list(grant.scopes),
        "since": iso(grant.since),
        "refreshes": grant.refreshes,
        "live_access_tokens": 0 if grant.ended else live_tokens,
        "ended": grant.ended,
    }


def _subject(name: str | None) -> str | None:
    """Return the `sub` of a person named by it or by e-mail address; None, everyone, stays. Raises Invalid."""
    who = person(name)
    if name is not None and who is None:
        raise Invalid(f"The sandbox has no person {name!r:.80}.")
    return who.sub if who else None


def _new_token(prefix: str) -> str:
    return prefix + ids.opaque(40)

"""A ready OAuth client for one account or attempt: the dialect filled in, the secret opened, the HTTP done.

What comes back is a value: a grant, the provider's refusal, or why there is no reply. `Unsent` is safe to try again;
after `Lost` nobody knows whether the provider acted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import msgspec

from holdfast.clock import Clock
from holdfast.connections.connection import Client, Effective, redirect_uri
from holdfast.errors import Invalid
from holdfast.http import Reply, Request
from holdfast.oauth2.callback import CallbackCode, CallbackDenied, CallbackForged, read_callback
from holdfast.oauth2.dialect import Dialect
from holdfast.oauth2.introspection import introspection_request, read_introspection
from holdfast.oauth2.replies import TokenGrant, TokenRefusal, parse_token_reply
from holdfast.oauth2.requests import Client as OAuthClient
from holdfast.oauth2.requests import (
    authorization_url,
    client_credentials_request,
    code_request,
    refresh_request,
    second_exchange_request,
)
from holdfast.outbound.client import Outbound
from holdfast.outbound.errors import NotSent, ReplyLost
from holdfast.providers import calls
from holdfast.providers.entry import Call
from holdfast.providers.identity import ProviderIdentity, read_identity, read_sites
from holdfast.providers.templates import resolve_dialect, settle
from holdfast.secret import Secret, scrub
from holdfast.vault import Vault


@dataclass(frozen=True, slots=True)
class Unsent:
    """The request never left: nothing happened at the provider."""

    reason: str
    damaged: bool = False
    """Whether a stored secret does not open, which has nothing to do with the provider."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The request left and no usable reply came: the provider may have acted."""

    reason: str


READY_SECONDS = 60.0
"""How long a client is kept with its opened secret: a destroyed key ends what it opened within a minute."""
MOST_READY = 1024

_Build = Callable[[OAuthClient], Request]
Outcome = TokenGrant | TokenRefusal | Unsent | Lost


class ClientFactory:
    """Makes ProviderClients. The one place where connection, vault, dialect and outbound meet."""

    def __init__(self, vault: Vault, outbound: Outbound, clock: Clock, base_url: str) -> None:
        self._vault, self._outbound, self._clock, self._base_url = vault, outbound, clock, base_url
        self._ready: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], _Ready] = {}

    async def client_for(
        self, effective: Effective, client: Client | None, values: Mapping[str, str] | None = None
    ) -> "ProviderClient":
        """Return a client for the operator's (or organization's) OAuth client. `values` fill the entry's templates.

        Raises Invalid if a template value is missing or unfit, CannotOpen if the secret was tampered with. A client
        made for the very same records and values is handed out again for READY_SECONDS.
        """
        at = effective.connection
        key = (at.environment_id, at.id, client.id if client else "", tuple((values or {}).items()))
        ready = self._ready.get(key)
        now = self._clock.now()
        if ready is not None and ready.effective is effective and ready.client is client and now < ready.until:
            return ready.made
        made = await self._new_client(effective, client, values)
        if len(self._ready) >= MOST_READY:
            self._ready.clear()
        self._ready[key] = _Ready(effective, client, now + READY_SECONDS, made)
        return made

    async def _new_client(
        self, effective: Effective, client: Client | None, values: Mapping[str, str] | None
    ) -> "ProviderClient":
        dialect = resolve_dialect(effective.provider, {**effective.config, **(values or {})})
        secret = former = None
        if client is not None and client.secret is not None:
            place = client.secret_place(client.secret_version)
            secret = await self._vault.open_fresh(client.secret, place)
            if client.former_secret is not None:
                place = client.secret_place(client.secret_version - 1)
                former = await self._vault.open_fresh(client.former_secret, place)
        return self._make(effective, dialect, client.client_id if client else "", secret, former, values or {})

    def client_of_account(
        self,
        effective: Effective,
        client_id: str,
        secret: Secret | None,
        values: Mapping[str, str] | None = None,
    ) -> "ProviderClient":
        """Return a client that uses an account's own client credentials (or none, for an API key)."""
        dialect = (
            resolve_dialect(effective.provider, {**effective.config, **(values or {})})
            if effective.provider.oauth2 is not None
            else Dialect()
        )
        return self._make(effective, dialect, client_id, secret, None, values or {})

    def _make(
        self,
        effective: Effective,
        dialect: Dialect,
        client_id: str,
        secret: Secret | None,
        former: Secret | None,
        values: Mapping[str, str],
    ) -> "ProviderClient":
        return ProviderClient(
            effective=effective,
            dialect=dialect,
            oauth=_oauth_client(dialect, client_id, secret),
            former=None if former is None else _oauth_client(dialect, client_id, former),
            redirect_uri=redirect_uri(self._base_url, effective.connection),
            values={**effective.config, **values},
            outbound=self._outbound,
            clock=self._clock,
        )


@dataclass(frozen=True, slots=True)
class _Ready:
    """A client, and the records it was made of: equal ones that were read anew may differ by tomorrow."""

    effective: Effective
    client: Client | None
    until: float
    made: "ProviderClient"


def _oauth_client(dialect: Dialect, client_id: str, secret: Secret | None) -> OAuthClient:
    if dialect.client_auth == "private_key_jwt":
        return OAuthClient(client_id, None, private_key=secret)
    return OAuthClient(client_id, secret)


@dataclass(frozen=True, kw_only=True)
class ProviderClient:
    effective: Effective
    dialect: Dialect
    oauth: OAuthClient
    former: OAuthClient | None
    redirect_uri: str
    values: Mapping[str, str]
    outbound: Outbound
    clock: Clock

    def authorization_url(self, *, state: str, code_challenge: str | None) -> str:
        """Return where to send the user. Holds no secret: state is opaque, the verifier stays here."""
        stand_in = self.dialect.redirect_uri_is
        return authorization_url(
            self.dialect,
            client_id=self.oauth.client_id,
            redirect_uri=self.redirect_uri,
            scopes=self.effective.scopes,
            state=state,
            code_challenge=None if self.dialect.pkce == "omit" else code_challenge,
            redirect_value=self.values.get(stand_in) if stand_in else None,
        )

    def read_callback(self, params: Sequence[tuple[str, str]]) -> CallbackCode | CallbackDenied | CallbackForged:
        """Judge the provider's redirect back: issuer, signature, code or error."""
        return read_callback(self.dialect, params, client_secret=self.oauth.client_secret, values=self.values)

    async def exchange_code(self, code: Secret, verifier: Secret | None) -> Outcome:
        """Exchange the code, and the token again where the provider has a second, longer-lived kind. `verifier`: None
        where the authorization request had no challenge."""
        now = self.clock.now()
        outcome = await self._try_secrets(
            lambda client: code_request(
                self.dialect, client, code=code, redirect_uri=self.redirect_uri, code_verifier=verifier, now=now
            ),
            known=(code, *((verifier,) if verifier else ())),
        )
        if isinstance(outcome, TokenGrant) and self.dialect.second_exchange is not None:
            return await self._second_exchange(outcome)
        return outcome

    async def refresh(
        self, refresh_token: Secret | None, access_token: Secret | None, scopes: Sequence[str]
    ) -> Outcome:
        """Ask for a new pair, once. Never repeats after the request was sent, except with the former secret after the
        provider has refused the new one: a client that failed to authenticate has used up nothing."""
        now = self.clock.now()
        return await self._try_secrets(
            lambda client: refresh_request(
                self.dialect,
                client,
                refresh_token=refresh_token,
                access_token=access_token,
                scopes=scopes,
                now=now,
            ),
            known=tuple(secret for secret in (refresh_token, access_token) if secret),
            facts=False,
        )

    async def mint(self) -> Outcome:
        """Ask for an access token by client credentials (RFC 6749 section 4.4)."""
        now = self.clock.now()
        return await self._try_secrets(
            lambda client: client_credentials_request(self.dialect, client, scopes=self.effective.scopes, now=now),
            known=(),
        )

    async def introspect(self, access_token: Secret) -> float | Lost | None:
        """Ask when this token ends (RFC 7662); None where the answer does not say, Lost where there is none of use:
        the endpoint is in trouble. With the former secret too, where the new one is refused.

        Raises Misconfigured, as every request does that cannot be made.
        """
        outcome: float | Lost | None = None
        for client in (self.oauth, self.former):
            if client is None:
                continue
            now = self.clock.now()
            request = introspection_request(self.dialect, client, token=access_token, now=now)
            try:
                reply = await self.outbound.send(request)
            except (NotSent, ReplyLost) as error:
                return Lost(scrub(str(error), access_token, client.client_secret, client.private_key))
            if reply.status == 429 or reply.status >= 500:
                return Lost(f"the provider answered {reply.status} to an introspection")
            outcome = read_introspection(reply, now=now)
            if reply.status != 401:
                break
        return outcome

    async def identify(self, grant: TokenGrant, callback: Mapping[str, str]) -> "ProviderIdentity | Lost | None":
        """Return who this is at the provider; None where the entry does not say how, Lost where asking failed."""
        identity = self.effective.provider.identity
        if identity is None:
            return None
        if identity.source == "token_response":
            return read_identity(identity, grant.document)
        if identity.source == "callback":
            return read_identity(identity, callback)
        if identity.call is None:
            return None
        document = await self._document(identity.call, grant.access_token, grant.kept)
        if isinstance(document, Lost):
            return document
        return read_identity(identity, document) or Lost("the provider's answer names nobody")

    async def sites(self, token: Secret, kept: Mapping[str, str]) -> tuple[dict[str, str], ...] | Lost:
        """Ask which sites (tenants, accounts) the token is good for, each with the values that choosing it sets. Empty
        where the entry knows no such question. A value outside its pattern is left out with its site."""
        discover = self.effective.provider.discover
        if discover is None:
            return ()
        try:
            document = await self._document(discover.call, token, kept)
        except Invalid as error:  # the question itself needs a value that is not there
            return Lost(error.message)
        if isinstance(document, Lost):
            return document
        patterns = self.dialect.keep_pattern
        return tuple(
            site
            for site in read_sites(discover, document)
            if all(re.fullmatch(patterns.get(name, r"(?s:.*)"), value) for name, value in site.items())
        )

    async def probe(self, api_key: Secret) -> Reply | Lost | None:
        """Try an API key against the entry's harmless call; None where there is none."""
        probe = self.effective.provider.probe
        if probe is None:
            return None
        return await self._call(probe, api_key, {})

    async def _second_exchange(self, first: TokenGrant) -> Outcome:
        request = second_exchange_request(
            self.dialect, self.oauth, access_token=first.access_token, now=self.clock.now()
        )
        second = await self._send_token_request(request, self.oauth, (first.access_token,))
        if isinstance(second, TokenGrant):
            return replace(
                second,
                refresh_token=second.refresh_token or first.refresh_token,
                scopes=second.scopes if second.scopes is not None else first.scopes,
                kept={**first.kept, **second.kept},
            )
        return second

    async def _try_secrets(self, build: _Build, known: tuple[Secret, ...], *, facts: bool = True) -> Outcome:
        outcome = await self._send_token_request(build(self.oauth), self.oauth, known, facts=facts)
        refused = isinstance(outcome, TokenRefusal) and outcome.kind == "misconfigured"
        if refused and self.former is not None:
            return await self._send_token_request(build(self.former), self.former, known, facts=facts)
        return outcome

    async def _send_token_request(
        self, request: Request, client: OAuthClient, known: tuple[Secret, ...], *, facts: bool = True
    ) -> Outcome:
        secrets = tuple(secret for secret in (client.client_secret, client.private_key, *known) if secret)
        try:
            reply = await self.outbound.send(request)
        except NotSent as error:
            return Unsent(scrub(str(error), *secrets))
        except ReplyLost as error:
            return Lost(scrub(str(error), *secrets))
        return parse_token_reply(
            self.dialect,
            reply,
            now=self.clock.now(),
            requested_scopes=self.effective.scopes,
            dead=self.effective.provider.dead,
            known=secrets,
            facts=facts,
        )

    async def _document(self, call: Call, token: Secret, kept: Mapping[str, str]) -> object | Lost:
        reply = await self._call(call, token, kept)
        if isinstance(reply, Lost):
            return reply
        try:
            document = msgspec.json.decode(reply.body)
        except msgspec.DecodeError:
            document = None
        if reply.status // 100 != 2 or not isinstance(document, dict | list):
            return Lost(f"the provider answered {reply.status} to {call.method} of {urlsplit(call.url).path}")
        return document

    async def _call(self, call: Call, token: Secret, kept: Mapping[str, str]) -> Reply | Lost:
        request = calls.build(
            call,
            values=settle(self.effective.provider, {**self.values, **kept}),
            token=token,
            client_id=self.oauth.client_id or None,
            client_secret=self.oauth.client_secret,
        )
        try:
            return await self.outbound.send(request)
        except (NotSent, ReplyLost) as error:
            return Lost(scrub(str(error), token, self.oauth.client_secret))

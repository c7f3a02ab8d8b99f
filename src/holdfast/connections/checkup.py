"""Checking a connection without a user: what the provider says to a code that is none, and to a browser that asks.

Nobody's consent is used up, and nothing is followed away from the two endpoints. Where a provider answers with a page
to sign in on, it has not said yet what it thinks of the request: then the check says that it cannot tell.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import parse_qs, unquote_plus, urljoin, urlsplit

from holdfast.connections.connection import Client, Connection, Effective
from holdfast.connections.provider_client import ClientFactory, Lost, Outcome, ProviderClient, Unsent
from holdfast.errors import HoldfastError
from holdfast.http import Reply, Request
from holdfast.ids import opaque
from holdfast.oauth2.pkce import new_verifier, s256
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.outbound import NotSent, ReplyLost
from holdfast.providers.entry import Provider
from holdfast.secret import Secret

Finding = Literal["good", "bad", "unknown"]
OFFLINE_SCOPES = frozenset({"offline", "offline_access", "offline.access"})
"""The names under which providers hand out refresh tokens for a scope (OpenID Connect Core section 11, and kin)."""
MOST_READ = 20_000
"""Characters of a page that are looked through for what it says."""

_REDIRECT = re.compile(r"redirect[\s_-]*ur[il]s?", re.IGNORECASE)
_WRONG = re.compile(
    r"mismatch|invalid|not (?:match|registered|allowed|valid|associated|whitelisted|configured)|did not match"
    r"|doesn.t match|does not match|unregistered|unknown|incorrect|must match",
    re.IGNORECASE,
)
_CLIENT = re.compile(r"client(?:[\s_-]*(?:id|secret|credential|auth))?|application|\bapp\b", re.IGNORECASE)
_CODE = re.compile(r"code|grant", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, in words, and what to do ("" where nothing is to be done)."""

    name: str
    finding: Finding
    words: str
    advice: str = ""


class CheckUp:
    def __init__(self, factory: ClientFactory) -> None:
        self._factory = factory

    async def run(self, effective: Effective, client: Client | None) -> list[Check]:
        """Look at everything that can be looked at. Never raises for what a provider does."""
        connection, provider = effective.connection, effective.provider
        if connection.method != "oauth":
            return [
                Check("Credentials", "unknown", "Each account brings its own; it is tried when its owner enters it.")
            ]
        scopes = scope_checks(provider, connection, effective.scopes)
        if client is None:
            return [_without_client(connection), *scopes]
        try:
            asking = await self._factory.client_for(effective, client)
            verifier = None if asking.dialect.pkce == "omit" else new_verifier()
            challenge = None if verifier is None else s256(verifier)
            url = asking.authorization_url(state=opaque(22), code_challenge=challenge)
        except HoldfastError as error:
            return [Check("Endpoints", "unknown", f"They depend on each account's settings: {error.message}"), *scopes]
        asked, told = await asyncio.gather(self._token_endpoint(asking, verifier), self._consent_page(asking, url))
        return [judge_client(provider, client, *asked), judge_redirect(asking.redirect_uri, told), *scopes]

    async def _token_endpoint(self, asking: ProviderClient, verifier: Secret | None) -> tuple[Outcome, Outcome | None]:
        """Return what a code that is none is answered: with the secret there is, then with the former if that fails."""
        code = Secret("holdfast-check-" + opaque(16))
        alone = replace(asking, former=None)
        first = await alone.exchange_code(code, verifier)
        if asking.former is None or not _is_refused_client(first):
            return first, None
        return first, await replace(alone, oauth=asking.former).exchange_code(code, verifier)

    async def _consent_page(self, asking: ProviderClient, url: str) -> "Reply | str":
        """Return the first answer to a browser, or why there is none."""
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en"}
        try:
            return await asking.outbound.send(Request("GET", url, headers))
        except (NotSent, ReplyLost) as error:
            return error.message


def judge_client(provider: Provider, client: Client, outcome: Outcome, former: Outcome | None = None) -> Check:
    """Judge client id and secret by what the token endpoint says to a code that is none (RFC 6749 section 5.2)."""
    name, who = "Client id and secret", provider.name
    match outcome:
        case Unsent(reason):
            return Check(
                "Token endpoint",
                "bad",
                f"It cannot be reached: {reason}",
                "Check that this server may reach the internet; for a custom provider, check its token endpoint.",
            )
        case Lost(reason):
            return Check(name, "unknown", f"{who} gave no usable answer: {reason}", "Try again in a while.")
        case TokenGrant():
            return Check(name, "unknown", f"{who} gave a token for a code that we made up. Is this a test server?")
        case TokenRefusal(kind="dead_grant"):
            return _accepted(who)
        case TokenRefusal() if _is_refused_client(outcome):
            what = f"{who} refuses them: {_said(outcome)}"
            if former is not None and not _is_refused_client(former):
                return Check(
                    name,
                    "bad",
                    f"{what}. The former secret still works, so accounts go on for now.",
                    "Copy the new secret once more, or finish making it at the provider.",
                )
            missing = "" if client.secret is not None else " No client secret is kept here."
            return Check(
                name,
                "bad",
                what + "." + missing,
                "Copy both again from your app at the provider: the id whole, the secret without spaces around it.",
            )
        case TokenRefusal(error=error) if _REDIRECT.search(error):
            return Check(name, "good", f"{who} knows the client, and objects to the redirect URI: {_said(outcome)}.")
        case TokenRefusal(kind="refused", error=error) if _CODE.search(error):
            return _accepted(who)
        case TokenRefusal(kind="throttled" | "transient"):
            return Check(name, "unknown", f"{who} cannot be asked just now: {_said(outcome)}.", "Try again in a while.")
        case TokenRefusal():
            return Check(name, "unknown", f"{who} answered {_said(outcome)}, which tells nothing of the client.")
    raise AssertionError("unreachable")


def judge_redirect(redirect_uri: str, told: "Reply | str") -> Check:
    """Judge the redirect URI by the consent page's first answer; it is not followed (RFC 6749 section 4.1.2.1)."""
    name = "Redirect URI"
    if isinstance(told, str):
        return Check(
            "Consent page",
            "bad",
            f"It cannot be reached: {told}",
            "Check that this server may reach the internet; for a custom provider, check its consent page.",
        )
    register = f"Register exactly this at the provider, to the letter: {redirect_uri}"
    location = urljoin(redirect_uri, told.headers.get("location", "")) if 300 <= told.status < 400 else ""
    if location and _same_place(location, redirect_uri):
        return _sent_back(name, location)
    said = _words(told, location)
    near = _sentence_of(said, _REDIRECT)
    if near and _WRONG.search(near):
        return Check(name, "bad", f"The provider does not take it ({told.status}).", register)
    if 400 <= told.status < 500:
        about = _sentence_of(said, _CLIENT)
        if about and _WRONG.search(about):
            return Check(
                "Consent page",
                "bad",
                f"The provider does not know the client id ({told.status}).",
                "Copy it again from your app at the provider.",
            )
        return Check(
            name, "unknown", f"The provider refuses the request ({told.status}) and does not say why.", register
        )
    if told.status >= 500:
        return Check(
            "Consent page", "unknown", f"The provider fails just now ({told.status}).", "Try again in a while."
        )
    return Check(
        name,
        "unknown",
        "The provider asks to sign in before it looks at it, so this cannot be told from here.",
        register,
    )


def scope_checks(provider: Provider, connection: Connection, scopes: Sequence[str]) -> list[Check]:
    """Judge the scopes by what is known of the provider: offline access, and what has to be there."""
    dialect = provider.oauth2
    if dialect is None:
        return []
    checks = [_offline(provider, scopes)]
    left_out = [scope for scope in connection.required_scopes if scope not in scopes]
    if dialect.scopes_required and not scopes:
        checks.append(
            Check("Scopes", "bad", f"{provider.name} refuses a request without scopes.", "Ask for one at least.")
        )
    elif left_out and not dialect.scopes_fixed_by_app:
        checks.append(
            Check(
                "Scopes",
                "bad",
                f"Required, and not asked for: {', '.join(left_out)}. Every account would need connecting again.",
                "Ask for them, or require them no longer.",
            )
        )
    elif dialect.scopes_fixed_by_app:
        checks.append(Check("Scopes", "unknown", f"Your app's settings at {provider.name} decide them."))
    else:
        checks.append(Check("Scopes", "good", "Every scope that is required is asked for."))
    return checks


def _offline(provider: Provider, scopes: Sequence[str]) -> Check:
    name, dialect = "Offline access", provider.oauth2
    needed = {*provider.scope_help, *(dialect.scopes if dialect else ())} & OFFLINE_SCOPES
    sent = {
        key: value for key, value in (dialect.authorize_params if dialect else {}).items() if "offline" in value.lower()
    }
    if provider.lifetime.access == "never":
        return Check(name, "good", "Its tokens do not end, so nothing needs renewing.")
    if needed and not needed & set(scopes):
        scope = min(needed)
        return Check(
            name,
            "bad",
            f"Without the scope {scope}, {provider.name} gives nothing to renew a token with: accounts end in hours.",
            f"Ask for {scope}.",
        )
    if needed:
        return Check(name, "good", f"{min(needed)} is asked for, so tokens can be renewed.")
    if sent:
        shown = ", ".join(f"{key}={value}" for key, value in sent.items())
        return Check(name, "good", f"{shown} is sent, so tokens can be renewed.")
    if provider.lifetime.rotation is not None or provider.lifetime.refresh_idle or provider.lifetime.refresh_absolute:
        return Check(name, "good", f"{provider.name} gives what to renew a token with, without being asked.")
    return Check(name, "unknown", "What it takes is not known of this provider; the first account will tell.")


def _without_client(connection: Connection) -> Check:
    if connection.client_supply == "organization":
        return Check("Client id and secret", "unknown", "Each organization supplies its own.")
    return Check("Client id and secret", "bad", "There are none.", "Enter what your app at the provider shows.")


def _accepted(who: str) -> Check:
    return Check("Client id and secret", "good", f"{who} knows them: it refused the made-up code, and not the client.")


def _is_refused_client(outcome: Outcome) -> bool:
    if not isinstance(outcome, TokenRefusal):
        return False
    if outcome.kind == "misconfigured":
        return True
    return outcome.kind == "refused" and bool(re.search(r"client|secret|credential", outcome.error, re.IGNORECASE))


def _said(refusal: TokenRefusal) -> str:
    words = refusal.description.rstrip(".")
    return f"{refusal.error} ({words})" if words and words != refusal.error else refusal.error or words


def _sent_back(name: str, location: str) -> Check:
    answer = parse_qs(urlsplit(location).query) | parse_qs(urlsplit(location).fragment)
    error = answer.get("error", [""])[0][:80]
    words = answer.get("error_description", [""])[0][:200]
    if error in ("", "login_required", "interaction_required", "consent_required", "access_denied"):
        return Check(name, "good", "The provider takes it: it sent the browser back there.")
    what = f"{error} ({words})" if words else error
    if error == "invalid_scope":
        return Check(
            "Scopes", "bad", f"The redirect URI is taken; the scopes are not: {what}", "Ask for what the app may ask."
        )
    return Check("Consent page", "bad", f"The redirect URI is taken, and the request refused: {what}")


def _same_place(location: str, redirect_uri: str) -> bool:
    there, ours = urlsplit(location), urlsplit(redirect_uri)
    return (there.scheme, there.netloc, there.path) == (ours.scheme, ours.netloc, ours.path)


def _words(told: Reply, location: str) -> str:
    """Return what a page says, its markup taken out; of a redirect, what its address says."""
    if location:
        query = urlsplit(location).query
        # Our own redirect_uri comes along in most of these addresses and says nothing.
        return unquote_plus(re.sub(r"redirect_uri=[^&]*", "", query))[:MOST_READ]
    text = told.body[: 4 * MOST_READ].decode("utf-8", "replace")
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return re.sub(r"<[^>]*>|\s+", " ", text)[:MOST_READ]


def _sentence_of(words: str, subject: re.Pattern[str]) -> str:
    """Return what stands around the first mention of a subject."""
    found = subject.search(words)
    return "" if found is None else words[max(0, found.start() - 80) : found.end() + 80]

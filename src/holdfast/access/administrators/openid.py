"""Asking an OpenID Connect issuer who somebody is: authorization code with PKCE, `state` and `nonce`.

Nothing is kept while somebody is away at the issuer: their browser holds a `binding` that only this installation can
have made, and state, nonce and code verifier are derived from it with the installation's key. So an answer counts only
in the browser that asked (RFC 9700 section 4.7), and only once: its state is spent before anything is sent for it.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

import msgspec
import structlog
from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access.administrators import store
from holdfast.access.administrators.administrator import Role
from holdfast.access.administrators.id_token import (
    Key,
    KeyUnknown,
    TokenRefused,
    check_claims,
    read_keys,
    signed_claims,
)
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.http import Request
from holdfast.oauth2 import (
    CallbackCode,
    CallbackDenied,
    Client,
    Dialect,
    Metadata,
    TokenGrant,
    apply_metadata,
    authorization_url,
    code_request,
    metadata_urls,
    parse_token_reply,
    read_callback,
    read_metadata,
    s256,
)
from holdfast.outbound import Outbound
from holdfast.secret import Secret
from holdfast.storage import Database
from holdfast.vault import Vault

_log = structlog.get_logger("holdfast.openid")

CALLBACK_PATH = "/dashboard/sign-in/callback"
SCOPES = ("openid", "email", "profile")
LIFETIME = 600
"""Seconds to come back from the issuer in; a person who has to find their second factor takes minutes."""
_KNOWN_FOR = 3600.0
_ASK_AGAIN = 30.0
"""Seconds between two looks at the issuer's keys for a signature that fits none: a made-up one must not cost a request
each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuer that the operator has named, and our registration there."""

    url: str
    """Character by character as the issuer's metadata and ID tokens have it."""
    client_id: str
    client_secret: Secret = field(repr=False)
    name: str = ""
    """For the button. "" = the host of `url`."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Domain of a verified e-mail address: the role that whoever has one gets without an invitation."""

    @property
    def shown(self) -> str:
        return self.name or urlsplit(self.url).hostname or self.url


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the issuer has named. `email` is "" unless the issuer says that it is verified."""

    subject: str
    """`issuer subject`: unique, and never another person's."""
    email: str
    claimed_email: str
    """As the issuer has it, verified or not: to be told, never to be believed."""
    name: str


@dataclass(frozen=True, slots=True)
class Begun:
    url: str = field(repr=False)
    binding: Secret


@dataclass(frozen=True, slots=True)
class _Known:
    metadata: Metadata
    keys: tuple[Key, ...]
    at: float


class OpenId:
    def __init__(
        self,
        issuer: Issuer,
        outbound: Outbound,
        database: Database,
        vault: Vault,
        clock: Clock,
        *,
        base_url: str,
        allow_http: bool,
    ) -> None:
        self.issuer = issuer
        self._outbound, self._database, self._vault, self._clock = outbound, database, vault, clock
        self._redirect_uri, self._allow_http = base_url + CALLBACK_PATH, allow_http
        self._known: _Known | None = None
        self._asking = asyncio.Lock()

    async def begin(self, back: str) -> Begun:
        """Return where to send a browser and what to bind it with; `back` is where it wants to go in the end.

        Raises Unavailable when the issuer does not answer, Invalid for metadata that cannot be trusted.
        """
        known = await self._issuers()
        binding = self._bind(int(self._clock.now()) + LIFETIME, ids.opaque(), back)
        url = authorization_url(
            self._dialect(known),
            client_id=self.issuer.client_id,
            redirect_uri=self._redirect_uri,
            scopes=SCOPES,
            state=self._derived("state", binding),
            code_challenge=s256(self._derived("verifier", binding)),
            extra={"nonce": self._derived("nonce", binding)},
        )
        return Begun(url, Secret(binding))

    def back(self, binding: str) -> str:
        """Return where the sign-in of a binding was to lead; "" if it is none of ours."""
        ends, _, where = self._read(binding)
        return where if ends else ""

    def is_bound(self, params: Sequence[tuple[str, str]], binding: str) -> bool:
        """Tell whether an answer belongs to the sign-in that this browser began, and that is not over."""
        ends, _, _ = self._read(binding)
        said = [value for name, value in params if name == "state"]
        expected = self._derived("state", binding)
        return ends > self._clock.now() and len(said) == 1 and hmac.compare_digest(said[0].encode(), expected.encode())

    async def finish(self, params: Sequence[tuple[str, str]], binding: str) -> Identity:
        """Return whom the issuer names. `is_bound` must have said yes. Each answer counts once.

        Raises Refused for an answer that was used, is a refusal, or is not the issuer's; Unavailable.
        """
        await self._spend(binding)
        known = await self._issuers()
        secret = self.issuer.client_secret
        match read_callback(self._dialect(known), params, client_secret=secret, values={}):
            case CallbackCode(code=code):
                return await self._identify(known, code, binding)
            case CallbackDenied(error=error, description=words):
                told = f": {words}" if words else ""
                raise Refused(f"{self.issuer.shown} did not let you in ({error}){told}", code="issuer_refused")
            case forged:
                raise Refused(f"this is no answer of {self.issuer.shown}: {forged.reason}", code="answer_forged")

    async def _identify(self, known: _Known, code: Secret, binding: str) -> Identity:
        dialect, now = self._dialect(known), self._clock.now()
        client = Client(self.issuer.client_id, self.issuer.client_secret)
        verifier = Secret(self._derived("verifier", binding))
        request = code_request(
            dialect, client, code=code, redirect_uri=self._redirect_uri, code_verifier=verifier, now=now
        )
        reply = await self._outbound.send(request)
        grant = parse_token_reply(
            dialect, reply, now=now, requested_scopes=SCOPES, known=[code, verifier, self.issuer.client_secret]
        )
        if not isinstance(grant, TokenGrant):
            _log.warning("openid_code_refused", error=grant.error, description=grant.description, status=grant.status)
            if grant.kind in ("transient", "throttled"):
                raise Unavailable(f"{self.issuer.shown} does not answer as it should just now: try again")
            raise Refused(f"{self.issuer.shown} did not confirm the sign-in ({grant.error})", code="issuer_refused")
        if grant.id_token is None:
            raise TokenRefused(f"{self.issuer.shown} sent no ID token")
        claims = await self._claims(known, grant.id_token.reveal())
        nonce = self._derived("nonce", binding)
        check_claims(claims, issuer=self.issuer.url, client_id=self.issuer.client_id, nonce=nonce, now=now)
        return _identity(self.issuer.url, {**await self._more(known, claims, grant), **claims})

    async def _claims(self, known: _Known, token: str) -> Mapping[str, object]:
        try:
            return signed_claims(token, known.keys)
        except KeyUnknown:
            if self._clock.now() < known.at + _ASK_AGAIN:
                raise
            return signed_claims(token, (await self._issuers(newer_than=known.at)).keys)

    async def _more(self, known: _Known, claims: Mapping[str, object], grant: TokenGrant) -> Mapping[str, object]:
        """Return the claims that an issuer gives at its userinfo endpoint only (OpenID Connect Core section 5.4)."""
        where = known.metadata.userinfo_endpoint
        if "email" in claims or where is None:
            return {}
        headers = {"Authorization": f"Bearer {grant.access_token.reveal()}", "Accept": "application/json"}
        reply = await self._outbound.send(Request("GET", where, headers))
        try:
            told = msgspec.json.decode(reply.body) if reply.status == 200 else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = None
        # Section 5.3.2: another subject's answer must not be used.
        return told if isinstance(told, dict) and told.get("sub") == claims.get("sub") else {}

    async def _issuers(self, newer_than: float = -1.0) -> _Known:
        """Return the issuer's metadata and keys, asking for them at most once at a time."""
        async with self._asking:
            known, now = self._known, self._clock.now()
            if known is not None and known.at > newer_than and now < known.at + _KNOWN_FOR:
                return known
            try:
                self._known = await self._ask(now)
            except HoldfastError as error:
                _log.warning("openid_issuer_unusable", issuer=self.issuer.url, error=error.code, detail=error.message)
                raise Unavailable(
                    f"{self.issuer.shown} cannot be asked just now: {error.message.rstrip('.')}", code="issuer_unusable"
                ) from None
            return self._known

    async def _ask(self, now: float) -> _Known:
        found = await self._outbound.fetch(Request("GET", metadata_urls(self.issuer.url)[-1]))
        metadata = read_metadata(found, issuer=self.issuer.url, allow_http=self._allow_http)
        if metadata.authorization_endpoint is None or metadata.token_endpoint is None or metadata.jwks_uri is None:
            raise Unavailable("its metadata names no authorization endpoint, no token endpoint or no keys")
        reply = await self._outbound.fetch(Request("GET", metadata.jwks_uri))
        try:
            keys = read_keys(msgspec.json.decode(reply.body) if reply.status == 200 else None)
        except (msgspec.DecodeError, UnicodeDecodeError):
            keys = ()
        if not keys:
            raise Unavailable("it publishes no key that a signature could be checked with")
        return _Known(metadata, keys, now)

    def _dialect(self, known: _Known) -> Dialect:
        return apply_metadata(Dialect(issuer=self.issuer.url, iss="checked", pkce="required"), known.metadata)

    async def _spend(self, binding: str) -> None:
        ends, state = self._read(binding)[0], self._derived("spent", binding)
        try:
            await self._database.transact(lambda tx: store.spend_state(tx, state, ends, self._clock.now()))
        except IntegrityError:
            raise Refused("this sign-in was finished before: begin again", code="state_spent") from None

    def _bind(self, ends: int, text: str, back: str) -> str:
        body = f"{ends}.{text}.{quote(back, safe='')}"
        return f"{self._derived('binding', body)}.{body}"

    def _read(self, binding: str) -> tuple[float, str, str]:
        """Return when a binding ends, its random part and where it leads; 0 and nothing if it is none of ours."""
        if len(binding) > 2000:
            return 0.0, "", ""
        proof, _, body = binding.partition(".")
        if not hmac.compare_digest(proof.encode(), self._derived("binding", body).encode()):
            return 0.0, "", ""
        ends, text, back = body.split(".", 2)
        return float(ends), text, unquote(back)

    def _derived(self, what: str, text: str) -> str:
        return self._vault.lookup_hash(f"administrator_openid_{what}", text)


def _identity(issuer: str, claims: Mapping[str, object]) -> Identity:
    email, name = claims.get("email"), claims.get("name")
    # Not printable: also what no database takes, a zero byte and half a surrogate pair, both of which JSON can write.
    claimed = email.strip().lower()[:320] if isinstance(email, str) and email.strip().isprintable() else ""
    called = " ".join(name.split())[:100] if isinstance(name, str) else ""
    # Some issuers write the boolean as a string: https://docs.aws.amazon.com/cognito/latest/developerguide/userinfo-endpoint.html
    verified = claims.get("email_verified") in (True, "true")
    return Identity(
        subject=f"{issuer} {claims['sub']}",
        email=claimed if verified else "",
        claimed_email=claimed,
        name=called if called.isprintable() else "",
    )

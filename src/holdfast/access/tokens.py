"""Access tokens of clients: RS256 JWTs that end by themselves, and the keys that sign them.

A signing key signs for 30 days, then the next one is made; a former one is published until the last token it can have
signed is dead. A token is believed by its signature, and counts only while its client is in force.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from holdfast import ids
from holdfast.access import store
from holdfast.access.keys import LONGEST_TOKEN, MOST_MET, Keys
from holdfast.access.principal import ApiKey, Principal
from holdfast.access.signing_key import SIGNS_FOR, SigningKey, signing_place
from holdfast.clock import Clock
from holdfast.errors import Unauthenticated
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import Vault

TOKEN_SECONDS = 86_399
"""What the hosted service gives; its SDKs never look, and sign in again when they are told UNAUTHENTICATED."""
LONGEST_JWT = 4096
_TYPE = "at+jwt"
"""RFC 9068: so that no other JWT which these keys sign passes for an access token."""
_REGISTRY = jws.JWSRegistry(algorithms=["RS256"])
_SKEW = 60.0
_UNKNOWN_SECONDS = 5.0
"""How long a key id that does not exist is remembered as such: a made-up one must not cost a query each time."""


class AccessTokens:
    def __init__(self, database: Database, vault: Vault, clock: Clock, keys: Keys, *, issuer: str) -> None:
        self._database, self._vault, self._clock, self._keys = database, vault, clock, keys
        self._issuer = issuer
        self._signers: dict[str, tuple[SigningKey, RSAKey]] = {}
        self._public: OrderedDict[str, tuple[str, RSAKey] | float] = OrderedDict()
        self._met: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._making = asyncio.Lock()

    async def issue(self, client: ApiKey, client_id: str) -> tuple[Secret, int]:
        """Return a token for a client that has just shown its secret, and its life in seconds."""
        now = self._clock.now()
        record, private = await self._signer(client.environment_id, now)
        claims = {
            "iss": self._issuer,
            "sub": client_id,
            "client_id": client_id,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + TOKEN_SECONDS,
            "jti": ids.new_id(now),
            "scope": "openid",
        }
        header = {"alg": "RS256", "typ": _TYPE, "kid": record.id}
        return Secret(jwt.encode(header, claims, private, registry=_REGISTRY)), TOKEN_SECONDS

    async def sign(self, environment_id: str, payload: bytes, kind: str) -> Secret:
        """Return `payload` signed as a JWT of another kind: its `typ`, without which it would pass for one of ours."""
        record, private = await self._signer(environment_id, self._clock.now())
        header = {"alg": "RS256", "typ": kind, "kid": record.id}
        return Secret(jws.serialize_compact(header, payload, private, registry=_REGISTRY))

    async def read(self, token: str, kind: str) -> tuple[str, Mapping[str, Any]] | None:
        """Return the environment whose key signed a JWT of that kind, and its claims, none of them checked; or None."""
        if len(token) > LONGEST_JWT or token.count(".") != 2:
            return None
        try:
            header = jws.extract_compact(token.encode()).headers()
            key_id = header.get("kid")
            if header.get("typ") != kind or not isinstance(key_id, str) or not ids.is_id(key_id):
                return None
            known = await self._public_key(key_id)
            if known is None:
                return None
            environment_id, key = known
            return environment_id, jwt.decode(token, key, registry=_REGISTRY).claims
        except (JoseError, ValueError, KeyError, TypeError):
            return None

    def recall(self, token: str) -> Principal | None:
        """Return whom this token or API key stood for when it was last checked, without asking the database.

        It may have been revoked since: only for what checks `key_id` itself, in the transaction it acts in.
        """
        if len(token) <= LONGEST_TOKEN:
            return self._keys.recall(token)
        met = self._met.get(self._hash(token)) if len(token) <= LONGEST_JWT else None
        return met[0] if met is not None and met[1] > self._clock.now() else None

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of an access token or of an API key. Raises Unauthenticated; a revoked client's token
        stops with it."""
        if len(token) <= LONGEST_TOKEN:
            return await self._keys.authenticate(token)
        believed = self.recall(token) or await self._verify(token)
        where, key_id = believed.environment_id, believed.key_id
        client = await self._database.transact(lambda tx: store.key_by_id(tx, where, key_id))
        if client is None or client.revoked_at is not None or client.kind != "client":
            self._met.pop(self._hash(token), None)
            raise Unauthenticated("the access token's client was revoked")
        await self._vault.ready(where)
        return believed

    async def jwks(self) -> dict[str, Any]:
        """Return the JSON Web Key Set of every key whose tokens can be alive (RFC 7517 section 5)."""
        since = self._clock.now() - TOKEN_SECONDS - _SKEW
        found = await self._database.transact(lambda tx: store.list_signing_keys(tx, signed_until=since))
        return {"keys": [dict(key.public) for key in found]}

    async def rotate(self, environment_id: str, actor: Actor) -> SigningKey:
        """Make a new key that signs from now on. Tokens of the former ones live until they end; other processes go on
        signing with theirs until it is 30 days old."""
        record, private = await self._make(environment_id, self._clock.now(), actor)
        self._signers[environment_id] = record, private
        return record

    async def _verify(self, token: str) -> Principal:
        refused = Unauthenticated("the access token is not valid, or has ended: ask for a new one at /oauth/token")
        found = await self.read(token, _TYPE)
        if found is None:
            raise refused
        environment_id, claims = found
        now, ends, subject = self._clock.now(), claims.get("exp"), claims.get("sub")
        client = ids.without_prefix(CLIENT_PREFIX, subject) if isinstance(subject, str) else None
        if claims.get("iss") != self._issuer or not isinstance(ends, int) or ends <= now or client is None:
            raise refused
        principal = Principal(environment_id, client, str(subject))
        self._met[self._hash(token)] = principal, float(ends)
        if len(self._met) > MOST_MET:
            self._met.popitem(last=False)
        return principal

    async def _public_key(self, key_id: str) -> tuple[str, RSAKey] | None:
        known = self._public.get(key_id)
        if isinstance(known, tuple):
            return known
        now = self._clock.now()
        if isinstance(known, float) and now - known < _UNKNOWN_SECONDS:
            return None
        found = await self._database.transact(lambda tx: store.signing_key(tx, key_id))
        entry = now if found is None else (found.environment_id, RSAKey.import_key(dict(found.public)))
        self._public[key_id] = entry
        if len(self._public) > MOST_MET:
            self._public.popitem(last=False)
        return entry if isinstance(entry, tuple) else None

    async def _signer(self, environment_id: str, now: float) -> tuple[SigningKey, RSAKey]:
        known = self._signers.get(environment_id)
        if known is not None and known[0].signs_at(now):
            return known
        async with self._making:
            known = self._signers.get(environment_id)
            if known is None or not known[0].signs_at(now):
                known = await self._stored(environment_id, now) or await self._make(environment_id, now)
                self._signers[environment_id] = known
        return known

    async def _stored(self, environment_id: str, now: float) -> tuple[SigningKey, RSAKey] | None:
        found = await self._database.transact(lambda tx: store.list_signing_keys(tx, signed_until=now))
        for key in found:
            if key.environment_id == environment_id:
                opened = await self._vault.open_fresh(key.private, key.place())
                return key, RSAKey.import_key(opened.reveal())
        return None

    async def _make(self, environment_id: str, now: float, actor: Actor | None = None) -> tuple[SigningKey, RSAKey]:
        await self._vault.ready(environment_id)
        key_id = ids.new_id(now)
        pem = await asyncio.to_thread(_new_pem)
        private = RSAKey.import_key(pem)
        public = {**private.as_dict(private=False), "kid": key_id, "use": "sig", "alg": "RS256"}
        sealed = self._vault.seal(Secret(pem), signing_place(environment_id, key_id))
        record = SigningKey(environment_id, key_id, sealed, public, now, now + SIGNS_FOR)
        made = Entry(
            environment_id=environment_id,
            id=ids.new_id(now),
            at=now,
            action=Action.SIGNING_KEY_CREATED,
            actor=actor or Actor.system(),
            data={"signing_key_id": key_id},
        )

        def work(tx: Connection) -> None:
            store.forget_signing_keys(tx, environment_id, signed_until=now - TOKEN_SECONDS - _SKEW)
            store.add_signing_key(tx, record)
            log.append(tx, made)

        await self._database.transact(work)
        return record, private

    def _hash(self, token: str) -> str:
        return self._vault.lookup_hash("access_token", token)


CLIENT_PREFIX = "skc"


def _new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

"""Making and believing the tokens of widget sessions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast import ids
from holdfast.access import store
from holdfast.access.tokens import LONGEST_JWT, AccessTokens
from holdfast.access.widgets.session import WidgetSession
from holdfast.clock import Clock
from holdfast.errors import Invalid, Refused
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault

SESSION_SECONDS = 3600
"""What the hosted service gives; its widgets ask for a new one half a minute before."""
_TYPE = "holdfast-widget+jwt"
_AUDIENCE = "holdfast:widgets"
# A browser decodes the payload with atob, which knows no base64url: these alone could lead to a `-` or `_` in it.
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in ">?~\x7f"}
MOST_CLAIMS = LONGEST_JWT * 3 // 4 - 700
"""Bytes of payload beside which the header and a 2048-bit signature still fit into the longest JWT that is read."""


class NotThisSession(Refused):
    """The token is wrong, has ended, or its key was revoked. Widgets ask their app for a new one on a 403."""

    default_code = "widget_session_invalid"


class WidgetTokens:
    def __init__(self, database: Database, vault: Vault, clock: Clock, tokens: AccessTokens, *, issuer: str) -> None:
        self._database, self._vault, self._clock, self._tokens = database, vault, clock, tokens
        self._issuer = issuer

    async def issue(
        self,
        environment_id: str,
        key_id: str,
        user_id: str,
        *,
        organization_id: str | None = None,
        connections: Sequence[str] | None = None,
        permissions: Sequence[str] = (),
        request_id: str = "",
    ) -> Secret:
        """Return the token of a new session of an hour. Does not check that the user is a member of the organization.

        Raises Invalid if so many connections are named that the token would be too long to be read.
        """
        now = self._clock.now()
        session_id = ids.new_id(now)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": _AUDIENCE,
            "sub": user_id,
            "sid": session_id,
            "key": key_id,
            "iat": int(now),
            "exp": int(now) + SESSION_SECONDS,
            "permissions": list(permissions),
        }
        if organization_id is not None:
            claims["org_id"] = organization_id
        if connections is not None:
            claims["connections"] = sorted(set(connections))
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=True).translate(_ESCAPED).encode("ascii")
        if len(payload) > MOST_CLAIMS:
            raise Invalid("these are more connections than a widget token can name: leave them out for all")
        await self._vault.ready(environment_id)
        token = await self._tokens.sign(environment_id, payload, _TYPE)
        made = Entry(
            environment_id=environment_id,
            id=ids.new_id(now),
            at=now,
            action=Action.WIDGET_SESSION_CREATED,
            actor=Actor("api_key", key_id),
            user_id=user_id,
            organization_id=organization_id or "",
            request_id=request_id,
            data={"session_id": session_id, "connections": claims.get("connections"), "permissions": list(permissions)},
        )
        await self._database.transact(lambda tx: log.append(tx, made))
        return token

    async def authenticate(self, token: str) -> WidgetSession:
        """Return the session of a token. Raises NotThisSession: for one that has ended too, and for other tokens."""
        refused = NotThisSession("this session has ended, or is not valid: reload the page")
        found = await self._tokens.read(token, _TYPE)
        session = None if found is None else self._session(*found)
        if session is None or session.ends_at <= self._clock.now():
            raise refused

        def in_force(tx: Tx) -> bool:
            key = store.key_by_id(tx, session.environment_id, session.key_id)
            return key is not None and key.revoked_at is None

        if not await self._database.transact(in_force):
            raise refused
        await self._vault.ready(session.environment_id)
        return session

    def now(self) -> float:
        return self._clock.now()

    def proof(self, purpose: str, text: str) -> str:
        """Return what only this deployment can have made of `text`: 256 bits, hexadecimal."""
        return self._vault.lookup_hash(f"widget_{purpose}", text)

    def _session(self, environment_id: str, claims: Mapping[str, Any]) -> WidgetSession | None:
        if claims.get("iss") != self._issuer or claims.get("aud") != _AUDIENCE:
            return None
        try:
            named = claims.get("connections")
            return WidgetSession(
                environment_id=environment_id,
                id=claims["sid"],
                key_id=claims["key"],
                user_id=claims["sub"],
                organization_id=claims.get("org_id"),
                connections=None if named is None else frozenset(named),
                permissions=tuple(claims["permissions"]),
                ends_at=float(claims["exp"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

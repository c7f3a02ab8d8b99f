"""Signing in and out: a password or an OpenID Connect subject becomes a session, a session becomes a person."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, replace

from holdfast import ids
from holdfast.access.administrators import store
from holdfast.access.administrators.administrator import Administrator, Session, wait_after
from holdfast.access.administrators.people import Administrators
from holdfast.clock import Clock
from holdfast.config import Proxies
from holdfast.errors import Refused, TooMany, Unauthenticated
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import Vault

LONGEST_SESSION = 12 * 3600.0
IDLE_END = 2 * 3600.0
_TOUCH_EVERY = 60.0
_TRIES_PER_ADDRESS, _ADDRESS_WINDOW, _MOST_ADDRESSES = 30, 300.0, 10_000


def session_cookie(*, secure: bool) -> str:
    """Return the name of the cookie that holds a session, on every page here. `secure`: pages are https."""
    return "__Host-holdfast-admin" if secure else "holdfast-admin"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A request's administrator and session; `csrf` goes into every form of theirs."""

    administrator: Administrator
    session: Session
    csrf: str


class SigningIn:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, people: Administrators, proxies: Proxies = ()
    ) -> None:
        """`proxies`: who is believed when they say for whom they speak."""
        self._database, self._vault, self._clock, self._people = database, vault, clock, people
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._decoy = ""
        self._proxies = proxies

    async def with_password(self, email: str, password: str, address: str) -> Secret:
        """Return a new session's token. Raises Unauthenticated without saying which part was wrong, TooMany."""
        self.count(address)
        email, now = email.strip().lower(), self._clock.now()
        person = await self._database.transact(lambda tx: store.by_email(tx, email))
        if person is not None and person.wait_until is not None and person.wait_until > now:
            raise TooMany("too many wrong passwords: wait a little", retry_after=person.wait_until - now)
        hashed = person.password if person is not None else None
        # An unknown address takes as long as a known one: it is compared with a hash that nobody's password has.
        self._decoy = self._decoy or await self._people.hash_password(ids.opaque())
        fits = await self._people.password_fits(hashed or self._decoy, password[:512])
        if person is None or hashed is None or not fits:
            if person is not None:
                await self._database.transact(lambda tx: self._failed(tx, person.id, now))
            raise Unauthenticated("the e-mail address or the password is not right")
        if person.disabled_at is not None:
            await self.refused("password", "disabled", person)
            raise Refused("your access was switched off: ask an owner")
        return await self.admit(person, "password")

    async def refused(self, by: str, why: str, person: Administrator | None = None, email: str = "") -> None:
        """Put a refused sign-in on record: by which way, and the stable code of why."""
        await self._database.transact(lambda tx: self._record_refusal(tx, by, why, person, email))

    def _record_refusal(self, tx: Connection, by: str, why: str, person: Administrator | None, email: str) -> None:
        now = self._clock.now()
        log.append(
            tx,
            Entry(
                environment_id=store.SYSTEM,
                id=ids.new_id(now),
                at=now,
                action=Action.ADMINISTRATOR_REFUSED,
                actor=person.actor() if person is not None else Actor.system(),
                data={"by": by, "why": why, "email": person.email if person is not None else email},
            ),
        )

    async def admit(self, person: Administrator, by: str) -> Secret:
        """Start a session for somebody who has proved who they are."""
        now, text = self._clock.now(), ids.opaque()
        session = Session(
            id=ids.new_id(now),
            administrator_id=person.id,
            hash=self._vault.lookup_hash("administrator_session", text),
            created_at=now,
            seen_at=now,
            ends_at=now + LONGEST_SESSION,
        )

        def work(tx: Connection) -> None:
            store.forget_ended(tx, now)
            fresh = store.get(tx, person.id, lock=True)
            if fresh is None or fresh.disabled_at is not None:
                raise Refused("your access was switched off: ask an owner")
            store.save(tx, replace(fresh, failures=0, wait_until=None))
            store.add_session(tx, session)
            log.append(
                tx,
                Entry(
                    environment_id=store.SYSTEM,
                    id=ids.new_id(now),
                    at=now,
                    action=Action.ADMINISTRATOR_SIGNED_IN,
                    actor=person.actor(),
                    data={"by": by},
                ),
            )

        await self._database.transact(work)
        return Secret(text)

    async def who(self, token: str) -> SignedIn | None:
        """Return whose session this is; None when it is unknown, over, idle for too long, or its owner disabled."""
        if not token or len(token) > 100:
            return None
        hashed, now = self._vault.lookup_hash("administrator_session", token), self._clock.now()

        def work(tx: Connection) -> tuple[Session, Administrator] | None:
            session = store.session_by_hash(tx, hashed)
            if session is None or session.ends_at < now or session.seen_at + IDLE_END < now:
                return None
            person = store.get(tx, session.administrator_id)
            if person is None or person.disabled_at is not None:
                return None
            if session.seen_at + _TOUCH_EVERY < now:
                store.touch_session(tx, session.id, now)
            return session, person

        found = await self._database.transact(work)
        return None if found is None else SignedIn(found[1], found[0], self.csrf(token))

    async def out(self, session: Session) -> None:
        await self._database.transact(lambda tx: store.end_session(tx, session.id))

    def csrf(self, token: str) -> str:
        """Return the value that a form of this session must bring along."""
        return self._vault.lookup_hash("administrator_form", token)

    def _failed(self, tx: Connection, administrator_id: str, now: float) -> None:
        person = store.get(tx, administrator_id, lock=True)
        if person is not None:
            failures = person.failures + 1
            wait = wait_after(failures)
            store.save(tx, replace(person, failures=failures, wait_until=now + wait if wait else None))
            # Of a known address only, whose growing wait bounds the entries: strangers could fill the log with others.
            self._record_refusal(tx, "password", "wrong_password", person, "")

    def count(self, address: str) -> None:
        """Bound the tries from one address. Not from a proxy's, behind which everybody is: whoever tried often enough
        would keep all others out. An account's own wait stands either way."""
        if _is_proxy(address, self._proxies):
            return
        now = self._clock.now()
        tries, since = self._tries.pop(address, (0, now))
        if now - since > _ADDRESS_WINDOW:
            tries, since = 0, now
        self._tries[address] = (tries + 1, since)
        if len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)
        if tries >= _TRIES_PER_ADDRESS:
            raise TooMany(
                "too many tries from your address: wait a little", retry_after=_ADDRESS_WINDOW - (now - since)
            )


def _is_proxy(address: str, known: Proxies) -> bool:
    """Where no proxies are named, any address of a private network may be one's."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in known) if known else ip.is_private

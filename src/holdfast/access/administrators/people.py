"""Making, inviting, changing and disabling administrators."""

import asyncio
from dataclasses import replace
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access.administrators import store
from holdfast.access.administrators.administrator import (
    Administrator,
    Invitation,
    Right,
    Role,
    check_password,
    checked_email,
    checked_name,
    may,
    refused,
)
from holdfast.clock import Clock
from holdfast.errors import Conflict, NotFound, Refused
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import Vault

INVITATION_LIFETIME = 72 * 3600.0
FIRST_LIFETIME = 24 * 3600.0
_AT_ONCE = 2
"""Password hashes worked out at one time: each takes 64 MiB and a core."""


class Administrators:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self.hasher = PasswordHasher()  # argon2id, RFC 9106's second recommendation: 64 MiB, 3 passes
        self._hashing = asyncio.Semaphore(_AT_ONCE)

    async def hash_password(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self.hasher.hash, password)

    async def password_fits(self, hashed: str, password: str) -> bool:
        """Compare in a thread, as it is meant to be slow."""

        def work() -> bool:
            try:
                return self.hasher.verify(hashed, password)
            except Exception:
                return False

        async with self._hashing:
            return await asyncio.to_thread(work)

    async def first_link(self) -> Secret | None:
        """Return the token of a fresh one-time link for the first administrator; None once there is one."""
        if not await self._database.transact(store.is_empty):
            return None
        return (await self._invite("", Role.OWNER, FIRST_LIFETIME, Actor("operator")))[1]

    async def invite(self, email: str, role: Role, by: Administrator | None) -> tuple[Invitation, Secret]:
        """Make a one-time link for a new administrator, or for one who needs a new password.

        `by` None = an operator at the command line. Raises Refused for a role above the inviter's rights.
        """
        email = checked_email(email)
        existing = await self._database.transact(lambda tx: store.by_email(tx, email))
        if by is not None:
            for one in await self._database.transact(store.open_invitations):
                if one.email == email:  # it would be replaced
                    _check_rank(by, one.role)
            if existing is not None:
                _check_rank(by, existing.role)
            _check_rank(by, role)
        role = existing.role if existing is not None else role
        return await self._invite(email, role, INVITATION_LIFETIME, by.actor() if by else Actor("operator"))

    async def _invite(self, email: str, role: Role, lifetime: float, actor: Actor) -> tuple[Invitation, Secret]:
        now, text = self._clock.now(), ids.opaque()
        new = Invitation(
            id=ids.new_id(now),
            hash=self._vault.lookup_hash("administrator_link", text),
            email=email,
            role=role,
            ends_at=now + lifetime,
        )

        def work(tx: Connection) -> None:
            store.forget_ended(tx, now)
            store.drop_invitations(tx, email)
            store.add_invitation(tx, new)
            log.append(tx, entry_of(Action.ADMINISTRATOR_INVITED, actor, now, {"email": email, "role": role.value}))

        await self._database.transact(work)
        return new, Secret(text)

    async def invitation(self, token: str) -> Invitation:
        """Look at a link without using it. Raises NotFound when it is unknown, used or over."""
        hashed = self._vault.lookup_hash("administrator_link", token)
        found = await self._database.transact(lambda tx: store.invitation_by_hash(tx, hashed))
        if found is None or found.ends_at < self._clock.now():
            raise _link_over()
        return found

    async def accept(self, token: str, *, email: str, name: str, password: str) -> Administrator:
        """Use a link: make the administrator, or give an existing one the new password (ending their sessions).

        Raises Unprocessable (with the field) before the link is used up, NotFound for a link that is over.
        """
        invitation = await self.invitation(token)
        email = invitation.email or checked_email(email)
        name = checked_name(name)
        check_password(password, email)
        hashed = await self.hash_password(password)
        now = self._clock.now()

        def work(tx: Connection) -> Administrator:
            if store.take_invitation(tx, invitation.hash) is None or (not invitation.email and not store.is_empty(tx)):
                raise _link_over()
            existing = store.by_email(tx, email, lock=True)
            if existing is not None and existing.role is not invitation.role:
                raise _link_over()  # it was made for who they were then
            if existing is not None:
                # The link was made for them by somebody who may: the password is theirs anew, the role stays.
                person = replace(existing, password=hashed, failures=0, wait_until=None)
                store.save(tx, person)
                store.end_sessions_of(tx, person.id)
                action = Action.ADMINISTRATOR_CHANGED
            else:
                person = Administrator(
                    id=ids.new_id(now),
                    email=email,
                    name=name,
                    role=invitation.role,
                    created_at=now,
                    password=hashed,
                )
                store.add(tx, person)
                action = Action.ADMINISTRATOR_CREATED
            log.append(tx, entry_of(action, person.actor(), now, facts_of(person)))
            return person

        try:
            return await self._database.transact(work)
        except IntegrityError:
            raise Conflict("somebody with this e-mail address was added at the same moment") from None

    async def change_role(self, administrator_id: str, role: Role, by: Administrator) -> Administrator:
        """Give another role. Raises Refused above one's own rights, Conflict for the last owner."""

        def work(tx: Connection) -> Administrator:
            person = self._theirs(tx, administrator_id, by)
            _check_rank(by, role)
            if person.role is Role.OWNER and role is not Role.OWNER:
                _check_not_last_owner(tx, person)
            changed = replace(person, role=role)
            store.save(tx, changed)
            log.append(tx, entry_of(Action.ADMINISTRATOR_CHANGED, by.actor(), self._clock.now(), facts_of(changed)))
            return changed

        return await self._database.transact(work)

    async def set_disabled(self, administrator_id: str, disabled: bool, by: Administrator) -> Administrator:
        """Disable, ending every session at once; or let in again."""

        def work(tx: Connection) -> Administrator:
            person = self._theirs(tx, administrator_id, by)
            now = self._clock.now()
            if disabled:
                if person.role is Role.OWNER:
                    _check_not_last_owner(tx, person)
                store.end_sessions_of(tx, person.id)
            changed = replace(person, disabled_at=now if disabled else None)
            store.save(tx, changed)
            action = Action.ADMINISTRATOR_DISABLED if disabled else Action.ADMINISTRATOR_CHANGED
            log.append(tx, entry_of(action, by.actor(), now, facts_of(changed)))
            return changed

        return await self._database.transact(work)

    async def change_password(self, person: Administrator, old: str, new: str, keep_session: str) -> None:
        """Choose another password; every other session ends. Raises Unprocessable with the field."""
        current = await self._database.transact(lambda tx: store.get(tx, person.id))
        if current is None or current.password is None or not await self.password_fits(current.password, old):
            raise refused("old_password", "this is not your present password")
        check_password(new, person.email)
        hashed = await self.hash_password(new)

        def work(tx: Connection) -> None:
            fresh = store.get(tx, person.id, lock=True)
            if fresh is None:
                raise NotFound("this administrator is gone")
            session = store.session_by_hash(tx, keep_session)
            store.save(tx, replace(fresh, password=hashed, failures=0, wait_until=None))
            store.end_sessions_of(tx, person.id)
            if session is not None:
                store.add_session(tx, session)
            log.append(tx, entry_of(Action.ADMINISTRATOR_CHANGED, person.actor(), self._clock.now(), facts_of(fresh)))

        await self._database.transact(work)

    async def withdraw(self, invitation_id: str, by: Administrator) -> bool:
        """Take an invitation back. False if it is gone. Raises Refused for one above one's own rights."""

        def work(tx: Connection) -> bool:
            found = next((one for one in store.open_invitations(tx) if one.id == invitation_id), None)
            if found is None:
                return False
            _check_rank(by, found.role)
            facts = {"email": found.email, "role": found.role.value, "withdrawn": True}
            log.append(tx, entry_of(Action.ADMINISTRATOR_INVITED, by.actor(), self._clock.now(), facts))
            return store.drop_invitation(tx, invitation_id)

        return await self._database.transact(work)

    def _theirs(self, tx: Connection, administrator_id: str, by: Administrator) -> Administrator:
        person = next((one for one in store.everyone(tx, lock=True) if one.id == administrator_id), None)
        if person is None:
            raise NotFound("there is no such administrator")
        _check_rank(by, person.role)
        return person


def _check_rank(by: Administrator, role: Role) -> None:
    """Only owners make, change or unmake owners."""
    if not may(by.role, Right.OWN if role is Role.OWNER else Right.PEOPLE):
        raise Refused(f"your role ({by.role}) does not let you do that for an {role}")


def _check_not_last_owner(tx: Connection, person: Administrator) -> None:
    others = [
        one for one in store.everyone(tx) if one.role is Role.OWNER and one.disabled_at is None and one.id != person.id
    ]
    if not others:
        raise Conflict("this is the last owner: make another one first")


def _link_over() -> NotFound:
    return NotFound("this link was used, or its time is over: ask for a new one", code="link_over")


def facts_of(person: Administrator) -> dict[str, Any]:
    return {
        "administrator_id": person.id,
        "email": person.email,
        "role": person.role.value,
        "disabled": person.disabled_at is not None,
    }


def entry_of(action: Action, actor: Actor, now: float, data: dict[str, Any]) -> Entry:
    return Entry(environment_id=store.SYSTEM, id=ids.new_id(now), at=now, action=action, actor=actor, data=data)

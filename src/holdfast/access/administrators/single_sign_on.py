"""From an issuer's answer to a session: who is let in, and what is written down when somebody is not.

Let in are, in this order: whoever has come before with the same subject; an administrator with the same verified
e-mail address, whom the subject is then pinned to; who is invited at that address; who has a verified address of a
domain that the operator has given a role. Nobody else, and nobody by an address that the issuer has not verified.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access.administrators import store
from holdfast.access.administrators.administrator import Administrator, Role, checked_email
from holdfast.access.administrators.openid import Begun, Identity, OpenId
from holdfast.access.administrators.people import entry_of, facts_of
from holdfast.access.administrators.signing_in import SigningIn
from holdfast.clock import Clock
from holdfast.errors import Conflict, HoldfastError, Invalid, Refused
from holdfast.events import Action
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database


class SingleSignOn:
    def __init__(self, openid: OpenId, database: Database, clock: Clock, signing_in: SigningIn) -> None:
        self._openid, self._database, self._clock, self._signing_in = openid, database, clock, signing_in

    @property
    def name(self) -> str:
        """What the button says after "Sign in with"."""
        return self._openid.issuer.shown

    async def begin(self, back: str, address: str) -> Begun:
        """Return where to send the browser. Raises TooMany, Unavailable."""
        self._signing_in.count(address)
        return await self._openid.begin(back)

    async def finish(self, params: Sequence[tuple[str, str]], binding: str, address: str) -> tuple[Secret, str]:
        """Return a new session's token and where the sign-in was to lead ("" = nowhere).

        Raises TooMany, Refused; it is on record if the answer was one to a sign-in that this browser began. Anybody can
        send others, as many as they like: those are not.
        """
        self._signing_in.count(address)
        if not binding or not self._openid.is_bound(params, binding):
            raise Refused(
                "this sign-in was begun in another browser or window, or too long ago: begin again", code="not_bound"
            )
        email = ""
        try:
            identity = await self._openid.finish(params, binding)
            email = identity.claimed_email
            person = await self._person(identity)
            return await self._signing_in.admit(person, "single sign-on"), self._openid.back(binding)
        except HoldfastError as error:
            await self._signing_in.refused("single sign-on", error.code, email=email)
            raise

    async def _person(self, identity: Identity) -> Administrator:
        roles, now = self._openid.issuer.roles, self._clock.now()
        try:
            return await self._database.transact(lambda tx: admitted(tx, identity, roles, now))
        except IntegrityError:
            raise Conflict("you signed in twice at the same moment: try again") from None


def admitted(tx: Connection, identity: Identity, roles: Mapping[str, Role], now: float) -> Administrator:
    """Return the administrator that an identity is, made or pinned if need be. Raises Refused."""
    known = store.by_subject(tx, identity.subject)
    if known is not None:
        return known
    email = _verified(identity)
    person = store.by_email(tx, email, lock=True)
    if person is not None:
        return _pinned(tx, person, identity, now)
    invitation = next((one for one in store.open_invitations(tx) if one.email == email and one.ends_at >= now), None)
    role = invitation.role if invitation is not None else roles.get(email.rpartition("@")[2])
    # By its domain nobody becomes the first: an installation whose only administrator is no owner has none.
    if role is None or (invitation is None and store.is_empty(tx)):
        raise Refused(f"there is no access for {email}: ask an owner to invite you", code="not_invited")
    store.drop_invitations(tx, email)
    new = Administrator(
        id=ids.new_id(now),
        email=email,
        name=identity.name or email.partition("@")[0],
        role=role,
        created_at=now,
        subject=identity.subject,
    )
    store.add(tx, new)
    log.append(tx, entry_of(Action.ADMINISTRATOR_CREATED, new.actor(), now, facts_of(new)))
    return new


def _verified(identity: Identity) -> str:
    if not identity.claimed_email:
        raise Refused("your sign-in names no e-mail address, and access is given by it", code="email_missing")
    if not identity.email:
        raise Refused("your e-mail address is not verified there: verify it first", code="email_unverified")
    try:
        return checked_email(identity.email)
    except Invalid as error:
        raise Refused(error.message, code=error.code) from None


def _pinned(tx: Connection, person: Administrator, identity: Identity, now: float) -> Administrator:
    if person.subject is not None:
        # The address was given to somebody else there, or there are two: an address is no person.
        raise Refused(f"{person.email} has signed in as another identity before: ask an owner", code="subject_mismatch")
    if person.disabled_at is not None:
        raise Refused("your access was switched off: ask an owner", code="disabled")
    changed = replace(person, subject=identity.subject)
    store.save(tx, changed)
    log.append(tx, entry_of(Action.ADMINISTRATOR_CHANGED, changed.actor(), now, facts_of(changed)))
    return changed

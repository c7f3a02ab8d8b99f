"""Asking, deciding, taking."""

import msgspec

from holdfast import ids
from holdfast.approvals import store
from holdfast.approvals.approval import (
    MOST_PENDING,
    PENDING_SECONDS,
    Approval,
    ApprovalDenied,
    ApprovalRequired,
    Call,
    NeedsApproval,
    Seen,
    State,
)
from holdfast.clock import Clock
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound, TooMany
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault


class Approvals:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database, self._vault, self._clock = database, vault, clock

    def take(self, tx: Tx, call: Call, held: str) -> str:
        """Take the approval of this very call, once, and return its id. Raises NeedsApproval if there is none.

        `held`: the approval that this request has taken before; the same call goes on under it, as where the provider
        has not made it because the token had ended."""
        at, fingerprint = call.environment_id, call.fingerprint
        if held and store.was_taken(tx, at, held, fingerprint, call.request_id):
            return held
        taken = store.take(tx, at, fingerprint, call.request_id, self._clock.now())
        if taken is None:
            raise NeedsApproval(call)
        return taken

    async def ask(self, call: Call) -> ApprovalRequired:
        """Put the call before whoever decides, if it is not there yet, and return what its caller is told.

        Raises TooMany while more of this connection wait than anybody looks through."""
        await self._vault.ready(call.environment_id)
        found = await self._database.transact(lambda tx: self._ask(tx, call))
        named = f"'{call.connection}' (approval {found.id})"
        if found.state is State.DENIED:
            return ApprovalDenied(f"an administrator has denied this call through {named}", found.id)
        if found.state is State.APPROVED:
            return ApprovalRequired(f"this call through {named} has just been approved: repeat it unchanged", found.id)
        return ApprovalRequired(
            f"this call through {named} waits for a person's approval (the dashboard's page Approvals, or `holdfast"
            " approvals`). Nothing was sent: repeat it unchanged once it is approved",
            found.id,
        )

    async def approve(self, environment_id: str, approval_id: str, by: Actor) -> Approval:
        """Let the call through, once, if it is repeated in time. Raises NotFound, Conflict, Refused."""
        return await self._database.transact(lambda tx: self._decide(tx, environment_id, approval_id, by, True))

    async def deny(self, environment_id: str, approval_id: str, by: Actor) -> Approval:
        """Refuse the call for the rest of its day. Raises as `approve`."""
        return await self._database.transact(lambda tx: self._decide(tx, environment_id, approval_id, by, False))

    async def pending(self, environment_id: str, *, limit: int = 1000, before: str | None = None) -> list[Approval]:
        """Return what waits for a decision, newest first; `before`: the id of the last one seen."""
        now = self._clock.now()
        return await self._database.transact(
            lambda tx: store.page(tx, environment_id, (State.PENDING,), limit=limit, before=before, ending_after=now)
        )

    async def decided(self, environment_id: str, *, limit: int) -> list[Approval]:
        """Return the newest about which somebody has decided, whatever came of it since."""
        states = (State.APPROVED, State.DENIED, State.TAKEN)
        return await self._database.transact(lambda tx: store.page(tx, environment_id, states, limit=limit))

    async def one(self, environment_id: str, approval_id: str) -> Approval:
        found = await self._database.transact(lambda tx: store.get(tx, environment_id, approval_id))
        if found is None:
            raise _unknown()
        return found

    async def seen(self, approval: Approval) -> Seen:
        """Return what the call holds. Raises CannotOpen."""
        await self._vault.ready(approval.environment_id)
        opened = await self._vault.open_fresh(approval.seen, approval.place)
        return msgspec.json.decode(opened.reveal(), type=Seen)

    def _ask(self, tx: Tx, call: Call) -> Approval:
        # Locked: of repeats at once one asks, and the count below is exact.
        connection = connection_store.by_id(tx, call.environment_id, call.connection_id, lock="update")
        if connection is None:
            raise NotFound(f"there is no connection '{call.connection}'")
        now = self._clock.now()
        found = store.live(tx, call.environment_id, call.fingerprint, now)
        if found is not None:
            return found
        waiting = store.count_pending(tx, call.environment_id, call.connection_id, now)
        if waiting >= MOST_PENDING:
            raise TooMany(
                f"{waiting} calls through '{call.connection}' wait for approval already, and no more are taken",
                code="too_many_approvals",
                retry_after=60.0,
            )
        new = self._new(call, now)
        store.add(tx, new)
        log.append(tx, _entry(new, Action.PROXY_APPROVAL_REQUESTED, call.actor, now))
        return new

    def _new(self, call: Call, now: float) -> Approval:
        approval_id = ids.new_id(now)
        text = Secret(msgspec.json.encode(call.seen()).decode())
        return Approval(
            environment_id=call.environment_id,
            id=approval_id,
            connection_id=call.connection_id,
            connection=call.connection,
            account_id=call.account_id,
            user_id=call.user_id,
            organization_id=call.organization_id,
            asked_by=call.actor,
            request_id=call.request_id,
            fingerprint=call.fingerprint,
            method=call.method[:32],
            host=call.host,
            shown_path=call.shown_path,
            content_type=call.content_type[:256],
            body_sha256=call.digest,
            body_length=len(call.body),
            seen=self._vault.seal(text, Approval.place_of(call.environment_id, approval_id)),
            created_at=now,
            expires_at=now + PENDING_SECONDS,
        )

    def _decide(self, tx: Tx, environment_id: str, approval_id: str, by: Actor, yes: bool) -> Approval:
        before, now = store.get(tx, environment_id, approval_id), self._clock.now()
        if before is None:
            raise _unknown()
        after = before.approved(by, now) if yes else before.denied(by, now)
        if not store.decide(tx, before, after):
            raise Conflict("somebody else has decided meanwhile, or the call was made", code="approval_decided")
        action = Action.PROXY_APPROVAL_GRANTED if yes else Action.PROXY_APPROVAL_DENIED
        log.append(tx, _entry(after, action, by, now))
        return after


def _unknown() -> NotFound:
    return NotFound("there is no such approval", code="approval_not_found")


def _entry(approval: Approval, action: Action, actor: Actor, now: float) -> Entry:
    """Return the entry. The path is as in the other entries of calls; the body's digest says which call it was."""
    return Entry(
        environment_id=approval.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        account_id=approval.account_id,
        connection_id=approval.connection_id,
        user_id=approval.user_id,
        organization_id=approval.organization_id,
        request_id=approval.request_id if action is Action.PROXY_APPROVAL_REQUESTED else "",
        data={
            "approval": approval.id,
            "connection": approval.connection,
            "method": approval.method,
            "host": approval.host,
            "path": approval.shown_path,
            "body_sha256": approval.body_sha256,
            "body_length": approval.body_length,
        },
    )

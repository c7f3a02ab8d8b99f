"""Changing an environment's settings."""

from dataclasses import replace

from msgspec import UNSET, UnsetType

from holdfast import ids
from holdfast.access import store
from holdfast.access.principal import CleanUpPolicy, Environment, UserVerification
from holdfast.clock import Clock
from holdfast.errors import Invalid, NotFound
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

LONGEST_DAYS = 3650
"""Ten years: beyond that, say never."""


async def change_environment(
    database: Database,
    clock: Clock,
    environment_id: str,
    actor: Actor,
    *,
    user_verification: UserVerification | UnsetType = UNSET,
    clean_up: CleanUpPolicy | UnsetType = UNSET,
) -> Environment:
    """Change what is given. Raises NotFound, or Invalid for days that are not 1 to 3650."""
    if not isinstance(clean_up, UnsetType):
        for days in (clean_up.unused_days, clean_up.expired_days):
            if days is not None and not 1 <= days <= LONGEST_DAYS:
                raise Invalid(f"days must be 1 to {LONGEST_DAYS}, or none for never")

    def work(tx: Tx) -> Environment:
        before = store.environment(tx, environment_id, lock=True)
        if before is None:
            raise NotFound("there is no such environment")
        after = replace(
            before,
            user_verification=before.user_verification
            if isinstance(user_verification, UnsetType)
            else user_verification,
            clean_up=before.clean_up if isinstance(clean_up, UnsetType) else clean_up,
        )
        store.save_environment(tx, after)
        now = clock.now()
        told = {
            "user_verification": after.user_verification,
            "unused_days": after.clean_up.unused_days,
            "expired_days": after.clean_up.expired_days,
        }
        log.append(
            tx,
            Entry(
                environment_id=environment_id,
                id=ids.new_id(now),
                at=now,
                action=Action.ENVIRONMENT_CHANGED,
                actor=actor,
                data=told,
            ),
        )
        return after

    return await database.transact(work)

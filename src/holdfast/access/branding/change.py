"""Changing an environment's branding."""

from dataclasses import asdict, replace

from msgspec import UNSET, UnsetType

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.branding import store
from holdfast.access.branding.branding import Branding
from holdfast.access.branding.logo import Logo
from holdfast.clock import Clock
from holdfast.errors import NotFound
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


async def change_branding(
    database: Database,
    clock: Clock,
    environment_id: str,
    actor: Actor,
    wanted: Branding,
    *,
    logo: Logo | None | UnsetType = UNSET,
) -> Branding:
    """Keep what `read_branding` returned; a logo takes the former's place, None takes it away. Raises NotFound."""

    def work(tx: Tx) -> Branding:
        if access_store.environment(tx, environment_id, lock=True) is None:
            raise NotFound("there is no such environment")
        if isinstance(logo, UnsetType):
            digest = store.branding_of(tx, environment_id).logo
        else:
            digest = logo.digest if logo is not None else ""
        after = replace(wanted, logo=digest)
        keep = isinstance(logo, UnsetType)
        store.save_branding(tx, environment_id, after, None if isinstance(logo, UnsetType) else logo, keep_logo=keep)
        now = clock.now()
        log.append(
            tx,
            Entry(
                environment_id=environment_id,
                id=ids.new_id(now),
                at=now,
                action=Action.ENVIRONMENT_CHANGED,
                actor=actor,
                data={"branding": asdict(after)},
            ),
        )
        return after

    return await database.transact(work)

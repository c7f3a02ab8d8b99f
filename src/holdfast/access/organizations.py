"""Making and deleting organizations."""

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import store
from holdfast.access.organization import Organization
from holdfast.clock import Clock
from holdfast.errors import Conflict
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.storage import Connection, Database


class Organizations:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def create(self, new: Organization, actor: Actor, request_id: str = "") -> Organization:
        """Record an organization. Raises Conflict `organization_exists` where its external id is another's."""

        def work(tx: Connection) -> None:
            store.add_organization(tx, new)
            log.append(tx, self._entry(new, Action.ORGANIZATION_CREATED, actor, request_id))

        try:
            await self._database.transact(work)
        except IntegrityError:
            raise Conflict(
                f"there is an organization with the external id '{new.external_id}' already", code="organization_exists"
            ) from None
        return new

    async def delete(self, found: Organization, actor: Actor, request_id: str = "") -> bool:
        """Forget an organization. Its accounts and memberships stay: they name it by id."""

        def work(tx: Connection) -> bool:
            gone = store.remove_organization(tx, found.environment_id, found.id)
            if gone:
                log.append(tx, self._entry(found, Action.ORGANIZATION_DELETED, actor, request_id))
            return gone

        return await self._database.transact(work)

    def _entry(self, about: Organization, action: Action, actor: Actor, request_id: str) -> Entry:
        now = self._clock.now()
        return Entry(
            environment_id=about.environment_id,
            id=ids.new_id(now),
            at=now,
            action=action,
            actor=actor,
            organization_id=ids.with_prefix("org", about.id),
            request_id=request_id,
            data={"display_name": about.display_name, "external_id": about.external_id},
        )

"""Organization memberships: who may act for whom. Recording the first one turns enforcement on."""

from dataclasses import dataclass, replace

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.membership import Membership, Status
from holdfast.accounts.removal import membership_entry
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import CreateMembership, MembershipsQuery, UpdateMembership
from holdfast.api.workos.naming import MEMBERSHIP, Cursor, bare
from holdfast.api.workos.outputs import OrganizationMembership, OrganizationMembershipList, Role, User
from holdfast.api.workos.parts import Parts
from holdfast.clock import iso
from holdfast.errors import NotFound, Unprocessable
from holdfast.events import store as log
from holdfast.storage import Connection as Tx

TAG = "Organization memberships"
_PATH = "/user_management/organization_memberships"
DEFAULT_ROLE = "member"


@dataclass(frozen=True)
class MembershipOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        one = _PATH + "/{id}"
        reply = OrganizationMembership
        return [
            Operation(
                method="GET",
                path=_PATH,
                id="list_organization_memberships",
                summary="List memberships",
                handler=self.page,
                query=MembershipsQuery,
                reply=OrganizationMembershipList,
                tag=TAG,
            ),
            Operation(
                method="POST",
                path=_PATH,
                id="create_organization_membership",
                summary="Record that a user is an active member of an organization",
                handler=self.create,
                body=CreateMembership,
                reply=reply,
                status=201,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="GET",
                path=one,
                id="get_organization_membership",
                summary="Get a membership",
                handler=self.get,
                reply=reply,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="PUT",
                path=one,
                id="update_organization_membership",
                summary="Change a member's role",
                handler=self.update,
                body=UpdateMembership,
                reply=reply,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path=one,
                id="delete_organization_membership",
                summary="End a membership; organization accounts the member established lose their credential",
                handler=self.delete,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="PUT",
                path=one + "/deactivate",
                id="deactivate_organization_membership",
                summary="Deactivate a membership",
                handler=self.deactivate,
                reply=reply,
                errors=(404,),
                tag=TAG,
            ),
            Operation(
                method="PUT",
                path=one + "/reactivate",
                id="reactivate_organization_membership",
                summary="Reactivate a membership",
                handler=self.reactivate,
                reply=reply,
                errors=(404,),
                tag=TAG,
            ),
        ]

    async def page(self, call: Call[MembershipsQuery, None]) -> OrganizationMembershipList:
        query = call.query
        if query.user_id is None and query.organization_id is None:
            raise Unprocessable("give user_id or organization_id", fields=[{"field": "user_id", "code": "required"}])
        cursor = Cursor(MEMBERSHIP, limit=query.limit, after=query.after, before=query.before, order=query.order)

        def work(tx: Tx) -> list[Membership]:
            return access_store.list_memberships(
                tx,
                call.environment_id,
                limit=cursor.limit + 1,
                after=cursor.after,
                before=cursor.before,
                newest_first=cursor.newest_first,
                user_id=query.user_id,
                organization_id=query.organization_id,
                statuses=tuple(query.statuses) or ("active",),
            )

        rows, metadata = cursor.page(await self.parts.database.transact(work), lambda item: item.id)
        return OrganizationMembershipList(data=[_render(row) for row in rows], list_metadata=metadata)

    async def create(self, call: Call[Nothing, CreateMembership]) -> OrganizationMembership:
        body = call.body

        def work(tx: Tx) -> Membership:
            now = self.parts.clock.now()
            before = access_store.membership_of(tx, call.environment_id, body.organization_id, body.user_id)
            if before is not None and not before.deleted and before.status == "active":
                raise Unprocessable("this user is an active member of this organization already")
            record = Membership(
                environment_id=call.environment_id,
                id=before.id if before else ids.new_id(now),
                user_id=body.user_id,
                organization_id=body.organization_id,
                role=_role(body) or (before.role if before else DEFAULT_ROLE),
                status="active",
                created_at=before.created_at if before else now,
                updated_at=now,
            )
            return self._save(tx, call, record)

        return _render(await self.parts.database.transact(work))

    async def get(self, call: Call[Nothing, None]) -> OrganizationMembership:
        return _render(await self.parts.database.transact(lambda tx: _find(tx, call)))

    async def update(self, call: Call[Nothing, UpdateMembership]) -> OrganizationMembership:
        def work(tx: Tx) -> Membership:
            before = _find(tx, call)
            return self._save(tx, call, _changed(before, role=_role(call.body), now=self.parts.clock.now()))

        return _render(await self.parts.database.transact(work))

    async def delete(self, call: Call[Nothing, None]) -> None:
        await self._end(call, delete=True)

    async def deactivate(self, call: Call[Nothing, None]) -> OrganizationMembership:
        return _render(await self._end(call, delete=False))

    async def reactivate(self, call: Call[Nothing, None]) -> OrganizationMembership:
        def work(tx: Tx) -> Membership:
            before = _find(tx, call)
            return self._save(tx, call, _changed(before, status="active", now=self.parts.clock.now()))

        return _render(await self.parts.database.transact(work))

    async def _end(self, call: Call[Nothing, None], *, delete: bool) -> Membership:
        membership_id = bare(MEMBERSHIP, call.path["id"], "organization membership")
        return await self.parts.removal.end_membership(
            call.environment_id, membership_id, delete=delete, actor=call.principal.actor()
        )

    def _save(self, tx: Tx, call: "Call[Nothing, object]", record: Membership) -> Membership:
        access_store.save_membership(tx, record)
        log.append(tx, membership_entry(record, call.principal.actor(), self.parts.clock.now()))
        return record


def _find(tx: Tx, call: "Call[Nothing, object]") -> Membership:
    membership_id = bare(MEMBERSHIP, call.path["id"], "organization membership")
    found = access_store.membership(tx, call.environment_id, membership_id)
    if found is None:
        raise NotFound("there is no such organization membership")
    return found


def _changed(before: Membership, *, now: float, role: str | None = None, status: Status | None = None) -> Membership:
    return replace(before, role=role or before.role, status=status or before.status, updated_at=now)


def _role(body: CreateMembership | UpdateMembership) -> str | None:
    return body.role_slug or (body.role_slugs[0] if body.role_slugs else None)


def _render(membership: Membership) -> OrganizationMembership:
    created, updated = iso(membership.created_at), iso(membership.updated_at)
    return OrganizationMembership(
        id=ids.with_prefix(MEMBERSHIP, membership.id),
        user_id=membership.user_id,
        organization_id=membership.organization_id,
        status=membership.status,
        role=Role(membership.role),
        roles=[Role(membership.role)],
        user=User(id=membership.user_id, created_at=created, updated_at=updated),
        created_at=created,
        updated_at=updated,
    )

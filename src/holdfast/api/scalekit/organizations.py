"""OrganizationService: the four calls of clients that make organizations before they connect anybody."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.organization import Organization
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.faults import Exists
from holdfast.api.scalekit.naming import ORGANIZATION, bare
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import timestamp
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.storage import Connection as Tx

DEFAULT_PAGE, MOST_ON_A_PAGE = 10, 100


@dataclass(frozen=True)
class OrganizationRpcs(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "OrganizationService.CreateOrganization": self.create,
            "OrganizationService.GetOrganization": self.get,
            "OrganizationService.GetOrganizationByExternalId": self.get,
            "OrganizationService.ListOrganization": self.list_all,
            "OrganizationService.DeleteOrganization": self.delete,
        }

    async def create(self, call: Call) -> Message:
        asked, now = call.request.organization, self.parts.clock.now()
        region = type(asked).DESCRIPTOR.fields_by_name["region_code"].enum_type.values_by_number.get(asked.region_code)
        new = Organization(
            environment_id=call.environment_id,
            id=ids.new_id(now),
            display_name=asked.display_name,
            external_id=asked.external_id or None,
            region=region.name if region is not None else "",
            slug=asked.slug or None,
            logo_url=asked.logo_url or None,
            metadata=dict(asked.metadata),
            created_at=now,
            updated_at=now,
        )
        try:
            made = await self.parts.organizations.create(new, call.actor(), call.request_id)
        except Conflict as error:
            raise Exists(error.message, code=error.code) from None
        return call.reply(organization=_shown(made))

    async def get(self, call: Call) -> Message:
        return call.reply(organization=_shown(await self._find(call)))

    async def list_all(self, call: Call) -> Message:
        request, pages = call.request, self.parts.pages
        external_id = call.given("external_id")
        size = min(request.page_size or DEFAULT_PAGE, MOST_ON_A_PAGE)
        start = pages.start(call, request.page_token, external_id or "")

        def work(tx: Tx) -> tuple[list[Organization], int]:
            found = access_store.list_organizations(
                tx,
                call.environment_id,
                limit=size + 1,
                after=start.after,
                before=start.before,
                external_id=external_id,
            )
            return found, access_store.count_organizations(tx, call.environment_id)

        found, total = await self.parts.database.transact(work)
        rows, more_after, more_before = start.cut(found, size)
        return call.reply(
            organizations=[_shown(row) for row in rows],
            total_size=total if external_id is None else len(rows),
            next_page_token=pages.after(call, rows[-1].id, external_id or "") if more_after else None,
            prev_page_token=pages.before(call, rows[0].id, external_id or "") if more_before else None,
        )

    async def delete(self, call: Call) -> Message:
        if not await self.parts.organizations.delete(await self._find(call), call.actor(), call.request_id):
            raise _none()
        return call.reply()

    async def _find(self, call: Call) -> Organization:
        given, external_id = call.given("id"), call.given("external_id")
        if given is None and external_id is None:
            needed = {"field": "id", "description": "is required", "code": "required"}
            raise Unprocessable("id or external_id is required", fields=[needed])
        organization_id = None if given is None else bare(ORGANIZATION, given, "organization")
        found = await self.parts.database.transact(
            lambda tx: access_store.organization(
                tx, call.environment_id, organization_id=organization_id, external_id=external_id
            )
        )
        if found is None:
            raise _none()
        return found


def _none() -> NotFound:
    return NotFound("there is no such organization", code="organization_not_found")


def _shown(found: Organization) -> Message:
    return message(
        "organizations.Organization",
        id=ids.with_prefix(ORGANIZATION, found.id),
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        display_name=found.display_name,
        region_code=found.region or None,
        external_id=found.external_id,
        metadata=dict(found.metadata),
        slug=found.slug,
        logo_url=found.logo_url,
    )

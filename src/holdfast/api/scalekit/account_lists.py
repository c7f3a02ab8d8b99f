"""ConnectedAccountService: pages of accounts, listed by filters or searched for. Never with credentials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.accounts import Account, Listing, Page
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.finding import Found
from holdfast.api.scalekit.naming import CONNECTION, bare, provider_key
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import listed_account
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.connections import Connection, Effective
from holdfast.connections import store as connection_store
from holdfast.storage import Connection as Tx

DEFAULT_PAGE = 10


@dataclass(frozen=True)
class AccountLists(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectedAccountService.ListConnectedAccounts": self.listed,
            "ConnectedAccountService.SearchConnectedAccounts": self.search,
        }

    async def listed(self, call: Call) -> Message:
        """Return a page, newest first. Filters add up; a connector that does not exist has no accounts."""
        asked = call.request
        names = set(asked.connection_names) or ({asked.connector} if asked.connector else None)
        wide = asked.is_org_wide_credential if asked.HasField("is_org_wide_credential") else None
        provider = provider_key(asked.provider) if asked.provider else None

        def fits(connection: Connection) -> bool:
            return (
                (names is None or connection.name in names)
                and (provider is None or provider_key(connection.provider_slug) == provider)
                and (wide is None or (connection.owner_kind == "organization") is wide)
            )

        some = None if names is None and provider is None and wide is None else fits
        which = Listing(
            connection_ids=None if some is None else await self._ids(call, some),
            user_id=call.given("identifier") or call.given("user_id"),
            organization_id=call.given("organization_id"),
            text=asked.query,
        )
        filters = [call.given(name) or "" for name in ("identifier", "user_id", "organization_id", "query")]
        shown = [*filters, str(wide), provider or "", *sorted(names or ())]
        return await self._page(call, which, asked.page_size or DEFAULT_PAGE, shown)

    async def search(self, call: Call) -> Message:
        """Return a page of accounts whose owner, label or name at the provider holds the query, in any case."""
        asked, given = call.request, call.given("connection_id")
        connection_id = bare(CONNECTION, given, "connection") if given else None
        which = Listing(connection_ids=[connection_id] if connection_id else None, text=asked.query)
        return await self._page(call, which, asked.page_size or DEFAULT_PAGE, [asked.query, given or ""])

    async def _ids(self, call: Call, fits: Callable[[Connection], bool]) -> list[str]:
        found = await self.parts.database.transact(lambda tx: connection_store.all_of(tx, call.environment_id))
        return [connection.id for connection in found if fits(connection)]

    async def _page(self, call: Call, which: Listing, size: int, filters: list[str]) -> Message:
        pages = self.parts.pages
        start = pages.start(call, call.request.page_token, *filters)
        page = await self.parts.bulk.page(
            call.environment_id, which, limit=size, after=start.after, before=start.before
        )
        rows = page.accounts
        return call.reply(
            connected_accounts=await self._rendered(call, page),
            total_size=page.total,
            next_page_token=pages.after(call, rows[-1].id, *filters) if rows and page.has_after else None,
            prev_page_token=pages.before(call, rows[0].id, *filters) if rows and page.has_before else None,
        )

    async def _rendered(self, call: Call, page: Page) -> list[Message]:
        def work(tx: Tx) -> list[Found]:
            by_id = {item.id: item for item in connection_store.all_of(tx, call.environment_id)}
            known: dict[tuple[str, str], Effective] = {}

            def effective(account: Account) -> Effective | None:
                place = account.connection_id, account.owner.organization_id
                connection = by_id.get(account.connection_id)
                if place not in known and connection is not None:
                    known[place] = self.parts.connections.effective(tx, connection, place[1])
                return known.get(place)

            found = [(account, effective(account)) for account in page.accounts]
            return [Found(account, where) for account, where in found if where is not None]  # else deleted just now

        found = await self.parts.database.transact(work)
        return [listed_account(item, page.last_uses.get(item.account.id)) for item in found]

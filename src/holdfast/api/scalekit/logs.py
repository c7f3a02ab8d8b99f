"""AgentkitLogsService: calls made with accounts' credentials, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast import ids
from holdfast.api.scalekit.call_filters import Filters, ends_in, spanned
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, bare, provider_key
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import timestamp
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.connections import store as connection_store
from holdfast.errors import NotFound
from holdfast.usage import Call as Made
from holdfast.usage import End, Found, Wanted, find, get

DEFAULT_PAGE, MOST_ON_A_PAGE = 20, 100
EXECUTION = "exec"
LOG = "tcl"


@dataclass(frozen=True)
class LogRpcs:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "AgentkitLogsService.ListToolCallLogs": self.list_logs,
            "AgentkitLogsService.GetToolCallLog": self.get_log,
        }

    async def list_logs(self, call: Call) -> Message:
        """List calls. One request looks at some thousands of the log's lines: where few match, a page may hold less
        than was asked for and still have a next one."""
        request, pages = call.request, self.parts.pages
        since, until = spanned(request)
        ends = ends_in(request.status)
        account = bare(ACCOUNT, request.connected_account_id, "account") if request.connected_account_id else None
        connection = bare(CONNECTION, request.connection_id, "connection") if request.connection_id else None
        filters = Filters(
            providers=tuple(request.provider),
            connection_name=request.connection_name or None,
            connection_id=connection,
            sources=tuple(request.source),
        )
        run = request.agent_run_id
        what = (*filters.words(), *sorted(request.status), str(since), str(until))
        what = (*what, account or "", request.identifier, run)
        start = pages.start(call, request.page_token, *what)
        if run or not filters.proxied():
            return call.reply()  # no run's calls are on record
        connections = await self.parts.database.transact(
            lambda tx: filters.connections(tx, call.environment_id, self.parts.provider_keys)
        )
        wanted = Wanted(
            since=since,
            until=until,
            ends=ends,
            connections=connections,
            account_id=account,
            identifier=request.identifier or None,
        )
        size = min(request.page_size or DEFAULT_PAGE, MOST_ON_A_PAGE)
        found = await find(
            self.parts.database, call.environment_id, wanted, size=size, after=start.after, before=start.before
        )
        return await self._page(call, found, what)

    async def _page(self, call: Call, found: Found, what: tuple[str, ...]) -> Message:
        pages, slugs = self.parts.pages, await self._slugs(call, found.calls)
        return call.reply(
            tool_call_logs=[_shown(made, slugs.get(made.connection_id, "")) for made in found.calls],
            total_size=len(found.calls) if found.after is None and found.before is None else None,
            next_page_token=pages.after(call, found.after, *what) if found.after else None,
            prev_page_token=pages.before(call, found.before, *what) if found.before else None,
        )

    async def get_log(self, call: Call) -> Message:
        made = await get(
            self.parts.database, call.environment_id, bare(EXECUTION, call.request.execution_id, "tool call")
        )
        if made is None:
            raise NotFound("there is no such tool call", code="tool_call_not_found")
        return _shown(made, (await self._slugs(call, [made])).get(made.connection_id, ""))

    async def _slugs(self, call: Call, calls: list[Made]) -> dict[str, str]:
        wanted = {made.connection_id for made in calls}
        found = await self.parts.database.transact(lambda tx: connection_store.those(tx, call.environment_id, wanted))
        return {one.id: one.provider_slug for one in found}


def _shown(made: Made, slug: str) -> Message:
    failed = made.ended.end is not End.SUCCESS
    return message(
        "agentkit_logs.ToolCallLog",
        id=ids.with_prefix(LOG, made.id),
        environment_id=ids.with_prefix("env", made.environment_id),
        execution_id=ids.with_prefix(EXECUTION, made.id),
        tool_name=made.name,
        provider=provider_key(slug),
        connected_account_id=ids.with_prefix(ACCOUNT, made.account_id) if made.account_id else None,
        connection_id=ids.with_prefix(CONNECTION, made.connection_id) if made.connection_id else None,
        connection_name=made.connection,
        identifier=made.user_id or made.organization_id,
        user_id=made.user_id,
        organization_id=made.organization_id or None,
        source=made.source,
        status=made.ended.end.value,
        error_tier=made.ended.end.value.removesuffix("_error") if failed else None,
        error_code=made.ended.code or None,
        error_message=_words(made) if failed else None,
        duration_ms=round(made.ms),
        started_at=timestamp(made.began_at),
    )


def _words(made: Made) -> str:
    if made.ended.code.startswith("HTTP_"):
        return f"the provider answered {made.ended.code.removeprefix('HTTP_')}"
    return made.ended.code.lower().replace("_", " ")

"""Custom providers: a wizard of a few steps. What was typed in the others travels along in the form; nothing is kept
before the last one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.connections.definitions import Definitions
from holdfast.dashboard.frame import Frame, Visit, errors_of, status_of
from holdfast.dashboard.pages.provider_form import FIELD_ROWS, entry_of, fields_of, slug_of
from holdfast.errors import HoldfastError
from holdfast.providers import custom
from holdfast.providers.entry import Provider
from holdfast.providers.store import Custom
from holdfast.storage import Database


@dataclass(frozen=True, slots=True)
class Step:
    key: str
    label: str
    fields: tuple[str, ...]


_KEY_FIELDS = tuple(f"{what}_{row}" for row in range(1, FIELD_ROWS + 1) for what in ("label", "name", "secret"))
DETAILS = Step("details", "Details", ("name", "slug", "auth", "docs"))
ENDPOINTS = Step("endpoints", "Endpoints", ("authorization_url", "token_url", "refresh_token_url", "api_base_url"))
CLIENT = Step("client", "Client", ("client_auth", "pkce", "separator"))
FIELDS = Step("fields", "Credential", (*_KEY_FIELDS, "where", "place"))
SCOPES = Step("scopes", "Scopes", ("scopes", "scope_help"))
ALL_FIELDS = frozenset(name for step in (DETAILS, ENDPOINTS, CLIENT, FIELDS, SCOPES) for name in step.fields)


def steps_of(auth: str) -> tuple[Step, ...]:
    if auth in ("oauth2", "oauth2_client_credentials"):
        return DETAILS, ENDPOINTS, CLIENT, SCOPES
    return DETAILS, ENDPOINTS, FIELDS


class CustomProviderPages:
    def __init__(self, frame: Frame, database: Database, definitions: Definitions) -> None:
        self._frame, self._database, self._definitions = frame, database, definitions

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("providers/custom/new", self.new, Right.CONFIGURE),
            frame.post("providers/custom/new", self.create, Right.CONFIGURE),
            frame.get("providers/custom/{slug}/edit", self.edit, Right.CONFIGURE),
            frame.post("providers/custom/{slug}/edit", self.change, Right.CONFIGURE),
            frame.get("providers/custom/{slug}/delete", self.ask_delete, Right.CONFIGURE),
            frame.post("providers/custom/{slug}/delete", self.delete, Right.CONFIGURE),
        ]

    async def new(self, visit: Visit) -> Response:
        blank = {"auth": "oauth2", "client_auth": "client_secret_post", "pkce": "supported", "separator": "space"}
        return self._page(visit, DETAILS, {**blank, "where": "bearer", "label_1": "API key", "secret_1": "1"}, None)

    async def edit(self, visit: Visit) -> Response:
        provider = await self._find(visit)
        return self._page(visit, DETAILS, fields_of(provider), provider)

    async def create(self, visit: Visit) -> Response:
        return await self._go(visit, None)

    async def change(self, visit: Visit) -> Response:
        return await self._go(visit, await self._find(visit))

    async def ask_delete(self, visit: Visit) -> Response:
        return self._frame.page(visit, "custom_delete.html", provider=await self._find(visit))

    async def delete(self, visit: Visit) -> Response:
        actor = visit.signed_in.administrator.actor()
        await self._definitions.remove(visit.environment_id, visit.path["slug"], actor)
        return RedirectResponse(visit.url("providers") + "?did=deleted", 303)

    async def _go(self, visit: Visit, before: Provider | None) -> Response:
        typed = _typed(visit, before)
        steps = steps_of(typed["auth"])
        at = next((place for place, step in enumerate(steps) if step.key == visit.text("step")), 0)
        if visit.text("go") == "back":
            return self._page(visit, steps[max(0, at - 1)], typed, before)
        try:
            provider = entry_of(typed, before)
            self._definitions.check(provider, exists=before is not None)
            if at + 1 < len(steps):
                return self._page(visit, steps[at + 1], typed, before)
            actor = visit.signed_in.administrator.actor()
            if before is None:
                await self._definitions.define(visit.environment_id, provider, {}, actor)
                return self._frame.done(visit, f"providers/{provider.slug}", "made")
            await self._definitions.redefine(
                visit.environment_id, provider.slug, lambda found: Custom(provider, found.notes), actor
            )
            cleared = bool(custom.hosts(provider) - custom.hosts(before))
        except HoldfastError as error:
            error = _beside(error)
            shown = _step_with(steps, errors_of(error), steps[at], upto=at)
            if shown is None:  # of a later step, which has not been shown yet
                return self._page(visit, steps[at + 1], typed, before)
            return self._page(visit, shown, typed, before, error)
        return self._frame.done(visit, f"providers/{provider.slug}", "moved" if cleared else "saved")

    def _page(
        self,
        visit: Visit,
        step: Step,
        typed: Mapping[str, str],
        before: Provider | None,
        error: HoldfastError | None = None,
    ) -> Response:
        steps = steps_of(typed.get("auth", ""))
        facts: dict[str, Any] = {
            "step": step,
            "steps": steps,
            "typed": dict(typed),
            "carried": [(name, value) for name, value in typed.items() if name not in step.fields and value],
            "before": before,
            "rows": range(1, FIELD_ROWS + 1),
            "is_last": step == steps[-1],
            "errors": errors_of(error) if error else {},
        }
        return self._frame.page(visit, "custom_provider.html", status=status_of(error) if error else 200, **facts)

    async def _find(self, visit: Visit) -> Provider:
        slug = visit.path["slug"]
        return await self._database.transact(lambda tx: self._definitions.find(tx, visit.environment_id, slug))


def _typed(visit: Visit, before: Provider | None) -> dict[str, str]:
    typed = {name: visit.text(name) for name in sorted(ALL_FIELDS)}
    if before is not None:
        typed["slug"], typed["auth"] = before.slug, before.auth
    elif not typed["slug"]:
        typed["slug"] = slug_of(typed["name"])
    return typed


_FIELD = re.compile(r"(?:custom_provider\.)?(\w+)")
_OURS = {"provider": "slug"}


def _beside(error: HoldfastError) -> HoldfastError:
    """Put an error of the rules beside our field, in words that name no member of a wire."""
    alone = {"provider_exists": "slug", "conflict": "slug", "host_in_use": "api_base_url"}.get(error.code)
    if alone is not None and not error.fields:
        words = error.message.replace(": leave custom_provider out, or choose", ": choose")
        error.fields = ({"field": alone, "message": words},)
        return error
    fields = []
    for item in error.fields:
        found = _FIELD.fullmatch(item.get("field", ""))
        name = found[1] if found else ""
        words = re.sub(r"^custom_provider\.\w+ ", "this ", item.get("message", error.message))
        words = words.replace("provider must be", "use")
        fields.append({"field": _OURS.get(name, name), "message": words})
    error.fields = tuple(fields)
    return error


def _step_with(steps: Sequence[Step], errors: Mapping[str, str], here: Step, *, upto: int) -> Step | None:
    """Return the step to show an error on; None if it is about one that comes later."""
    for place, step in enumerate(steps):
        if any(name in errors for name in step.fields):
            return step if place <= upto else None
    return here

"""ProviderService: the catalogue, and an environment's own providers, which alone can be changed."""

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf import json_format

from holdfast import ids
from holdfast.api.scalekit.auth_patterns import entry_of, patterns_of
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.fault_fields import bad
from holdfast.api.scalekit.faults import Exists, FailedPrecondition
from holdfast.api.scalekit.naming import provider_key
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.connections.definitions import ProviderInUse
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.providers.store import Custom

DEFAULT_PAGE, MOST_ON_A_PAGE = 50, 100
_DEFAULT, _CUSTOM, _ALL = 0, 1, 2
"""ProviderType."""
_TAIL, _TAIL_LENGTH = string.ascii_lowercase + string.digits, 6
_LONGEST_BASE = 40
_LONGEST_DOCUMENT = 65_536
_ENDPOINTS = {
    "custom_provider.authorization_url": "provider.auth_patterns[0].oauth_config.authorize_uri",
    "custom_provider.token_url": "provider.auth_patterns[0].oauth_config.token_uri",
}


@dataclass(frozen=True)
class ProviderRpcs:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ProviderService.ListProviders": self.list_providers,
            "ProviderService.CreateCustomProvider": self.create,
            "ProviderService.UpdateCustomProvider": self.update,
            "ProviderService.DeleteCustomProvider": self.delete,
        }

    async def list_providers(self, call: Call) -> Message:
        """List the environment's own providers, then the catalogue's; without a filter both.

        A page token counts places in the list: who deletes a provider meanwhile may make its reader miss one.
        """
        request, pages = call.request, self.parts.pages
        wanted, key = request.filter.provider_type if request.HasField("filter") else _ALL, call.given("identifier")
        what = (str(wanted), key or "")
        size = min(request.page_size or DEFAULT_PAGE, MOST_ON_A_PAGE)
        start = pages.start(call, request.page_token, *what)
        own = await self.parts.database.transact(lambda tx: provider_store.customs(tx, call.environment_id))
        every = [*(own if wanted != _DEFAULT else ()), *(self._built_in() if wanted != _CUSTOM else ())]
        if key is not None:
            every = [one for one in every if _is_named(one.provider, key)]
        if start.before is not None:
            end = min(ids.decode(start.before), len(every))
            begin = max(0, end - size)
        else:
            begin = 0 if start.after is None else min(ids.decode(start.after), len(every))
            end = min(begin + size, len(every))
        return call.reply(
            providers=[_shown(one) for one in every[begin:end]],
            total_size=len(every),
            next_page_token=pages.after(call, ids.encode(end), *what) if end < len(every) else None,
            prev_page_token=pages.before(call, ids.encode(begin), *what) if begin > 0 else None,
        )

    async def create(self, call: Call) -> Message:
        """Define a provider. Its identifier is made from its name, and is not another's."""
        asked = call.request.provider
        patterns = _patterns(asked)
        provider = entry_of(
            slug=_slug(asked.display_name),
            name=asked.display_name,
            patterns=patterns,
            proxy_url=asked.proxy_url,
            proxy_enabled=asked.proxy_enabled,
        )
        notes = {
            "auth_patterns": patterns,
            "description": asked.description,
            "icon_src": asked.icon_src,
            "metadata": dict(asked.metadata),
            "proxy_url": asked.proxy_url,
            "proxy_enabled": asked.proxy_enabled,
        }
        _check_size(notes)
        try:
            made = await self.parts.definitions.define(
                call.environment_id, provider, notes, call.actor(), call.request_id
            )
        except Conflict as error:
            raise Exists(error.message, code=error.code) from None
        except Invalid as error:
            raise _renamed(error) from None
        return call.reply(provider=_shown(made))

    async def update(self, call: Call) -> Message:
        """Change a provider of the environment's own, which from then on stays until it is deleted.

        What is absent or empty stays; patterns and metadata that are given replace the former ones. The proxy cannot be
        switched off here: clients send `false` for "not said".
        """
        asked = call.request.provider
        slug = await self._slug_of(call)
        given = _patterns(asked) if asked.HasField("auth_patterns") else None

        def change(before: Custom) -> Custom:
            notes = dict(before.notes or {})
            patterns = given if given is not None else notes.get("auth_patterns")
            enabled = bool(asked.proxy_enabled or notes.get("proxy_enabled", before.provider.api is not None))
            if patterns is None:
                patterns = patterns_of(before.provider, None)
            notes |= {"auth_patterns": patterns, "proxy_url": asked.proxy_url, "proxy_enabled": enabled}
            for name, value in (("description", asked.description), ("icon_src", asked.icon_src)):
                if value:
                    notes[name] = value
            if asked.metadata:
                notes["metadata"] = dict(asked.metadata)
            _check_size(notes)
            after = entry_of(
                slug=before.provider.slug,
                name=asked.display_name,
                patterns=patterns,
                proxy_url=asked.proxy_url,
                proxy_enabled=enabled,
            )
            if given is None:  # the WorkOS door may have said more of it meanwhile
                after = msgspec.structs.replace(
                    before.provider, name=after.name, api=after.api, config={**before.provider.config, **after.config}
                )
            return Custom(after, notes)

        try:
            changed = await self.parts.definitions.redefine(
                call.environment_id, slug, change, call.actor(), call.request_id
            )
        except Invalid as error:
            raise _renamed(error) from None
        return call.reply(provider=_shown(changed))

    async def delete(self, call: Call) -> Message:
        """Delete a provider of the environment's own that no connection uses."""
        slug = await self._slug_of(call)
        try:
            await self.parts.definitions.remove(call.environment_id, slug, call.actor(), call.request_id)
        except ProviderInUse as error:
            raise FailedPrecondition(error.message, code=error.code) from None
        return call.reply()

    async def _slug_of(self, call: Call) -> str:
        key = call.given("identifier")
        if key is None:
            raise bad("identifier", "is required", "required")
        try:
            found = await self.parts.database.transact(
                lambda tx: self.parts.provider_keys.custom(tx, call.environment_id, key)
            )
        except NotFound:
            raise NotFound(f"there is no custom provider '{key}'", code="provider_not_found") from None
        return found.provider.slug

    def _built_in(self) -> list[Custom]:
        return [Custom(provider, None) for provider in self.parts.provider_keys.built_in()]


def _is_named(provider: Provider, key: str) -> bool:
    return provider_key(provider.slug) == provider_key(key) or key in provider.aliases


def _patterns(asked: Message) -> list[Any]:
    return list(json_format.MessageToDict(asked.auth_patterns))


def _check_size(notes: Mapping[str, Any]) -> None:
    if len(msgspec.json.encode(notes)) > _LONGEST_DOCUMENT:
        raise bad("provider", f"takes {_LONGEST_DOCUMENT} bytes at most", "max_bytes")


def _slug(display_name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")[:_LONGEST_BASE].strip("-")
    return f"{base}-{''.join(secrets.choice(_TAIL) for _ in range(_TAIL_LENGTH))}"


def _renamed(error: Invalid) -> Invalid:
    """Return the error in this wire's names. The check that raised it speaks of its own."""
    fields = [
        {**field, "field": _ENDPOINTS.get(field.get("field", ""), field.get("field", ""))} for field in error.fields
    ]
    text = error.message
    for ours, theirs in _ENDPOINTS.items():
        text = text.replace(ours, theirs)
    return Unprocessable(text, code=error.code, fields=fields)


def _doubled(url: str) -> str:
    """Return an address with its placeholders as this wire writes them: `{{domain}}`."""
    return re.sub(r"\{(\w+)\}", r"{{\1}}", url)


def _shown(one: Custom) -> Message:
    provider, notes = one.provider, one.notes or {}
    key, patterns = provider_key(provider.slug), patterns_of(provider, notes.get("auth_patterns"))
    is_mcp = any(isinstance(pattern, dict) and pattern.get("is_mcp") is True for pattern in patterns)
    shown = message(
        "providers.Provider",
        id=f"prov_{key}",
        identifier=key,
        display_name=provider.name,
        description=notes.get("description") or None,
        categories=list(provider.categories),
        icon_src=notes.get("icon_src") or None,
        proxy_url=notes.get("proxy_url") or (_doubled(provider.api.base_url) if provider.api else None),
        proxy_enabled=provider.api is not None,
        is_custom=provider.custom,
        is_custom_mcp=provider.custom and is_mcp,
        metadata=notes.get("metadata") or None,
    )
    json_format.ParseDict(patterns, shown.auth_patterns)  # type: ignore[arg-type]  # a ListValue is a JSON list
    return shown

"""The built-in catalogue: `catalog/<slug>.yaml`, one file per provider, read when it is first asked for."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import msgspec

from holdfast.errors import Misconfigured
from holdfast.providers.entry import Provider

CATALOG_DIR = Path(__file__).parent / "catalog"

# What a variant (`base:`) does not take over from the entry it varies: names, and claims about its own file.
_NOT_INHERITED = frozenset({"slug", "name", "aliases", "docs", "checked_on", "base"})
# Links for readers. They are not spoken to, so an origin map leaves them alone.
_NOT_REWRITTEN = frozenset({"docs", "evidence"})
# Aliases stand on one line of their file, so that resolving one need not decode every entry.
_ALIASES_LINE = re.compile(r"^aliases: \[([^\]\n]*)\]", re.MULTILINE)


def load_catalog(origins: Mapping[str, str] | None = None, directory: Path = CATALOG_DIR) -> "Catalog":
    """Return the catalogue. Decodes nothing yet: an entry against the schema raises Misconfigured when used.

    `origins` sends every URL that begins with an origin elsewhere, say
    `{"https://github.com": "http://127.0.0.1:4001"}`. It is meant for development against emulated
    providers only.
    """
    return Catalog(directory, dict(origins or {}))


class Catalog:
    """Every built-in provider, by slug or alias."""

    def __init__(self, directory: Path, origins: Mapping[str, str]) -> None:
        self._directory = directory
        self._origins = origins
        self._entries: dict[str, Provider] = {}

    def get(self, slug_or_alias: str) -> Provider | None:
        """Return the provider of that slug or alias, or None."""
        if slug_or_alias in self._slugs:
            return self._entry(slug_or_alias)
        slug = self._aliases.get(slug_or_alias)
        return self._entry(slug) if slug else None

    def __iter__(self) -> Iterator[Provider]:
        return (self._entry(slug) for slug in self.slugs())

    def __len__(self) -> int:
        return len(self._slugs)

    def __contains__(self, slug_or_alias: object) -> bool:
        return slug_or_alias in self._slugs or slug_or_alias in self._aliases

    def slugs(self) -> tuple[str, ...]:
        """Return every slug, sorted. Reads no entry."""
        return tuple(sorted(self._slugs))

    def search(self, text: str) -> tuple[Provider, ...]:
        """Return the providers whose slug, name, alias or category holds `text`; names beginning with it
        first."""
        wanted = text.strip().casefold()
        found = [provider for provider in self if wanted in _searchable(provider)]
        found.sort(key=lambda provider: (not provider.name.casefold().startswith(wanted), provider.slug))
        return tuple(found)

    @cached_property
    def _slugs(self) -> frozenset[str]:
        return frozenset(path.stem for path in self._directory.glob("*.yaml") if not path.name.startswith(("_", ".")))

    @cached_property
    def _aliases(self) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for slug in self.slugs():
            line = _ALIASES_LINE.search(self._text(slug))
            for alias in line[1].split(",") if line else ():
                aliases.setdefault(alias.strip().strip("'\""), slug)
        return aliases

    def _entry(self, slug: str) -> Provider:
        entry = self._entries.get(slug)
        if entry is None:
            entry = self._entries[slug] = _decode(slug, _redirected(self._merged(slug), self._origins))
        return entry

    def _merged(self, slug: str) -> dict[str, Any]:
        document = self._document(slug)
        base = document.get("base")
        if base is None:
            return document
        if base not in self._slugs:
            raise Misconfigured(f"Provider {slug} varies {base!r}, which the catalogue does not have.")
        inherited = self._document(base)
        if "base" in inherited:
            raise Misconfigured(f"Provider {slug} varies {base}, itself a variant; one level is the limit.")
        inherited = {key: value for key, value in inherited.items() if key not in _NOT_INHERITED}
        return _overlaid(inherited, document)

    def _document(self, slug: str) -> dict[str, Any]:
        document = _parse(self._text(slug))
        if not isinstance(document, dict) or document.get("slug") != slug:
            raise Misconfigured(f"The catalogue file {slug}.yaml must hold one entry whose slug is {slug}.")
        return cast("dict[str, Any]", document)

    def _text(self, slug: str) -> str:
        return (self._directory / f"{slug}.yaml").read_text(encoding="utf-8")


def _parse(text: str) -> object:
    # yaml is imported here: it costs more than the rest of this module, and few commands ask for an entry.
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def _decode(slug: str, document: dict[str, Any]) -> Provider:
    try:
        return msgspec.convert(document, Provider, strict=True)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"The catalogue entry {slug} breaks the schema: {error}") from error


def _overlaid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: mappings merge, everything else replaces, null takes away."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _overlaid(merged[key], value)
        else:
            merged[key] = value
    return merged


def _redirected(document: dict[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    if not origins:
        return document
    moved = {key: value if key in _NOT_REWRITTEN else _rewritten(value, origins) for key, value in document.items()}
    if "api" in moved and "hosts" in moved["api"]:
        hosts = {_host(origin): _host(target) for origin, target in origins.items()}
        moved["api"]["hosts"] = [hosts.get(host, host) for host in moved["api"]["hosts"]]
    patterns = moved.get("oauth2", {}).get("keep_pattern", {})
    for name, pattern in patterns.items():
        patterns[name] = _widened(pattern, origins)
    return moved


_NAMES = frozenset({"scopes", "scope_implies", "scope_help"})
"""Members that may look like URLs (Google's scopes) and are names: what they name stays the same anywhere."""


def _rewritten(value: Any, origins: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key in _NAMES else _rewritten(item, origins) for key, item in value.items()}
    if isinstance(value, list):
        return [_rewritten(item, origins) for item in value]
    if isinstance(value, str) and value.startswith("https://"):
        for origin, target in origins.items():
            rest = value[len(origin) :]
            # "https://api.example.com" must not take "https://api.example.com.evil" along.
            if value.startswith(origin) and rest[:1] in ("", "/", "?", "#"):
                return target + rest
    return value


def _widened(pattern: str, origins: Mapping[str, str]) -> str:
    """Return `pattern`, also accepting the stand-in of an origin it accepts (emulated `instance_url`)."""
    stand_ins = [re.escape(target) for origin, target in origins.items() if re.fullmatch(pattern, origin)]
    return "|".join([f"(?:{pattern})", *stand_ins]) if stand_ins else pattern


def _host(origin: str) -> str:
    return origin.split("://", 1)[-1].split("/", 1)[0]


def _searchable(provider: Provider) -> str:
    return "\n".join((provider.slug, provider.name, *provider.aliases, *provider.categories)).casefold()

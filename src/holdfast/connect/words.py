"""The words of the pages: one catalogue file for each language, and which of them a browser is given."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup, escape

from holdfast.errors import Misconfigured

SHIPPED = Path(__file__).parent / "languages"
FIRST = "en"
"""The language that has every text, and stands in for what a translation leaves out."""
MOST_RANGES = 20
"""Of an Accept-Language header; a browser sends a handful."""

_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_PLACE = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language, by `section.name`."""

    language: str
    texts: Mapping[str, str] = field(repr=False)

    def __call__(self, key: str, **values: object) -> Markup:
        """Return a text with its values, all escaped; Markup among the values stays markup. Raises KeyError."""
        return Markup(_PLACE.sub(lambda place: str(escape(values[place[1]])), str(escape(self.texts[key]))))  # noqa: S704

    def has(self, key: str) -> bool:
        return key in self.texts

    @property
    def name(self) -> str:
        return self.texts["meta.name"]

    @property
    def direction(self) -> str:
        return "rtl" if self.texts["meta.direction"] == "rtl" else "ltr"

    def section(self, name: str) -> dict[str, str]:
        """Return a section's texts by their names in it."""
        return {key.removeprefix(f"{name}."): text for key, text in self.texts.items() if key.startswith(f"{name}.")}


class Languages:
    """Every language there is."""

    def __init__(self, words: Mapping[str, Words]) -> None:
        self._languages = dict(words)

    @property
    def names(self) -> dict[str, str]:
        """What each language calls itself, by its tag."""
        return {tag: words.name for tag, words in self._languages.items()}

    def words(self, language: str) -> Words:
        return self._languages.get(language, self._languages[FIRST])

    def choose(self, accepted: str, default: str = "") -> Words:
        """Return the words that a browser's Accept-Language asks for first, else `default`'s, else English.

        By the lookup of RFC 4647 section 3.4: de-AT is served by de. A language with q=0 is not wanted.
        """
        for wanted in _wanted(accepted):
            tag = wanted
            while tag:
                found = next((words for known, words in self._languages.items() if known.lower() == tag), None)
                if found is not None:
                    return found
                tag = tag.rpartition("-")[0]
        return self.words(default)

    def component(self) -> dict[str, dict[str, str]]:
        """Return the texts of the web component, by language: its own by their names, those of errors by
        `failure.code`, those of fields by `wrong.code`."""
        return {tag: words.section("component") | _told_by_code(words) for tag, words in self._languages.items()}


def read_languages(own: Path | None = None) -> Languages:
    """Read the languages that come with this server, and those in a directory of the operator's, which win.

    Raises Misconfigured, naming file and text, for a directory that is not there, a file that cannot be read, a text
    that no page has, or one whose placeholders are not those of the English one.
    """
    first = _read(SHIPPED / f"{FIRST}.toml")
    found = {FIRST: first}
    folders = [SHIPPED]
    if own is not None:
        if not own.is_dir():
            raise Misconfigured(f"the directory of translations {own} does not exist")
        folders.append(own)
    for path in (path for folder in folders for path in sorted(folder.glob("*.toml"))):
        if _TAG.fullmatch(path.stem) is None:
            raise Misconfigured(f"{path} is not named by a language, such as pt-BR.toml")
        texts = _read(path)
        _check(path, texts, first)
        found[path.stem] = {**found.get(path.stem, first), **texts}
    return Languages({tag: Words(tag, texts) for tag, texts in found.items()})


def places_of(text: str) -> list[str]:
    """Return the placeholders of a text, each once, in the alphabet's order."""
    return sorted(set(_PLACE.findall(text)))


def _check(path: Path, texts: Mapping[str, str], first: Mapping[str, str]) -> None:
    for key, text in texts.items():
        if key not in first:
            raise Misconfigured(f"{path}: no page has a text {key!r}")
        if places_of(text) != places_of(first[key]):
            wanted = ", ".join("{" + place + "}" for place in places_of(first[key])) or "no placeholder"
            raise Misconfigured(f"{path}: {key!r} must hold {wanted}")


def _read(path: Path) -> dict[str, str]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None
    texts: dict[str, str] = {}
    for section, inside in document.items():
        if not isinstance(inside, dict) or not all(isinstance(text, str) for text in inside.values()):
            raise Misconfigured(f"{path}: {section!r} is to hold texts")
        texts.update({f"{section}.{name}": text for name, text in inside.items()})
    return texts


def _wanted(accepted: str) -> Iterable[str]:
    """Return the languages of an Accept-Language header, the dearest first (RFC 9110 section 12.5.4)."""
    found = []
    for place, item in enumerate(accepted.split(",")[:MOST_RANGES]):
        tag, _, rest = item.strip().partition(";")
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest)
        weight = float(quality[1]) if quality else 1.0
        if weight > 0 and _TAG.fullmatch(tag.strip().lower()):
            found.append((-weight, place, tag.strip().lower()))
    return [tag for _, _, tag in sorted(found)]


def _told_by_code(words: Words) -> dict[str, str]:
    found = {key: text for key, text in words.texts.items() if key.startswith(("failure.", "wrong."))}
    # In the component what is not found is a connection that was listed before, and no link.
    return found | {"failure.entity_not_found": words.texts["failure.invalid_data_integration_state"]}

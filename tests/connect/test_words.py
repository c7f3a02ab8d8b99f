"""Every text of the pages stands in the catalogue, in each language, with the same places to fill in."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment, nodes
from markupsafe import Markup

import holdfast.authorization
import holdfast.connect
from holdfast.connect.words import SHIPPED, places_of, read_languages
from holdfast.errors import Misconfigured

ROOM = Path(holdfast.connect.__file__).parent
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))
LANGUAGES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
ENGLISH = read_languages().words("en")
_READ_ALOUD = {"alt", "aria-label", "aria-description", "aria-placeholder", "placeholder", "title", "content", "value"}
_NO_TEXT = {"width=device-width, initial-scale=1", "noindex", "light dark", "yes", "continue", "cancel"}
"""Attributes of those names that nobody reads."""
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


def _texts(language: str) -> dict[str, str]:
    """A file's own texts: without what English would stand in for."""
    import tomllib

    document = tomllib.loads((SHIPPED / f"{language}.toml").read_text())
    return {f"{section}.{name}": text for section, inside in document.items() for name, text in inside.items()}


def test_german_and_spanish_come_with_it() -> None:
    assert {"en", "de", "es"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_places(language: str) -> None:
    texts = _texts(language)
    assert texts.keys() == ENGLISH.texts.keys()
    for key, text in texts.items():
        assert places_of(text) == places_of(ENGLISH.texts[key]), key
        assert text.strip() == text != "", key
        assert "<" not in text, key


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_translation_is_one(language: str) -> None:
    texts = _texts(language)
    same = {key for key, text in texts.items() if text == ENGLISH.texts[key]} - {"meta.direction"}
    assert not same


class _Visible(HTMLParser):
    """Collects what a person sees or hears of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if value and name in _READ_ALOUD and value not in _NO_TEXT]


def _literal_texts(source: str) -> list[str]:
    """Return the words that a template writes by itself, outside its expressions and within them."""
    visible = _Visible()
    visible.feed(_JINJA.sub("", source))
    visible.close()
    found = [text.strip() for text in visible.found if re.search(r"[^\W\d_]", text)]
    for output in Environment().parse(source).find_all(nodes.Output):
        for const in output.find_all(nodes.Const):
            # A key, a class or an attribute is one word of small letters, or holds "=".
            if (
                isinstance(const.value, str)
                and re.search(r"[A-Z]|[^\W\d_] [^\W\d_]", const.value)
                and "=" not in const.value
            ):
                found.append(const.value)
    return found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(path: Path) -> None:
    assert _literal_texts(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        *("<p>Hello</p>", '<img alt="A logo">', '<button>{{ "Replace key" if x else t("y") }}</button>'),
        *(
            '<input placeholder="Type here">',
            "{% if x %}Bye{% endif %}",
            '<p>{{ t("a.b") }}: then</p>',
            '<a title="X">',
        ),
    ],
)
def test_the_look_for_words_finds_them(source: str) -> None:
    assert _literal_texts(source)


def test_every_text_that_a_template_asks_for_is_there_and_is_given_its_values() -> None:
    asked = 0
    for path in TEMPLATES:
        for call in Environment().parse(path.read_text()).find_all(nodes.Call):
            if not (isinstance(call.node, nodes.Name) and call.node.name == "t"):
                continue
            given = sorted(item.key for item in call.kwargs)
            for key in (
                (const.value for const in call.args[0].find_all(nodes.Const))
                if not isinstance(call.args[0], nodes.Const)
                else [call.args[0].value]
            ):
                if key in ENGLISH.texts:
                    asked += 1
                    assert set(places_of(ENGLISH.texts[key])) <= set(given), (path.name, key)
                else:
                    assert isinstance(call.args[0], nodes.Concat | nodes.CondExpr), (path.name, key)
    assert asked > 40


def test_no_text_is_left_that_no_page_uses() -> None:
    sources = "".join(path.read_text() for path in [*TEMPLATES, *ROOM.glob("*.py")])
    script = (ROOM / "static" / "holdfast-connections.js").read_text()
    for key in ENGLISH.texts:
        section, _, name = key.partition(".")
        if section in ("meta", "failure", "reason", "wrong"):
            continue  # found by a code
        if section == "component":
            assert f"'{name}'" in script or name in ("none", "connected", "needs_reauthorization", "paused"), key
        elif key not in sources:
            assert section == "mine" or "form.{item.name}" in sources, key


def test_every_failure_that_connecting_can_end_in_has_a_sentence() -> None:
    room = Path(holdfast.authorization.__file__).parent
    sources = [(room / f"{name}.py").read_text() for name in ("callback", "fill", "settle", "start")]
    sources += [path.read_text() for path in ROOM.glob("*.py")]
    raised = re.compile(r'(?:Failed|AlreadyUsed)\(\s*"(\w+)"|default_code = "(\w+)"')
    codes = {one or other for source in sources for one, other in raised.findall(source)}
    assert len(codes) >= 10
    assert {code for code in codes if not ENGLISH.has(f"failure.{code}")} == set()


def test_values_are_escaped_and_markup_is_not() -> None:
    words = ENGLISH("link.user", provider="<b>", app="{owner}", owner=Markup("<strong>x</strong>"))
    assert words == "This connects a &lt;b&gt; account to the {owner} user <strong>x</strong>."


@pytest.mark.parametrize(
    ("accepted", "default", "chosen"),
    [
        ("de", "", "de"),
        ("de-AT,en;q=0.8", "", "de"),
        ("fr-FR, es;q=0.7, en;q=0.5", "", "es"),
        ("en;q=0.3, ES;q=0.9", "", "es"),
        ("fr", "de", "de"),
        ("fr", "", "en"),
        ("", "es", "es"),
        ("en", "de", "en"),
        ("de;q=0", "", "en"),
        ("*", "de", "de"),
        ("de;q=nonsense, es", "", "de"),
        (",,;;q=1,\x00, \xff" + ",x" * 5000, "", "en"),
        ("fr", "xx", "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_asks_for(accepted: str, default: str, chosen: str) -> None:
    assert read_languages().choose(accepted, default).language == chosen


def test_an_operator_adds_a_language_and_changes_words(tmp_path: Path) -> None:
    (tmp_path / "fr.toml").write_text('[meta]\nname = "Français"\n[link]\ncancel = "Annuler"\n')
    (tmp_path / "de.toml").write_text('[link]\ncancel = "Lieber nicht"\n')
    languages = read_languages(tmp_path)
    assert languages.names["fr"] == "Français"
    french, german = languages.choose("fr-CA"), languages.words("de")
    assert (french.language, french("link.cancel"), french("mine.paused")) == ("fr", "Annuler", "Paused")
    assert (german("link.cancel"), german("mine.paused")) == ("Lieber nicht", "Angehalten")
    assert languages.component()["fr"]["connect"] == "Connect"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("fr.toml", '[link]\nnonsense = "x"', "no page has a text 'link.nonsense'"),
        ("fr.toml", '[link]\ntitle = "Connecter"', "must hold {provider}"),
        ("fr.toml", '[link]\ncancel = "{app}"', "no placeholder"),
        ("fr.toml", "[link\n", "cannot be read"),
        ("fr.toml", "[link]\ncancel = 1", "is to hold texts"),
        ("French language.toml", "", "not named by a language"),
    ],
)
def test_a_translation_that_would_break_a_page_stops_the_start(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Misconfigured, match=re.escape(told)):
        read_languages(tmp_path)


def test_a_directory_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        read_languages(tmp_path / "nowhere")

"""Offline checks of every catalogue entry: what CI can say of an entry without asking the provider."""

import datetime
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from catalogue_entries import CATALOG, ENTRIES, HOSTS_FILE, hosts, side_calls, urls

from holdfast.oauth2.paths import first
from holdfast.providers.entry import Provider
from holdfast.providers.loader import CATALOG_DIR
from holdfast.providers.templates import PROTOCOL_NAMES, placeholders

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ALIAS = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")

# Values an attacker would send to move a URL to a host of theirs, or out of its path.
ATTACKS = (
    "evil.com/",
    "evil.com/x.",
    "a@b",
    "a@evil.com",
    "x#y",
    "x?y",
    "x:80@evil",
    "x:80@evil.com",
    "..%2f",
    "..",
    ".",
    "../..",
    "x\\y",
    "x\n",
    "acme\n",
    "12345\n",
    " x",
    "x y",
    "",
    "evil.com#.my.salesforce.com",
    "https://evil.com",
    "https://evil.com/.salesforce.com",
    "https://a@evil.salesforce.com",
    "https://salesforce.com.evil.com",
    "https://api.zoom.us.evil.com",
    "https://api.zoom.us:8443",
    "http://acme.my.salesforce.com",
    "127.0.0.1:80@evil.com",
    "%00",
    "\uff0f",
    "a\u2024com",
)

# Pairs of authorize and token host on different registrable domains, each looked at by a person.
SPLIT_DOMAINS = {
    ("accounts.google.com", "oauth2.googleapis.com"),
    ("www.dropbox.com", "api.dropboxapi.com"),
    ("app.hubspot.com", "api.hubapi.com"),
    ("app.intercom.com", "api.intercom.io"),
}

CORE_FIELDS = ("authorize_url", "token_url")

each_entry = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())


class UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one silently; in a catalogue that is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubled = {key for key in keys if keys.count(key) > 1}
        assert not doubled, f"written twice: {doubled} {node.start_mark}"
        return super().construct_mapping(node, deep)


@each_entry
def test_slug_and_aliases_are_well_formed(entry: Provider) -> None:
    assert SLUG.fullmatch(entry.slug)
    assert len(entry.slug) <= 64
    assert all(ALIAS.fullmatch(alias) for alias in entry.aliases)
    assert entry.slug not in ("finish", "organization")


def test_every_name_leads_to_one_entry() -> None:
    names = [name for entry in ENTRIES.values() for name in (entry.slug, *entry.aliases)]
    assert len(names) == len(set(names))
    for entry in ENTRIES.values():
        for name in (entry.slug, *entry.aliases):
            found = CATALOG.get(name)
            assert found is not None, f"{name}: an alias stands on one line, `aliases: [a, b]`"
            assert found.slug == entry.slug


def test_no_key_is_written_twice() -> None:
    for path in CATALOG_DIR.glob("*.yaml"):
        yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeys)


@each_entry
def test_a_variant_stands_on_an_entry_that_is_none(entry: Provider) -> None:
    if entry.base is not None:
        assert ENTRIES[entry.base].base is None


@each_entry
def test_the_blocks_fit_the_kind_of_authentication(entry: Provider) -> None:
    kind = entry.auth
    dialect = entry.oauth2
    if kind == "oauth2":
        assert dialect is not None
        assert dialect.authorize_url
        assert dialect.token_url
        assert dialect.scopes or dialect.scopes_fixed_by_app
        assert dialect.iss == "absent" or dialect.issuer
    if kind == "oauth2_client_credentials":
        assert dialect is not None
        assert dialect.token_url
        assert dialect.authorize_url is None
    if kind == "api_key":
        assert dialect is None
        assert entry.probe
    assert entry.api is not None


@each_entry
def test_every_url_is_https_and_plain(entry: Provider) -> None:
    for field, url in urls(entry):
        if url.startswith("{"):
            name = url[1 : url.index("}")]
            assert entry.oauth2, field
            assert entry.oauth2.keep_pattern[name].startswith("https://"), field
            continue
        parts = urlsplit(url)
        assert parts.scheme == "https", field
        assert parts.hostname, field
        assert "@" not in parts.netloc, field
        assert not parts.fragment, field
        assert not re.search(r"\s|\\", url), field


@each_entry
def test_every_placeholder_is_declared(entry: Provider) -> None:
    dialect = entry.oauth2
    declared = set(entry.config) | PROTOCOL_NAMES
    assert not PROTOCOL_NAMES & set(entry.config)
    for text in _strings(msgspec.to_builtins(dialect)):
        assert placeholders(text) <= declared, text
    if dialect:
        declared |= {*dialect.callback_keep, *dialect.response.keep}
    if entry.discover:
        declared |= set(entry.discover.set)
    for block in (entry.revoke, entry.identity, entry.discover, entry.probe, entry.api):
        for text in _strings(msgspec.to_builtins(block)):
            assert placeholders(text) <= declared, text


@each_entry
def test_what_may_stand_in_a_url_has_a_pattern(entry: Provider) -> None:
    kept = entry.oauth2.keep_pattern if entry.oauth2 else {}
    for field, url in urls(entry):
        for name in placeholders(url) - PROTOCOL_NAMES:
            config = entry.config.get(name)
            assert name in kept or (config and (config.pattern or config.enum)), f"{field}: {name}"


@each_entry
def test_patterns_refuse_what_could_move_a_url(entry: Provider) -> None:
    for name, pattern in _patterns(entry):
        assert [attack for attack in ATTACKS if re.fullmatch(pattern, attack)] == [], name


@each_entry
def test_patterns_accept_their_own_defaults_and_examples(entry: Provider) -> None:
    for name, config in entry.config.items():
        for value in (config.default, config.example):
            if value is not None and config.pattern:
                assert re.fullmatch(config.pattern, value), name


@each_entry
def test_a_required_value_has_a_label(entry: Provider) -> None:
    assert all(config.label for config in entry.config.values())


@each_entry
def test_authorize_and_token_host_belong_together(entry: Provider) -> None:
    dialect = entry.oauth2
    if dialect is None or dialect.authorize_url is None or dialect.token_url is None:
        return
    pair = (urlsplit(dialect.authorize_url).netloc, urlsplit(dialect.token_url).netloc)
    assert _domain(pair[0]) == _domain(pair[1]) or pair in SPLIT_DOMAINS


def test_the_reviewed_pairs_are_all_in_use() -> None:
    used = {
        (urlsplit(entry.oauth2.authorize_url).netloc, urlsplit(entry.oauth2.token_url).netloc)
        for entry in ENTRIES.values()
        if entry.oauth2 and entry.oauth2.authorize_url and entry.oauth2.token_url
    }
    assert used >= SPLIT_DOMAINS


def test_no_host_is_added_or_moved_without_review() -> None:
    """A change of hosts has to change `_hosts.txt` too, so that a reviewer sees it among all else."""
    listed = HOSTS_FILE.read_text(encoding="utf-8").splitlines()
    found = set().union(*(hosts(entry) for entry in ENTRIES.values()))
    assert listed == sorted(found)


@each_entry
def test_every_path_can_be_followed(entry: Provider) -> None:
    paths: list[object] = []
    if entry.identity:
        paths += [entry.identity.id, entry.identity.label, entry.identity.account_id]
    if entry.discover:
        paths += entry.discover.set.values()
    if entry.oauth2:
        reply = entry.oauth2.response
        paths += [
            reply.access_token,
            reply.refresh_token,
            reply.expires_in,
            reply.scope,
            *reply.keep.values(),
        ]
    if entry.api and entry.api.page:
        paths.append(entry.api.page.reply)
    paths += [rule.field for rule in entry.dead]
    for path in paths:
        assert first({}, path) is None  # type: ignore[arg-type]


@each_entry
def test_a_rule_of_death_names_a_status_or_values(entry: Provider) -> None:
    assert all(rule.status is not None or rule.values for rule in entry.dead)
    assert any(rule.means == "reconnect" for rule in entry.dead) or entry.auth == "oauth2_client_credentials"


@each_entry
def test_side_calls_send_a_credential(entry: Provider) -> None:
    for name, call in side_calls(entry):
        carried = {name for text in _strings(msgspec.to_builtins(call)) for name in placeholders(text)}
        assert call.auth.kind != "none" or "token" in carried, name


@each_entry
def test_evidence_is_enough(entry: Provider) -> None:
    sources = set(yaml.safe_load((CATALOG_DIR / "_sources.yaml").read_text(encoding="utf-8")))
    for field, items in entry.evidence.items():
        assert items, field
        for item in items:
            assert item.startswith("https://") or item in sources, f"{field}: {item}"
    assert entry.docs is not None
    assert entry.docs.startswith("https://")
    core = [field for field in CORE_FIELDS if entry.oauth2 and getattr(entry.oauth2, field)]
    for field in core or ["credential"]:
        cited = entry.evidence[field]
        assert len(cited) >= 2 or entry.checked_on, field
        assert any(item.startswith("https://") for item in cited), field


def test_no_entry_is_left_behind_when_others_are_checked_again() -> None:
    """Measured against the newest check, not against today: an old release has to build forever."""
    checked = {
        entry.slug: datetime.date.fromisoformat(entry.checked_on) for entry in ENTRIES.values() if entry.checked_on
    }
    newest = max(checked.values())
    assert [slug for slug, day in checked.items() if (newest - day).days >= 400] == []


@each_entry
def test_a_lifetime_without_evidence_says_so(entry: Provider) -> None:
    life = entry.lifetime
    firm = (life.refresh_idle, life.refresh_absolute, life.reuse_grace or None, life.reuse)
    if any(value is not None for value in firm) and "lifetime" not in entry.evidence:
        assert life.note is not None
        assert "unconfirmed" in life.note


@each_entry
def test_default_scopes_are_explained(entry: Provider) -> None:
    scopes = entry.oauth2.scopes if entry.oauth2 else ()
    assert set(scopes) <= set(entry.scope_help)


def _patterns(entry: Provider) -> Iterator[tuple[str, str]]:
    for name, config in entry.config.items():
        if config.pattern:
            yield name, config.pattern
    if entry.oauth2:
        yield from entry.oauth2.keep_pattern.items()


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _domain(host: str) -> str:
    return ".".join(host.split(".")[-2:])

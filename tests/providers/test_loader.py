"""The catalogue as files: what is an entry, what a variant takes over, what an origin map moves."""

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import Misconfigured
from holdfast.providers.loader import load_catalog
from holdfast.providers.templates import resolve_dialect, settle

ACME = """
slug: acme
name: Acme
auth: oauth2
aliases: [acme-cloud, 'acme_2']
categories: [crm]
docs: https://acme.example/docs
oauth2:
  authorize_url: https://id.acme.example/authorize
  token_url: https://api.acme.example/token
  scopes: [read]
  authorize_params: {prompt: consent, audience: api}
  response: {keep: {site: site}}
  keep_pattern: {site: 'https://[a-z]+\\.acme\\.example'}
api:
  base_url: '{site}'
  hosts: [files.acme.example]
lifetime: {access: 60}
evidence: {token_url: [https://api.acme.example/token]}
checked_on: '2026-11-21'
"""

ACME_MAIL = """
slug: acme-mail
name: Acme Mail
auth: oauth2
base: acme
oauth2:
  scopes: [mail]
  authorize_params: {prompt: null, hint: mail}
lifetime: {refresh_idle: 90}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.yaml").write_text(ACME)
    (tmp_path / "acme-mail.yaml").write_text(ACME_MAIL)
    return tmp_path


def test_only_entry_files_count(folder: Path) -> None:
    (folder / "_sources.yaml").write_text("a: b")
    (folder / "_hosts.txt").write_text("acme.example")
    (folder / ".acme.yaml.swp").write_text("junk")
    (folder / "notes.md").write_text("# notes")
    catalog = load_catalog(directory=folder)
    assert catalog.slugs() == ("acme", "acme-mail")
    assert [provider.slug for provider in catalog] == ["acme", "acme-mail"]
    assert len(catalog) == 2


def test_an_entry_is_found_by_slug_and_by_alias(folder: Path) -> None:
    catalog = load_catalog(directory=folder)
    for name in ("acme", "acme-cloud", "acme_2"):
        provider = catalog.get(name)
        assert provider is not None
        assert provider.slug == "acme"
        assert name in catalog
    for name in ("", "ACME", "../acme", "acme.yaml", "_hosts"):
        assert catalog.get(name) is None
        assert name not in catalog


def test_an_entry_is_read_when_it_is_asked_for(folder: Path) -> None:
    (folder / "broken.yaml").write_text("slug: broken\nname: Broken\nauth: magic\n")
    catalog = load_catalog(directory=folder)
    assert catalog.get("acme") is not None
    with pytest.raises(Misconfigured, match="broken"):
        catalog.get("broken")


@pytest.mark.parametrize(
    "text",
    [
        "slug: other\nname: Other\nauth: api_key\n",
        "slug: bad\nname: Bad\nauth: api_key\nsurprise: true\n",
        "slug: bad\nname: Bad\nauth: api_key\nlifetime: {access: 'soon'}\n",
        "slug: bad\nname: Bad\nauth: api_key\nbase: nowhere\n",
        "slug: bad\nname: Bad\nauth: oauth2\nbase: acme-mail\n",
        "- slug: bad\n",
    ],
    ids=["another slug", "unknown field", "wrong type", "no such base", "base of a base", "a list"],
)
def test_a_file_that_is_no_entry_is_refused(folder: Path, text: str) -> None:
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(Misconfigured, match="bad"):
        load_catalog(directory=folder).get("bad")


def test_a_variant_takes_over_all_but_names_and_claims(folder: Path) -> None:
    mail = load_catalog(directory=folder).get("acme-mail")
    assert mail is not None
    assert mail.oauth2 is not None
    assert mail.oauth2.token_url == "https://api.acme.example/token"
    assert mail.oauth2.scopes == ("mail",)
    assert mail.oauth2.authorize_params == {"audience": "api", "hint": "mail"}
    assert (mail.lifetime.access, mail.lifetime.refresh_idle) == (60, 90)
    assert mail.categories == ("crm",)
    assert (mail.name, mail.aliases, mail.docs, mail.checked_on) == ("Acme Mail", (), None, None)


def test_search_looks_at_names_aliases_and_categories(folder: Path) -> None:
    catalog = load_catalog(directory=folder)
    assert [found.slug for found in catalog.search("MAIL")] == ["acme-mail"]
    assert [found.slug for found in catalog.search("acme-cloud")] == ["acme"]
    assert [found.slug for found in catalog.search("crm")] == ["acme", "acme-mail"]
    assert catalog.search("nothing of the kind") == ()


def test_an_origin_map_moves_urls_that_begin_with_the_origin(folder: Path) -> None:
    stand_in = "http://127.0.0.1:4001"
    catalog = load_catalog(
        {"https://api.acme.example": stand_in, "https://files.acme.example": "http://127.0.0.1:4002"}, folder
    )
    provider = catalog.get("acme")
    assert provider is not None
    assert provider.oauth2 is not None
    assert provider.oauth2.token_url == f"{stand_in}/token"
    assert provider.oauth2.authorize_url == "https://id.acme.example/authorize"
    assert provider.api is not None
    assert provider.api.hosts == ("127.0.0.1:4002",)
    assert provider.evidence == {"token_url": ("https://api.acme.example/token",)}


def test_an_origin_does_not_take_a_longer_host_along(folder: Path) -> None:
    catalog = load_catalog({"https://api.acme": "http://127.0.0.1:4001"}, folder)
    provider = catalog.get("acme")
    assert provider is not None
    assert provider.oauth2 is not None
    assert provider.oauth2.token_url == "https://api.acme.example/token"


def test_an_origin_map_lets_the_stand_in_name_itself_as_the_instance(folder: Path) -> None:
    stand_in = "http://127.0.0.1:4003"
    provider = load_catalog({"https://eu.acme.example": stand_in}, folder).get("acme")
    assert provider is not None
    for site in (stand_in, "https://us.acme.example"):
        assert settle(provider, {"site": site})["site"] == site
    assert provider.oauth2 is not None
    assert provider.oauth2.keep_pattern["site"].endswith(r"http://127\.0\.0\.1:4003")


def test_the_shipped_catalogue_can_be_moved_to_emulators() -> None:
    provider = load_catalog({"https://github.com": "http://127.0.0.1:4001"}).get("github")
    assert provider is not None
    dialect = resolve_dialect(provider, {})
    assert dialect.authorize_url == "http://127.0.0.1:4001/login/oauth/authorize"
    assert dialect.token_url == "http://127.0.0.1:4001/login/oauth/access_token"


def test_opening_the_catalogue_reads_no_entry_and_no_parser() -> None:
    code = (
        "import sys; from holdfast.providers.loader import load_catalog; load_catalog().slugs();"
        "sys.exit('yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Reading what side calls return: who the account is, which sites it may choose from, what was granted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.oauth2.paths import first
from holdfast.providers.entry import Discover, GrantedScopes, Identity

# A label is shown to people and stored; providers have sent whole profiles where a name was expected.
_LONGEST = 320


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """One account at the provider. `id` never changes there and is what we pin; `label` is for people."""

    id: str
    label: str | None = None
    account_id: str | None = None


def read_identity(identity: Identity, document: Mapping[str, object] | object) -> ProviderIdentity | None:
    """Return the account that `document` describes, or None if it does not say which one it is."""
    subject = _text(first(document, identity.id))
    if subject is None:
        return None
    return ProviderIdentity(
        id=subject,
        label=_text(first(document, identity.label)),
        account_id=_text(first(document, identity.account_id)),
    )


def read_sites(discover: Discover, document: object) -> tuple[dict[str, str], ...]:
    """Return the sites (tenants, accounts) to choose from, each with the values that choosing it sets."""
    found = document if discover.list in (None, "[]") else first(document, discover.list)
    items = found if isinstance(found, list) else [found]
    sites = [
        {name: text for name, path in discover.set.items() if (text := _text(first(item, path))) is not None}
        for item in items
        if isinstance(item, dict)
    ]
    return tuple(site for site in sites if site)


def chosen_site(sites: Sequence[Mapping[str, str]], former: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the one site there is, or of several the one that `former` values name. None = somebody has to choose:
    the first of several would be the wrong one half of the time, and nobody would be told.

    A site is known by its first value, its id. Only where `former` has none do the others count, and then all of them:
    sites are renamed, and a name or a region is another site's too.
    """
    if len(sites) == 1:
        return sites[0]
    named = [site for site in sites if _is_named(site, former)]
    return named[0] if len(named) == 1 else None


def _is_named(site: Mapping[str, str], former: Mapping[str, str]) -> bool:
    known = [name for name in site if name in former]
    if known[:1] == list(site)[:1]:
        known = known[:1]
    return bool(known) and all(former[name] == site[name] for name in known)


def read_granted_scopes(granted: GrantedScopes, document: object) -> tuple[str, ...]:
    """Return the scopes that a provider lists apart from the token reply."""
    found = document if granted.list in (None, "[]") else first(document, granted.list)
    return tuple(
        scope
        for item in (found if isinstance(found, list) else [])
        if (scope := _text(first(item, granted.scope) if granted.scope else item)) is not None
        and (granted.status is None or first(item, granted.status) == granted.status_equals)
    )


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = "".join(character for character in str(value) if character.isprintable()).strip()
    return text[:_LONGEST] or None

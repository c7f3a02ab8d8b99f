"""Which site (tenant, account) of a provider an account works on, found out when a call first needs to know.

Usually it is known since the account was connected. It is not for accounts that were imported, and where the provider
could not say then.
"""

from collections.abc import Mapping

from holdfast.accounts import Account
from holdfast.accounts import store as account_store
from holdfast.connections import ClientFactory, Effective
from holdfast.connections.provider_client import Lost
from holdfast.errors import Conflict, Unavailable
from holdfast.providers.entry import Provider
from holdfast.providers.identity import chosen_site
from holdfast.providers.templates import placeholders
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

_MOST_NAMED = 5


class SiteUnknown(Conflict):
    """The provider has several sites for this account, or none, and nobody has said which it is."""

    default_code = "site_unknown"


class Sites:
    def __init__(self, database: Database, factory: ClientFactory) -> None:
        self._database, self._factory = database, factory

    async def find(self, effective: Effective, account: Account, secret: Secret) -> Mapping[str, str]:
        """Ask the provider for the account's site; keep its values on the account and return them.

        Raises SiteUnknown where there are several or none, or none that the app has named, Unavailable if the provider
        does not say.
        """
        provider, named = effective.provider, named_site(effective.provider, account)
        values = {**account.config, **account.kept}
        client = self._factory.client_of_account(effective, "", None, values)
        sites = await client.sites(secret, account.kept)
        if isinstance(sites, Lost):
            raise Unavailable(
                f"{provider.name} did not say which site this account works on ({sites.reason})", code="site_unknown"
            )
        site = chosen_site(sites, {**values, **named})
        if site is None or any(site.get(name, value) != value for name, value in named.items()):
            raise SiteUnknown(_words(provider, sites))
        kept = dict(site)
        await self._database.transact(lambda tx: _keep(tx, provider, account, kept))
        return kept


def named_site(provider: Provider, account: Account) -> dict[str, str]:
    """Return the site's values that the account's app has said itself, as members of its api_config."""
    names = provider.discover.set if provider.discover is not None else {}
    return {name: value for name in names if isinstance(value := account.api_config.get(name), str) and value}


def lacks_site(provider: Provider, values: Mapping[str, str]) -> bool:
    """Tell whether the API's address or headers need a site's value that is not there."""
    if provider.discover is None or provider.api is None:
        return False
    needed = set().union(*map(placeholders, (provider.api.base_url, *provider.api.headers.values())))
    return bool(needed & provider.discover.set.keys() - values.keys())


def _keep(tx: Tx, provider: Provider, account: Account, site: Mapping[str, str]) -> None:
    """Keep the site in place of what was known of one; not if the account has another credential than was asked with:
    it may have been connected again meanwhile, by somebody who works elsewhere."""
    found = account_store.get(tx, account.environment_id, account.id, lock=True)
    if found is not None and found.credential_version == account.credential_version:
        names = provider.discover.set if provider.discover is not None else {}
        rest = {name: value for name, value in found.kept.items() if name not in names}
        account_store.save(tx, found.but(kept={**rest, **site}))


def _words(provider: Provider, sites: tuple[dict[str, str], ...]) -> str:
    if not sites:
        return f"the account reaches no site of {provider.name}: its user has to be given access to one there"
    name = next(iter(provider.discover.set)) if provider.discover is not None else ""
    shown = ", ".join(" ".join(site.values()) for site in sites[:_MOST_NAMED])
    more = f" and {len(sites) - _MOST_NAMED} more" if len(sites) > _MOST_NAMED else ""
    which = "several sites" if len(sites) > 1 else "another site"
    return f"the account reaches {which} of {provider.name}: set '{name}' in its api_config ({shown}{more})"

"""Providers: what we know of third-party services, as data.

Owns
- the catalogue: one file `catalog/<slug>.yaml` per provider, each fact with its evidence, decoded strictly
  into a frozen `entry.Provider`. `loader.load_catalog()` opens it; an entry is read when it is asked for;
- custom providers: entries that an administrator defines through the API, kept per environment (`custom`,
  `store`);
- templates: `{placeholder}`s of an entry filled with values that were checked first (`templates`);
- side calls: an entry's revoke, identity, discover and probe descriptors as ready requests (`calls`), and the
  reading of what they return (`identity`).

States: none. An entry is a value; a changed custom provider is a new value.

Leaves
- the OAuth 2.0 protocol to `oauth2`, which reads the `oauth2:` block (a `Dialect`) once its templates
  are filled;
- sending requests, and refusing forbidden addresses, to `outbound`;
- client ids, client secrets and the choice of scopes to `connections`; tokens to `accounts`.

No provider's name stands in Python. What a provider does differently is a field of `entry.py` or of
`holdfast.oauth2.dialect`; what data cannot say names an `adapter`. `catalog/_hosts.txt` lists every host an
entry may speak to, so that a change which adds or moves one is seen in review.
"""

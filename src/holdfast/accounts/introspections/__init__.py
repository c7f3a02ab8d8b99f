"""Introspections: access tokens whose end nobody has said, to be asked about at the provider that issued them.

Owns the table of what is to be asked. A line is written in the transaction that stores the token, and taken away by
whoever asks: each token is asked about once at most, after it is stored, and nothing waits for the answer. The line
holds no secret: the token is the account's.

Leaves the asking to `tokens.introspecting`.
"""

from dataclasses import dataclass

from holdfast.providers.entry import Provider


@dataclass(frozen=True, slots=True)
class Introspection:
    """A token to ask about: the account's, as long as it holds this version of its credential."""

    environment_id: str
    account_id: str
    credential_version: int


def is_wanted(provider: Provider, *, end_unsaid: bool) -> bool:
    """Tell whether to ask when a token ends. A life in the catalogue is an assumption, so it does not settle it."""
    asked_at = provider.oauth2.introspect_url if provider.oauth2 is not None else None
    return end_unsaid and asked_at is not None and provider.lifetime.access != "never"

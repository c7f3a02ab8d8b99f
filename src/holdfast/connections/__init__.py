"""Connections: our client at a provider. Name, owner kind, client id and secret, scopes, enabled.

A Connection is what the WorkOS door calls a data integration and the Scalekit door a connector. One name may stand for
two connections, one for accounts that users own and one for those that organizations own. A Client is one OAuth client
id with its sealed secret; an account keeps the client it was granted to, so a new client never breaks old accounts.
An Override is what one organization has changed: enabled, scopes, its own client. `Definitions` makes and changes an
environment's own providers. `rules` say which calls may go through a connection; the proxy asks them.

States: disabled, enabled; beside that an alert, set when the provider refuses our client and
cleared when it works or is changed; both are entries of the log.
`client_for` hands a ready OAuth client to whoever needs one and hides vault, facts and HTTP.
"""

from holdfast.connections.connection import Client, Connection, Effective, Override, effective
from holdfast.connections.definitions import Definitions
from holdfast.connections.provider_client import ClientFactory, ProviderClient
from holdfast.connections.settings import Connections

__all__ = [
    "Client",
    "ClientFactory",
    "Connection",
    "Connections",
    "Definitions",
    "Effective",
    "Override",
    "ProviderClient",
    "effective",
]

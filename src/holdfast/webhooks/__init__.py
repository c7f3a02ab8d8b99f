"""Webhooks: who is told about what. Owns the endpoints and their signing secrets.

States of an endpoint: enabled, disabled. Its secret is sealed and shown to whoever may list endpoints, because that is
what the wire promises. Delivering entries to endpoints is not here yet: so far an app polls the events list.
"""

from holdfast.webhooks.endpoint import Endpoint
from holdfast.webhooks.endpoints import Endpoints

__all__ = ["Endpoint", "Endpoints"]

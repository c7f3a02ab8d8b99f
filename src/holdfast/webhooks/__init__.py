"""Webhooks: who is told about what. Owns the endpoints with their signing secrets, and (`deliveries`) the telling.

States of an endpoint: enabled, disabled (by the app; by us, when it answers 410 or nothing has reached it for five
days). Its secret is sealed and shown to whoever may list endpoints, because that is what the wire promises.
"""

from holdfast.webhooks.endpoint import Endpoint
from holdfast.webhooks.endpoints import Endpoints

__all__ = ["Endpoint", "Endpoints"]

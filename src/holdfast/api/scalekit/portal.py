"""RPCs that belong to a portal session or to a signed-in user of the hosted dashboard. Neither exists here: an app's
token does all of it by other RPCs, which the refusal names."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.errors import Refused

_INSTEAD: Mapping[str, str] = {
    "GetRedirectUrl": "make a link with GetMagicLinkForConnectedAccount",
    "CreateRedirectUrl": "make a link with GetMagicLinkForConnectedAccount",
    "ListMyAppConnections": "list accounts with ListConnectedAccounts and connections with ListAppConnections",
    "DisconnectMyConnectedAccount": "name the account in DisconnectConnectedAccount",
    "GetMyConnectionMagicLink": "make a link with GetMagicLinkForConnectedAccount",
}


@dataclass(frozen=True)
class PortalRpcs(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {f"ConnectedAccountService.{name}": self.refuse for name in _INSTEAD}

    async def refuse(self, call: Call) -> Message:
        raise no_portal(_INSTEAD[call.method.name.partition(".")[2]])


def no_portal(instead: str) -> Refused:
    return Refused(
        f"this call is for a portal or user session, and the token is an app's: {instead}",
        code="session_required",
    )

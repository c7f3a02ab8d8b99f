"""RPCs that belong to a portal session or to a signed-in user of the hosted dashboard. Neither exists here: an app's
token does all of it by other RPCs, which the refusal names."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.errors import Refused

_LINK = "make a link with GetMagicLinkForConnectedAccount"
_INSTEAD: Mapping[str, str] = {
    "ConnectedAccountService.GetRedirectUrl": _LINK,
    "ConnectedAccountService.CreateRedirectUrl": _LINK,
    "ConnectedAccountService.ListMyAppConnections": (
        "list accounts with ListConnectedAccounts and connections with ListAppConnections"
    ),
    "ConnectedAccountService.DisconnectMyConnectedAccount": "name the account in DisconnectConnectedAccount",
    "ConnectedAccountService.GetMyConnectionMagicLink": _LINK,
    "ProviderService.ListMyProviders": "list providers with ListProviders",
    "EventsService.SendCustomEvent": "the events here are what happened to accounts, and are made by that alone",
    "AgentkitLogsService.ListCurrentToolCallLogs": "list a user's calls with ListToolCallLogs and their identifier",
    "AgentkitAnalyticsService.GetCurrentOverviewStats": "count calls with GetOverviewStats",
}


@dataclass(frozen=True)
class PortalRpcs(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return dict.fromkeys(_INSTEAD, self.refuse)

    async def refuse(self, call: Call) -> Message:
        raise no_portal(_INSTEAD[call.method.name])


def no_portal(instead: str) -> Refused:
    return Refused(
        f"this call is for a portal or user session, and the token is an app's: {instead}",
        code="session_required",
    )

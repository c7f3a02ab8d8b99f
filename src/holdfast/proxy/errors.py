"""What a call through the proxy can come to before anything is sent."""

from holdfast.accounts import Owner, Reason
from holdfast.errors import HoldfastError, Unprocessable


class NotProxied(Unprocessable):
    """Nothing is known of the provider's API, so there is no host that its credential may go to."""

    default_code = "proxy_not_enabled"


class AuthorizationRequired(HoldfastError):
    """There is no usable credential: the owner has to connect, or connect again."""

    default_code = "authorization_required"

    def __init__(self, connection: str, owner: Owner, why: str, reason: Reason | None = None, detail: str = "") -> None:
        words = "is not connected" if why == "not_installed" else "has to be authorised again"
        if reason is Reason.PAUSED:
            words = "is paused"
        super().__init__(f"this owner's account at '{connection}' {words}{f': {detail}' if detail else ''}")
        self.connection, self.owner, self.why, self.reason = connection, owner, why, reason

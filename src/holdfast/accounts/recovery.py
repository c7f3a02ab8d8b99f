"""What an account that cannot be used needs: why, in a sentence for people, and what to do. A table, no I/O."""

from dataclasses import dataclass
from typing import Literal

from holdfast.accounts.account import Account, Reason, Status

Step = Literal["connect", "reconnect", "verify", "resume"]
"""connect, reconnect: send the owner a link. verify: the app confirms who its user is, or sends a new link.
resume: an administrator takes the pause back."""


@dataclass(frozen=True, slots=True)
class Recovery:
    reason: str
    """A Reason, or the status where there is none."""
    sentence: str
    step: Step


_RECONNECT = "Its owner has to connect it again."
_BY_REASON: dict[Reason, tuple[str, Step]] = {
    Reason.REFRESH_REFUSED: (f"The provider does not renew its access any more. {_RECONNECT}", "reconnect"),
    Reason.ROTATION_LOST: (
        f"The provider renewed its access and the answer never arrived, so the access is lost. {_RECONNECT}",
        "reconnect",
    ),
    Reason.NO_REFRESH_TOKEN: (
        "Its access has ended and the provider gave nothing to renew it with: check that the connection asks for"
        f" offline access. {_RECONNECT}",
        "reconnect",
    ),
    Reason.NO_CREDENTIAL: ("It holds no credential. Its owner has to connect it.", "connect"),
    Reason.SET_BY_APP: (f"The app has marked it as needing a new authorisation. {_RECONNECT}", "reconnect"),
    Reason.MEMBERSHIP_ENDED: (
        "The member who connected it has left the organization. An administrator has to connect it again.",
        "reconnect",
    ),
    Reason.REVOKED_BY_USER: (f"Its owner has disconnected it. {_RECONNECT}", "reconnect"),
    Reason.REVOKED_BY_ADMINISTRATOR: (f"An administrator has disconnected it. {_RECONNECT}", "reconnect"),
    Reason.REVOKED_AT_PROVIDER: (f"Its access was taken back at the provider. {_RECONNECT}", "reconnect"),
    Reason.UNUSABLE: (f"The provider does not accept its credential. {_RECONNECT}", "reconnect"),
    Reason.PAUSED: ("An administrator has paused it, and has to resume it.", "resume"),
}
_BY_STATUS: dict[Status, tuple[str, Step]] = {
    Status.PENDING: ("It is not connected yet. Its owner has to open a link and connect it.", "connect"),
    Status.VERIFYING: (
        "Its owner has connected it, and the app has not confirmed yet who that is. If the app cannot any more, it has"
        " to send a new link.",
        "verify",
    ),
    Status.EXPIRED: (f"Its access has ended. {_RECONNECT}", "reconnect"),
    Status.ERROR: (f"Its access does not work. {_RECONNECT}", "reconnect"),
    Status.REVOKED: (f"It was disconnected. {_RECONNECT}", "reconnect"),
    Status.SUSPENDED: ("It is paused. An administrator has to resume it.", "resume"),
}


def recovery_of(account: Account) -> Recovery | None:
    """Return what the account needs; None while it is active. Words kept with the account come before the table's."""
    if account.status is Status.ACTIVE:
        return None
    sentence, step = _BY_STATUS[account.status]
    if account.reason is not None:
        sentence, step = _BY_REASON[account.reason]
    return Recovery(account.reason.value if account.reason else account.status.value, account.detail or sentence, step)

"""The hand-off: how a page that opened a window proves to us that it did.

A widget opens a window and asks for a link; it then posts `handoff_token` to that window, where our page takes messages
from the opener's origin alone. A link that was sent to somebody by mail has no opener, and so asks whose account it is.
"""

import hmac
from dataclasses import dataclass, field
from urllib.parse import quote

from holdfast.access.widgets.tokens import WidgetTokens


@dataclass(frozen=True, slots=True)
class Handoff:
    url: str = field(repr=False)
    redirect_token: str
    """Comes back to the opener as a sign that its message was heard."""
    handoff_token: str = field(repr=False)


def hand_off(tokens: WidgetTokens, base_url: str, link: str, origin: str) -> Handoff:
    """Return what a page of `origin` needs to lead the window that it opened through `link`."""
    return Handoff(
        f"{base_url}/pipes/authorize/{link}?opener={quote(origin, safe='')}",
        tokens.proof("redirect", link)[:32],
        _token(tokens, link, origin),
    )


def is_handed_off(tokens: WidgetTokens, link: str, origin: str, token: str) -> bool:
    return hmac.compare_digest(_token(tokens, link, origin).encode(), token.encode())


def _token(tokens: WidgetTokens, link: str, origin: str) -> str:
    return tokens.proof("handoff", f"{link} {origin}")

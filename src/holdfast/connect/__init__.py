"""Connect: the pages an end user's browser sees, the provider's callback among them.

Owns cookies, security headers, and what people read. Every text a provider sent is escaped. Leaves every decision to
`authorization`. A page is shown only where there is no app to return to; otherwise the browser always goes back.
"""

from holdfast.connect.handoff import HandoffPages
from holdfast.connect.looks import Looks
from holdfast.connect.mine import MinePages
from holdfast.connect.pages import ConnectPages

__all__ = ["ConnectPages", "HandoffPages", "Looks", "MinePages"]

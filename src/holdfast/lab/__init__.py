"""The provider lab: pretend providers to develop and test against. Mounted in development only; all state in memory.

Its first room is the sandbox, an OAuth 2.0 provider with an API, at `/lab/sandbox`. It behaves by the RFCs (6749, 7636,
7009, 8414, 9207) until a switch on its control page makes it misbehave the way real providers do: rotate, forget to
rotate, lose a reply, fail, dawdle, grant less than was asked for.

    grant.py      one person's grant as a value: rotation, replay within a grace, reuse that ends the family (pure)
    asking.py     an authorization request, read and checked (pure)
    switches.py   what can be made to go wrong, as data
    sandbox.py    the provider's state: codes, grants, tokens, counters
    routes.py     its HTTP endpoints; pages.py the consent page and the control page
    entry.py      its catalogue entry

A grant is live until it is ended, for one of: the person took it back, the app revoked it, a code or a refresh token
was used twice. Nothing here knows Holdfast: it is a provider like any other, seen through its HTTP endpoints alone.
"""

from holdfast.lab.entry import sandbox_provider
from holdfast.lab.routes import routes, sandbox_routes
from holdfast.lab.sandbox import SANDBOX_CLIENT_ID, Sandbox
from holdfast.lab.switches import Switches

__all__ = ["SANDBOX_CLIENT_ID", "Sandbox", "Switches", "routes", "sandbox_provider", "sandbox_routes"]

"""Authorization: one try at connecting, from link to finish.

An Attempt is begun by the app, started by a browser, and finished by the provider's callback (and, where it was begun
with a `code_challenge`, by the app that holds the verifier). States: begun, started, consumed, authorized, verifying,
finished, failed. Everything that identifies one (link, state, connect code, auth request, browser) is kept as a keyed
hash, is single use, and ends after ten minutes.

Two ways to begin. `Begin` answers an authorize call: nothing is stored as an account before the last step. `Links`
makes a one-time link for (connection, owner), and a pending account where there is none; it ends after a minute unless
it is opened, and serves consent as well as typed credentials:

    links.make(LinkFor) -> Link(url, expires_at, account)
    start.open / start.start / start.cancel     the page, on to the provider, the way back
    fill.submit                                 the form: tried at the provider, then settled
    callback.land / callback.land_by_id         the provider's redirect, at either kind of redirect URI
    finish.finish(connect_code, verifier)       the app that began with a challenge
    verify.verify(environment, auth_request_id, identifier) -> where to send the browser

After a link's consent, if it has a `user_verify_url` or the environment verifies users (`custom`), the credential is
laid aside, sealed, and the browser goes to `user_verify_url?auth_request_id=...&state=...`. Until `verify` names the
user whom the link was made for, a new account is `verifying` and an active one keeps what it has.

`Mine` is what a user in a widget session sees and does: list, authorize, submit a form, disconnect.

Leaves pages and cookies to `connect`, the protocol to `oauth2`, the account to `accounts`.
"""

from holdfast.authorization.attempt import Attempt, Landed
from holdfast.authorization.begin import Begin, Beginning, Begun
from holdfast.authorization.callback import Callback
from holdfast.authorization.fill import Fill
from holdfast.authorization.finish import Finish
from holdfast.authorization.link import Link, LinkFor, Links
from holdfast.authorization.mine import Mine, Own, Row
from holdfast.authorization.settle import Settle
from holdfast.authorization.start import Opened, Start, Started
from holdfast.authorization.verify import Verify

__all__ = [
    "Attempt",
    "Begin",
    "Beginning",
    "Begun",
    "Callback",
    "Fill",
    "Finish",
    "Landed",
    "Link",
    "LinkFor",
    "Links",
    "Mine",
    "Opened",
    "Own",
    "Row",
    "Settle",
    "Start",
    "Started",
    "Verify",
]

"""Authorization: one try at connecting, from link to finish.

An Attempt is begun by the app, started by a browser, and finished by the provider's callback (and, where it was begun
with a `code_challenge`, by the app that holds the verifier). States: begun, started, authorized, finished, failed.
Everything that identifies one (link, state, connect code, browser) is kept as a keyed hash, is single use, and ends
after ten minutes. Nothing is stored as an account before the last step.

Leaves pages and cookies to `connect`, the protocol to `oauth2`, the account to `accounts`.
"""

from holdfast.authorization.attempt import Attempt, Landed
from holdfast.authorization.begin import Begin, Beginning, Begun
from holdfast.authorization.callback import Callback
from holdfast.authorization.finish import Finish
from holdfast.authorization.start import Opened, Start, Started

__all__ = [
    "Attempt",
    "Begin",
    "Beginning",
    "Begun",
    "Callback",
    "Finish",
    "Landed",
    "Opened",
    "Start",
    "Started",
]

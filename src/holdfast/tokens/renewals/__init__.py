"""Renewals: the plain read of a token that has to be renewed first, its look-ups made many at once.

A read that `tokens.plain` leaves because the token has not enough life begins its refresh here (`begin`: the account
found and its turn taken in one statement), or is looked up and refreshed by the one function that refreshes; its entry
is written in the statement that commits the new pair. While most reads have to renew, they begin with that and are read
plainly if they need not. Reads that joined another's refresh are read plainly again. Everything else is left to
`tokens.read`, which explains itself.
"""

from holdfast.tokens.renewals.read import RenewingReader

__all__ = ["RenewingReader"]

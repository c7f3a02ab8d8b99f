"""Renewals: the plain read of a token that has to be renewed first, its look-ups made many at once.

A read that `tokens.plain` leaves because the token has not enough life is looked up here, refreshed by the one function
that refreshes, and its entry written in the statement that commits the new pair. Reads that joined another's refresh
are read plainly again. Everything else is left to
`tokens.read`, which explains itself.
"""

from holdfast.tokens.renewals.read import RenewingReader

__all__ = ["RenewingReader"]

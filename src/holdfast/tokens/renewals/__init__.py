"""Renewals: the plain read of a token that has to be renewed first, its look-ups made many at once.

A read that `tokens.plain` leaves because the token has not enough life is looked up here, refreshed by the one function
that refreshes, and read plainly again: its entry is then written as that of any plain read. Everything else is left to
`tokens.read`, which explains itself.
"""

from holdfast.tokens.renewals.read import RenewingReader

__all__ = ["RenewingReader"]

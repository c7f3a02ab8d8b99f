"""Errands: one act on many accounts, done in short steps, that outlives a restart and can be watched.

Owns the table of errands. States: under way, ended (done, or stopped by somebody). Each step is one transaction that
locks the errand, acts on the next accounts with an entry each, and moves its cursor: however many processes step it,
no account is acted on twice. It takes the accounts that were there when it was begun, by id, and passes over those that
the act does not fit.
"""

from holdfast.accounts.errands.errand import ACTS, Act, Errand
from holdfast.accounts.errands.run import Errands

__all__ = ["ACTS", "Act", "Errand", "Errands"]

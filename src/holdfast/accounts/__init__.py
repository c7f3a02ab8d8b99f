"""Accounts: one owner's authorised link to a provider, through a connection.

Owns the record, the status machine, the credential's sealed columns and how an account comes to be, changes and ends.

    pending > verifying > active > expired | revoked | error | suspended, and back to active

Each transition is an entry in the log, written with it. A credential is sealed for this account, field and version; a
row swapped or rolled back does not open. Leaves refreshing and vending to `tokens`, consent to `authorization`.
"""

from holdfast.accounts.account import Account, Owner, Reason, Status
from holdfast.accounts.credential import ApiKey, ClientCredential, Credential, OAuthCredential
from holdfast.accounts.install import Accounts, Connecting, IdempotentUse
from holdfast.accounts.selection import select_account

__all__ = [
    "Account",
    "Accounts",
    "ApiKey",
    "ClientCredential",
    "Connecting",
    "Credential",
    "IdempotentUse",
    "OAuthCredential",
    "Owner",
    "Reason",
    "Status",
    "select_account",
]

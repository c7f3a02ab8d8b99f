"""Accounts: one owner's authorised link to a provider, through a connection.

Owns the record, the status machine, the credential's sealed columns and how an account comes to be, changes and ends.

    pending > verifying > active > expired | revoked | error | suspended, and back to active

Each transition is an entry in the log, written with it; its data hold `old_status`, null where there was no account. A
credential is sealed for this account, field and version; a row swapped or rolled back does not open.

    Accounts   connect(Connecting): an account connected or reconnected, whatever the way
    Keeping    find, get, create, get_or_create, update, suspend, resume, revoke, delete: what an app does itself
    Bulk       page(Listing), delete, delete_all, leftovers, clean_up: many at once, and an environment's policy
    recovery_of(account)        why it cannot be used, in words, and what to do
    missing_scopes(effective, account)   asked for by the connection now, minus granted
    details_of(account, ...)    the fields of a credential that was typed in
    providers.forms.read_details         such fields as an app brings them: `ApiKey(typed.key, typed.details)`
    brought(access, refresh, ...)        tokens as an app brings them

An account's scopes are what was granted: they change by a new consent, never by a change of the connection's. When an
account was last used is read from the log. Leaves refreshing and vending to `tokens`, consent to `authorization`.
"""

from holdfast.accounts.account import Account, Owner, Reason, Status
from holdfast.accounts.bulk import Bulk, Leftover, Page, Progress
from holdfast.accounts.credential import (
    ApiKey,
    ClientCredential,
    Credential,
    Delegated,
    NoCredential,
    OAuthCredential,
    brought,
    details_of,
    missing_scopes,
)
from holdfast.accounts.install import Accounts, Connecting, IdempotentUse
from holdfast.accounts.keeping import Given, Keeping
from holdfast.accounts.recovery import Recovery, recovery_of
from holdfast.accounts.selection import select_account
from holdfast.accounts.store import Listing

__all__ = [
    "Account",
    "Accounts",
    "ApiKey",
    "Bulk",
    "ClientCredential",
    "Connecting",
    "Credential",
    "Delegated",
    "Given",
    "IdempotentUse",
    "Keeping",
    "Leftover",
    "Listing",
    "NoCredential",
    "OAuthCredential",
    "Owner",
    "Page",
    "Progress",
    "Reason",
    "Recovery",
    "Status",
    "brought",
    "details_of",
    "missing_scopes",
    "recovery_of",
    "select_account",
]

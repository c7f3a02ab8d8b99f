"""The log: one append-only table that is the audit trail and the source of both doors' events.

Every credential read, refresh, status change and administrative act is an `Entry`, written in the same transaction as
what it reports; a read's entry is durable before its credential leaves. Entries are never changed or deleted here.
One entry may tell of many reads that were made durable together (`gathered`).
`order` says up to where the log is complete, for whoever pages through it; `sealing` proves that it is what it was.
Leaves to the doors what an entry is called on their wire, and to `webhooks` who is told about it.
"""

from holdfast.events.entry import Actor, Entry
from holdfast.events.names import Action

__all__ = ["Action", "Actor", "Entry"]

"""The WorkOS door: the Pipes REST wire, as its official SDKs speak it, at the root of our origin.

Owns that wire's shapes (`inputs`, `outputs`), its words (`naming`), its one table of errors (`faults`) and its
operations, grouped as its reference groups them. Leaves everything that happens to the rooms below: a handler parses
ids, calls one flow, and renders the result.
"""

from holdfast.api.workos.door import WorkosDoor

__all__ = ["WorkosDoor"]

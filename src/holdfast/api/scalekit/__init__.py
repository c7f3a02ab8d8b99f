"""The Scalekit door: the AgentKit wire, gRPC and REST, as its official Python and Node SDKs speak it.

The wire is described once, in `proto/`: messages, methods, REST paths, the rules of their fields and what a key must be
allowed. `descriptors` reads that. `grpc` and `rest` are two ways in; both end in `calls`, which knows who asks, checks
the request (`rules`) and calls the handler. `faults` is the one table of errors, `paging` makes page tokens, `document`
writes OpenAPI, `signin` is how SDKs get their tokens. Leaves everything that happens to the rooms below.

To add an RPC that `proto/` has (all of the vendor's that agents use are there; one without a handler answers
UNIMPLEMENTED):

1. Write a method `async def name(self, call: Call) -> Message` in a group, a frozen dataclass that holds `parts: Parts`
   (`accounts.py`, `organizations.py`; a new file for a new subject).
2. Name it in the group's `rpcs()`: `"ConnectionService.ListAppConnections": self.list_app`. A new group goes into
   `groups` in `door.py`; what it needs beside what is there, into `parts.py` and, wired, into `doors.py`.

That is all: gRPC, REST, rules, authentication and OpenAPI follow. In a handler:

- `call.request` is the protobuf message, its rules kept; `call.given("connector")` is a text, or None if it is empty.
- `call.reply(field=...)` makes the method's reply; `message("connected_accounts.ConnectedAccount", ...)` any other. A
  field given None stays unset. Submessages take dicts, enums their names, Structs plain dicts; `rendering.timestamp`.
- `finding.find` returns the account a request means (`place_of` its owner and connection), `naming` has ids and enums,
  `rendering.connected_account` shows one. Call flows with `actor=call.actor()` and `request_id=call.request_id`.
- Raise our own errors; `faults.Exists`, `faults.FailedPrecondition` and `faults.ToolError` are this wire's.
- `parts.provider_keys` finds providers by the wire's names; `event_bodies.event_body` is the envelope of events, for
  lists and webhooks alike.
- Page with `parts.pages`: `start = pages.start(call, request.page_token, *filters)`, then `pages.after(call, last_id,
  *filters)`.

A message or method that is not there yet: write it into the .proto file with the vendor's names and numbers. It is
compiled by the next import in a source checkout, and by the build; a test holds it against the vendor's descriptors.
"""

from holdfast.api.scalekit.door import ScalekitDoor

__all__ = ["ScalekitDoor"]

"""What webhooks tell on this wire: the very bodies that `/events` shows."""

import msgspec

from holdfast.api.workos.events import _VERBS, KINDS, event_name, render
from holdfast.events import Action, Entry

# Compact and unescaped, as its Node SDK writes a body anew before it checks the signature of a parsed one.
_encoder = msgspec.json.Encoder()


class WorkosRenderer:
    actions: frozenset[Action] = frozenset(_VERBS)
    names = frozenset(KINDS)  # of all the names that an endpoint may ask for, those that something is told by

    def event_name(self, entry: Entry) -> str | None:
        return event_name(entry) if entry.action in self.actions else None

    def render(self, entry: Entry) -> tuple[str, bytes]:
        event = render(entry)
        return event.id, _encoder.encode(event)

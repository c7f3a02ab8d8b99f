"""What webhooks tell on the Scalekit wire: the same events as its list shows, one to an entry, `evt_<entry id>`."""

import msgspec

from holdfast import ids
from holdfast.api.scalekit.event_bodies import ACTIONS, EVENT, KINDS, event_body, event_name
from holdfast.api.scalekit.naming import provider_key
from holdfast.events import Action, Entry

_encoder = msgspec.json.Encoder()


class ScalekitRenderer:
    actions: frozenset[Action] = ACTIONS
    names: frozenset[str] = frozenset(KINDS)

    def event_name(self, entry: Entry) -> str | None:
        return event_name(entry)

    def render(self, entry: Entry) -> tuple[str, bytes]:
        """Return the event's id and its body. The provider is told by the connection's name: an entry is all there is
        here, and its connection may be gone by now."""
        body = event_body(entry, None)
        body["data"]["provider"] = provider_key(str(entry.data.get("connection") or ""))
        return ids.with_prefix(EVENT, entry.id), _encoder.encode(body)

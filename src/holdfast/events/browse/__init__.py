"""Looking through the log as people do: newest first, filtered, at a bounded cost however long it is.

Owns no table: it reads the log's. A `Look` says what is wanted, a `Found` what there is and from where to look on.
"""

from holdfast.events.browse.store import MOST_LOOKED_THROUGH, Found, Look, browse, export

__all__ = ["MOST_LOOKED_THROUGH", "Found", "Look", "browse", "export"]

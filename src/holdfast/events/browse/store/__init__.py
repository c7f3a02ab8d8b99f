"""Looking through the log in SQL.

look.py    what is wanted, and its conditions
pages.py   pages and exports, newest first
reads.py   those with reads in them, on PostgreSQL: one entry may tell of many
"""

from holdfast.events.browse.store.look import MOST_LOOKED_THROUGH, Look
from holdfast.events.browse.store.pages import Found, browse, export

__all__ = ["MOST_LOOKED_THROUGH", "Found", "Look", "browse", "export"]

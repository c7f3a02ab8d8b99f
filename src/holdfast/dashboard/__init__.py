"""The dashboard: pages an administrator sees, rendered on the server, at /dashboard.

`frame.py` is what every page stands in: who is signed in, which environment they look at, the right a page asks for,
the form token, flashes, errors beside fields. `pages/` has a file per subject; each is a class with `routes()` made of
`frame.get(...)` and `frame.post(...)`. Pages read through the rooms' stores and act through their verbs, never by SQL
of their own. Everything works without scripts, except `live.js`, which fetches a part of a page again while something
is under way (`data-live`), and only that part.

To add a page: a class in `pages/`, templates in `templates/`, its routes in `pages/__init__.py`, and an entry in
`frame.NAVIGATION` if it deserves one.
"""

from holdfast.dashboard.dashboard import Dashboard, DashboardParts

__all__ = ["Dashboard", "DashboardParts"]

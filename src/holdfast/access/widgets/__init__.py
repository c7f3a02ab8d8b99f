"""Widgets: what an app hands to its user's browser, so that the user can look after their own accounts there.

A WidgetSession is one user of one environment (and organization), with the connections it is for. It is a signed token
of an hour: it opens the widgets' endpoints and nothing else, and stops when the API key it was made with is revoked.
A CorsOrigin is a site whose pages may use such a token from a browser.
"""

from holdfast.access.widgets.origins import CorsOrigin, Origins, check_origin
from holdfast.access.widgets.session import Permission, WidgetSession
from holdfast.access.widgets.tokens import NotThisSession, WidgetTokens

__all__ = ["CorsOrigin", "NotThisSession", "Origins", "Permission", "WidgetSession", "WidgetTokens", "check_origin"]

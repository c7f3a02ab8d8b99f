"""Administrators: the people who may open the dashboard, how they prove it, and what their role lets them do.

They belong to the installation, not to an environment. The first is made through a one-time link that `holdfast serve`
prints while there is none; others by invitation. A password is kept as argon2id (RFC 9106), a session and a link as a
keyed hash. States of an administrator: in force, disabled; disabling ends every session at once. The last owner can
neither be disabled nor made less.

Where the operator has named an OpenID Connect issuer, an administrator may prove who they are there: `openid` asks it,
`id_token` decides whether to believe the answer, `single_sign_on` who is let in by it.
"""

from holdfast.access.administrators.administrator import (
    Administrator,
    Invitation,
    Right,
    Role,
    Session,
    may,
)
from holdfast.access.administrators.openid import Issuer, OpenId
from holdfast.access.administrators.people import Administrators
from holdfast.access.administrators.signing_in import SignedIn, SigningIn, session_cookie
from holdfast.access.administrators.single_sign_on import SingleSignOn

__all__ = [
    "Administrator",
    "Administrators",
    "Invitation",
    "Issuer",
    "OpenId",
    "Right",
    "Role",
    "Session",
    "SignedIn",
    "SigningIn",
    "SingleSignOn",
    "may",
    "session_cookie",
]

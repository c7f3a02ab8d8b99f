"""What can go wrong on the way out. The first question is always: could the other side have seen the request?

Unavailable
+- NotSent            it certainly never left: name, connection, TLS, guard. Safe to repeat.
|  +- Blocked         the egress guard refused the destination. Repeating it will not help.
+- ReplyLost          it may have arrived, and its answer did not: time-out, reset, garbage. Not safe to
repeat.
   +- ReplyTooLarge   an answer began and passed the size limit.
"""

from holdfast.errors import Unavailable


class NotSent(Unavailable):
    """No byte of the request was written to the other side."""

    default_code = "provider_unreachable"


class Blocked(NotSent):
    """The destination is one this server does not talk to."""

    default_code = "destination_blocked"


class ReplyLost(Unavailable):
    """The request may have been received and acted upon; no usable answer came back."""

    default_code = "provider_reply_lost"


class ReplyTooLarge(ReplyLost):
    """The answer, counted after decompression, is larger than allowed."""

    default_code = "provider_reply_too_large"

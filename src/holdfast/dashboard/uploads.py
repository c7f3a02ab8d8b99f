"""Reading a form that holds a file.

By the standard library's MIME parser, which PEP 594 names in the place of `cgi`: the form is small, read whole, and
sent by somebody who is signed in.
"""

import email.parser
import email.policy
from email.message import EmailMessage

from holdfast.errors import Invalid

MOST_PARTS = 20
MOST_UPLOAD_BYTES = 1024 * 1024
"""More than any file that is taken, so that one too large is told beside its field."""


def is_multipart(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_multipart(content_type: str, body: bytes) -> dict[str, str | bytes]:
    """Return the fields of a `multipart/form-data` body (RFC 7578): a file's bytes, any other's text.

    A file's own name and type are left out: they are whatever its sender says. Raises Invalid.
    """
    if not content_type.isascii() or any(letter in content_type for letter in "\r\n"):
        raise _unreadable()
    head = b"content-type: " + content_type.encode() + b"\r\n\r\n"
    try:
        message = email.parser.BytesParser(EmailMessage, policy=email.policy.HTTP).parsebytes(head + body)
    except RecursionError:  # parts within parts within parts
        raise _unreadable() from None
    if not message.is_multipart() or message.defects:
        raise _unreadable()
    fields: dict[str, str | bytes] = {}
    for count, part in enumerate(message.iter_parts()):
        try:
            name = part.get_param("name", header="content-disposition")
            is_file = part.get_filename() is not None
        except (IndexError, ValueError):  # the parser's own, of a header that ends too early
            raise _unreadable() from None
        data = part.get_payload(decode=True)
        if count >= MOST_PARTS or not isinstance(name, str) or not isinstance(data, bytes):
            raise _unreadable()
        try:
            fields[name] = data if is_file else data.decode()
        except UnicodeDecodeError:
            raise _unreadable() from None
    return fields


def _unreadable() -> Invalid:
    return Invalid("this form cannot be read", code="form_unreadable")

"""One call as bytes: ListConnectedAccounts."""

from scalekit.v1.connected_accounts.connected_accounts_pb2 import ListConnectedAccountsRequest

LIST = b"/scalekit.v1.connected_accounts.ConnectedAccountService/ListConnectedAccounts"


def framed() -> bytes:
    """Return the request's message behind gRPC's prefix of five bytes."""
    message = ListConnectedAccountsRequest(page_size=1).SerializeToString()
    return b"\0" + len(message).to_bytes(4, "big") + bytes(message)

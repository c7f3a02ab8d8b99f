"""Nothing of the SDK is left out: its methods are read off its own classes."""

import importlib
import inspect
from pathlib import Path

import pytest
from workos.pipes._resource import AsyncPipes, Pipes
from workos.pipes_provider._resource import AsyncPipesProvider, PipesProvider

from tests.conformance.sdk import CLIENTS

WHOLE = {"WorkOSClient": (Pipes, PipesProvider), "AsyncWorkOSClient": (AsyncPipes, AsyncPipesProvider)}
"""Services that exist for connected accounts and nothing else."""

BESIDE = {
    "events": {"list_events"},
    "webhooks": {
        "list_webhook_endpoints",
        "create_webhook_endpoint",
        "update_webhook_endpoint",
        "delete_webhook_endpoint",
    },
    "organization_membership": {
        "list_organization_memberships",
        "create_organization_membership",
        "get_organization_membership",
        "update_organization_membership",
        "delete_organization_membership",
        "deactivate_organization_membership",
        "reactivate_organization_membership",
    },
    "user_management": {
        "list_redirect_uris",
        "create_redirect_uri",
        "delete_redirect_uris",
        "list_cors_origins",
        "create_cors_origin",
    },
    "widgets": {"create_token"},
    "errors": {
        "BadRequestError",
        "AuthenticationError",
        "AuthorizationError",
        "NotFoundError",
        "ConflictError",
        "UnprocessableEntityError",
        "RateLimitExceededError",
        "ServerError",
    },
}
"""What else an app that keeps connected accounts uses of the SDK."""


def methods_of(service: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(service, inspect.isfunction) if not name.startswith("_")}


def claimed() -> set[str]:
    """Return every method that a test of this folder claims to prove, whether or not this run selects it."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for _, test in inspect.getmembers(module, inspect.isfunction):
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "proves"]
            found.update(method for mark in marks for method in mark.args)
    return found


@pytest.mark.parametrize("client", list(CLIENTS))
def test_every_method_that_an_app_may_call_is_proven(client: str) -> None:
    wanted = {f"{service}.{name}" for service, names in BESIDE.items() for name in names}
    for service, name in zip(WHOLE[client], ("pipes", "pipes_provider"), strict=True):
        wanted |= {f"{name}.{method}" for method in methods_of(service)}

    assert len(methods_of(WHOLE[client][0])) >= 21
    assert wanted - claimed() == set()
    assert claimed() - wanted == set()

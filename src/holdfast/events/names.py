"""What can happen, as `subject.verb`. A closed list: doors and dashboards may rely on it."""

from enum import StrEnum


class Action(StrEnum):
    ACCOUNT_CONNECTED = "account.connected"
    ACCOUNT_UPDATED = "account.updated"
    ACCOUNT_DISCONNECTED = "account.disconnected"
    ACCOUNT_REAUTHORIZATION_NEEDED = "account.reauthorization_needed"
    ACCOUNT_CONNECTION_FAILED = "account.connection_failed"
    ACCOUNT_EXPIRING_SOON = "account.expiring_soon"
    ACCOUNT_SUSPENDED = "account.suspended"
    ACCOUNT_RESUMED = "account.resumed"

    CREDENTIAL_READ = "credential.read"
    CREDENTIAL_REPLACED = "credential.replaced"

    TOKEN_REFRESHED = "token.refreshed"  # noqa: S105  (a name, not a secret)
    TOKEN_REFRESH_FAILED = "token.refresh_failed"  # noqa: S105
    TOKEN_REFRESH_UNRESOLVED = "token.refresh_unresolved"  # noqa: S105

    ATTEMPT_BEGUN = "attempt.begun"
    ATTEMPT_REFUSED = "attempt.refused"

    CONNECTION_CREATED = "connection.created"
    CONNECTION_UPDATED = "connection.updated"
    CONNECTION_DELETED = "connection.deleted"
    CONNECTION_MISCONFIGURED = "connection.misconfigured"
    CONNECTION_OVERRIDDEN = "connection.overridden"

    PROVIDER_DEFINED = "provider.defined"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_DELETED = "provider.deleted"

    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    ENVIRONMENT_CREATED = "environment.created"
    MEMBERSHIP_CHANGED = "membership.changed"
    REDIRECT_URI_CHANGED = "redirect_uri.changed"
    WEBHOOK_ENDPOINT_CHANGED = "webhook_endpoint.changed"

    ADMINISTRATOR_INVITED = "administrator.invited"
    ADMINISTRATOR_CREATED = "administrator.created"
    ADMINISTRATOR_CHANGED = "administrator.changed"
    ADMINISTRATOR_DISABLED = "administrator.disabled"
    ADMINISTRATOR_SIGNED_IN = "administrator.signed_in"

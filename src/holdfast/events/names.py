"""What can happen, as `subject.verb`. A closed list: doors and dashboards may rely on it."""

from enum import StrEnum


class Action(StrEnum):
    ACCOUNT_CREATED = "account.created"
    """Made without a credential, for its owner to connect. One made with a credential begins with `account.connected`,
    whose `old_status` is then null."""
    ACCOUNT_CONNECTED = "account.connected"
    ACCOUNT_VERIFYING = "account.verifying"
    ACCOUNT_REVOKED = "account.revoked"
    ACCOUNT_UPDATED = "account.updated"
    ACCOUNT_DISCONNECTED = "account.disconnected"
    ACCOUNT_DELETED = "account.deleted"
    """Of an account that was never connected; the end of one that was is `account.disconnected`."""
    ACCOUNT_REAUTHORIZATION_NEEDED = "account.reauthorization_needed"
    ACCOUNT_CONNECTION_FAILED = "account.connection_failed"
    ACCOUNT_EXPIRING_SOON = "account.expiring_soon"
    ACCOUNT_SUSPENDED = "account.suspended"
    ACCOUNT_RESUMED = "account.resumed"
    ACCOUNT_REVOCATION_DONE = "account.revocation_done"
    """The provider was told: what it had given for the account works no more. It may come after the account's end."""
    ACCOUNT_REVOCATION_FAILED = "account.revocation_failed"
    ACCOUNT_REVOCATION_SKIPPED = "account.revocation_skipped"
    """Not asked for after all: another account would have lost its access by it."""

    CREDENTIAL_READ = "credential.read"
    CREDENTIAL_REPLACED = "credential.replaced"

    PROXY_CALLED = "proxy.called"
    PROXY_REFUSED = "proxy.refused"
    """No rule of the connection lets the call through: nothing was sent."""
    PROXY_APPROVAL_REQUESTED = "proxy.approval_requested"
    """A person has to approve the call first: nothing was sent."""
    PROXY_APPROVAL_GRANTED = "proxy.approval_granted"
    PROXY_APPROVAL_DENIED = "proxy.approval_denied"

    TOKEN_REFRESHED = "token.refreshed"  # noqa: S105  (a name, not a secret)
    TOKEN_REFRESH_FAILED = "token.refresh_failed"  # noqa: S105
    TOKEN_REFRESH_UNRESOLVED = "token.refresh_unresolved"  # noqa: S105

    LINK_CREATED = "link.created"
    CONSENT_GIVEN = "consent.given"
    """The owner came back from the provider with a good answer; the code is not exchanged yet."""
    TOKENS_OBTAINED = "consent.tokens_obtained"
    VERIFICATION_REFUSED = "verification.refused"

    ATTEMPT_BEGUN = "attempt.begun"
    ATTEMPT_REFUSED = "attempt.refused"

    CONNECTION_CREATED = "connection.created"
    CONNECTION_UPDATED = "connection.updated"
    CONNECTION_DELETED = "connection.deleted"
    CONNECTION_MISCONFIGURED = "connection.misconfigured"
    """The provider refuses the connection's client: an alert on it begins."""
    CONNECTION_ALERT_ENDED = "connection.alert_ended"
    """The client works again, or was changed (`client_changed`)."""
    CONNECTION_OVERRIDDEN = "connection.overridden"

    PROVIDER_DEFINED = "provider.defined"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_DELETED = "provider.deleted"

    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    CLIENT_CREATED = "client.created"
    CLIENT_REVOKED = "client.revoked"
    SIGNING_KEY_CREATED = "signing_key.created"
    VAULT_KEY_ADDED = "vault.key_added"
    """A data key, which seals from a time on."""
    VAULT_KEY_REWRAPPED = "vault.key_rewrapped"
    """The environment's data key is wrapped with another key-encryption key."""
    VAULT_RESEALED = "vault.resealed"
    """Stored secrets were sealed anew with the current data key."""
    VAULT_KEY_RETIRED = "vault.key_retired"
    """A key-encryption key was taken out of the key file."""
    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_DELETED = "organization.deleted"
    ENVIRONMENT_CREATED = "environment.created"
    ENVIRONMENT_CHANGED = "environment.changed"
    MEMBERSHIP_CHANGED = "membership.changed"
    REDIRECT_URI_CHANGED = "redirect_uri.changed"
    CORS_ORIGIN_CHANGED = "cors_origin.changed"
    WIDGET_SESSION_CREATED = "widget_session.created"
    WEBHOOK_ENDPOINT_CHANGED = "webhook_endpoint.changed"

    ADMINISTRATOR_INVITED = "administrator.invited"
    ADMINISTRATOR_CREATED = "administrator.created"
    ADMINISTRATOR_CHANGED = "administrator.changed"
    ADMINISTRATOR_DISABLED = "administrator.disabled"
    ADMINISTRATOR_SIGNED_IN = "administrator.signed_in"
    ADMINISTRATOR_REFUSED = "administrator.sign_in_refused"

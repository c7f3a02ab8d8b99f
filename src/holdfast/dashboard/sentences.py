"""Entries in words: every Action as what somebody did, its tone, and the group it is filtered by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from holdfast.events import Action, Actor, Entry

Tone = Literal["", "good", "bad"]
Group = Literal["accounts", "connecting", "refreshes", "failures", "reads", "calls", "setup", "access", "people"]

GROUPS: dict[Group, str] = {
    "accounts": "Accounts: connected, changed, ended",
    "connecting": "Connecting: links, consents, refusals",
    "failures": "Refreshes that failed",
    "refreshes": "Refreshes that went through",
    "reads": "Credentials read",
    "calls": "Calls through the proxy",
    "setup": "Connections and providers",
    "access": "Keys, environment, webhooks",
    "people": "Administrators",
}


@dataclass(frozen=True, slots=True)
class Words:
    group: Group
    sentence: str
    """With the actor before it: `Ada Lovelace` + `suspended the account`. Braces name members of the entry's data."""
    tone: Tone = ""


WORDS: Mapping[Action, Words] = {
    Action.ACCOUNT_CREATED: Words("accounts", "made the account, for its owner to connect"),
    Action.ACCOUNT_CONNECTED: Words("accounts", "connected the account", "good"),
    Action.ACCOUNT_VERIFYING: Words("accounts", "connected the account, and the app has to confirm who that is"),
    Action.ACCOUNT_REVOKED: Words("accounts", "disconnected the account and forgot its credential", "bad"),
    Action.ACCOUNT_UPDATED: Words("accounts", "changed the account's settings or labels"),
    Action.ACCOUNT_DISCONNECTED: Words("accounts", "disconnected and deleted the account", "bad"),
    Action.ACCOUNT_DELETED: Words("accounts", "deleted the account, which was never connected"),
    Action.ACCOUNT_REAUTHORIZATION_NEEDED: Words("accounts", "found that the owner has to connect it again", "bad"),
    Action.ACCOUNT_CONNECTION_FAILED: Words("connecting", "did not get the account connected: {error_reason}", "bad"),
    Action.ACCOUNT_EXPIRING_SOON: Words("accounts", "announced that the consent ends soon", "bad"),
    Action.ACCOUNT_SUSPENDED: Words("accounts", "suspended the account", "bad"),
    Action.ACCOUNT_RESUMED: Words("accounts", "resumed the account", "good"),
    Action.ACCOUNT_REVOCATION_DONE: Words("accounts", "ended the account's access at the provider {provider}"),
    Action.ACCOUNT_REVOCATION_FAILED: Words(
        "accounts", "could not end the account's access at the provider {provider}: {detail}", "bad"
    ),
    Action.ACCOUNT_REVOCATION_SKIPPED: Words(
        "accounts", "left the account's access at the provider {provider} as it is: {detail}"
    ),
    Action.CREDENTIAL_READ: Words("reads", "read the credential"),
    Action.CREDENTIAL_REPLACED: Words("accounts", "replaced the credential", "good"),
    Action.PROXY_CALLED: Words("calls", "called {method} {path} through the proxy: {status}"),
    Action.PROXY_REFUSED: Words("calls", "was refused {method} {path} through the proxy: {why}", "bad"),
    Action.PROXY_APPROVAL_REQUESTED: Words("calls", "asked for approval of {method} {path} through {connection}"),
    Action.PROXY_APPROVAL_GRANTED: Words("calls", "approved {method} {path} through {connection}, once", "good"),
    Action.PROXY_APPROVAL_DENIED: Words("calls", "denied {method} {path} through {connection}", "bad"),
    Action.TOKEN_REFRESHED: Words("refreshes", "refreshed the token", "good"),
    Action.TOKEN_REFRESH_FAILED: Words("failures", "could not refresh the token: {detail}", "bad"),
    Action.TOKEN_REFRESH_UNRESOLVED: Words(
        "failures", "does not know yet whether a refresh has arrived: {detail}", "bad"
    ),
    Action.LINK_CREATED: Words("connecting", "made a link for its owner to connect with"),
    Action.CONSENT_GIVEN: Words("connecting", "gave consent at the provider", "good"),
    Action.TOKENS_OBTAINED: Words("connecting", "brought tokens back from the provider"),
    Action.VERIFICATION_REFUSED: Words("connecting", "was refused: the app did not confirm this user", "bad"),
    Action.ATTEMPT_BEGUN: Words("connecting", "began to connect an account"),
    Action.ATTEMPT_REFUSED: Words("connecting", "was refused at the end of connecting", "bad"),
    Action.CONNECTION_CREATED: Words("setup", "made the connection {name}", "good"),
    Action.CONNECTION_UPDATED: Words("setup", "changed the connection {name}"),
    Action.CONNECTION_DELETED: Words("setup", "deleted the connection {name} and its accounts", "bad"),
    Action.CONNECTION_MISCONFIGURED: Words("setup", "found that the provider refuses the client of {name}", "bad"),
    Action.CONNECTION_ALERT_ENDED: Words("setup", "found that the provider takes the client of {name} again", "good"),
    Action.CONNECTION_OVERRIDDEN: Words("setup", "changed the connection {name} for one organization"),
    Action.PROVIDER_DEFINED: Words("setup", "defined the provider {provider}", "good"),
    Action.PROVIDER_CHANGED: Words("setup", "changed the provider {provider}"),
    Action.PROVIDER_DELETED: Words("setup", "deleted the provider {provider}", "bad"),
    Action.API_KEY_CREATED: Words("access", "made the API key {name}", "good"),
    Action.API_KEY_REVOKED: Words("access", "revoked the API key {name}", "bad"),
    Action.CLIENT_CREATED: Words("access", "made the SDK client {name}", "good"),
    Action.CLIENT_REVOKED: Words("access", "revoked the SDK client {name}", "bad"),
    Action.SIGNING_KEY_CREATED: Words("access", "made a key that signs access tokens"),
    Action.ORGANIZATION_CREATED: Words("access", "made the organization {display_name}", "good"),
    Action.ORGANIZATION_DELETED: Words("access", "deleted the organization {display_name}", "bad"),
    Action.ENVIRONMENT_CREATED: Words("access", "made this environment", "good"),
    Action.ENVIRONMENT_CHANGED: Words("access", "changed the environment's settings"),
    Action.MEMBERSHIP_CHANGED: Words("access", "changed a membership of an organization: {status}"),
    Action.VAULT_KEY_ADDED: Words("access", "added data key {version} to the vault"),
    Action.VAULT_KEY_REWRAPPED: Words("access", "wrapped data key {version} with key {key_id}"),
    Action.VAULT_RESEALED: Words("access", "sealed {count} secrets anew with data key {version}"),
    Action.VAULT_KEY_RETIRED: Words("access", "retired the vault's key {key_id}"),
    Action.REDIRECT_URI_CHANGED: Words("access", "changed the addresses that users may return to: {what} {uri}"),
    Action.WIDGET_SESSION_CREATED: Words("access", "gave a user's browser a token for the widget"),
    Action.CORS_ORIGIN_CHANGED: Words("access", "changed the sites that may use the widget: {what} {origin}"),
    Action.WEBHOOK_ENDPOINT_CHANGED: Words("access", "changed the webhook endpoint {url}: {what}"),
    Action.ADMINISTRATOR_INVITED: Words("people", "invited {email} as {role}"),
    Action.ADMINISTRATOR_CREATED: Words("people", "became an administrator: {email}, {role}", "good"),
    Action.ADMINISTRATOR_CHANGED: Words("people", "changed the administrator {email} ({role})"),
    Action.ADMINISTRATOR_DISABLED: Words("people", "switched off the access of {email}", "bad"),
    Action.ADMINISTRATOR_SIGNED_IN: Words("people", "signed in by {by}"),
    Action.ADMINISTRATOR_REFUSED: Words("people", "refused a sign-in of {email} by {by}: {why}", "bad"),
}
_OTHERWISE = {
    (Action.ADMINISTRATOR_INVITED, "withdrawn"): "took back the invitation of {email} as {role}",
    (Action.CONNECTION_ALERT_ENDED, "client_changed"): "ended the alert on {name} by changing its client",
    (Action.CONNECTION_UPDATED, "proxy_rules"): "changed the connection {name} and which calls may go through it",
    (
        Action.CONNECTION_UPDATED,
        "oauth_settings",
    ): "changed the connection {name} and how it asks for access",
    (Action.CONNECTION_UPDATED, "approval_rules"): "changed the connection {name} and which calls need approval",
}
"""Entries that say something else where this member of their data is there, and not false."""
_LONGEST = 200


class _Members(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


def sentence(entry: Entry) -> str:
    """Return what was done, without who: `suspended the account`. A member that an entry lacks leaves no trace."""
    told = _Members({name: str(value)[:_LONGEST] for name, value in entry.data.items() if value not in (None, "")})
    if "what" in told:
        told["what"] = told["what"].replace("_", " ")
    said = WORDS[entry.action].sentence
    for (action, member), otherwise in _OTHERWISE.items():
        if action is entry.action and entry.data.get(member) not in (None, False):
            said = otherwise
    text = said.format_map(told)
    return " ".join(text.split()).rstrip(":. ").removesuffix("()").strip()


def tone(entry: Entry) -> Tone:
    return WORDS[entry.action].tone


def actions_of(group: str) -> tuple[Action, ...]:
    """Return the actions of a group; none for a group that is not there."""
    return tuple(action for action, words in WORDS.items() if words.group == group)


_KINDS = {
    "api_key": "An API key",
    "administrator": "An administrator",
    "end_user": "Its owner",
    "system": "Holdfast",
    "operator": "An operator at the command line",
}
ACTOR_KINDS = {
    "administrator": "Administrators",
    "api_key": "API keys and clients",
    "end_user": "End users",
    "system": "Holdfast itself",
    "operator": "Operators at the command line",
}


def who(actor: Actor, names: Mapping[str, str]) -> str:
    """Return who did it, by name where `names` (of keys and administrators, by id) knows one."""
    name = names.get(actor.id)
    if name is None:
        return _KINDS[actor.kind]
    return f"The key “{name}”" if actor.kind == "api_key" else name

"""`holdfast`: the commands and their options."""

import gc
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console
from typer.exceptions import TyperException

from holdfast import __version__
from holdfast.cli.approval_commands import approvals_app
from holdfast.cli.options import DatabaseUrl, DataDir, InEnvironment, settings_of
from holdfast.cli.options import run as on_loop
from holdfast.cli.vault_commands import vault_app
from holdfast.errors import HoldfastError, Misconfigured

app = typer.Typer(
    name="holdfast",
    help="Keeps connected accounts: your app asks for a token and always gets a live one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit_app = typer.Typer(help="The log: proof that it is what it was, and a copy of it.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
migrate_app = typer.Typer(help="The database's schema.", no_args_is_help=True)
app.add_typer(migrate_app, name="migrate")
clients_app = typer.Typer(help="Client ids and secrets that SDKs sign in with.", no_args_is_help=True)
app.add_typer(clients_app, name="clients")
app.add_typer(vault_app, name="vault")
accounts_app = typer.Typer(help="Connected accounts: pause, delete, clean up.", no_args_is_help=True)
app.add_typer(accounts_app, name="accounts")
app.add_typer(approvals_app, name="approvals")

AccountId = Annotated[str, typer.Argument(help="The account's id, with either wire's prefix or without.")]
ByConnection = Annotated[str, typer.Option(help="Of this connection.")]
ByUser = Annotated[str, typer.Option(help="Of this user (identifier).")]
ByOrganization = Annotated[str, typer.Option(help="Of this organization.")]
ByStatus = Annotated[list[str] | None, typer.Option(help="In this status; may be repeated.")]
ByText = Annotated[str, typer.Option(help="With this in owner, label or name at the provider.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be deleted, and delete nothing.")]
UserVerification = Literal["none", "custom", "administrators"]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port, 0 = a free one.")] = None,
    base_url: Annotated[str | None, typer.Option(help="The origin browsers reach this server at.")] = None,
    dev: Annotated[
        bool | None, typer.Option("--dev", help="Development: loopback providers, the sandbox provider.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes that share the port: one per core.")] = None,
    tls_dev: Annotated[
        bool | None, typer.Option("--tls-dev", help="TLS with a local authority; prints what clients have to trust.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM): serve TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
    provider_origin: Annotated[
        list[str] | None,
        typer.Option(help="Development: https://github.com=http://127.0.0.1:4001; may be repeated."),
    ] = None,
) -> None:
    """Run the server. Prints its URL and, the first time, an API key."""
    settings = settings_of(
        host=host,
        port=port,
        base_url=base_url,
        dev=dev,
        workers=workers,
        tls_dev=tls_dev,
        tls_cert=tls_cert,
        tls_key=tls_key,
        data_dir=data_dir,
        database=database,
        provider_origins=_origins(provider_origin),
    )
    gc.disable()  # until it serves: what is imported stays, and looking through it again and again was a sixth of that
    if settings.workers > 1:
        from holdfast.cli.workers import supervise

        raise typer.Exit(supervise(settings, on_loop))
    from holdfast.cli.serve import run

    on_loop(run(settings))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the journey, with status 0.")] = False,
    port: Annotated[int, typer.Option(help="TCP port, 0 = a free one.")] = 8787,
) -> None:
    """Walk one whole journey against a fresh server with the official `workos` SDK, telling each step."""
    from holdfast.cli.demo import run

    raise typer.Exit(on_loop(run(once=once, port=port)))


@app.command()
def settings() -> None:
    """List every setting with its variable, default and meaning."""
    from holdfast.cli.settings import show

    show(Console())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@migrate_app.command("status")
def migrate_status(data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """Tell the schema's version, and whether this release works with it (status 0) or not (status 1)."""
    from holdfast.cli.migrate import status

    raise typer.Exit(on_loop(status(settings_of(data_dir=data_dir, database=database))))


@migrate_app.command("up")
def migrate_up(data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """Bring the schema to what this release needs, beside running servers of the last one."""
    from holdfast.cli.migrate import up

    on_loop(up(settings_of(data_dir=data_dir, database=database)))


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "api key",
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Make an API key and print it. It is shown this once."""
    from holdfast.cli.keys import create

    on_loop(create(settings_of(data_dir=data_dir, database=database), environment, name))


@keys_app.command("list")
def keys_list(environment: InEnvironment = None, data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """List the API keys, never their text."""
    from holdfast.cli.keys import show

    on_loop(show(settings_of(data_dir=data_dir, database=database), environment))


@keys_app.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `holdfast keys list` shows it.")],
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Revoke an API key, at once."""
    from holdfast.cli.keys import revoke

    on_loop(revoke(settings_of(data_dir=data_dir, database=database), environment, key_id))


@clients_app.command("create")
def clients_create(
    name: Annotated[str, typer.Option(help="What the client is for.")] = "client",
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Make a client and print its id and secret, a line each. The secret is shown this once."""
    from holdfast.cli.clients import create

    on_loop(create(settings_of(data_dir=data_dir, database=database), environment, name))


@clients_app.command("list")
def clients_list(environment: InEnvironment = None, data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """List the clients, never their secrets."""
    from holdfast.cli.clients import show

    on_loop(show(settings_of(data_dir=data_dir, database=database), environment))


@clients_app.command("revoke")
def clients_revoke(
    client: Annotated[str, typer.Argument(help="The client's id, as `holdfast clients list` shows it.")],
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Revoke a client and the tokens it has, at once."""
    from holdfast.cli.clients import revoke

    on_loop(revoke(settings_of(data_dir=data_dir, database=database), environment, client))


@audit_app.command("verify")
def audit_verify(
    environment: Annotated[str | None, typer.Option(help="One environment's id or name. Without it, all.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Checkpoints that were kept elsewhere, one a line.")] = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Check every sealed entry and name the first that is not as it was. Status 1 if there is one."""
    from holdfast.cli.audit import verify

    raise typer.Exit(on_loop(verify(settings_of(data_dir=data_dir, database=database), environment, checkpoint)))


@audit_app.command("export")
def audit_export(
    environment: Annotated[str | None, typer.Option(help="One environment's id or name. Without it, all.")] = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Write the sealed log to standard output, one JSON object a line: seals and the entries they cover."""
    from holdfast.cli.audit import export

    on_loop(export(settings_of(data_dir=data_dir, database=database), environment))


@accounts_app.command("list")
def accounts_list(
    connection: ByConnection = "",
    user: ByUser = "",
    organization: ByOrganization = "",
    status: ByStatus = None,
    text: ByText = "",
    limit: Annotated[int, typer.Option(help="How many at most.")] = 100,
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """List accounts, newest first: their status, why one cannot be used, and what it needs. Never a credential."""
    from holdfast.cli.accounts import Which, show

    which = Which(connection, user, organization, status or (), text)
    on_loop(show(settings_of(data_dir=data_dir, database=database), environment, which, limit))


@accounts_app.command("suspend")
def accounts_suspend(
    account: AccountId,
    why: Annotated[str, typer.Option(help="Kept with the account and shown to who asks for it.")] = "",
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Pause an account: its credential is kept, and handed out to nobody."""
    from holdfast.cli.accounts import suspend

    on_loop(suspend(settings_of(data_dir=data_dir, database=database), environment, account, why))


@accounts_app.command("resume")
def accounts_resume(
    account: AccountId, environment: InEnvironment = None, data_dir: DataDir = None, database: DatabaseUrl = None
) -> None:
    """Take the pause of an account back."""
    from holdfast.cli.accounts import resume

    on_loop(resume(settings_of(data_dir=data_dir, database=database), environment, account))


@accounts_app.command("delete")
def accounts_delete(
    accounts: Annotated[list[str] | None, typer.Argument(help="Ids; without any, the options say which.")] = None,
    connection: ByConnection = "",
    user: ByUser = "",
    organization: ByOrganization = "",
    status: ByStatus = None,
    text: ByText = "",
    dry_run: DryRun = False,
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Delete accounts and their credentials: by id, or all that the options take."""
    from holdfast.cli.accounts import Which, delete

    which = Which(connection, user, organization, status or (), text)
    on_loop(
        delete(settings_of(data_dir=data_dir, database=database), environment, accounts or (), which, dry_run=dry_run)
    )


@accounts_app.command("clean-up")
def accounts_clean_up(
    dry_run: DryRun = False,
    unused_days: Annotated[int | None, typer.Option(help="With --dry-run: as if this were the policy.")] = None,
    expired_days: Annotated[int | None, typer.Option(help="With --dry-run: as if this were the policy.")] = None,
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Delete now what the policy takes: accounts unused, or in need of their owner, for so many days."""
    from holdfast.cli.accounts import clean_up

    settings = settings_of(data_dir=data_dir, database=database)
    on_loop(clean_up(settings, environment, dry_run=dry_run, unused_days=unused_days, expired_days=expired_days))


@accounts_app.command("policy")
def accounts_policy(
    unused_days: Annotated[int | None, typer.Option(min=0, help="Delete after so long unused; 0 = never.")] = None,
    expired_days: Annotated[int | None, typer.Option(min=0, help="Delete after so long in need; 0 = never.")] = None,
    user_verification: Annotated[
        UserVerification | None,
        typer.Option(
            help="custom: after a link, the app says who its user is. administrators: only they can use a link."
        ),
    ] = None,
    environment: InEnvironment = None,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Show the environment's policy on its accounts, or change what is given."""
    from holdfast.cli.accounts import policy

    settings = settings_of(data_dir=data_dir, database=database)
    on_loop(policy(settings, environment, unused_days, expired_days, user_verification))


def _origins(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    bad = [pair for pair in pairs if "=" not in pair]
    if bad:
        raise Misconfigured(f"--provider-origin takes origin=origin, not {bad[0]!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def main() -> None:
    """The console script. A mistake of the operator's is one line on standard error and status 2."""
    try:
        status = app(standalone_mode=False)
    except HoldfastError as error:
        _refuse(error.message)
    except TyperException as error:
        said = error.format_message().strip()
        if said:  # without arguments help has been printed, and there is nothing to say
            _refuse(said.replace("\n", " "))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(status if isinstance(status, int) else 0)


def _refuse(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(f"holdfast: {message}", markup=False, soft_wrap=True)
    raise SystemExit(2) from None


if __name__ == "__main__":
    main()

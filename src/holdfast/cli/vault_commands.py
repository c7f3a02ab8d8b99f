"""`holdfast vault`: its commands and their options."""

from typing import Annotated

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, run, settings_of

vault_app = typer.Typer(
    help="The keys that stored secrets are sealed with: told, changed, retired.", no_args_is_help=True
)


@vault_app.command("status")
def vault_status(data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """Tell which keys there are and what each is used for. Status 1 while a rotation is not finished."""
    from holdfast.cli.vault import status

    raise typer.Exit(run(status(settings_of(data_dir=data_dir, database=database))))


@vault_app.command("prepare")
def vault_prepare(data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """With several machines: add a key to the file that is not used yet, so that all can have it first."""
    from holdfast.cli.vault import prepare

    run(prepare(settings_of(data_dir=data_dir, database=database)))


@vault_app.command("rotate")
def vault_rotate(
    data_keys: Annotated[
        bool, typer.Option("--data-keys", help="New data keys too: every secret is sealed anew.")
    ] = False,
    headway: Annotated[float, typer.Option(min=0, help="Seconds that servers have to learn of new data keys.")] = 30.0,
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Add a key to the key file and wrap the data keys with it, beside running servers."""
    from holdfast.cli.vault import rotate

    settings = settings_of(data_dir=data_dir, database=database)
    raise typer.Exit(run(rotate(settings, data_keys=data_keys, headway=headway)))


@vault_app.command("resume")
def vault_resume(data_dir: DataDir = None, database: DatabaseUrl = None) -> None:
    """Finish a rotation that was ended in the middle."""
    from holdfast.cli.vault import resume

    raise typer.Exit(run(resume(settings_of(data_dir=data_dir, database=database))))


@vault_app.command("retire")
def vault_retire(
    key: Annotated[str, typer.Argument(help="The key's id, as `holdfast vault status` shows it.")],
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
) -> None:
    """Take a key out of the key file, if nothing uses it."""
    from holdfast.cli.vault import retire

    run(retire(settings_of(data_dir=data_dir, database=database), key))

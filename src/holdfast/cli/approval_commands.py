"""`holdfast approvals`: its commands and their options."""

from typing import Annotated

import typer

from holdfast.cli.options import DatabaseUrl, DataDir, InEnvironment, run, settings_of

approvals_app = typer.Typer(help="Calls that wait for a person's approval: looked at, decided.", no_args_is_help=True)

ApprovalId = Annotated[str, typer.Argument(help="The approval's id, as `list` and the caller's error have it.")]


@approvals_app.command("list")
def approvals_list(data_dir: DataDir = None, database: DatabaseUrl = None, environment: InEnvironment = None) -> None:
    """List the calls that wait, oldest first."""
    from holdfast.cli.approvals import show_all

    run(show_all(settings_of(data_dir=data_dir, database=database), environment))


@approvals_app.command("show")
def approvals_show(
    approval: ApprovalId, data_dir: DataDir = None, database: DatabaseUrl = None, environment: InEnvironment = None
) -> None:
    """Show one call: its address, headers and body."""
    from holdfast.cli.approvals import show

    run(show(settings_of(data_dir=data_dir, database=database), environment, approval))


@approvals_app.command("approve")
def approvals_approve(
    approval: ApprovalId, data_dir: DataDir = None, database: DatabaseUrl = None, environment: InEnvironment = None
) -> None:
    """Let the call through, once, when its caller repeats it within ten minutes."""
    from holdfast.cli.approvals import approve

    run(approve(settings_of(data_dir=data_dir, database=database), environment, approval))


@approvals_app.command("deny")
def approvals_deny(
    approval: ApprovalId, data_dir: DataDir = None, database: DatabaseUrl = None, environment: InEnvironment = None
) -> None:
    """Refuse the call for the rest of its day. An approval that was not used yet is taken back by it."""
    from holdfast.cli.approvals import deny

    run(deny(settings_of(data_dir=data_dir, database=database), environment, approval))

"""What a starting server tells its operator: where it is, and this once the secrets that the first start made."""

import json
import sys

from rich.console import Console

from holdfast import __version__
from holdfast.app import Firsts
from holdfast.cli import tls
from holdfast.config import Config
from holdfast.lab import Sandbox
from holdfast.secret import Secret


def written(firsts: Firsts, link: Secret | None) -> str:
    """Write what this start made for the pipe between a child process and the supervisor."""
    client = [firsts.client[0], firsts.client[1].reveal()] if firsts.client else None
    key = firsts.key.reveal() if firsts.key else None
    return json.dumps({"key": key, "client": client, "link": link.reveal() if link else None})


def read(text: str) -> tuple[Firsts, Secret | None]:
    told = json.loads(text)
    client = (told["client"][0], Secret(told["client"][1])) if told["client"] else None
    firsts = Firsts(key=Secret(told["key"]) if told["key"] else None, client=client)
    return firsts, Secret(told["link"]) if told["link"] else None


def announce(config: Config, firsts: Firsts, link: Secret | None, sandbox: Sandbox | None = None) -> None:
    """`link` is the token of the first administrator's one-time link; None once there is an administrator."""
    console = Console(highlight=False)
    console.print(f"[bold]Holdfast {__version__}[/bold]{'  (development)' if config.dev else ''}")
    console.print(f"  URL       {config.base_url}")
    if firsts.key is not None:
        console.print(f"  API key   {firsts.key.reveal()}", soft_wrap=True)
        console.print("            shown this once; make more with `holdfast keys create`")
    if firsts.client is not None:
        name, secret = firsts.client
        console.print(f"  Client    {name}", soft_wrap=True)
        console.print(f"  Secret    {secret.reveal()}", soft_wrap=True, markup=False)
        console.print("            shown this once; make more with `holdfast clients create`")
    if link is not None:
        console.print(f"  Dashboard {config.base_url}/dashboard/welcome/{link.reveal()}", soft_wrap=True)
        console.print("            open it to become the owner; the link works once, for a day")
    else:
        console.print(f"  Dashboard {config.base_url}/dashboard")
    console.print(f"  Database  {_without_password(config.database_url())}", soft_wrap=True)
    console.print(f"  Key file  {config.key_path()}", soft_wrap=True)
    if config.workers > 1:
        console.print(f"  Workers   {config.workers}")
    for line in tls.trust_lines(config):
        console.print(f"            {line}", soft_wrap=True, markup=False)
    if sandbox is not None:  # a pretend provider's secret: it guards nothing
        console.print(f"  Sandbox   {config.base_url}/lab/sandbox/control")
        console.print(f"            client id {sandbox.client_id}", soft_wrap=True)
        console.print(f"            client secret {sandbox.client_secret.reveal()}", soft_wrap=True, markup=False)
    console.print(f"  API       {config.base_url}/openapi.json")
    sys.stdout.flush()


def _without_password(url: str) -> str:
    """Return the address as far as it is nobody's secret: what follows the `?` may hold a password too."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    user, at, host = place.rpartition("@")
    shown = "&".join(
        part for part in query.split("&") if part.split("=")[0] in ("host", "port", "target_session_attrs")
    )
    return f"{scheme}://{user.split(':')[0]}{at}{host}{'?' if shown else ''}{shown}"

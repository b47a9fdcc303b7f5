"""`lrs-bridge credential`: keys and secrets of those who send statements or read reports."""

from pathlib import Path

import click

from bridge.commands.shared import application, data_dir_option, json_option, show


@click.group()
def credential() -> None:
    """Keys and secrets of those who send statements or read reports."""


@credential.command("create")
@click.option("--name", required=True, help="Whose it is, as it will be shown.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it once for each scope.")
@data_dir_option
@json_option
def create_credential(name: str, scopes: tuple[str, ...], data_dir: Path, *, as_json: bool) -> None:
    """Make a credential; its secret is shown this once."""
    from bridge import access
    from lrs import db

    with application(data_dir):
        issued = access.create(db.session, name, scopes)
        db.session.commit()
        show(issued, as_json=as_json)


@credential.command("list")
@data_dir_option
@json_option
def list_credentials(data_dir: Path, *, as_json: bool) -> None:
    """List the credentials, without their secrets."""
    from bridge import access
    from lrs import db

    with application(data_dir):
        show(access.everyone(db.session), as_json=as_json)


@credential.command("revoke")
@click.argument("key")
@data_dir_option
def revoke_credential(key: str, data_dir: Path) -> None:
    """End the credential KEY; it is refused from then on."""
    from bridge import access
    from lrs import db

    with application(data_dir):
        access.revoke(db.session, key)
        db.session.commit()
        click.echo("Revoked. Web processes forget it within seconds.")

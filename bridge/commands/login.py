"""`lrs-bridge source login`: a person logs in to a source; the group `source` adds the command."""

import html
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bridge.commands.shared import application, data_dir_option, in_force, json_option, show, tell_mapping_problems

if TYPE_CHECKING:
    from connectors import LoggedIn, Login

_HERE = frozenset({"127.0.0.1", "localhost"})
WAIT_SECONDS = 600
"""A person looks for a password, and for a second factor."""


@click.command("login")
@click.argument("name")
@click.option(
    "--paste", is_flag=True, help="Ask for the address that the browser was sent to, where it is on another machine."
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(1, 86_400),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="So long the browser is waited for.",
)
@data_dir_option
@json_option
def login(name: str, wait_seconds: int, data_dir: Path, *, paste: bool, as_json: bool) -> None:
    """Log in to the source NAME in a browser; the tokens are kept, encrypted, for its pulls."""
    from bridge import context, documents, jobs
    from connectors import begin_login
    from lrs import db

    with application(data_dir):
        jobs.load_documents()
        tell_mapping_problems(documents.problems(db.session))
        source = documents.source(in_force(documents.current(db.session)), name, reach=context.reach())
        db.session.rollback()  # nothing is held while a person looks for a password
        begun = begin_login(source)
        if not paste:
            _check_is_here(begun.redirect)
        click.echo(f"Open this address in a browser, and log in:\n\n{begun.address}\n", err=as_json)
        came = _pasted(begun) if paste else _listened(begun, wait_seconds)
        show(_told(name, came), as_json=as_json)


def _told(name: str, came: "LoggedIn") -> dict[str, str]:
    until = "it is ended there" if came.ends_at is None else came.ends_at.strftime("%Y-%m-%d %H:%M UTC")
    return {"source": name, "account": came.account or "not said", "kept_as": came.kept_under, "good_until": until}


def _check_is_here(redirect: str) -> None:
    parts = urlsplit(redirect)
    if parts.scheme != "http" or parts.hostname not in _HERE:
        raise click.UsageError(f"The browser will be sent to {redirect}, which is not this command. Add --paste.")


def _pasted(begun: "Login") -> "LoggedIn":
    told = f"The browser is then sent to {begun.redirect}?..., where it may find nothing.\nPaste that address"
    return begun.finish(click.prompt(told, err=True))


def _listened(begun: "Login", wait_seconds: int) -> "LoggedIn":
    """Wait for the browser; what it brings that is no answer to this login is refused, and waited on."""
    parts = urlsplit(begun.redirect)
    answers: list[str] = []

    def take(path: str) -> tuple[int, str]:
        if urlsplit(path).path != (parts.path or "/"):
            return 404, "There is nothing here."
        if not begun.is_answered_by(path):
            click.echo("A browser came with the answer to another login; it was sent away.", err=True)
            return 400, "This is not the answer to the login that is waited for. Open the address shown last."
        answers.append(path)
        return 200, "lrs-bridge has the answer, and says there whether the login worked. You can close this window."

    try:
        server = HTTPServer(("127.0.0.1", parts.port or 80), _handler(take))
    except OSError as err:
        remedy = "End what listens there, or add --paste."
        raise click.UsageError(f"Port {parts.port or 80} cannot be listened on ({err.strerror}). {remedy}") from err
    with server:
        give_up = time.monotonic() + wait_seconds
        while not answers and (left := give_up - time.monotonic()) > 0:
            server.timeout = left
            server.handle_request()
    if not answers:
        click.echo(f"Nobody came within {wait_seconds} s. Run the command again; --wait makes it longer.", err=True)
        sys.exit(1)
    return begun.finish(answers[0])


def _handler(take: Callable[[str], tuple[int, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a connection on which nothing is said must not hold up the one that matters

        def do_GET(self) -> None:
            status, text = take(self.path)
            page = f"<!doctype html><meta charset=utf-8><title>lrs-bridge</title><p>{html.escape(text)}</p>".encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing: the address holds the code."""

    return Handler

"""`lrs-bridge statement`: statements in bulk, out of files, into files, and out of another LRS."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from bridge.commands.refused import refused
from bridge.commands.shared import application, data_dir_option, json_option
from bridge.errors import SettingsError
from bridge.settings import environment

KEY_VARIABLE = "LRS_BRIDGE_PULL_KEY"
SECRET_VARIABLE = "LRS_BRIDGE_PULL_SECRET"  # noqa: S105 - its name
PULL_REJECTS = "pull.rejected.jsonl"

_file = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
_credential_option = click.option(
    "--credential", "key", metavar="KEY", help="In whose name, as their authority. Default: one named 'import'."
)
_lenient_option = click.option("--lenient", is_flag=True, help="Repair known faults instead of refusing statements.")


def _writable(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    from bridge.commands.files import check_writable

    if path is not None:
        check_writable(path, "--rejects")
    return path


_rejects_option = click.option(
    "--rejects", type=_file, callback=_writable, help="File for statements that are refused, with the reasons."
)


@click.group()
def statement() -> None:
    """Statements in bulk: out of files, into files, out of another LRS; and those that were refused."""


statement.add_command(refused)


@statement.command("import")
@click.argument("path", metavar="FILE|-", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["xapi", "caliper"]),
    default="xapi",
    show_default=True,
    help="caliper: Canvas Live Events, in Caliper 1.1 or in Canvas's own format.",
)
@click.option("--home-page", metavar="URL", help="The site of Canvas accounts. Default: the host that an event names.")
@_rejects_option
@_credential_option
@_lenient_option
@data_dir_option
@json_option
def import_statements(
    path: Path,
    form: str,
    home_page: str | None,
    rejects: Path | None,
    key: str | None,
    data_dir: Path,
    *,
    lenient: bool,
    as_json: bool,
) -> None:
    """Store the statements of FILE: a JSON array or a statement a line, packed with gzip or not.

    What is stored already and equal is skipped, so that a file may be imported again; after an interruption the same
    command goes on where it was. Statements that cannot be stored go to FILE.rejected.jsonl, and the exit code is 1.

    With --format caliper FILE holds messages of Canvas instead, and each event becomes a statement. Those that say
    nothing of a learner go to FILE.rejected.jsonl with the reason; that is no failure.
    """
    from bridge import context
    from bridge.commands import bulk as commands
    from bridge.commands.converting import Converting
    from bridge.commands.files import Rejects, Source
    from bridge.locks import single_flight
    from lrs import bulk, db

    if home_page and form != "caliper":
        raise click.UsageError("--home-page goes with --format caliper.")
    converting = Converting(home_page) if form == "caliper" else None
    rejects = rejects or Path("stdin.rejected.jsonl" if str(path) == "-" else f"{path}.rejected.jsonl")
    with application(data_dir), Source(path) as source, commands.telling(source.size) as told:
        author = commands.author(key)
        with commands.readable():
            stream = bulk.Stream(source.chunks(), max_statement_bytes=context.settings().max_body_bytes)
        work = f"import {stream.name} by {author.credential_id}{' lenient' if lenient else ''}{converting or ''}"
        with single_flight(db.engine, work):
            kept = bulk.state(db.session, work) or {"position": bulk.START, "done": {}}
            done = commands.Done(**kept["done"])
            storing = commands.Storing(work, author, done, Rejects(rejects, size=done.rejects_bytes), lenient)
            with commands.summing_up(storing, as_json=as_json):
                try:
                    for batch in _batches(stream.after(bulk.Position(*kept["position"]))):
                        sent = [bulk.Sent(piece.text, bulk.made_id(piece.after)) for piece in batch]
                        others: list[tuple[bytes, str]] = []
                        if converting:
                            sent, others = converting.convert(sent)
                        storing.store(sent, {"position": batch[-1].after}, others)
                        told.update(done.seen, source.read_bytes)
                except bulk.Changed:
                    storing.forget()
                    raise
                storing.forget()


def _batches(pieces: Iterator[Any]) -> Iterator[list[Any]]:
    """Put pieces together; what came before a fault in the stream is given before the fault is raised."""
    from lrs import bulk

    batch: list[Any] = []
    size = 0
    fault: Exception | None = None
    while fault is None:
        try:
            piece = next(pieces)
        except Exception as err:  # noqa: BLE001 - raised again, below
            fault = err
        else:
            batch.append(piece)
            size += piece.size
        if batch and (fault or len(batch) == bulk.BATCH or size >= bulk.BATCH_BYTES):
            yield batch
            batch, size = [], 0
    if not isinstance(fault, StopIteration):
        raise fault


@statement.command("export")
@click.option("--out", type=_file, default="-", help="File to write; - is standard output, and the default.")
@click.option("--format", "form", type=click.Choice(["jsonl", "json"]), default="jsonl", show_default=True)
@click.option("--gzip", "packed", is_flag=True, help="Pack it.")
@click.option("--agent", metavar="JSON", help="An Agent or identified Group, as in the xAPI query.")
@click.option("--verb", metavar="IRI")
@click.option("--activity", metavar="IRI")
@click.option("--registration", metavar="UUID")
@click.option("--related-agents", is_flag=True, help="The agent anywhere in the statement.")
@click.option("--related-activities", is_flag=True, help="The activity anywhere in the statement.")
@click.option("--since", metavar="TIMESTAMP", help="Stored after this.")
@click.option("--until", metavar="TIMESTAMP", help="Stored at this or before.")
@click.option("--with-voided", is_flag=True, help="Voided statements too; goes with --since and --until alone.")
@data_dir_option
def export_statements(
    out: Path, form: str, data_dir: Path, *, packed: bool, with_voided: bool, **filters: str | bool | None
) -> None:
    """Write the statements that the filters find, oldest first, exactly as they are stored.

    It ends with what was there when it began. A file gets its name when it is whole.
    """
    from bridge.commands import bulk as commands
    from bridge.commands.files import written
    from lrs import LrsError, bulk, db

    asked = {name: "true" if value is True else str(value) for name, value in filters.items() if value}
    with application(data_dir), commands.telling() as told:
        try:
            pages = bulk.pages(db.session, asked, with_voided=with_voided)
        except LrsError as error:
            raise SettingsError(commands.words(error)) from error
        try:
            with written(out, packed=packed) as file:
                _write(pages, form, file, told)
        except BrokenPipeError:
            # Who reads has enough. Python would complain again when it closes standard output.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


def _write(pages: Iterator[list[str]], form: str, file: IO[bytes], told: Any) -> None:  # noqa: ANN401 - Telling
    before, between, after = (b"[", b",\n", b"]\n") if form == "json" else (b"", b"\n", b"\n")
    count = 0
    file.write(before)
    for page in pages:
        if count:
            file.write(between)
        # White space that a client sent between two things may break lines; within a text it is always escaped.
        file.write(between.join(one.replace("\r", " ").replace("\n", " ").encode() for one in page))
        count += len(page)
        told.update(count)
    if count or form == "json":
        file.write(after)


@statement.command("pull")
@click.option("--endpoint", required=True, metavar="URL", help="Of the other LRS; `statements` lies below it.")
@click.option("--key", "remote_key", metavar="KEY", help=f"Its key; default: ${KEY_VARIABLE}.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"File that holds its secret; default: ${SECRET_VARIABLE}.",
)
@click.option("--since", metavar="TIMESTAMP", help="Stored there after this; default: where the last pull ended.")
@click.option("--xapi-version", type=click.Choice(["1.0.3", "2.0.0"]), default="1.0.3", show_default=True)
@_rejects_option
@_credential_option
@_lenient_option
@data_dir_option
@json_option
def pull_statements(
    endpoint: str,
    remote_key: str | None,
    secret_file: Path | None,
    since: str | None,
    xapi_version: str,
    rejects: Path | None,
    key: str | None,
    data_dir: Path,
    *,
    lenient: bool,
    as_json: bool,
) -> None:
    """Store the statements of another LRS here, oldest first; run it again for what is new there.

    What is stored already and equal is skipped. A statement whose id means another one here is refused, and goes to
    pull.rejected.jsonl with whatever else is. Voided statements are given out by no LRS, so they do not come along.
    """
    from bridge.commands import bulk as commands
    from bridge.commands.files import Rejects
    from bridge.locks import single_flight
    from connectors import http, http_session
    from connectors import lrs as remote
    from lrs import bulk, db

    if fault := http.url_fault(endpoint):
        raise SettingsError(f"--endpoint: {' '.join(fault)}")
    begin = _instant(since)
    remote_key, secret = _remote_credential(remote_key, secret_file)
    rejects = rejects or Path(PULL_REJECTS)
    with application(data_dir), commands.telling() as told, http_session() as session:
        author = commands.author(key)
        reader = remote.Reader(session, endpoint, remote_key, secret, version=xapi_version, tell=commands.say)
        work = f"pull {endpoint.rstrip('/')} as {remote_key} by {author.credential_id}"
        with single_flight(db.engine, work):
            through = _instant((bulk.state(db.session, work) or {}).get("through"))
            if begin is None and through:
                begin = through - remote.OVERLAP
            size = rejects.stat().st_size if rejects.exists() else 0
            storing = commands.Storing(work, author, commands.Done(), Rejects(rejects, size=size), lenient)
            with commands.summing_up(storing, as_json=as_json):
                for page in reader.pages({}, since=begin):
                    # Attachments may be large: a page that has any is stored bit by bit.
                    for batch in _batches(_with_attachments(page.statements, reader)):
                        storing.store(batch, {"through": through and through.isoformat()})
                    through = max(filter(None, (through, page.through)), default=None)
                    storing.store([], {"through": through and through.isoformat()})
                    told.update(storing.done.seen)


def _with_attachments(statements: list[bytes], reader: Any) -> Iterator[Any]:  # noqa: ANN401 - connectors.lrs.Reader
    """Give statements as they are to be taken, those that have attachments with these; all have an id."""
    from lrs import bulk

    for text in statements:
        whole = reader.whole(text)
        yield bulk.Sent(text, made_id="", whole=whole and bulk.Whole(*whole))


def _remote_credential(key: str | None, secret_file: Path | None) -> tuple[str, str]:
    key = key or environment().get(KEY_VARIABLE)
    secret = secret_file.read_text().strip() if secret_file else environment().get(SECRET_VARIABLE)
    if not key or not secret:
        raise SettingsError(
            f"The other LRS's key comes by --key or {KEY_VARIABLE}, its secret by --secret-file or {SECRET_VARIABLE}."
        )
    return key, secret


def _instant(written: str | None) -> datetime | None:
    if written is None:
        return None
    try:
        found = datetime.fromisoformat(written.upper())
    except ValueError as error:
        raise SettingsError(f"{written!r} is no timestamp. Write it like 2026-01-31T13:45:00Z.") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)

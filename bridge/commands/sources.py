"""`lrs-bridge source`: where performance records come from, from the first line of a document to its daily pulls."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge import times
from bridge.commands.login import login
from bridge.commands.shared import (
    application,
    data_dir_option,
    in_force,
    json_option,
    moment,
    print_json,
    show,
    stop,
    tell_mapping_problems,
    telling,
)
from bridge.settings import document_folders, environment, named_folders, own_documents

_name = click.argument("name")
BUSY_SECONDS = 0.5
"""How often to look whether whoever is at work on a source has finished."""
SHOWN_ROWS = 20


@click.group()
def source() -> None:
    """Where performance records and rosters come from."""


source.add_command(login)


# --- Writing and checking documents --------------------------------------------------------------------------------


@source.command("add")
@click.argument("type_", metavar="TYPE")
@click.option("--name", metavar="NAME", help="What to call the source; by default as its type and stream.")
@click.option("--stream", metavar="STREAM", help="Of a vendor: tickets, users, ...; by default the first.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of documents; the first of LRS_BRIDGE_MAPPINGS, or `mappings` in the data directory.",
)
@data_dir_option
@json_option
def add(type_: str, name: str | None, stream: str | None, into: Path | None, data_dir: Path, *, as_json: bool) -> None:
    """Write a document to begin with, for a source of TYPE: rest, sql, csv, json, or a vendor such as zendesk.

    Nothing is pulled before what is left empty in it is filled in.
    """
    import yaml

    from connectors import ConfigError, source_starter

    try:
        content = source_starter(type_, name=name, stream=stream)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    folder = into or next(iter(named_folders(environment())), own_documents(data_dir))
    file = folder / f"{yaml.safe_load(content)['name']}.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(content)
    except FileExistsError:
        stop(f"{file} is there already, and is left as it is. Choose another --name.", 1)
    except OSError as error:
        stop(f"{file} cannot be written ({error.strerror}). Choose another folder with --into.", 1)
    read = [one.resolve() for one in document_folders(named_folders(environment()), data_dir)]
    if as_json:
        print_json({"file": str(file), "is_read": folder.resolve() in read})
        return
    click.echo(f"Wrote {file}. Fill in what is empty, then: lrs-bridge source validate {file}")
    if folder.resolve() not in read:
        click.echo(f"{folder} is not among the folders that are read: name it in LRS_BRIDGE_MAPPINGS.")


@source.command("validate")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@data_dir_option
@json_option
def validate(files: tuple[Path, ...], data_dir: Path, *, as_json: bool) -> None:
    """Check the source documents in files or folders, without a server and without the other documents.

    Without FILE: those of LRS_BRIDGE_MAPPINGS, and `mappings` in the data directory.
    """
    from bridge import documents

    places = files or document_folders(named_folders(environment()), data_dir)[1:]
    names, problems = documents.check_sources(places)
    if as_json:
        print_json(
            {"valid": not problems, "sources": sorted(names), "problems": [asdict(problem) for problem in problems]}
        )
    elif problems:
        click.echo("\n".join(map(str, problems)), err=True)
    elif names:
        click.echo(f"Valid: {', '.join(sorted(names))}.")
    if not names and not problems:
        stop(f"There is no source document in {', '.join(map(str, places)) or 'any folder'}.", 1)
    if problems:
        sys.exit(1)


@source.command("check")
@_name
@data_dir_option
@json_option
def check(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Try out the source NAME: login, clock, time zone, order, keys, permissions. Nothing is stored.

    Exits with 1 when something failed.
    """
    with application(data_dir):
        found = []
        for finding in _source(_as_written(), name).check():
            found.append(asdict(finding))
            if not as_json:
                _tell_finding(finding)
        if as_json:
            print_json(found)
    if any(one["state"] == "failed" for one in found):
        sys.exit(1)


_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}


def _tell_finding(finding: Any) -> None:  # noqa: ANN401 - connectors.Finding, which is not imported at start
    click.secho(f"{finding.state:<8}", fg=_COLOURS[finding.state], bold=True, nl=False)
    click.echo(f"{finding.name}: {finding.text}")
    if finding.remedy:
        click.echo(f"        {finding.remedy}")


@source.command("preview")
@_name
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Records to fetch.")
@data_dir_option
@json_option
def preview(name: str, limit: int, data_dir: Path, *, as_json: bool) -> None:
    """Fetch some records of the source NAME, and show what the rules make of them and whose they are.

    Nothing is stored. Read are the documents as they now stand in their files. Where no rule reads the source yet,
    --json gives the records as rules would find them.
    """
    from bridge import previews
    from lrs import db

    with application(data_dir):
        current = _as_written()
        page = _source(current, name).sample(limit)
        told = previews.preview(db.session, current, name, page)
        db.session.rollback()
    if as_json:
        print_json(told)
    else:
        _tell_preview(told)


def _tell_preview(told: dict[str, Any]) -> None:
    if told["rows"]:
        show(
            [
                {key: row[key] for key in ("record", "metric", "value", "unit", "occurred_at", "alias")}
                | {"learner": row["learner"] or "unmatched"}
                for row in told["rows"][:SHOWN_ROWS]
            ],
            as_json=False,
        )
        _tell_rest(told["rows"])
    if told["roster_rows"]:
        people = [row | {"aliases": ", ".join(row["aliases"])} for row in told["roster_rows"]]
        show(people[:SHOWN_ROWS], as_json=False)
        _tell_rest(people)
    click.echo(
        f"{told['records']} records, {len(told['rows'])} values, {len(told['without_a_value'])} without a value."
    )
    if not told["read_by"]:
        click.echo(f"No rule and no roster reads {told['source']}: write one (mappings/README.md).")
        click.echo("--json shows what the records hold.")
    if told["rows"]:
        people = told["people"]
        click.echo(f"People: {people['matched']} matched, {people['unmatched']} unmatched.")
    for one in told["unmatched"][:SHOWN_ROWS]:
        click.echo(f"  unmatched: {one['alias']} ({one['values']} values)")
    for one in told["failures"][:SHOWN_ROWS]:
        click.echo(f"  {one['rule']} fails on {one['record']}: {one['expression']}: {one['reason']}")
    for one in told["problems"][:SHOWN_ROWS]:
        column = f", {one['column']}" if one["column"] else ""
        click.echo(f"  cannot be used: record {one['row']}{column}: {one['problem']}")


def _tell_rest(rows: list[Any]) -> None:
    if len(rows) > SHOWN_ROWS:
        click.echo(f"and {len(rows) - SHOWN_ROWS} more; --json lists all.")


# --- Pulling -------------------------------------------------------------------------------------------------------


@source.command("list")
@data_dir_option
@json_option
def list_sources(data_dir: Path, *, as_json: bool) -> None:
    """List the sources with how their last pull went."""
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        show(overview.sources_table(db.session), as_json=as_json)


@source.command("pull")
@_name
@data_dir_option
@json_option
def pull(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Pull the source NAME now, in this process; the workers map what it gives."""
    from bridge import jobs, sources
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        _check_is_not_paused(_files_in_force(), name)
        _when_nobody_else_does(name, lambda: jobs.pull_now(name))
        show(overview.source_row(db.session, name), as_json=as_json)
        state = sources.standing(db.session, name)
        if state.last_error or state.waits_for:
            sys.exit(1)


@source.command("backfill")
@_name
@click.option("--since", callback=moment, metavar="TIME", help="From when on (ISO 8601).")
@click.option("--until", callback=moment, metavar="TIME", help="Up to when; by default up to now.")
@data_dir_option
@json_option
def backfill(name: str, since: datetime | None, until: datetime | None, data_dir: Path, *, as_json: bool) -> None:
    """Read the past of the source NAME, in slices beside its pulls, and what has been read is not stored twice.

    Without --since: what is planned and left, also what had failed; else from the `start` of its document on. Ctrl-C
    leaves the rest to the workers.
    """
    from bridge import backfills, jobs
    from lrs import db

    if until is not None and since is None:
        raise click.UsageError("--until goes with --since.")
    with application(data_dir):
        current = _files_in_force()
        _check_is_not_paused(current, name)
        _plan(_source(current, name), since, until)
        with telling("slices") as told:

            def tell() -> None:
                one = backfills.progress(db.session, [name])[name]
                told(one.done, one.slices)

            tell()
            _when_nobody_else_does(name, lambda: jobs.backfill_now(name, told=tell), tell)
        db.session.rollback()
        progress = backfills.progress(db.session, [name])[name]
        next_try_at = times.utc_text(progress.next_try_at)
        told_at_last = asdict(progress) | {"next_try_at": next_try_at, "is_done": progress.is_done}
        show({"source": name} | told_at_last, as_json=as_json)
    if not progress.is_done:
        sys.exit(1)


def _plan(found: Any, since: datetime | None, until: datetime | None) -> None:  # noqa: ANN401 - connectors.Source
    """Plan slices, or let those that are left be tried again."""
    from datetime import UTC

    from bridge import backfills
    from connectors import Backfillable
    from lrs import db

    left = backfills.progress(db.session, [found.name]).get(found.name)
    if since is None and left and not left.is_done:
        backfills.try_again(db.session, found.name)
    else:
        slices = found.slices(since, until) if isinstance(found, Backfillable) else ()
        if not slices:
            what = "in this time" if isinstance(found, Backfillable) else "apart: every pull reads all of it"
            raise click.UsageError(f"There is nothing of {found.name} to be read {what}.")
        backfills.plan(db.session, found.name, slices, now=datetime.now(UTC))
    db.session.commit()


# --- How it stands, and what a person does about it ----------------------------------------------------------------


@source.command("status")
@click.argument("name", required=False)
@data_dir_option
@json_option
def status(name: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show how the source NAME, or every source, is doing.

    Last success, age of the newest change (lag), how late changes came, what is left of the quota, records, rows that
    could not be used, how far the past has been read, and whether it is paused.
    """
    from datetime import UTC

    from bridge import documents
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        names = [name] if name else sorted(current.sources)
        for one in names:
            documents.source(current, one)
        now = datetime.now(UTC)
        rows = [overview.source_details(db.session, one, now=now) for one in names]
        show(rows[0] if name else rows, as_json=as_json)


@source.command("pause")
@_name
@click.option("--why", metavar="WORDS", help="Why; shown wherever the source is.")
@data_dir_option
@json_option
def pause(name: str, why: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Let nothing be pulled of the source NAME until it is resumed; what is under way stops at its next page."""
    from datetime import UTC

    from bridge import sources
    from lrs import db

    with _changing(name, data_dir, as_json=as_json):
        sources.pause(db.session, name, now=datetime.now(UTC), why=why)


@source.command("resume")
@_name
@data_dir_option
@json_option
def resume(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Let the source NAME go on where it was, at once."""
    from bridge import sources
    from lrs import db

    with _changing(name, data_dir, as_json=as_json):
        sources.resume(db.session, name)


@source.command("reset")
@_name
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
@json_option
def reset(name: str, data_dir: Path, *, yes: bool, as_json: bool) -> None:
    """Forget how far the source NAME has been read, so that the next pull reads all of it again.

    What is stored stays, and a version that comes again is not stored twice.
    """
    from bridge import sources
    from lrs import db

    with _changing(name, data_dir, as_json=as_json):
        records, versions = sources.counts(db.session).get(name, (0, 0))
        if not yes:
            click.confirm(
                f"{name} will be read from its beginning again, which may cost many requests. Its {records:,} records "
                f"with {versions:,} versions stay. What is planned of its past, and its list of problems, are "
                "forgotten. Go on?",
                abort=True,
                err=True,
            )
        sources.reset(db.session, name)


@source.command("problems")
@_name
@data_dir_option
@json_option
def problems(name: str, data_dir: Path, *, as_json: bool) -> None:
    """List the rows of the source NAME that could not be used."""
    from bridge import documents
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        documents.source(in_force(documents.current(db.session)), name)
        show(overview.problems_table(db.session, name), as_json=as_json)


@source.command("rotate-tokens")
@data_dir_option
@json_option
def rotate_tokens(data_dir: Path, *, as_json: bool) -> None:
    """Encrypt the kept tokens of all sources anew with the first key in LRS_BRIDGE_TOKEN_KEYS.

    The others are not needed any more after that.
    """
    from bridge import context
    from bridge.tokens import TokenStore
    from lrs import db

    with application(data_dir):
        number = TokenStore(db.engine, context.settings().token_keys).rotate(db.session)
        db.session.commit()
        show({"tokens": number}, as_json=as_json)


# --- What they share -----------------------------------------------------------------------------------------------


def _source(current: Any, name: str) -> Any:  # noqa: ANN401 - Documents and connectors.Source, not imported at start
    """Give the source as workers have it."""
    from bridge import context, documents

    return documents.source(current, name, reach=context.reach())


def _files_in_force() -> Any:  # noqa: ANN401 - Documents
    """Bring the files into force as they are now, not as the schedule last saw them, and give what then is."""
    from bridge import documents, jobs
    from lrs import db

    jobs.load_documents()
    tell_mapping_problems(documents.problems(db.session))
    return in_force(documents.current(db.session))


def _as_written() -> Any:  # noqa: ANN401 - Documents
    """Give the documents as they stand in the files, without bringing them into force; else those that are."""
    from bridge import context, documents
    from bridge.mapping import MappingError
    from lrs import db

    try:
        return documents.check(context.settings().folders)
    except MappingError as error:
        tell_mapping_problems(error.problems)
        return in_force(documents.current(db.session))


def _check_is_not_paused(current: Any, name: str) -> None:  # noqa: ANN401 - Documents
    """Refuse a name that there is not, and a source that is paused."""
    from bridge import documents, sources
    from lrs import db

    documents.source(current, name)
    if sources.is_paused(db.session, name):
        raise sources.paused(db.session, name)


@contextmanager
def _changing(name: str, data_dir: Path, *, as_json: bool) -> Iterator[None]:
    """Change something about a source that there is, and show how it then stands."""
    from bridge import documents
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        documents.source(in_force(documents.current(db.session)), name)
        yield
        db.session.commit()
        show(overview.source_row(db.session, name), as_json=as_json)


def _when_nobody_else_does(name: str, work: Callable[[], None], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Do what a worker may be at; it is left to finish its piece first."""
    from bridge.errors import Busy
    from lrs import db

    told = False
    while True:
        try:
            work()
        except Busy:
            db.session.rollback()
            if not told:
                click.echo(f"A worker is at {name}; waiting for it.", err=True)
                told = True
            time.sleep(BUSY_SECONDS)
            meanwhile()
        else:
            return

"""`lrs-bridge learner`: who is who, who waits to be known, and deciding it."""

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import (
    application,
    data_dir_option,
    in_force,
    json_option,
    print_json,
    show,
    tell_mapping_problems,
)

_limit_option = click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
_because_option = click.option("--because", metavar="WORDS", help="Why; it is kept with the decision.")


@click.group()
def learner() -> None:
    """Who is who: learners, their aliases, and what people decide about them."""


@learner.command("list")
@click.option("--after", metavar="KEY", help="Only those whose keys come after this one.")
@_limit_option
@data_dir_option
@json_option
def list_learners(after: str | None, limit: int, data_dir: Path, *, as_json: bool) -> None:
    """List learners by key."""
    from bridge import people
    from lrs import db

    with application(data_dir):
        show([dict(row._mapping) for row in people.page(db.session, after=after, limit=limit)], as_json=as_json)  # noqa: SLF001 - SQLAlchemy's own name for it


@learner.command("show")
@click.argument("word", metavar="KEY|ALIAS")
@data_dir_option
@json_option
def show_learner(word: str, data_dir: Path, *, as_json: bool) -> None:
    """Show a learner: aliases with the rule that says so, attributes with their periods, decisions."""
    from bridge import decisions, people
    from lrs import db

    with application(data_dir):
        found = people.find(db.session, word)
        told = people.told(db.session, found)
        made = [decisions.told(one) for one in decisions.history(db.session, found.key)]
        if as_json:
            print_json(told | {"history": made})
            return
        show(
            {
                "learner": told["key"],
                "name": told["name"],
                "attributes": [_period(one) for one in told["periods"]],
                "aliases": [f"{one['alias']}  ({one['rule']})" for one in told["aliases"]],
                "decisions": [_decision(one) for one in made],
            },
            as_json=False,
        )


@learner.command("unmatched")
@_limit_option
@data_dir_option
@json_option
def list_unmatched(limit: int, data_dir: Path, *, as_json: bool) -> None:
    """List aliases that lead to nobody, with the number of facts that wait; the most first.

    The latest 20,000 of them are looked at, and up to 10,000 facts of each are counted.
    """
    from bridge import people
    from lrs import db

    with application(data_dir):
        rows = people.unmatched(db.session, limit=limit)
        show(
            [{"alias": row.key, "name": row.name, "rule": row.rule, "facts": row.facts} for row in rows],
            as_json=as_json,
        )


@learner.command("suggest")
@data_dir_option
@json_option
def suggest(data_dir: Path, *, as_json: bool) -> None:
    """Suggest whom unmatched aliases may be: whose name is exactly one learner's. Nobody is matched by name alone."""
    from bridge import people
    from lrs import db

    with application(data_dir):
        show([people.told_suggestion(one) for one in people.suggestions(db.session)], as_json=as_json)


@learner.command("problems")
@_limit_option
@data_dir_option
@json_option
def list_problems(limit: int, data_dir: Path, *, as_json: bool) -> None:
    """List roster rows that cannot be used, aliases that several learners claim, and periods that overlap."""
    from bridge import learners
    from lrs import db

    with application(data_dir):
        rows = learners.problems(db.session, limit=limit)
        show([{"about": one.subject, "problem": one.text} for one in rows], as_json=as_json)


@learner.command("merge")
@click.argument("keep", metavar="KEEP")
@click.argument("other", metavar="OTHER")
@_because_option
@data_dir_option
@json_option
def merge(keep: str, other: str, because: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Decide that the learners KEEP and OTHER, each a key or an alias, are one, called KEEP.

    No fact is moved; `lrs-bridge learner undo` takes it back.
    """
    from bridge import decisions

    _decide(
        lambda session, identity, **by: decisions.merge(session, identity, keep, other, **by),
        because,
        data_dir,
        as_json=as_json,
    )


@learner.command("split")
@click.argument("aliases", metavar="ALIAS...", nargs=-1, required=True)
@click.option("--to", metavar="KEY|ALIAS", help="Whose they are; without it a new learner's.")
@_because_option
@data_dir_option
@json_option
def split(aliases: tuple[str, ...], to: str | None, because: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Decide that ALIASes are not whose they were: but another learner's, or a new one's."""
    from bridge import decisions

    _decide(
        lambda session, identity, **by: decisions.split(session, identity, aliases, to=to, **by),
        because,
        data_dir,
        as_json=as_json,
    )


@learner.command("undo")
@click.argument("number", metavar="ID", type=int)
@_because_option
@data_dir_option
@json_option
def undo(number: int, because: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Take the decision ID back, as if it had never been made; it stays in the history."""
    from bridge import decisions

    _decide(
        lambda session, identity, **by: decisions.undo(session, identity, number, **by),
        because,
        data_dir,
        as_json=as_json,
    )


@learner.command("history")
@click.argument("word", metavar="[KEY|ALIAS]", required=False)
@_limit_option
@data_dir_option
@json_option
def history(word: str | None, limit: int, data_dir: Path, *, as_json: bool) -> None:
    """List what people decided, the newest first: about everybody, or about one learner."""
    from bridge import decisions
    from lrs import db

    with application(data_dir):
        rows = [decisions.told(one) for one in decisions.history(db.session, word, limit=limit)]
        show(rows, as_json=as_json)


@learner.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", "name", required=True, metavar="NAME", help="The `source` of a roster that has a `format`.")
@data_dir_option
@json_option
def import_roster(file: Path, name: str, data_dir: Path, *, as_json: bool) -> None:
    """Take the people of FILE in, as the roster whose source is NAME reads them: csv, scim, moodle or lti.

    What is equal to what was taken in before changes nothing, and who is not in FILE stays. Rows that cannot be used
    are listed with the reason.
    """
    from bridge import documents, jobs, learners, rosters, sources
    from lrs import db

    with application(data_dir):
        jobs.load_documents()  # the files as they are now, not as the schedule last saw them
        tell_mapping_problems(documents.problems(db.session))
        current = in_force(documents.current(db.session))
        counts = store(rosters.of_file(current, name, file))
        jobs.build_records()
        bad = [
            {"row": one.row, "column": one.column, "problem": one.message} for one in sources.problems(db.session, name)
        ]
        bad += [{"row": key, "column": None, "problem": reason} for key, reason in rosters.failures(db.session, name)]
        told = {"source": name, **counts, "bad_rows": len(bad), "settled": learners.is_settled(db.session)}
        if as_json:
            print_json(told | {"problems": bad})
            return
        show(told, as_json=False)
        for one in bad:
            column = f", {one['column']}" if one["column"] else ""
            click.echo(f"Row {one['row']}{column}: {one['problem']}", err=True)


def store(source: Any) -> dict[str, int]:  # noqa: ANN401 - connectors.Source, which is not imported at start
    """Store the pages of a file, each in a transaction of its own; gives the rows that it has, and how many are new."""
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from bridge import sources
    from lrs import db

    now, rows, new = datetime.now(UTC), 0, 0
    sources.begin(db.session, source.name, now=now)
    db.session.commit()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading", total=None)
        for page in source.pull(None):
            new += sources.store_page(db.session, source.name, page, started_at=now)
            db.session.commit()
            rows += len(page.rows)
            progress.advance(task, len(page.rows) + len(page.problems))
    sources.finish(db.session, source.name, {}, started_at=now, every=source.every_seconds)
    db.session.commit()
    return {"rows": rows, "new_or_changed": new, "unchanged": rows - new}


def _decide(decide: Callable[..., Any], because: str | None, data_dir: Path, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from bridge import decisions, documents, jobs
    from bridge.decisions import Author
    from lrs import db

    with application(data_dir):
        identity = in_force(documents.current(db.session)).identity
        author, today = Author(user(), because), datetime.now(UTC).date()
        told = decisions.told(decide(db.session, identity, author=author, today=today))
        db.session.commit()
        jobs.build_records()  # so that reports show it when the command ends, unless another process is at it
        show(told, as_json=as_json)


def user() -> str:
    """Give who is at work, as the machine knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return f"user {os.getuid()}"


def _period(one: dict[str, Any]) -> str:
    days = " ".join(f"{word} {one[word]}" for word in ("from", "to") if one[word])
    return f"{one['attribute']}: {one['value']}" + (f"  ({days})" if days else "")


def _decision(one: dict[str, Any]) -> str:
    what = f"{one['other']} is {one['learner']}" if one["kind"] == "merge" else ", ".join(one["aliases"])
    to = "" if one["kind"] == "merge" else f" given to {one['learner']}"
    why = f": {one['because']}" if one["because"] else ""
    undone = f" (undone by {one['undone_by']}, {one['undone_at']})" if one["undone_at"] else ""
    return f"{one['id']}. {one['made_at']} {one['made_by']}: {what}{to}{why}{undone}"

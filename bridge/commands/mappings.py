"""`lrs-bridge mapping`: the YAML documents, checked before they are in force and explained while they are."""

import json
import sys
import textwrap
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge.commands.mapping_files import profile, schema
from bridge.commands.shared import (
    application,
    data_dir_option,
    in_force,
    json_option,
    moment,
    print_json,
    stop,
    telling,
)
from bridge.settings import document_folders, environment, named_folders, shipped


@click.group()
def mapping() -> None:
    """The YAML documents: sources, mappings, programs, reports, destinations."""


mapping.add_command(profile)
mapping.add_command(schema)


@mapping.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@data_dir_option
@json_option
def validate(folders: tuple[Path, ...], data_dir: Path, *, as_json: bool) -> None:
    """Check the documents in FOLDERS (folders or files) together with the shipped ones; nothing is changed.

    Without FOLDERS: those of LRS_BRIDGE_MAPPINGS, and `mappings` in the data directory.
    """
    extra = folders or document_folders(named_folders(environment()), data_dir)[1:]
    found = _checked(extra, as_json=as_json)
    _check_there_is_something(folders)
    counts = Counter(document.kind for document in found.written)
    if as_json:
        print_json({"valid": True, "documents": counts, "notices": list(found.notices)})
        return
    for notice in found.notices:
        click.echo(notice)
    click.echo("Valid: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) + ".")


@mapping.command()
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Look at N statements, spread over all of time."
)
@click.option("--since", callback=moment, metavar="TIME", help="Only statements stored since then (ISO 8601).")
@data_dir_option
@json_option
def coverage(sample: int | None, since: datetime | None, data_dir: Path, *, as_json: bool) -> None:
    """Show which kinds of statements and sources are read, left out on purpose, or missing.

    A kind is a verb with a type of activity. Each comes with how many there are and the id of one of them, for
    `lrs-bridge mapping explain --statement ID`.
    """
    from bridge import coverage as found
    from bridge import documents
    from bridge.commands import explanations
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        with telling("statements") as told:
            statements = found.of_statements(db.session, current, since=since, sample=sample, told=told)
        sources = found.of_sources(db.session, current)
    everything = statements.told() | {"sources": sources}
    if as_json:
        print_json(everything)
    else:
        explanations.tell_coverage(everything)


@mapping.command()
@click.option("--statement", "statement_id", metavar="ID", help="The id of a statement.")
@click.option("--record", "record_name", metavar="SOURCE/KEY", help="A source record by source and key, or its number.")
@data_dir_option
@json_option
def explain(statement_id: str | None, record_name: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show what the rules make of one statement or source record, and why.

    Which rules were tried and which matched, what each expression gives, the facts as they would be and as they are
    stored, who the learner is and by which rule, and what is in quarantine.
    """
    from bridge import documents, explaining
    from lrs import db

    if (statement_id is None) == (record_name is None):
        raise click.UsageError("Name one of --statement ID and --record SOURCE/KEY.")
    with application(data_dir):
        current = in_force(documents.current(db.session))
        if statement_id is not None:
            told = explaining.statement(db.session, current, statement_id)
        else:
            told = explaining.record(db.session, current, str(record_name))
    if as_json:
        print_json(told)
    else:
        from bridge.commands import explanations

        explanations.tell(told)


@mapping.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Look at N statements and N source records.")
@data_dir_option
@json_option
def diff(folders: tuple[Path, ...], sample: int | None, data_dir: Path, *, as_json: bool) -> None:
    """Show what would be otherwise if the documents in FOLDERS took the place of those in force; nothing is changed.

    FOLDERS are taken as `lrs-bridge mapping validate` takes them: with the shipped documents, and without those of
    LRS_BRIDGE_MAPPINGS. Told are the facts that would appear, vanish or change, and whose figures they touch.
    """
    from bridge import differences, documents, snapshots
    from bridge.commands import explanations
    from lrs import db

    new = _checked(folders, as_json=as_json)
    with application(data_dir):
        snapshots.freeze(db.session)
        current = in_force(documents.current(db.session))
        with telling("items") as told:
            found = differences.find(db.session, current, new, sample=sample, told=told).told()
    if as_json:
        print_json(found)
    else:
        explanations.tell_difference(found)


@mapping.command("quarantine")
@click.option("--rule", metavar="RULE", help="Only what this rule failed on: DOCUMENT/NAME.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="Items to list of each reason."
)
@click.option("--raw", is_flag=True, help="Print each item's JSON too.")
@data_dir_option
@json_option
def list_quarantine(rule: str | None, limit: int, data_dir: Path, *, raw: bool, as_json: bool) -> None:
    """List what the rules could not evaluate: rule, expression, reason, and the items it is about."""
    from bridge import quarantine
    from lrs import db

    with application(data_dir):
        found = quarantine.with_items(db.session, quarantine.groups(db.session, rule=rule), limit=limit)
    told: list[dict[str, Any]] = [
        {
            "rule": group.rule,
            "expression": group.expression,
            "reason": group.reason,
            "count": group.items,
            "items": [item.told(raw=raw) for item in group.listed],
        }
        for group in found
    ]
    if as_json:
        print_json(told)
        return
    for group in told:
        noun = "item" if group["count"] == 1 else "items"
        click.secho(f"{group['rule']}: {group['count']:,} {noun}", bold=True)
        click.echo(f"  {group['expression'] or '(no expression)'}\n  {group['reason']}")
        for item in group["items"]:
            name = (
                f"--statement {item['statement']}"
                if "statement" in item
                else f"--record {item['source']}/{item['key']}"
            )
            click.echo(f"  lrs-bridge mapping explain {name}")
            if raw:
                click.echo(textwrap.indent(json.dumps(item["raw"], indent=2, ensure_ascii=False), "    "))
        if group["count"] > len(group["items"]):
            click.echo(f"  and {group['count'] - len(group['items']):,} more; --limit N lists more of them.")
    if not told:
        click.echo("Nothing: every rule could be evaluated on everything.")


def _check_there_is_something(folders: tuple[Path, ...]) -> None:
    """Exit with 1 for folders that were named and hold no document: who reads only "Valid" would think that they do."""
    from bridge.mapping import read_folders

    if folders and not read_folders(folders).documents:
        named = ", ".join(str(folder) for folder in folders)
        stop(f"There is no document in {named}. Their files end in .yaml, .yml or .jsonld.", 1)


def _checked(extra: tuple[Path, ...], *, as_json: bool) -> Any:  # noqa: ANN401 - Documents, not imported at start
    """Give the shipped documents with those of the extra folders; list what is wrong with them and exit with 1."""
    from bridge import documents
    from bridge.mapping import MappingError

    try:
        return documents.check((shipped("mappings"), *extra))
    except MappingError as error:
        if as_json:
            print_json({"valid": False, "problems": [asdict(problem) for problem in error.problems]})
        else:
            click.echo("\n".join(str(problem) for problem in error.problems), err=True)
        sys.exit(1)

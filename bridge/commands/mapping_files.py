"""`lrs-bridge mapping schema|profile`: what helps to write documents."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import data_dir_option, json_option, print_json
from bridge.settings import document_folders, environment, named_folders, own_documents


@click.command()
@click.argument("kind", required=False)
@click.option("--json", is_flag=True, expose_value=False, help="It is JSON in any case.")
def schema(kind: str | None) -> None:
    """Print the JSON Schema of documents of KIND, or of all kinds, for editors that complete and check YAML."""
    from bridge.mapping import json_schema
    from connectors import forms

    try:
        found = json_schema.of_kind(kind, forms()) if kind else json_schema.of_all(forms())
    except KeyError:
        from bridge.mapping.problems import nearest
        from bridge.mapping.schemas import KINDS

        remedy = nearest(kind, KINDS, what="kinds")
        raise click.UsageError(f"There are no documents of kind {kind!r}. {remedy}") from None
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of documents to copy it into; the first of LRS_BRIDGE_MAPPINGS, or `mappings` in the data directory.",
)
@data_dir_option
@json_option
def profile(file: Path, into: Path | None, data_dir: Path, *, as_json: bool) -> None:
    """Check the xAPI Profile in FILE (JSON-LD), list what it offers to rules, and put it among the documents.

    Workers take it up with the other documents of its folder; rules then name it in `match: {profile, template}`.
    """
    from bridge.mapping import MappingError, keep_profile, load_profile

    try:
        found = load_profile(file)
        folder = into or next(iter(named_folders(environment())), own_documents(data_dir))
        place = keep_profile(file, found, folder)
    except MappingError as error:
        if as_json:
            print_json({"valid": False, "problems": [asdict(problem) for problem in error.problems]})
        else:
            click.echo(str(error), err=True)
        sys.exit(1)
    folders = document_folders(named_folders(environment()), data_dir)
    is_read = folder.resolve() in [one.resolve() for one in folders]
    if as_json:
        print_json({"valid": True, **_offer(found), "file": str(place), "is_read": is_read})
        return
    _tell(_offer(found))
    click.echo(f"\nKept as {place}.")
    if not is_read:
        click.echo(f"{folder} is not among the folders that are read: name it in LRS_BRIDGE_MAPPINGS.")


def _offer(found: Any) -> dict[str, Any]:  # noqa: ANN401 - Profile, which is not imported at start
    def listed(kind: str) -> list[dict[str, str]]:
        return [{"id": iri, "title": title} for iri, title in sorted(found.concepts.get(kind, {}).items())]

    return {
        "profile": found.name,
        "title": found.title,
        "versions": list(found.versions),
        "verbs": listed("Verb"),
        "activity_types": listed("ActivityType"),
        "templates": [
            {"id": one.id, "title": one.title, "verb": one.verb, "activity_type": one.type, "rules": len(one.rules)}
            for one in found.templates
        ],
        "other_concepts": {
            kind: len(concepts)
            for kind, concepts in sorted(found.concepts.items())
            if kind not in ("Verb", "ActivityType")
        },
    }


def _tell(offer: dict[str, Any]) -> None:
    click.echo(f"{offer['title']} ({offer['profile']})")
    for heading, key in (("Verbs", "verbs"), ("Activity types", "activity_types"), ("Templates", "templates")):
        click.echo(f"\n{heading}:" if offer[key] else f"\n{heading}: none")
        for one in offer[key]:
            click.echo(f"  {one['id']}" + (f"  {one['title']}" if one["title"] else ""))

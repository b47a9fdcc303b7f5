"""`lrs-bridge mapping`: the YAML documents, checked before they are in force and explained while they are."""

import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import json_option, print_json
from bridge.settings import environment, shipped


@click.group()
def mapping() -> None:
    """The YAML documents: sources, mappings, programs, reports, destinations."""


@mapping.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@json_option
def validate(folders: tuple[Path, ...], *, as_json: bool) -> None:
    """Check the documents in FOLDERS (folders or files) together with the shipped ones; nothing is changed.

    Without FOLDERS: those of LRS_BRIDGE_MAPPINGS.
    """
    named = environment().get("LRS_BRIDGE_MAPPINGS", "")
    found = _checked(folders or tuple(Path(part) for part in named.split(os.pathsep) if part), as_json=as_json)
    counts = Counter(document.kind for document in found.written)
    if as_json:
        print_json({"valid": True, "documents": counts, "notices": list(found.notices)})
        return
    for notice in found.notices:
        click.echo(notice)
    click.echo("Valid: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) + ".")


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

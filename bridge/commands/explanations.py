"""Explanations, differences and coverage (`bridge.explaining`, `differences`, `coverage`) as people read them."""

import json
from collections import Counter
from itertools import groupby
from typing import Any

import click

from bridge.commands.shared import show

Told = dict[str, Any]


def tell(told: Told) -> None:
    """Print an explanation: the item, who it is about, what each rule makes of it, the facts, the quarantine."""
    _tell_item(told)
    _tell_learners(told["learners"])
    _tell_rules(told["rules"])
    _tell_facts(told["facts"])
    for heading, key in (("What it gave before it changed", "history"), ("In quarantine", "quarantine")):
        if told.get(key):
            _head(heading)
            _table(told[key])


def tell_difference(told: Told) -> None:
    """Print a difference: which documents and rules, which facts with examples, whom and which figures it touches."""
    for notice in told["notices"]:
        click.echo(notice)
    for what in ("documents", "rules"):
        for deed, names in told[what].items():
            if names:
                click.echo(f"{what.capitalize()} {deed}: {', '.join(names)}.")
    seen, there_are = told["looked_at"], told["there_are"]
    click.echo(
        f"Looked at {seen['statements']:,} of {there_are['statements']:,} statements and {seen['records']:,} of "
        f"{there_are['records']:,} source records that the changed rules can touch."
    )
    facts = told["facts"]
    click.secho(
        f"{facts['appear']:,} facts would appear, {facts['vanish']:,} vanish, {facts['change']:,} change.", bold=True
    )
    for row in told["by_rule"]:
        deeds = f"{row['appear']:,} appear, {row['vanish']:,} vanish, {row['change']:,} change"
        _head(f"{row['rule']} ({row['what']}): {deeds}")
        for example in row["examples"]:
            _tell_example(example)
    if told["failures"]:
        _head("Items that a rule fails on")
        show(told["failures"], as_json=False)
    _tell_touched(told)


def _tell_example(example: Told) -> None:
    origin = "statement" if "statement" in example else "record"
    click.echo(f"  {example['deed']}: {origin} {example[origin]}, {example['alias']}")
    for side in ("before", "after"):
        if example[side]:
            said = ", ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in example[side].items())
            click.echo(f"    {side}: {said}")


def _tell_touched(told: Told) -> None:
    _head(f"Learners touched: {told['learners']:,}; people whom nobody knows yet: {told['unmatched_people']:,}")
    if told["figures"]:
        show(told["figures"], as_json=False)
    for program in told["programs_changed"]:
        click.echo(
            f"The program {program['program']} is another one: its {program['records']:,} records are built anew."
        )
    if told["identity_changed"]:
        click.echo("The identity document is another one: who is who is settled anew, which is not tried out here.")


def tell_coverage(told: Told) -> None:
    """Print the coverage: the shares, then each kind of statement by its state, then the sources."""
    if not told["looked_at"]:
        click.echo("There are no statements to look at.")
    else:
        click.echo(
            f"{told['covered_percent']:.2f} % of the {told['looked_at']:,} statements looked at "
            f"(of {told['stored']:,}) are covered: {told['mapped_percent']:.2f} % give facts, "
            f"{told['left_out_percent']:.2f} % are left out on purpose. "
            f"{told['not_mapped_percent']:.2f} % are not mapped, "
            f"{told['in_quarantine_percent']:.2f} % could not be evaluated."
        )
    for state, rows in groupby(told["statements"], key=lambda row: row["state"]):
        _head(state.capitalize())
        for row in rows:
            click.echo(f"{row['count']:>9,} {row['percent']:>6.2f} %  {row['verb']}")
            click.echo(f"{'':20}{row['activity_type'] or row['object_type']}")
            click.echo(f"{'':20}{_by(row)}example {row['example']}")
    if told["sources"]:
        _head("Sources")
        show([row | {"metrics": ", ".join(row["metrics"]) or None} for row in told["sources"]], as_json=False)


def _by(row: Told) -> str:
    words = row["because"] or ", ".join(row["rules"])
    return f"{words.removesuffix('.')}; " if words else ""


def _tell_item(told: Told) -> None:
    if statement := told.get("statement"):
        click.secho(f"Statement {statement['id']}", bold=True)
        click.echo(f"Stored {statement['stored']}.")
        if not statement["read"]:
            click.echo("No worker has read it yet.")
        if statement["voided"]:
            click.echo(f"It is voided by {', '.join(statement['voided_by'])}: its facts do not count.")
        return
    record = told["record"]
    click.secho(f"Source record {record['source']}/{record['key']} (number {record['id']})", bold=True)
    if record["is_roster"]:
        click.echo("The identity document reads it as a row of a roster; `lrs-bridge learner` shows what came of it.")
    _table([{name: row[name] for name in ("id", "pulled_at", "cursor", "deleted")} for row in record["versions"]])


def _tell_learners(learners: list[Told]) -> None:
    _head("Who it is about")
    for one in learners:
        if one["learner"] is None:
            why = "two learners claim it" if one["rule"] == "contested" else "no rule leads it to a learner"
            click.echo(f"{one['alias']}: nobody yet, {why}.")
        else:
            name = f" ({one['name']})" if one["name"] else ""
            click.echo(f"{one['alias']}: learner {one['learner']}{name}, by rule {one['rule']}.")
    if not learners:
        click.echo("Nobody.")


def _tell_rules(rules: list[Told]) -> None:
    """Tell of the rules that matched first; of those whose whole document does not hold together."""
    _head("Rules")
    tried = sorted((rule for rule in rules if rule["tried"]), key=lambda rule: not rule["matched"])
    of_documents: Counter[tuple[str, str]] = Counter()
    for rule in tried:
        if not rule["matched"] and not rule["failure"] and rule["because"].startswith("document."):
            of_documents[rule["rule"].partition("/")[0], rule["because"]] += 1
        else:
            _tell_rule(rule)
    for (document, because), count in of_documents.items():
        click.echo(f"{document} ({count} rules tried) did not match: {because}.")
    not_tried = len(rules) - len(tried)
    if not_tried:
        click.echo(f"{not_tried} others were not tried; --json says why.")


def _tell_rule(rule: Told) -> None:
    mark = "matched" if rule["matched"] else "did not match"
    version = f" [{rule['content_hash'][:12]}]" if rule["content_hash"] else ""
    click.echo(f"{rule['rule']}{version} {mark}: {rule['because'].removesuffix('.')}.")
    for value in rule["values"]:
        result = f"error: {value['error']}" if "error" in value else json.dumps(value["value"], ensure_ascii=False)
        written = value["expression"].strip().replace("\n", "\n      ")
        click.echo(f"    {value['key']}: {written}  ->  {result}")
    if rule["failure"]:
        click.echo(f"    failed: {rule['failure']['expression']}: {rule['failure']['reason']}")


def _tell_facts(facts: Told) -> None:
    _head("Facts that the rules give")
    _table(facts["would_be"])
    if facts["same"]:
        click.echo("The same are stored." if facts["stored"] else "None are stored.")
        return
    click.echo("Others are stored; it has not been read by the rules as they are now:")
    _table(facts["stored"])


def _table(rows: list[Told]) -> None:
    """Print rows that may each lack what they have no word of; the hashes stand with the rules."""
    columns = {name: None for row in rows for name in row if name != "content_hash"}
    show([{name: _text(row.get(name)) for name in columns} for row in rows], as_json=False)


def _text(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _head(words: str) -> None:
    click.echo()
    click.secho(words, bold=True)

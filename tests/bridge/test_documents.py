"""Documents in force: the last set that validated, whatever lies in the folders now."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from company import DOCUMENTS, Company
from flask import Flask
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from bridge import context, deliveries, documents, jobs, readings, status
from bridge.app import create_app
from bridge.errors import UnknownName
from bridge.mapping import MappingError
from bridge.models import Delivery, MappingProblem, MappingVersion, Reading
from lrs import db


def load(session: Session) -> documents.Loaded:
    loaded = documents.load(session, context.settings().folders)
    session.commit()
    return loaded


def titles(session: Session) -> list[str]:
    current = documents.current(session)
    return [report.title for report in current.reports.values()] if current else []


def versions(session: Session) -> int:
    return session.scalar(select(func.count(MappingVersion.id))) or 0


def deliveries_planned(session: Session) -> list[tuple[str, str]]:
    return [(one.report, one.destination) for one in deliveries.everything(session)]


def test_nothing_is_in_force_before_the_first_load(session: Session) -> None:
    assert documents.current(session) is None


def test_a_good_folder_comes_into_force_beside_the_shipped_documents(company: Company, session: Session) -> None:
    loaded = load(session)

    current = documents.current(session)
    assert loaded.changed
    assert loaded.problems == ()
    assert current is not None
    assert set(current.sources) == {"helpdesk", "crm", "staff"}
    assert {"moodle", "lms"} <= {learning.name for learning in current.learning}


def test_a_folder_that_has_not_changed_makes_no_new_version(company: Company, session: Session) -> None:
    load(session)

    company.change("program.yaml", "kind: program", "# a comment says nothing to the bridge\nkind: program")
    again = load(session)

    assert not again.changed
    assert versions(session) == 1


# file, what stands there, what is written instead; then line, column, and words of the text and of the remedy
BROKEN: Sequence[tuple[str, str, str, int, int, str, str]] = (
    # a wrong key
    ("program.yaml", "courses:", "coursess:", 4, 1, "'coursess'", "Did you mean 'courses'?"),
    # a wrong type
    ("program.yaml", "metrics: [", "window_days: many\nmetrics: [", 7, 14, "whole number is expected", ""),
    # no kind of document
    ("program.yaml", "kind: report", "kind: raport", 14, 7, "'raport'", "Did you mean 'report'?"),
    # not even YAML
    ("program.yaml", "title: Calm calls\n", "title: Calm: calls\n", 3, 12, "no YAML", "in quotes"),
    # CEL that cannot be parsed: the place is inside the expression
    ("rules.yaml", "when: row.solved_at != null", "when: row.solved_at !=", 24, 27, "", ""),
    # a metric that nothing gives
    ("program.yaml", "deal_won]", "deal_wom]", 7, 29, "no metric called 'deal_wom'", "Did you mean 'deal_won'?"),
    # a destination and a program that are not there
    ("program.yaml", "[folder]", "[foldr]", 18, 16, "no destination called 'foldr'", "Did you mean 'folder'?"),
    ("program.yaml", "program: calm-calls", "program: calm-cals", 17, 10, "'calm-cals'", "Did you mean 'calm-calls'?"),
    # what `connectors` checks is led back to its line as well
    ("sources.yaml", "every: 1h", "every: hourly", 4, 8, "hourly", "1h"),
    ("sources.yaml", "minutes: {type: number}", "minutes: {type: numbr}", 11, 19, "numbr", "Did you mean 'number'?"),
    ("sources.yaml", "type: csv\nevery: 1d", "type: cvs\nevery: 1d", 15, 7, "cvs", "csv"),
    ("program.yaml", "type: directory", "type: directry", 11, 7, "directry", "directory"),
)


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "column", "text", "remedy"), BROKEN, ids=[case[2].strip() for case in BROKEN]
)
def test_a_broken_file_is_refused_with_its_place_and_a_remedy_and_the_last_good_set_stays(
    company: Company, session: Session, file: str, old: str, new: str, line: int, column: int, text: str, remedy: str
) -> None:
    load(session)
    company.change("program.yaml", "title: Calm calls and time to solve", "title: A title that must not come")
    company.change(file, old, new)

    loaded = load(session)

    found = documents.problems(session)
    [problem] = [one for one in found if (one.file, one.line, one.column) == (str(company.folder / file), line, column)]
    assert text in problem.text
    assert remedy in problem.remedy
    assert problem.remedy
    assert not loaded.changed
    assert titles(session) == ["Calm calls and time to solve"]
    told = f"{problem.file}:{line}:{column}: {problem.text}. {problem.remedy}"
    assert told in status.overview(session)["mapping_problems"]


def test_one_wrong_file_keeps_the_changes_in_the_other_files_out(company: Company, session: Session) -> None:
    load(session)
    company.change("rules.yaml", "title: Minutes to solve", "title: Another title")
    company.change("sources.yaml", "every: 1h", "every: hourly")

    load(session)

    current = documents.current(session)
    assert current is not None
    assert current.metrics["minutes_to_solve"].title == "Minutes to solve"


def test_every_problem_of_every_file_is_told_at_once(company: Company, session: Session) -> None:
    company.change("rules.yaml", "direction: down", "direction: sideways")
    company.change("program.yaml", "courses:", "coursess:")

    load(session)

    assert {Path(problem.file).name for problem in documents.problems(session)} == {"rules.yaml", "program.yaml"}


def test_problems_of_all_connections_are_told_at_once(company: Company, session: Session) -> None:
    company.change("sources.yaml", "every: 1h", "every: hourly")
    company.change("sources.yaml", "every: 1d", "every: daily")
    company.change("program.yaml", "type: directory", "type: directry")

    load(session)

    assert len(documents.problems(session)) == 3


def test_a_mended_file_clears_the_problems_and_comes_into_force(company: Company, session: Session) -> None:
    company.change("program.yaml", "courses:", "coursess:")
    load(session)

    company.write("program.yaml", DOCUMENTS["program.yaml"])
    loaded = load(session)

    assert loaded.changed
    assert documents.problems(session) == []
    assert titles(session) == ["Calm calls and time to solve"]


def test_a_folder_that_is_gone_is_a_problem_and_not_an_empty_set(company: Company, session: Session) -> None:
    load(session)
    company.folder.rename(company.folder.with_name("moved"))

    load(session)

    assert "no such file or folder" in documents.problems(session)[0].text
    assert titles(session) == ["Calm calls and time to solve"]


def test_a_process_that_starts_on_a_broken_folder_works_with_the_last_good_set(company: Company) -> None:
    load(db.session)
    company.change("program.yaml", "courses:", "coursess:")

    documents._parsed.cache_clear()
    restarted = create_app(context.settings())
    with restarted.app_context():
        jobs.load_documents()
        assert titles(db.session) == ["Calm calls and time to solve"]
        assert [problem.line for problem in documents.problems(db.session)] == [4]
        db.session.close()
        db.engine.dispose()


def test_the_documents_in_force_need_no_folder(company: Company, session: Session) -> None:
    """A worker on another host has none."""
    load(session)
    for file in company.folder.glob("*.yaml"):
        file.unlink()
    documents._parsed.cache_clear()

    assert titles(session) == ["Calm calls and time to solve"]
    current = documents.current(session)
    assert current is not None
    assert documents.source(current, "helpdesk").every_seconds == 3600


# --- what follows from a change ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "reread"),
    [
        ("rules.yaml", "value: row.minutes", "value: row.minutes + 1", True),
        ("rules.yaml", "when: row.solved_at != null", "when: row.minutes != null", True),
        (
            "rules.yaml",
            "owner: row.agent\n    occurred_at: row.closed_at",
            "owner: row.a\n    occurred_at: row.b",
            True,
        ),
        ("rules.yaml", "fact: completed", "fact: progressed", True),
        # what is shown changes no fact
        ("rules.yaml", "title: Minutes to solve", "title: Minutes", False),
        ("rules.yaml", "unit: min", "unit: minutes", False),
        ("rules.yaml", "direction: down", "direction: up", False),
        # neither does who is who, nor what belongs to a program
        ("people.yaml", "unclaimed: wait", "unclaimed: learner", False),
        ("program.yaml", "metrics: [minutes_to_solve, deal_won]", "metrics: [deal_won]", False),
    ],
    ids=lambda value: str(value).strip()[:40],
)
def test_only_changed_rules_read_history_again(
    company: Company, session: Session, file: str, old: str, new: str, *, reread: bool
) -> None:
    jobs.load_documents()
    active = readings.active(session)

    company.change(file, old, new)
    jobs.load_documents()

    assert (readings.pending(session) is not None) == reread
    assert readings.active(session) == active


def test_a_pending_reading_goes_on_with_the_rules_that_it_began_with(company: Company, session: Session) -> None:
    jobs.load_documents()
    company.change("rules.yaml", "value: row.minutes", "value: row.minutes + 1")
    jobs.load_documents()
    company.change("program.yaml", "title: Calm calls\n", "title: Calmer calls\n")  # a newer version, the same rules
    jobs.load_documents()

    for reading in readings.under_way(session):
        rules = documents.with_rules(session, reading.rules_hash)
        assert rules is not None
        assert rules.rules_hash == reading.rules_hash


def test_deliveries_follow_the_destinations_that_reports_name(company: Company, session: Session) -> None:
    jobs.load_documents()
    assert deliveries_planned(session) == [("calm", "folder")]
    kept = session.scalars(select(Delivery.id)).one()

    second = "\n---\nkind: destination\nname: archive\ntype: directory\npath: archive\n"
    company.write("program.yaml", DOCUMENTS["program.yaml"].replace("[folder]", "[archive, folder]") + second)
    jobs.load_documents()
    assert deliveries_planned(session) == [("calm", "archive"), ("calm", "folder")]
    assert kept in set(session.scalars(select(Delivery.id)))  # what is known of it stays

    company.write("program.yaml", DOCUMENTS["program.yaml"].replace("[folder]", "[]"))
    jobs.load_documents()
    assert deliveries_planned(session) == []


def test_a_refused_set_plans_and_drops_no_delivery(company: Company, session: Session) -> None:
    jobs.load_documents()
    company.change("program.yaml", "destinations: [folder]", "destinations: []\nnoot: x")

    jobs.load_documents()

    assert deliveries_planned(session) == [("calm", "folder")]


# --- asking by name ------------------------------------------------------------------------------------------------


def test_an_unknown_source_or_destination_names_the_nearest(company: Company, session: Session) -> None:
    load(session)
    current = documents.current(session)
    assert current is not None

    with pytest.raises(UnknownName, match="Did you mean 'helpdesk'"):
        documents.source(current, "helpdesc")
    with pytest.raises(UnknownName, match="Did you mean 'folder'"):
        documents.destination(current, "foldr", data_dir=Path())


def test_checking_changes_nothing(company: Company, app: Flask, session: Session) -> None:
    company.change("program.yaml", "courses:", "coursess:")
    session.execute(delete(MappingProblem))

    with pytest.raises(MappingError, match="coursess"):
        documents.check(context.settings().folders)

    assert documents.problems(session) == []


def test_faults_that_connectors_finds_are_told_together_with_those_of_mapping(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(
        "kind: source\nname: x\ntype: csv\nevery: 5\npath: a.csv\nkey: [a]\n---\n"
        "kind: program\nname: p\ntitle: P\ncourses: ['x:a']\ncompletion: {of: ['x:a']}\nmetrics: [nope]\n"
    )

    with pytest.raises(MappingError) as caught:
        documents.check([file])

    assert [problem.line for problem in caught.value.problems] == [4, 13]


def test_what_an_upgrade_refuses_stops_reading_and_breaks_nothing_else(company: Company, session: Session) -> None:
    """A set in force was checked by the code of its day."""
    jobs.load_documents()
    session.execute(
        text("update mapping_version set documents = replace(documents, 'row.minutes', 'row.minutes / 60')")
    )
    session.commit()
    company.change("rules.yaml", "value: row.minutes", "value: row.minutes / 60")

    jobs.load_documents()
    company.work()

    assert documents.current(session) is None
    assert any("divided" in problem.text for problem in documents.problems(session))
    company.change("rules.yaml", "value: row.minutes / 60", "value: double(row.minutes) / 60.0")
    jobs.load_documents()
    assert documents.current(session) is not None


def test_an_upgrade_that_reads_the_same_documents_otherwise_reads_history_anew(
    company: Company, session: Session
) -> None:
    jobs.load_documents()
    session.execute(update(MappingVersion).values(rules_hash="of older code"))
    session.execute(update(Reading).values(rules_hash="of older code"))
    session.commit()

    jobs.load_documents()
    company.work()

    current = documents.current(session)
    assert current is not None
    assert readings.pending(session) is None
    assert session.scalars(select(Reading.rules_hash)).all() == [current.rules_hash]

"""Launching programs: what is open blocks it, what was agreed stays, and all of it is kept."""

import json

import pytest
from company import Company
from sqlalchemy import select

from bridge import documents, jobs, programs
from bridge.models import ProgramEvent
from lrs import db

CONTRACT = """\
problem: Calls take too long.
causes: [capability]
stakes: Customers' patience.
sponsor: Dana Cole
owner: Ines Prat
population: {team: [North, South]}
behaviours:
  - {name: listens, does: lets the customer finish, evidence: {fact: observed}}
"""
GOALS = "metrics: [{metric: minutes_to_solve, primary: true, target: 5%}, deal_won]"


def agree(company: Company) -> None:
    """Give the company's program all that a contract needs."""
    company.change("program.yaml", "metrics: [minutes_to_solve, deal_won]\n", f"{GOALS}\n{CONTRACT}")
    jobs.load_documents()
    assert documents.problems(db.session) == []


def current():
    found = documents.current(db.session)
    assert found is not None
    return found


def launch(**more: str):
    return programs.launch(db.session, current(), "calm-calls", by="Ines", **more)


def state() -> str:
    return programs.told(db.session, current(), "calm-calls")["state"]


def test_a_program_with_gaps_is_not_launched_and_the_attempt_is_kept_with_them(company: Company) -> None:
    jobs.load_documents()
    assert state() == "needs analysis"

    with pytest.raises(programs.NeedsAnalysis, match="What will people do differently"):
        launch()

    [event] = db.session.scalars(select(ProgramEvent)).all()
    assert (event.what, event.by) == ("refused", "Ines")
    assert "What is the performance problem?" in [gap["text"] for gap in event.details["gaps"]]
    with pytest.raises(programs.NotLaunched, match="questions need an answer"):
        programs.contract(db.session, current(), "calm-calls")


def test_what_was_agreed_stays_whatever_the_document_says_later(company: Company) -> None:
    agree(company)
    assert state() == "ready"
    launch()
    assert state() == "launched"

    company.change("program.yaml", "target: 5%", "target: 1%")
    jobs.load_documents()

    told = programs.told(db.session, current(), "calm-calls")
    assert (told["state"], told["changed_since_launch"]) == ("changed since the launch", ["metrics"])
    agreed = programs.contract(db.session, current(), "calm-calls").program
    assert agreed.primary is not None
    assert agreed.primary.target == 0.05


def test_a_new_title_is_no_change_of_the_contract(company: Company) -> None:
    agree(company)
    launch()
    company.change("program.yaml", "title: Calm calls\n", "title: Calmer calls\n")
    jobs.load_documents()

    assert state() == "launched"


def test_a_program_is_launched_anew_only_when_changed_and_with_a_reason(company: Company) -> None:
    agree(company)
    first = launch()
    with pytest.raises(programs.AlreadyLaunched, match="with this very contract"):
        launch(because="again")
    company.change("program.yaml", "sponsor: Dana Cole", "sponsor: Kim Roe")
    jobs.load_documents()
    with pytest.raises(programs.AlreadyLaunched, match="changed since: sponsor"):
        launch()

    second = launch(because="Dana has left")

    assert (first.number, second.number) == (1, 2)
    assert [(one["what"], one["because"]) for one in programs.history(db.session, "calm-calls")] == [
        ("launched", None),
        ("launched", "Dana has left"),
    ]
    assert state() == "launched"


def test_causes_other_than_capability_warn_at_the_launch_and_stay_with_it(company: Company) -> None:
    agree(company)
    company.change("program.yaml", "causes: [capability]", "causes: [process]")
    jobs.load_documents()

    assert "not capability" in launch().event.details["warnings"][0]


def test_the_commands_show_launch_and_refuse(company: Company, lrs_bridge) -> None:
    jobs.load_documents()
    refused = lrs_bridge("program", "launch", "calm-calls", "--by", "Ines")
    assert refused.exit_code == 1
    assert "Whose performance should change?" in refused.output
    listed = lrs_bridge("program", "list", "--json")
    assert json.loads(listed.output)[0]["state"] == "needs analysis"
    shown = lrs_bridge("program", "show", "calm-calls")
    assert "open: What will people do differently?" in shown.output
    assert "refused" in shown.output, "what was tried is kept"

    agree(company)
    launched = lrs_bridge("program", "launch", "calm-calls", "--by", "Ines", "--json")
    assert launched.exit_code == 0, launched.output
    assert json.loads(launched.output)["contract"] == 1
    unknown = lrs_bridge("program", "show", "calm-call")
    assert (unknown.exit_code, "Did you mean 'calm-calls'?" in unknown.output) == (2, True)

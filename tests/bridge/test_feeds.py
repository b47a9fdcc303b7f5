"""What stands in the feeds of readiness, impacts and health, and the next practice that records name."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from company import Company, done
from sqlalchemy import select, text, update

from bridge import context, deliveries, documents, feeds, jobs, programs
from bridge.models import Delivery, Impact, Learner, PublishedRow, SourceState
from lrs import db

SCENARIO = "https://lms.example.com/scenario/9"
MORE = f"""\
population: {{team: [North, South]}}
problem: Calls take too long.
causes: [capability]
stakes: Customers' patience.
sponsor: Dana Cole
owner: Ines Prat
skills:
  - {{name: listening, title: Listening first, moments: [an angry customer], activities: ["{SCENARIO}"], required: 0.8}}
  - {{name: asking, title: Asking, activities: ["{SCENARIO}/2"], required: 0.9}}
  - {{name: closing, title: Closing, activities: ["{SCENARIO}/3"]}}
behaviours:
  - name: listens
    does: lets the customer finish.
    evidence: {{fact: applied, activities: ["{SCENARIO}/work"]}}
"""
RULES = """\
  - name: practised
    when: verb.endsWith('/attempted')
    fact: practised
    score: fraction(result.score)
  - name: applied
    when: verb.endsWith('/applied')
    fact: applied
---
kind: performance
name: helpdesk
"""
GOALS = "metrics: [{metric: minutes_to_solve, primary: true, target: 5%}, deal_won]\n"


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(who: str, verb: str, activity: str, at: str, **result: Any) -> dict[str, Any]:
    return done(who, at) | {
        "id": str(uuid5(NAMESPACE_URL, f"{who} {verb} {activity} {at}")),
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": activity},
        "result": result,
    }


@pytest.fixture
def trained(company: Company) -> Company:
    """Ann practises listening badly and asking worse, and was trained; Bo has done nothing."""
    company.change("program.yaml", "metrics: [minutes_to_solve, deal_won]\n", GOALS + MORE)
    company.change("rules.yaml", "---\nkind: performance\nname: helpdesk\n", RULES)
    company.post(done("ann", ago(30)))
    for day in range(12):
        company.post(
            said("ann", "attempted", SCENARIO, ago(20 - day), score={"raw": 5, "max": 10}),
            said("ann", "attempted", f"{SCENARIO}/3", ago(20 - day), score={"raw": 5, "max": 10}),
        )
    company.run()
    jobs.publish()
    return company


def rows(feed: str) -> dict[tuple[str | None, str], dict[str, Any]]:
    """Give the bodies of rows that are there, by name and the end of their key."""
    db.session.rollback()
    found = db.session.scalars(select(PublishedRow).filter_by(feed=feed, deleted=False))
    return {(row.person["name"] if row.person else None, row.key.rpartition("/")[2]): row.body for row in found}


def publish() -> None:
    jobs.map_items()
    jobs.build_records()
    jobs.publish()


# --- readiness --------------------------------------------------------------------------------------------------------


def test_a_skill_below_what_is_required_says_what_to_practise(trained: Company) -> None:
    found = rows("readiness")["Ann Archer", "listening"]

    assert found == {
        "skill": "listening",
        "skill_title": "Listening first",
        "moment": "an angry customer",
        "program": "calm-calls",
        "level": 0.5,
        "state": "not yet",
        "evidence": pytest.approx(6.8, abs=0.2),
        "last_evidence_at": found["last_evidence_at"],
        "next_practice": "Practise Listening first, for this moment: an angry customer.",
    }
    assert found["last_evidence_at"][:10] == ago(9)[:10]


def test_nothing_is_claimed_of_whom_nothing_is_known(trained: Company) -> None:
    for name, skill in (("Ann Archer", "asking"), ("Bo Berg", "listening")):
        found = rows("readiness")[name, skill]
        assert (found["level"], found["state"], found["evidence"], found["next_practice"]) == (
            None,
            "unknown",
            0.0,
            None,
        )


def test_a_skill_of_which_no_level_is_required_is_neither_ready_nor_not(trained: Company) -> None:
    found = rows("readiness")["Ann Archer", "closing"]

    assert (found["level"], found["state"], found["next_practice"]) == (0.5, None, None)


def test_who_is_ready_is_told_no_practice(trained: Company) -> None:
    trained.change("program.yaml", "required: 0.8", "required: 0.4")
    jobs.load_documents()
    jobs.publish()

    found = rows("readiness")["Ann Archer", "listening"]
    assert (found["state"], found["next_practice"]) == ("ready", None)


def test_readiness_does_not_change_by_itself_within_a_day(trained: Company) -> None:
    current = documents.current(db.session)
    assert current is not None
    for hour in (1, 13, 23):
        now = datetime.now(UTC).replace(hour=hour)
        assert sum(one.written for one in feeds.of_people(db.session, current, now=now, url=None)) == 0


def test_a_skill_that_is_gone_takes_its_rows_with_it(trained: Company) -> None:
    trained.change(
        "program.yaml", "  - {name: asking, title: Asking, activities", "  - {name: asks, title: A, activities"
    )
    jobs.load_documents()
    jobs.publish()
    assert {skill for _, skill in rows("readiness")} == {"asks", "listening", "closing"}

    before, rest = (trained.folder / "program.yaml").read_text().split("skills:\n")
    trained.write("program.yaml", before + "behaviours:" + rest.split("behaviours:")[1])
    jobs.load_documents()
    jobs.publish()
    assert rows("readiness") == {}


def test_many_learners_are_stored_in_pages_and_those_who_left_are_gone(
    trained: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "PAGE", 2)
    trained.staff([(f"E{n}", f"P {n}", "North", f"p{n}@example.com", f"p{n}") for n in range(7)])
    trained.pull()
    publish()
    assert {name for name, _ in rows("readiness")} == {f"P {n}" for n in range(7)}

    trained.staff([(f"E{n}", f"P {n}", "North" if n % 3 else "West", f"p{n}@example.com", f"p{n}") for n in range(7)])
    trained.change("people.yaml", "{team: row.team}", "{team: {value: row.team}}")
    jobs.load_documents()
    trained.pull()
    publish()
    assert {name for name, _ in rows("readiness")} == {f"P {n}" for n in (1, 2, 4, 5)}


def test_of_a_learner_who_is_erased_nothing_is_left_but_that_they_are_gone(trained: Company) -> None:
    learner = db.session.scalars(select(Learner.id).filter_by(name="Ann Archer")).one()
    db.session.execute(text("delete from learner where id = :id"), {"id": learner})
    deliveries.mark_all_due(db.session)
    db.session.commit()

    jobs.publish()

    left = db.session.scalars(select(PublishedRow).filter_by(learner_id=learner)).all()
    assert {row.feed for row in left} == {"readiness", "records", "measures"}
    assert all((row.deleted, row.person, row.body) == (True, None, {}) for row in left)
    assert {name for name, _ in rows("readiness")} == {"Bo Berg"}


# --- the next practice of a record ------------------------------------------------------------------------------------


def test_a_record_names_the_lowest_skill_that_is_not_there_yet(trained: Company) -> None:
    for day in range(12):
        trained.post(said("ann", "attempted", f"{SCENARIO}/2", ago(20 - day), score={"raw": 1, "max": 10}))
    publish()

    found = rows("records")["Ann Archer", "calm-calls"]

    assert found["next_practice"] == "Practise Asking."


def test_a_record_names_a_behaviour_that_was_not_seen_since_training(trained: Company) -> None:
    trained.change("program.yaml", "required: 0.8", "required: 0.4")
    jobs.load_documents()
    publish()

    found = rows("records")["Ann Archer", "calm-calls"]

    assert found["next_practice"] == (
        "Not seen at work since training: a person who was trained lets the customer finish."
    )
    assert (found["uses_since"], found["rate_since"], found["days_to_first"]) == (0, None, None)


def test_nothing_is_named_once_the_behaviour_was_seen(trained: Company) -> None:
    trained.change("program.yaml", "required: 0.8", "required: 0.4")
    jobs.load_documents()
    trained.post(said("ann", "applied", f"{SCENARIO}/work", ago(20)))
    publish()

    found = rows("records")["Ann Archer", "calm-calls"]

    assert found["next_practice"] is None
    assert (found["uses_since"], found["days_to_first"]) == (1, pytest.approx(10, abs=0.1))


def test_a_record_leads_to_its_report_where_people_know_our_address(trained: Company) -> None:
    settings = context.settings()
    assert settings.shown_url is None
    current = documents.current(db.session)
    assert current is not None

    list(feeds.of_people(db.session, current, now=datetime.now(UTC), url="https://bridge.example.com"))
    db.session.commit()

    assert rows("records")["Ann Archer", "calm-calls"]["url"] == "https://bridge.example.com/reports/calm"


# --- impacts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def estimated(trained: Company) -> Impact:
    """The program launched, and estimated from two people: too few for anything."""
    current = documents.current(db.session)
    assert current is not None
    programs.launch(db.session, current, "calm-calls", by="Ines")
    db.session.commit()
    jobs.estimate_impacts()
    jobs.publish()
    return db.session.scalars(select(Impact)).one()


def test_of_too_few_people_a_verdict_is_told_and_no_figure(estimated: Impact) -> None:
    found = rows("impacts")[None, "weeks-1-12"]

    told = {key: found[key] for key in ("program", "horizon", "verdict", "grade", "estimate", "low", "high")}
    assert told == {
        "program": "calm-calls",
        "horizon": "weeks 1-12",
        "verdict": "not enough evidence",
        "grade": "not enough evidence",
        "estimate": None,
        "low": None,
        "high": None,
    }
    assert "We cannot tell yet" in found["sentence"]
    assert found["refusals"]


def test_figures_are_told_on_the_scale_that_people_read(estimated: Impact) -> None:
    result = copy.deepcopy(estimated.result)
    one = result["metrics"]["minutes_to_solve"]
    one["verdict"] = {"grade": "strong", "reasons": [], "sentences": ["It fell.", "Next check: 5 March 2027."]}
    result["next_look"] = "2027-03-05"
    one["att"] |= {"estimate": -0.1, "low": -0.2, "high": -0.05}
    one["counts"] = (one["counts"] or {}) | {"trained": 40, "trained_teams": 8}
    db.session.execute(update(Impact).values(result=result))
    db.session.commit()
    jobs.publish()

    key = db.session.scalars(select(PublishedRow.key).filter_by(feed="impacts").order_by(PublishedRow.key)).all()
    assert key == ["calm-calls/deal_won/weeks-1-12", "calm-calls/minutes_to_solve/weeks-1-12"]
    row = db.session.get(PublishedRow, ("impacts", key[1]))
    assert row is not None
    assert row.person is None
    assert row.body == {
        "program": "calm-calls",
        "program_title": "Calm calls",
        "metric": "minutes_to_solve",
        "metric_title": "Minutes to solve",
        "unit": "%",
        "direction": "down",
        "horizon": "weeks 1-12",
        "verdict": "better",
        "sentence": "It fell. Next check: 5 March 2027.",
        "estimate": pytest.approx(-9.516, abs=0.001),
        "low": pytest.approx(-18.127, abs=0.001),
        "high": pytest.approx(-4.877, abs=0.001),
        "grade": "strong",
        "refusals": [],
        "people": 40,
        "teams": 8,
        "next_look": "2027-03-05",
        "primary": True,
        "computed_at": row.body["computed_at"],
    }


def test_what_is_hidden_has_no_figures_whatever_the_engine_gave(estimated: Impact) -> None:
    result = copy.deepcopy(estimated.result)
    one = result["metrics"]["minutes_to_solve"]
    one["verdict"]["reasons"] = [{"code": "R11", "text": "too few"}]
    one["att"] |= {"estimate": -0.1, "low": -0.2, "high": -0.05}
    one["counts"] = (one["counts"] or {}) | {"trained": 1, "trained_teams": 1}
    db.session.execute(update(Impact).values(result=result))
    db.session.commit()
    jobs.publish()

    row = db.session.get(PublishedRow, ("impacts", "calm-calls/minutes_to_solve/weeks-1-12"))
    assert row is not None
    assert [row.body[key] for key in ("estimate", "low", "high", "people", "teams")] == [None] * 5
    assert row.body["refusals"] == ["R11"]


# --- health -----------------------------------------------------------------------------------------------------------


def health() -> dict[str, dict[str, Any]]:
    db.session.rollback()
    found = db.session.scalars(select(PublishedRow).filter_by(feed="health", deleted=False))
    return {row.key: row.body for row in found}


def test_everything_that_can_fail_has_a_row_that_says_how_it_is(trained: Company) -> None:
    jobs.publish_health()

    found = health()
    assert found.keys() == {
        "stream/statements",
        "source/helpdesk",
        "source/crm",
        "source/staff",
        "destination/folder",
    }
    assert all(one["state"] == "ok" and one["message"] is None for one in found.values())
    assert found["source/helpdesk"]["rows"] == 5
    assert found["stream/statements"] == {
        "kind": "stream",
        "name": "statements",
        "title": "xAPI statements",
        "state": "ok",
        "message": None,
        "last_success_at": found["stream/statements"]["last_success_at"],
        "lag_seconds": 0,
        "rows": 25,
        "quarantined": 0,
        "unmatched": 0,
    }


def test_what_fails_waits_or_is_paused_says_why(trained: Company, estimated: Impact) -> None:
    for name, values in {
        "helpdesk": {"last_error": "The key was withdrawn."},
        "crm": {"waits_for": "It is busy."},
        "staff": {"paused_at": datetime(2026, 11, 1, tzinfo=UTC), "paused_why": "moving"},
    }.items():
        db.session.execute(update(SourceState).where(SourceState.source == name).values(**values))
    db.session.execute(update(Delivery).values(state="failed", last_error="No room."))
    db.session.execute(text("delete from impact"))
    db.session.commit()
    jobs.publish_health()

    told = {key: (one["state"], one["message"]) for key, one in health().items()}
    assert told == {
        "stream/statements": ("ok", None),
        "source/helpdesk": ("failing", "The key was withdrawn."),
        "source/crm": ("waiting", "It is busy."),
        "source/staff": ("paused", "Paused at 2026-11-01T00:00:00Z: moving"),
        "destination/folder": ("failing", "No room."),
        "estimate/calm-calls": ("waiting", "Nothing has been estimated of it yet."),
    }


def test_a_time_that_moves_is_no_news_before_the_heartbeat(trained: Company) -> None:
    jobs.publish_health()
    before = versions()

    jobs.pull("helpdesk")
    jobs.publish_health()
    assert versions() == before

    current = documents.current(db.session)
    assert current is not None
    later = datetime.now(UTC) + feeds.HEARTBEAT
    list(feeds.of_health(db.session, current, now=later))
    assert versions()["source/helpdesk"] > before["source/helpdesk"]


def versions() -> dict[str, int]:
    found = db.session.execute(select(PublishedRow.key, PublishedRow.version).filter_by(feed="health"))
    return {key: version for key, version in found}  # noqa: C416 - rows are no pairs to mypy


def test_news_is_told_at_once(trained: Company) -> None:
    jobs.publish_health()
    db.session.execute(update(SourceState).where(SourceState.source == "crm").values(last_error="Gone."))
    db.session.commit()

    jobs.publish_health()

    assert health()["source/crm"]["state"] == "failing"


def test_a_source_that_is_no_more_has_no_row(trained: Company) -> None:
    jobs.publish_health()
    trained.write("sources.yaml", (trained.folder / "sources.yaml").read_text().replace("name: crm", "name: crm2"))
    trained.change("rules.yaml", "source: crm\n", "source: crm2\n")
    trained.change("people.yaml", "source: crm,", "source: crm2,")
    jobs.load_documents()
    assert documents.problems(db.session) == []

    jobs.publish_health()

    assert "source/crm" not in health()
    assert "source/crm2" in health()

"""The simulated company through statements, sources, mapping and records, and what is estimated of it."""

import csv
import dataclasses
import io
import json
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from company import empty
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

import lrs
from bridge import access, cli, context, documents, estimating, impact, impacts, jobs, panel, planning, programs, status
from bridge.mapping.kinds import Change
from bridge.models import Impact, Record
from bridge.simulation.company import Company, Plan, draw
from bridge.simulation.writing import write
from lrs import db

PLAN = Plan(seed=7, teams=8, size=5, weeks=46)
SOURCES = ("people", "deals", "tickets", "answers", "activity")
TODAY = date(2026, 1, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("simulated")
    write(draw(PLAN), made / "company")
    return made


@pytest.fixture(scope="module")
def _simulated(_app: Flask, folder: Path) -> Iterator[Flask]:
    """The application with a drawn company in force: everything posted, pulled, mapped and built."""
    with _app.app_context():
        usual = context.settings()
    folders = (folder / "company" / "documents",)
    context.keep(_app, dataclasses.replace(usual, mappings=folders, data_dir=folder / "data"))
    with _app.app_context():
        empty(db.session)
        jobs.load_documents()
        assert documents.problems(db.session) == []
        post(_app, (folder / "company" / "statements.jsonl").read_text().splitlines())
        for source in SOURCES:
            jobs.pull(source)
        jobs.map_items()
        while (counts := status.progress(db.session)).read < counts.stored:  # a slow machine needs more than one slice
            db.session.rollback()
            jobs.map_items()
        jobs.build_records()
    yield _app
    context.keep(_app, usual)


@pytest.fixture
def simulated(_simulated: Flask) -> Iterator[Company]:
    """The company that was drawn; what a test changes is rolled back."""
    with _simulated.app_context():
        yield draw(PLAN)
        db.session.rollback()


def post(app: Flask, lines: list[str]) -> None:
    """Post statements as the LMS does."""
    issued = lrs.credentials.create(
        db.session, name="LMS", scopes=["statements/write"], secret_key=context.secret_key()
    )
    db.session.commit()
    for start in range(0, len(lines), 100):
        answer = app.test_client().post(
            "/xapi/statements",
            data=f"[{','.join(lines[start : start + 100])}]",
            content_type="application/json",
            auth=(issued.key, issued.secret),
            headers={"X-Experience-API-Version": "1.0.3"},
        )
        assert answer.status_code == 200, answer.text


def current():
    found = documents.current(db.session)
    assert found is not None
    return found


def truth(folder: Path):
    with (folder / "company" / "truth" / "panel.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def engine_on_truth(rows, metric: str, family: impact.Family, direction: impact.Direction, target: float):
    """Ask the engine of the truth's own panel, without any of the bridge."""
    weeks = sorted({row["week"] for row in rows})
    week = {monday: number for number, monday in enumerate(weeks)}
    total = np.array([float(row[f"{metric}_total"]) for row in rows])
    count = np.array([float(row[f"{metric}_count"]) for row in rows])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
    outcome = np.exp(mean) if family is impact.Family.LOG else mean
    made = impact.panel(
        person=[row["person"] for row in rows],
        period=[week[row["week"]] for row in rows],
        outcome=outcome,
        first_treated=[week.get(row["first_treated"], np.inf) for row in rows],
        assigned=[week.get(row["assigned"], np.inf) for row in rows],
        team=[row["team"] for row in rows],
        role=[row["role"] for row in rows],
    )
    contract = impact.Contract(metrics=(impact.Metric("m", direction, target, family),))
    return impact.estimate(made, contract)


METRICS = (
    ("deal_won", "deal_won", impact.Family.RATE, impact.Direction.HIGHER, 0.03),
    ("hours_to_handle", "log_hours", impact.Family.LOG, impact.Direction.LOWER, 0.05),
    ("satisfaction", "satisfaction", impact.Family.RATING, impact.Direction.HIGHER, 0.1),
    ("follow_ups", "follow_ups", impact.Family.COUNT, impact.Direction.HIGHER, 0.3),
)


def test_the_estimate_through_the_whole_product_is_the_engine_s_on_the_truth(simulated: Company, folder: Path) -> None:
    programs.launch(db.session, current(), "objections", by="a test")
    result = estimating.estimate(db.session, current(), "objections", today=TODAY).result

    rows = truth(folder)
    for name, column, family, direction, target in METRICS:
        found = result["metrics"][name]
        expected = engine_on_truth(rows, column, family, direction, target).to_json()
        for figure in ("att", "att_interim", "itt"):
            for part in ("estimate", "se", "low", "high"):
                assert found[figure][part] == pytest.approx(expected[figure][part], abs=1e-9), (name, figure, part)


def test_the_panel_is_the_truth_s_cell_by_cell(simulated: Company, folder: Path) -> None:
    found = {
        (row.learner, row.week.isoformat()): row
        for row in panel.of_program(db.session, current().programs["objections"])
    }
    for row in truth(folder):
        cells = found[row["person"], row["week"]]
        assert (cells.role, cells.team) == (row["role"], row["team"])
        assert (str(cells.assigned or ""), str(cells.first_treated or "")) == (row["assigned"], row["first_treated"])
        won = cells.cells.get("deal_won")
        assert (won.total if won else 0) == float(row["deal_won_total"])
        assert cells.cells["hours_to_handle"].log_total == pytest.approx(float(row["log_hours_total"]), abs=1e-9)


def test_a_program_that_was_not_launched_gets_no_estimate(simulated: Company) -> None:
    with pytest.raises(programs.NotLaunched, match="was not launched"):
        estimating.estimate(db.session, current(), "objections", today=TODAY)
    assert db.session.scalar(select(Impact)) is None


def test_the_same_data_and_contract_are_estimated_once(simulated: Company) -> None:
    programs.launch(db.session, current(), "objections", by="a test")
    first = estimating.estimate(db.session, current(), "objections", today=TODAY)
    again = estimating.estimate(db.session, current(), "objections", today=TODAY)
    assert first.id == again.id
    db.session.execute(text("delete from weekly_metric where ctid = (select ctid from weekly_metric limit 1)"))
    changed = estimating.estimate(db.session, current(), "objections", today=TODAY)
    assert (changed.id != first.id, changed.data_hash != first.data_hash) == (True, True)
    told = impacts.newest(db.session, "objections")
    assert told is not None
    assert impacts.told(told)["data_hash"] == changed.data_hash
    json.dumps(impacts.told(told))


def test_completion_is_no_part_of_an_outcome(simulated: Company) -> None:
    """Statements of completion removed for those who are not trained in the contract's sense change nothing."""
    agreed = current().programs["objections"]
    before = [row.cells for row in panel.of_program(db.session, agreed)]
    db.session.execute(
        text("update record set best_score = 1, attempts = 9, tiers = '{\"3\": 99}', last_activity_at = now()")
    )
    after = [row.cells for row in panel.of_program(db.session, agreed)]
    assert before == after
    assert {name for row in after for name in row} == {"deal_won", "hours_to_handle", "satisfaction", "follow_ups"}


def test_everybody_of_the_program_has_a_record_with_behaviour_and_tiers(simulated: Company) -> None:
    sent = (simulated.people.assigned > 0).sum()
    records = db.session.scalars(select(Record)).all()
    assert len(records) == sent
    assert sum(record.completed_at is not None for record in records) == (simulated.people.trained > 0).sum()
    assert all(record.match == "roster" for record in records)
    assert all(record.attempts == (record.completed_at is not None) for record in records), "each was tested once"
    applied = db.session.scalar(text("select sum(since_uses) from record_behaviour where behaviour = 'asks-back'"))
    assert applied > 0


def test_the_schedule_estimates_what_is_launched(simulated: Company) -> None:
    jobs.estimate_impacts()
    assert impacts.newest(db.session, "objections") is None, "nothing is launched yet"
    programs.launch(db.session, current(), "objections", by="a test")
    db.session.commit()
    try:
        jobs.estimate_impacts()
        found = impacts.newest(db.session, "objections")
        assert found is not None
        assert found.result["people"]["trained"] == (simulated.people.trained > 0).sum()
    finally:
        db.session.execute(text("delete from program_event"))
        db.session.execute(text("delete from impact"))
        db.session.commit()


def test_web_processes_do_not_import_numpy() -> None:
    """Nor anything else of the extra: the image of the web and the LRS is built without it."""
    modules = "bridge.app, bridge.views, bridge.jobs, bridge.cli, bridge.web, bridge.up, lrs, connectors"
    program = f"import sys, {modules}; print([m for m in ('numpy', 'scipy', 'pyarrow') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[]", ran.stderr


# --- what else changed ------------------------------------------------------------------------------------------------


def with_changes(*changes: Change):
    found = current()
    changed = dataclasses.replace(found.programs["objections"], changes=changes)
    return dataclasses.replace(found, programs={**found.programs, "objections": changed})


def r9(documents) -> set[str]:
    result = estimating.estimate(db.session, documents, "objections", today=TODAY).result["metrics"]
    return {name for name, one in result.items() if "R9" in {reason["code"] for reason in one["verdict"]["reasons"]}}


def test_a_change_for_one_group_takes_the_verdict_away_until_it_is_taken_back(simulated: Company) -> None:
    """Declared after the launch, without another contract; one that all felt, or long ago, hurts no comparison."""
    programs.launch(db.session, current(), "objections", by="a test")
    rows = list(panel.of_program(db.session, current().programs["objections"]))
    teams = sorted({row.team for row in rows if row.team})
    trained = sorted({row.first_treated for row in rows if row.first_treated})
    by_trained = Counter(row.team for row in rows if estimating._is_treated(row))
    most = by_trained.most_common(1)[0][0]
    day = trained[0].isoformat()

    assert r9(current()) == set()
    assert r9(with_changes(Change(day, "another form", (most,)))) == {name for name, *_ in METRICS}
    assert r9(with_changes(Change(day, "another form", (most,), ("deal_won",)))) == {"deal_won"}
    assert r9(with_changes(Change(day, "another form"))) == set(), "for everybody"
    assert r9(with_changes(Change(day, "another form", tuple(teams)))) == set(), "for all teams by name"
    assert r9(with_changes(Change(day, "another form", ("Mars",)))) == set(), "for nobody here"
    assert r9(with_changes(Change("2019-01-01", "another form", (most,)))) == set(), "there all the time"
    assert r9(with_changes(Change("2031-01-01", "another form", (most,)))) == set(), "after all was seen"
    assert r9(current()) == set()

    kept = estimating.estimate(
        db.session, with_changes(Change(day, "another form", (most,))), "objections", today=TODAY
    )
    assert kept.result["changes"] == [
        {
            "date": day,
            "what": "another form",
            "teams": [most],
            "metrics": ["hours_to_handle", "deal_won", "satisfaction", "follow_ups"],
            "refuses": True,
        }
    ]
    [reason] = [r for r in kept.result["metrics"]["deal_won"]["verdict"]["reasons"] if r["code"] == "R9"]
    assert f"another form ({trained[0].day} {trained[0]:%B %Y}, {most})" in reason["text"]


def test_circumstances_are_part_of_the_data(simulated: Company) -> None:
    """Identities that get lost change what may be said, without a row of the panel."""
    programs.launch(db.session, current(), "objections", by="a test")
    first = estimating.estimate(db.session, current(), "objections", today=TODAY)
    later = estimating.estimate(db.session, current(), "objections", today=date(2020, 1, 1))
    assert later.data_hash != first.data_hash
    assert "Next check" in " ".join(later.result["metrics"]["deal_won"]["verdict"]["sentences"])


# --- the pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(simulated: Company, _simulated: Flask) -> Iterator[FlaskClient]:
    """Somebody who may read reports, when the program was launched and its effect estimated."""
    programs.launch(db.session, current(), "objections", by="a test")
    estimating.estimate(db.session, current(), "objections", today=TODAY)
    issued = lrs.credentials.create(db.session, name="reader", scopes=[access.REPORTS], secret_key=context.secret_key())
    db.session.commit()
    client = _simulated.test_client()
    token = re.search(r'name="token" value="([^"]+)"', client.get("/login").text)
    assert token
    form = {"token": token[1], "key": issued.key, "secret": issued.secret}
    assert client.post("/login", data=form).status_code == 302
    yield client
    db.session.execute(text("delete from program_event"))
    db.session.execute(text("delete from impact"))
    db.session.commit()


def test_the_page_says_the_verdict_in_the_engine_s_words_and_shows_its_figures(reader: FlaskClient) -> None:
    page = unescape(reader.get("/programs/objections").text)
    result = reader.get("/programs/objections.json").get_json()
    primary = result["metrics"][result["primary"]]
    for sentence in primary["verdict"]["sentences"]:
        assert sentence in page
    assert page.count('<figure data-chart="effect"') == page.count('<figure data-chart="trend"') == 4
    assert 'data-about="Hours to handle: change by weeks since training. Of 3 spans before, ' in page
    for one in primary["event_study"]["bins"]:  # what the chart is drawn from, on the scale that people read
        row = re.search(rf'<tr data-weeks="{impacts.span(one)}".*?</tr>', page)
        assert row
        drawn = [float(text) for text in re.findall(r'data-value="([^"]+)"', row[0])]
        figures = [one["interval"][key] for key in ("estimate", "low", "high")] + [one["band_low"], one["band_high"]]
        assert drawn == pytest.approx([100 * math.expm1(figure) for figure in figures if figure is not None])
        assert f">{'few' if one['people'] is None else one['people']}</td>" in row[0]
    low = primary["att"]["low"]
    assert f"{100 * math.expm1(low):+.2g}" in page, "a log is shown in per cent"
    assert result["data_hash"][:12] in page


def test_the_page_shows_the_trained_beside_what_was_predicted_without_training(reader: FlaskClient) -> None:
    page = unescape(reader.get("/programs/objections").text)
    result = reader.get("/programs/objections.json").get_json()
    found = result["metrics"]["hours_to_handle"]
    assert "Hours to handle of the trained by week: as it was, and as it was predicted to be without training" in page
    shown = [one for one in found["trend"]["points"] if one["observed"] is not None]
    assert all(one["people"] >= 10 for one in shown)
    assert len(shown) > 20
    for one in shown:
        week = date.fromisoformat(result["first_week"]) + timedelta(weeks=one["period"])
        row = re.search(rf'<th scope="row">{week}</th>(.*?)</tr>', page)
        assert row
        figures = [float(text) for text in re.findall(r'class="number"[^>]*>([\d.]+)<', row[1])[:3]]
        assert figures == pytest.approx(
            [math.exp(one["observed"]), math.exp(one["predicted"]), one["people"]], rel=1e-3
        )
    assert impacts.lasting(found) is None or impacts.lasting(found) in page


def test_the_files_hold_every_estimate(reader: FlaskClient) -> None:
    result = reader.get("/programs/objections.json").get_json()
    lines = list(csv.DictReader(io.StringIO(reader.get("/programs/objections.csv").text)))
    found = {(line["metric"], line["estimate_of"]): line["estimate"] for line in lines}
    for name, metric in result["metrics"].items():
        for key in ("att", "att_interim", "att_all", "itt"):
            estimate = metric[key]["estimate"]  # null where few people are behind it, or behind what is beside it
            assert found[name, key] == "" if estimate is None else float(found[name, key]) == estimate
        assert metric["att"]["estimate"] is not None
        for opinion in metric["opinions"]:
            assert (name, opinion["name"]) in found


def test_the_evidence_sheet_has_contract_hashes_tests_and_counts(reader: FlaskClient) -> None:
    page = unescape(reader.get("/programs/objections/evidence").text)
    result = reader.get("/programs/objections.json").get_json()
    slope = '<th scope="row">slope</th>'
    for words in (result["data_hash"], result["contract_hash"], "problem", slope, "counts: used", "attrition"):
        assert words in page
    assert "Calls take long" in page, "what was agreed, as it was written"


def test_the_list_names_the_verdict(reader: FlaskClient) -> None:
    page = unescape(reader.get("/programs/").text)
    result = reader.get("/programs/objections.json").get_json()
    assert result["metrics"][result["primary"]]["verdict"]["grade"].capitalize() in page
    assert "Handling objections (simulated)" in page


@pytest.mark.parametrize("path", ["/programs/", "/programs/objections", "/programs/objections/evidence"])
def test_programs_are_shown_to_nobody_who_is_not_signed_in(reader: FlaskClient, path: str) -> None:
    answer = reader.application.test_client().get(path)
    assert (answer.status_code, answer.headers["Location"].startswith("/login")) == (302, True)


@pytest.mark.parametrize("path", ["/programs/none", "/programs/none.json", "/programs/none/evidence"])
def test_a_program_that_is_not_there_leads_back(reader: FlaskClient, path: str) -> None:
    assert reader.get(path).status_code == 404


def test_counts_of_few_people_are_not_told_and_few_is_said_in_words(simulated: Company) -> None:
    rows = list(panel.of_program(db.session, current().programs["objections"]))
    trained = sorted({row.learner for row in rows if row.first_treated})
    never = {row.learner for row in rows if not row.assigned}

    few = estimating._people([row for row in rows if row.learner in {*trained[:4], *never}])
    enough = estimating._people([row for row in rows if row.learner in {*trained[:5], *never}])
    nobody = estimating._people([row for row in rows if row.learner in never])

    assert (few["assigned"], few["trained"], few["in_population"]) == (None, None, len(never) + 4)
    assert (enough["assigned"], enough["trained"], nobody["trained"]) == (5, 5, 0)
    assert impacts.people({"people": few}).startswith("Fewer than 5 of fewer than 5 people sent were trained, ")


def test_completion_without_gain_is_told_and_a_refusal_is_no_such_finding() -> None:
    def result(rate: float, grade: str):
        metric = {"completion_rate": rate, "verdict": {"grade": grade}, "metric": {"title": "Won", "name": "won"}}
        return {"primary": "won", "metrics": {"won": metric}}

    assert "90% of those sent" in (impacts.mismatch(result(0.9, "no effect seen")) or "")
    assert "got worse" in (impacts.mismatch(result(0.9, "worse")) or "")
    assert impacts.mismatch(result(0.9, "not enough evidence")) is None
    assert impacts.mismatch(result(0.5, "no effect seen")) is None
    assert impacts.mismatch(result(0.9, "strong")) is None


# --- a drawn order ---------------------------------------------------------------------------------------------------


def note_draw(waves: dict[str, int], **more: str) -> None:
    people = {one: {"wave": wave} for one, wave in waves.items()}
    details = {"seed": 3, "waves": 5, "digest": str(sorted(waves.items())), "people": people}
    programs.note_draw(db.session, current(), "objections", by="a test", details=details, **more)


def test_an_effect_counts_as_one_of_a_random_order_only_if_the_drawn_order_was_kept(
    simulated: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    assess = impact.assess
    monkeypatch.setattr(impact, "assess", lambda *all_of: asked.append(all_of[1].randomised) or assess(*all_of))
    programs.launch(db.session, current(), "objections", by="a test")
    chosen = estimating.estimate(db.session, current(), "objections", today=TODAY)
    sent = {row.learner: row.assigned for row in panel.of_program(db.session, current().programs["objections"])}
    weeks = sorted({week for week in sent.values() if week})
    in_order = {one: weeks.index(week) + 1 for one, week in sent.items() if week}

    note_draw(in_order)
    kept = estimating.estimate(db.session, current(), "objections", today=TODAY)
    note_draw({one: len(weeks) + 1 - wave for one, wave in in_order.items()}, because="to see")
    broken = estimating.estimate(db.session, current(), "objections", today=TODAY)

    assert chosen.result["order"] is None
    assert kept.data_hash not in {chosen.data_hash, broken.data_hash}
    assert (kept.result["order"]["random"], kept.result["order"]["followed"]) == (True, 1)
    assert (broken.result["order"]["random"], broken.result["order"]["followed"] < 0.5) == (False, True)
    assert asked == [False, True, False]
    assert "does not count as random" in broken.result["order"]["text"]


def test_a_draw_is_of_those_not_yet_sent_even_within_teams_and_kept(simulated: Company) -> None:
    options = {"number": 2, "seed": 11, "by": "Ines", "today": date(2025, 6, 2), "start": date(2025, 6, 9)}
    event = planning.draw(db.session, current(), "objections", **options)

    drawn = event.details["people"]
    people = simulated.people
    sent = {f"E{one + 1:04}" for one in np.flatnonzero(people.assigned)}
    assert not sent & drawn.keys()
    assert {one["wave"] for one in drawn.values()} == {1, 2}
    sizes = Counter((one["team"], one["role"], one["wave"]) for one in drawn.values())
    for team, role, _ in sizes:
        assert abs(sizes[team, role, 1] - sizes[team, role, 2]) <= 1
    assert programs.draw(db.session, "objections") is event

    with pytest.raises(programs.AlreadyDrawn, match="by Ines with seed 11"):
        planning.draw(db.session, current(), "objections", **options)
    again = planning.draw(db.session, current(), "objections", **options, because="somebody left")
    assert again.details == event.details, "the same seed draws the same of the same"
    assert [one["because"] for one in programs.history(db.session, "objections")] == [None, "somebody left"]


def test_a_plan_of_several_waves_shows_more_than_one_and_says_so(simulated: Company) -> None:
    advice = planning.plan(db.session, current(), "objections", waves=(1, 2, 4), teams=(8, 40))

    rows = {(row["teams"], row["waves"]): row for row in advice.rows}
    assert (advice.metric, advice.unit, advice.effect) == ("hours_to_handle", "%", pytest.approx(5))
    for teams in (8, 40):
        assert rows[teams, 1]["power"] is rows[teams, 1]["detectable"] is None
    assert rows[40, 4]["detectable"] < rows[8, 4]["detectable"]
    assert rows[40, 4]["power"] > rows[8, 4]["power"]
    for row in advice.rows:
        if row["power"] is not None:
            assert (row["power"] >= 0.8) == (row["detectable"] <= 5 + 1e-9), row
    assert "With 40 teams, go in " in advice.text
    assert "nobody is left to compare with" in advice.text

    [more] = planning.plan(db.session, current(), "objections", waves=(4,), teams=(8,), effect=(0.2, True)).rows
    assert more["detectable"] == rows[8, 4]["detectable"]
    assert more["power"] > rows[8, 4]["power"]


def test_a_plan_in_per_cent_is_the_same_in_minutes(simulated: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    in_hours = planning.plan(db.session, current(), "objections", waves=(2,))
    value = estimating.value
    monkeypatch.setattr(estimating, "value", lambda *of: 60 * value(*of))
    in_minutes = planning.plan(db.session, current(), "objections", waves=(2,))

    assert in_minutes.rows[0]["detectable"] == pytest.approx(in_hours.rows[0]["detectable"])
    assert in_minutes.rows[0]["power"] == pytest.approx(in_hours.rows[0]["power"])


def test_the_commands_plan_and_draw(simulated: Company, tmp_path: Path) -> None:
    options = ["--data-dir", str(tmp_path)]
    run = CliRunner().invoke
    for arguments, words in (
        (["plan", "objections", "--waves", "1,2,x"], "no list of whole numbers"),
        (["plan", "objections", "--effect", "-3"], "no size of an effect"),
        (["draw", "objections", "--waves", "1", "--seed", "1"], "1 is not in the range"),
        (["draw", "objections", "--waves", "2"], "Missing option '--seed'"),
    ):
        refused = run(cli.commands, ["program", *arguments, *options])
        assert (refused.exit_code, words in refused.output) == (2, True), refused.output

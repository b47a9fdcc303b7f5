"""What the simulator writes is what the company drew, to the last bit."""

import csv
import json
import math
from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

from bridge.commands.simulate import NOMINATIONS, simulate
from bridge.mapping import load_folders
from bridge.settings import shipped
from bridge.simulation.company import Nomination, Plan, draw
from bridge.simulation.writing import START, write

PLAN = Plan(seed=4, teams=4, size=3, weeks=44)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("simulated") / "company"
    write(draw(PLAN), made)
    return made


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def week_of(at):
    return (START + timedelta(weeks=(at.date() - START).days // 7)).isoformat()


def test_equal_plans_give_equal_bytes(folder, tmp_path):
    write(draw(PLAN), tmp_path / "again")
    for file in folder.rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "again" / file.relative_to(folder)).read_bytes(), file


def test_the_truth_s_panel_is_what_can_be_read_from_the_exports(folder):
    people = {row["email"]: row["employee_number"] for row in rows(folder / "data" / "people.csv")}
    owners = {row["crm_user"]: row["employee_number"] for row in rows(folder / "data" / "people.csv")}
    found = defaultdict(lambda: defaultdict(list))
    for row in rows(folder / "data" / "tickets.csv"):
        opened, solved = (datetime.fromisoformat(row[key]) for key in ("opened_at", "solved_at"))
        value = math.log((solved - opened).total_seconds() / 3600)
        found[people[row["agent"]], week_of(opened)]["log_hours"].append(value)
    for row in rows(folder / "data" / "deals.csv"):
        closed = datetime.fromisoformat(row["closed_at"])
        found[owners[row["owner"]], week_of(closed)]["deal_won"].append(row["stage"] == "Won")
    for row in rows(folder / "data" / "answers.csv"):
        answered = datetime.fromisoformat(row["answered_at"])
        found[people[row["agent"]], week_of(answered)]["satisfaction"].append(int(row["score"]))
    for row in rows(folder / "data" / "activity.csv"):
        found[row["employee_number"], row["week"]]["follow_ups"].append(int(row["follow_ups"]))
    panel = rows(folder / "truth" / "panel.csv")
    assert {(row["person"], row["week"]) for row in panel} == set(found)
    for row in panel:
        for metric in ("log_hours", "deal_won", "satisfaction", "follow_ups"):
            values = found[row["person"], row["week"]][metric]
            assert float(row[f"{metric}_count"]) == len(values)
            assert float(row[f"{metric}_total"]) == pytest.approx(math.fsum(values), abs=1e-12)


def test_statements_tell_of_each_who_was_sent_and_each_who_came(folder):
    lines = [json.loads(line) for line in (folder / "statements.jsonl").read_text().splitlines()]
    company = draw(PLAN)
    verbs = [line["verb"]["id"].rpartition("/")[2] for line in lines]
    assert verbs.count("registered") == (company.people.assigned > 0).sum()
    assert verbs.count("completed") == (company.people.trained > 0).sum()
    assert len({line["id"] for line in lines}) == len(lines)
    assert lines == sorted(lines, key=lambda line: (line["timestamp"], line["id"]))


def test_the_documents_go_with_the_shipped_ones(folder):
    loaded = load_folders([shipped("mappings"), folder / "documents"])
    program = loaded.programs["objections"]
    from bridge.mapping.contracts import gaps, warnings

    assert gaps(program, loaded.metrics) == ()
    assert warnings(program) == ()


def test_a_folder_that_holds_something_is_left_alone(folder):
    before = sorted(folder.rglob("*"))
    with pytest.raises(FileExistsError, match="is not empty"):
        write(draw(PLAN), folder)
    assert sorted(folder.rglob("*")) == before


def test_the_command_tells_what_it_wrote(tmp_path):
    arguments = [str(tmp_path / "a"), "--seed", "4", "--teams", "4", "--size", "3", "--weeks", "44", "--json"]
    ran = CliRunner().invoke(simulate, arguments)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    assert told["people"] == 12
    assert set(told["att_weeks_1_to_12"]) == {"deal_won", "log_hours", "satisfaction", "follow_ups"}
    again = CliRunner().invoke(simulate, arguments)
    assert again.exit_code == 2
    assert set(NOMINATIONS) == set(Nomination)

"""Make the demo's data from the originals: `python -m bridge.demo.make_data FOLDER`.

FOLDER holds the originals named in ORIGINALS. The files come out the same, byte for byte, at every run (the two
packed ones under the same zlib; their plain content always). What is left out, what is moved and what is invented is
told in this folder's README.md, whose figures a test compares with the constants here and with the files.
"""

import argparse
import collections
import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

STATEMENTS = "moodle-statements.jsonl"
INCIDENTS = "outcomes/servicenow_incident_event_log.csv.gz"
OPPORTUNITIES = "outcomes/crm_sales_opportunities/sales_pipeline.csv"

# sha256 of each original, so that another edition is refused instead of giving other figures.
ORIGINALS = {
    STATEMENTS: "7a3b0d53e224982a24a74ff757a69a6e13fa8931eb8246124b40f84f5460a4a8",
    INCIDENTS: "46496b01c99c22827df6d31f89a2d52df968e5b889a734a1685b7c9e631fdf61",
    OPPORTUNITIES: "825ce8f6c32d4009548b468df3173d55a46fd73f2531f532c5459371dc52adf2",
}

# Whole weeks keep the day of the week. These bring the median incident resolved (11 April 2016) and the median
# opportunity closed (2 August 2017) to 19 and 21 October 2026: half of the learners have completed by 19 October.
INCIDENT_WEEKS = 549
OPPORTUNITY_WEEKS = 481

# Ranks, first and last, by number of incidents or opportunities. The incidents' busiest people are left out to keep
# the file small; the rarest have too few in 90 days to give a mean.
RESOLVER_RANKS = (30, 49)
AGENT_RANKS = (11, 30)

# The Moodle accounts of the 20 learners; 2 is the administrator, 23 to 25 are teachers and a service.
LEARNER_USER_IDS = range(3, 23)

# Invented: five learners a team, in order of user id.
TEAMS = (
    ("North", "Alma Lindqvist"),
    ("East", "Bruno Castell"),
    ("South", "Carla Nwosu"),
    ("West", "Derek Hollis"),
)
ROLES = ("Account manager", "Service engineer", "Account manager", "Service engineer", "Customer adviser")
ROSTER_COLUMNS = (
    "employee_number",
    "name",
    "email",
    "team",
    "manager",
    "role",
    "moodle_user_id",
    "resolver",
    "sales_agent",
)

INCIDENT_DATES = ("opened_at", "sys_created_at", "sys_updated_at", "resolved_at", "closed_at")
OPPORTUNITY_DATES = ("engage_date", "close_date")
COMPONENT_LISTS = ("choices", "scale", "source", "target", "steps")

NULL = "null outside extensions"
COMPONENT_IDS = "interaction component ids empty or used twice"

Table = tuple[list[str], list[list[str]]]
"""A CSV file: its header, its rows."""


class OriginalError(Exception):
    """An original is missing, or is not the edition that the demo was made from."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bridge.demo.make_data", description="Make the demo's data anew.")
    parser.add_argument("originals", type=Path, help="the folder that holds " + ", ".join(ORIGINALS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        originals = {name: read_original(options.originals, name) for name in ORIGINALS}
    except OriginalError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, content in make(originals).items():
        (options.out / name).write_bytes(content)
        sys.stdout.write(f"{hashlib.sha256(content).hexdigest()}  {len(content):>7}  {name}\n")
    return 0


def read_original(folder: Path, name: str) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise OriginalError(f"{folder / name} is not there. Give the folder that holds the originals.") from error
    if hashlib.sha256(content).hexdigest() != ORIGINALS[name]:
        raise OriginalError(f"{folder / name} is another edition: its sha256 is not {ORIGINALS[name]}.")
    return content


def make(originals: dict[str, bytes]) -> dict[str, bytes]:
    """Every shipped file, by name."""
    lines = originals[STATEMENTS].splitlines(keepends=True)
    incidents = read_table(gzip.decompress(originals[INCIDENTS]))
    opportunities = read_table(originals[OPPORTUNITIES])
    resolvers = ranked(incidents_of_resolvers(incidents), RESOLVER_RANKS)
    agents = ranked(opportunities_of_agents(opportunities), AGENT_RANKS)
    return {
        "moodle-statements.jsonl.gz": packed(b"".join(accepted(lines))),
        "incidents.csv.gz": packed(write_table(trim_incidents(incidents, resolvers), line_end="\n")),
        "opportunities.csv": write_table(trim_opportunities(opportunities, agents), line_end="\r\n"),
        "roster.csv": write_table(pair(learner_names(lines), resolvers, agents), line_end="\n"),
    }


def accepted(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The statements that a strict xAPI 1.0.3 LRS takes, as they were, in their order."""
    return (line for line in lines if refusal(json.loads(line)) is None)


def refusal(statement: dict[str, Any]) -> str | None:
    """Why a strict LRS refuses this statement, or None. Only what these statements do wrong is looked for."""
    if has_null(statement):
        return NULL
    definition = statement["object"].get("definition", {})
    ids_of_lists = ([component.get("id") for component in definition.get(name, [])] for name in COMPONENT_LISTS)
    if any("" in ids or len(ids) != len(set(ids)) for ids in ids_of_lists):
        return COMPONENT_IDS
    return None


def has_null(value: object) -> bool:
    """Whether null stands anywhere but inside extensions (xAPI 1.0.3, Data, 2.2)."""
    match value:
        case None:
            return True
        case dict():
            return any(has_null(inner) for key, inner in value.items() if key != "extensions")
        case list():
            return any(map(has_null, value))
        case _:
            return False


def learner_names(lines: Iterable[bytes]) -> dict[int, str]:
    """Each learner's name, by Moodle user id, in that order."""
    names: dict[int, str] = {}
    for line in lines:
        actor = json.loads(line)["actor"]
        names[int(actor["account"]["name"])] = actor["name"]
    return {user_id: names[user_id] for user_id in LEARNER_USER_IDS}


def incidents_of_resolvers(incidents: Table) -> Iterator[tuple[str, str]]:
    """(resolver, incident) wherever a row assigns the one to the other; may repeat."""
    header, rows = incidents
    number, assigned_to = header.index("number"), header.index("assigned_to")
    return ((row[assigned_to], row[number]) for row in rows if row[assigned_to] != "?")


def opportunities_of_agents(opportunities: Table) -> Iterator[tuple[str, str]]:
    """(agent, opportunity), each once."""
    header, rows = opportunities
    key, agent = header.index("opportunity_id"), header.index("sales_agent")
    return ((row[agent], row[key]) for row in rows)


def ranked(pairs: Iterable[tuple[str, str]], ranks: tuple[int, int]) -> list[str]:
    """The owners who rank first to last by how many different things they own; a tie goes by the name."""
    owned: dict[str, set[str]] = collections.defaultdict(set)
    for owner, thing in pairs:
        owned[owner].add(thing)
    first, last = ranks
    return sorted(owned, key=lambda owner: (-len(owned[owner]), owner))[first - 1 : last]


def trim_incidents(incidents: Table, resolvers: list[str]) -> Table:
    """Every row of the incidents that one of the resolvers ever had, its dates moved."""
    header, rows = incidents
    chosen = {incident for resolver, incident in incidents_of_resolvers(incidents) if resolver in set(resolvers)}
    kept = [row for row in rows if row[header.index("number")] in chosen]
    return header, [moved(row, header, INCIDENT_DATES, move_incident_date) for row in kept]


def trim_opportunities(opportunities: Table, agents: list[str]) -> Table:
    """Every row of the agents, its dates moved."""
    header, rows = opportunities
    kept = [row for row in rows if row[header.index("sales_agent")] in agents]
    return header, [moved(row, header, OPPORTUNITY_DATES, move_opportunity_date) for row in kept]


def moved(row: list[str], header: list[str], dates: tuple[str, ...], move: Callable[[str], str]) -> list[str]:
    return [move(cell) if column in dates else cell for column, cell in zip(header, row, strict=True)]


def move_incident_date(text: str) -> str:
    """`29/2/2016 01:16`, written as the original writes it: day and month without a leading zero; `?` is unknown."""
    if text == "?":
        return text
    moment = datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC) + timedelta(weeks=INCIDENT_WEEKS)
    return f"{moment.day}/{moment.month}/{moment:%Y %H:%M}"


def move_opportunity_date(text: str) -> str:
    """`2017-03-01`; empty while the opportunity is open."""
    if not text:
        return text
    return (date.fromisoformat(text) + timedelta(weeks=OPPORTUNITY_WEEKS)).isoformat()


def pair(names: dict[int, str], resolvers: list[str], agents: list[str]) -> Table:
    """The roster: the first learner by user id gets the first resolver and the first agent by rank, and so on."""
    rows = []
    for place, ((user_id, name), resolver, agent) in enumerate(zip(names.items(), resolvers, agents, strict=True)):
        team, manager = TEAMS[place // 5]
        number = user_id - 2  # stu01, with the idnumber E1001, is Moodle's user 3
        identity = [f"E10{number:02}", name, f"stu{number:02}@example.com"]
        rows.append([*identity, team, manager, ROLES[place % 5], str(user_id), resolver, agent])
    return list(ROSTER_COLUMNS), rows


def read_table(content: bytes) -> Table:
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return header, rows


def write_table(table: Table, *, line_end: str) -> bytes:
    header, rows = table
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows([header, *rows])
    return text.getvalue().encode()


def packed(content: bytes) -> bytes:
    """Gzip without name or time, so that equal content gives equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())

"""The second demo: a company that is made up goes the way of anyone's data, and its planted effect is known.

So what is estimated can be held against the truth, which nothing on the way reads.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bridge import impacts, printing
from bridge.demo.run import post, progress_on, wait
from bridge.errors import NotReady
from bridge.jobs import load_documents
from bridge.simulation import company, writing
from bridge.up import COMPANY

PLAN = company.Plan(seed=1, teams=20, size=10)
"""Half of the specification's teams, and the first seed. In 24 teams of 8 that seed is refused by rule R8: nobody of
the trained leaves, and 7 % of the never trained."""
PROGRAM = "objections"
LABEL = "Simulated: nobody in it is real."


def prepare(data_dir: Path) -> None:
    """Write the company into the data directory, if it is not there yet."""
    folder = data_dir / COMPANY
    if folder.exists():
        return
    unfinished = data_dir / f".{COMPANY}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    writing.write(company.draw(PLAN), unfinished)
    unfinished.rename(folder)


def run(data_dir: Path) -> None:
    """Take all steps against the `up` that runs on `data_dir`; raises NotReady and Standstill."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 100)
    endpoint = json.loads((data_dir / "endpoint.json").read_text())
    folder = data_dir / COMPANY
    truth = json.loads((folder / "truth" / "truth.json").read_text("utf-8"))
    plan = truth["plan"]
    console.print(f"\nThe impact of a program, on a simulated company. {LABEL}")
    console.print(
        f"{plan['teams']} teams of {plan['size']}, {plan['weeks']} weeks, seed {plan['seed']}. Managers send those who "
        "look weakest, so comparing before with after would not tell what training did.\n"
    )
    load_documents()
    with progress_on(console) as progress:
        lines = (folder / "statements.jsonl").read_text("utf-8").splitlines()
        post(endpoint, [json.loads(line) for line in lines], progress)
        wait(progress, data_dir)
    if json.loads(_command(data_dir, "program", "show", PROGRAM, "--json"))["launched_at"] is None:
        _command(data_dir, "program", "launch", PROGRAM, "--by", "the demo")
    told = json.loads(_command(data_dir, "impact", PROGRAM, "--json"))
    _print(told, truth["att_weeks_1_to_12"], console)
    console.print(f"\nThe page:   {endpoint['url']}/programs/{PROGRAM}  (sign in with the key and secret)")
    console.print(f"            To look at it later: lrs-bridge up --data-dir '{data_dir}'")
    console.print(f"The truth:  {folder / 'truth'}, which nothing but this table reads")


def _command(data_dir: Path, *arguments: str) -> str:
    """Run a command as anybody would; gives what it prints."""
    command = [sys.executable, "-m", "bridge", *arguments, "--data-dir", str(data_dir)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NotReady(f"lrs-bridge {' '.join(arguments)}: {ran.stderr.strip()}")
    return ran.stdout


def _print(told: Mapping[str, Any], planted: Mapping[str, float], console: Console) -> None:
    primary = told["metrics"][told["primary"]]
    console.print(f"[bold]{LABEL} {primary['metric']['title']}: {primary['verdict']['grade']}[/bold]")
    for sentence in primary["verdict"]["sentences"]:
        console.print(sentence)
    console.print()
    truth = {**planted, "hours_to_handle": planted["log_hours"]}
    found = impacts.in_order(told)
    printing.show([_row(name, one, truth[name]) for name, one in found], console)
    inside = sum(_holds(one["att"], truth[name]) for name, one in found)
    console.print(
        f"\nThe interval holds the truth for {inside} of {len(found)} metrics. Effects are means of weeks 1 to 12 "
        f"after training. {impacts.people(told)}"
    )


def _row(name: str, found: Mapping[str, Any], truth: float) -> dict[str, Any]:
    """Give the truth of a metric and its estimate on the scale that people read."""
    written, unit = impacts.writer(found["metric"])
    return {
        "metric": name,
        "verdict": found["verdict"]["grade"],
        "truth": written(truth),
        **{heading: written(found["att"][key]) for heading, key in _SHOWN.items()},
        "unit": unit,
    }


def _holds(att: Mapping[str, float | None], truth: float) -> bool:
    return att["low"] is not None and att["high"] is not None and att["low"] <= truth <= att["high"]


_SHOWN = {"estimate": "estimate", "from": "low", "to": "high"}

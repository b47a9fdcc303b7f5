"""The package's README: its example runs, and the files that it names are there."""

import json
import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from bridge import impact
from bridge.cli import commands

FOLDER = Path(__file__).parents[3] / "bridge" / "impact"
README = (FOLDER / "README.md").read_text()


def test_every_module_is_named_and_every_named_one_is_there():
    named = set(re.findall(r"`(\w+\.py)`", README.split("## The estimate")[0]))
    assert named == {path.name for path in FOLDER.glob("*.py")} - {"__init__.py", "errors.py"}


def test_example_runs():
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    rows = {"person": range(8), "period": [0] * 8, "outcome": [0.5] * 8, "first_treated": [None] * 8}
    start, rest = example.split("win = panel(", 1)
    rest = rest.split("\n", 1)[1]
    names: dict = {}
    exec(start, names)  # noqa: S102 - our own words
    names["win"] = names["time"] = impact.panel(**rows)
    exec(rest, names)  # noqa: S102
    assert names["assessment"].verdict.grade is impact.Grade.NOT_ENOUGH


def test_every_name_in_the_json_is_documented_and_every_documented_one_comes_out(tmp_path):
    came = set()
    for content in _every_kind(tmp_path):
        came |= set(_names(content))
    documented = {
        name
        for row in README.split("## JSON")[1].split("## Decisions")[0].splitlines()
        for name in re.findall(r"`([a-z0-9_]+)`", row)
    }
    words = {"assess", "log"}  # the function, and a family
    assert came - documented == set()
    assert documented - came - words == set()


def _names(content):
    if isinstance(content, dict):
        for key, inner in content.items():
            if not re.fullmatch(r"-?\d+", key):  # a bin, and no name
                yield key
            yield from _names(inner)
    elif isinstance(content, list):
        for one in content:
            yield from _names(one)


def _every_kind(tmp_path):
    """Give the JSON of `impact panel` for each design, and of `assess`."""
    random = np.random.default_rng(1)
    path = tmp_path / "all.csv"
    lines = ["who,week,first,sent,team,x,y"]
    for who in range(80):
        first = int(random.choice([20, 24])) if who % 2 else ""
        sent = first or (20 if who % 10 == 0 else "")
        for week in range(1, 41):
            y = random.normal() + (first != "" and week >= first)
            lines.append(f"{who},{week},{first},{sent},{who // 8},{random.normal():.3f},{y:.4f}")
    path.write_text("\n".join(lines) + "\n")
    panel = ["--person", "who", "--period", "week", "--first-treated", "first", "--assigned", "sent", "--team", "team"]
    yield _call(path, "--outcome", "y", "--covariates", "x", "--target", "0.5", *panel)
    flags = tmp_path / "flags.csv"
    rows = [
        f"{who},{time},{who % 2},{random.normal():.3f},{random.normal():.3f}" for who in range(60) for time in (1, 2)
    ]
    flags.write_text("who,time,trained,x,y\n" + "\n".join(rows) + "\n")
    yield _call(
        flags, "--outcome", "y", "--treated", "trained", "--period", "time", "--person", "who", "--covariates", "x"
    )
    yield _call(flags, "--outcome", "y", "--treated", "trained", "--covariates", "x", "--randomised")
    rows = {"person": range(8), "period": [0] * 8, "outcome": [0.5] * 8, "first_treated": [None] * 8}
    yield {
        "primary": impact.assess({"m": impact.panel(**rows)}, impact.Contract((impact.Metric("m"),))).to_json()[
            "primary"
        ]
    }


def _call(path, *arguments):
    result = CliRunner().invoke(commands, ["impact", "panel", str(path), *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)

"""GET of the newest 50 statements by each filter, over HTTP, one client; against the same number by primary key in SQL.

Asked of 100,000 statements; when `--size` is more, of a million, ten million and `--size` too, for how the time grows.
"""

import json
import random
import time
from collections.abc import Callable
from itertools import cycle
from urllib.parse import urlencode

from psycopg import connect

from bench import crew, statements
from bench.clients import Client, Target
from bench.lines import Bar, Line, Of, Percentiles, percentiles
from bench.loading import load
from bench.stage import Options, Stage
from bench.statements import Population

LIMIT = 50
SIZES = (100_000, 1_000_000, 10_000_000)
FIRST_SIZE = SIZES[0]
_LEAST = 100
"""Requests for each figure, however short the time."""
_NEWEST = "select payload from statement order by seq desc limit 50"

Parameters = dict[str, str]
Ask = Callable[[random.Random, Population], Parameters]


def _agent(pick: random.Random, population: Population) -> Parameters:
    return {"agent": statements.agent(pick.randrange(population.people))}


def _verb(pick: random.Random, _: Population) -> Parameters:
    return {"verb": pick.choice(_VERBS)}


def _activity(pick: random.Random, _: Population) -> Parameters:
    return {"activity": pick.choice(_ACTIVITIES)}


def _registration(pick: random.Random, population: Population) -> Parameters:
    return {"registration": statements.registration(pick.randrange(population.registrations))}


def _both(pick: random.Random, _: Population) -> Parameters:
    """Ask for what comes together: else most answers are empty."""
    verb, activity = pick.choice(_PAIRS)
    return {"verb": verb, "activity": activity}


_VERBS = sorted(set(statements.verbs()))
_ACTIVITIES = sorted(set(statements.activities()))
_PAIRS = sorted(set(zip(statements.verbs(), statements.activities(), strict=True)))
ASKED: dict[str, Ask] = {
    "agent": _agent,
    "verb": _verb,
    "activity": _activity,
    "registration": _registration,
    "agent, related": lambda pick, of: _agent(pick, of) | {"related_agents": "true"},
    "activity, related": lambda pick, of: _activity(pick, of) | {"related_activities": "true"},
    "agent and verb": lambda pick, of: _agent(pick, of) | _verb(pick, of),
    "verb and activity": _both,
}


def measure(stage: Stage, options: Options) -> list[Line]:
    """GET by each filter."""
    lines, first = [], {}
    with stage.web("querying") as web:
        for seed, size in enumerate(sorted({options.size, *(one for one in SIZES if one < options.size)})):
            load(stage, "querying", size=size, seed=seed)
            population = Population(size)
            seconds = options.seconds / len(ASKED)
            reference = _newest_by_sql(stage, seconds)
            for name in ASKED:
                (asked,), costs = crew.run(
                    _ask, web.target, name, population, seconds, count=1,
                    watch={"web": web.pid, "database": stage.database_pid},
                )  # fmt: skip
                line = _line(name, size, asked, reference).noting(f"{costs}; {costs.each(asked[2])}")
                lines.append(line)
                if size == FIRST_SIZE:
                    first[name] = line
                elif name in first:
                    lines.append(_growth(line, first[name]))
    stage.drop("querying")
    return lines


def _line(name: str, size: int, asked: tuple[Percentiles, float, int], reference: float) -> Line:
    times, found, _ = asked
    return Line(
        what=f"GET newest {LIMIT} by {name}, of {size:,}",
        measured=times.p50,
        unit="ms",
        reference=reference,
        reference_is="ms, by primary key in SQL",
        bars=(Bar(5, most=True),),
        percentiles=times,
        notes=(f"{found:.0f} statements in an answer on average",),
    )


def _growth(line: Line, first: Line) -> Line:
    return Line(
        what=f"  the same, against {FIRST_SIZE:,}",
        measured=line.measured,
        unit="ms",
        reference=first.measured,
        reference_is=f"ms, of {FIRST_SIZE:,}",
        bars=(Bar(2, Of.RATIO, most=True),),
    )


def _newest_by_sql(stage: Stage, seconds: float) -> float:
    url = stage.settings("querying").database_url.replace("postgresql+psycopg", "postgresql")
    with connect(url) as connection:
        return percentiles(_times(lambda: connection.execute(_NEWEST).fetchall(), seconds)).p50


def _ask(
    _number: int, target: Target, name: str, population: Population, seconds: float
) -> tuple[Percentiles, float, int]:
    """Ask, in a process of its own, until the time is over; gives also statements an answer, and requests."""
    pick, client = random.Random(name), Client(target)  # noqa: S311 - nothing here is a secret
    paths = ["/xapi/statements?" + urlencode(ASKED[name](pick, population) | {"limit": str(LIMIT)}) for _ in range(500)]
    found = [len(json.loads(client.get(path))["statements"]) for path in paths[:_LEAST]]
    client.close()
    crew.ready()
    everything = cycle(paths)
    times = _times(lambda: client.get(next(everything)), seconds)
    return percentiles(times), sum(found) / len(found), len(times)


def _times(once: Callable[[], object], seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end or len(times) < _LEAST:
        once()
        times.append(time.perf_counter() - before)
    return times

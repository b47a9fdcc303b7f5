"""Statements to facts, by the real `jobs.read_once` in one process and in two; and history read anew by a changed rule.

The references: for one worker, reading the same statements behind the horizon and decoding them; for two, how much
faster than one process two are at decoding in memory, which is what the cores alone allow; for a changed rule, reading
all of history by all rules.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from sqlalchemy import text

import lrs
from bench import crew, statements
from bench.lines import Bar, Line, Of
from bench.loading import load
from bench.machine import resident_megabytes
from bench.stage import Options, Stage
from bridge import documents, jobs, readings
from bridge.app import create_app
from bridge.settings import Settings, shipped
from lrs import db

ROUNDS = 2
_VIEWED = r"    when: event == r'\core\event\course_viewed'"
_COMPLETED = r"    when: event == r'\core\event\course_module_completion_updated'" + "\n    fact: completed"
CHANGES = (
    ("one rule, which needs one verb", _COMPLETED, _COMPLETED + "\n    attempt: object.id"),
    ("one rule of any verb", _VIEWED, _VIEWED + " && true"),
    ("all rules of Moodle", "  event != ''\n", "  event != '' && true\n"),
)
"""What is changed of the shipped mapping of Moodle; each change takes the one before back."""
_EMPTY = text("truncate reading, reading_lane, rule, fact, fact_history, quarantine, stale_alias, alias, claim cascade")


@dataclass(frozen=True)
class Worked:
    """What one worker did."""

    items: int
    seconds: float
    megabytes: tuple[float, float]
    """Resident after the first quarter of the time, and at the end."""


def measure(stage: Stage, options: Options) -> list[Line]:
    """Map with one worker and with two, in turn."""
    settings, seconds = stage.settings("mapping"), options.seconds / ROUNDS
    _prepare(stage, options)
    rates: dict[int, list[float]] = {1: [], 2: []}
    decoding: dict[int, list[float]] = {1: [], 2: []}
    reading, notes, memory = [], [], []
    for _ in range(ROUNDS):
        reading.append(_rate(crew.run(_read_only, settings, seconds / 2, count=1)[0]))
        for workers in (1, 2):
            decoding[workers].append(_rate(crew.run(_decode_only, seconds / 4, count=workers)[0]))
            _start_anew(stage)
            worked, costs = crew.run(_map, settings, seconds, count=workers, watch={"database": stage.database_pid})
            rates[workers].append(_rate(worked))
            notes.append(f"{workers} at {rates[workers][-1]:,.0f}/s; {costs}; {costs.each(_items(worked))}")
            memory += [one.megabytes for one in worked]
    stage.drop("mapping")
    one, two = (sum(rates[workers]) / ROUNDS for workers in (1, 2))
    return [
        Line(
            what="mapping, one worker",
            measured=one,
            unit="statements/s",
            reference=sum(reading) / ROUNDS,
            reference_is="read and decoded only",
            bars=(Bar(5000),),
            notes=notes,
        ),
        Line(
            what="mapping, two workers against one",
            measured=two / one,
            unit=f"times ({two:,.0f}/s)",
            reference=sum(decoding[2]) / sum(decoding[1]),
            reference_is="times, decoding in memory",
            bars=(Bar(1.7),),
        ),
        _memory_line(memory),
    ]


def measure_again(stage: Stage, options: Options) -> list[Line]:
    """Read all by two workers, then change one rule in three ways and let them read what it can touch."""
    _prepare(stage, options)
    _start_anew(stage)
    usual = stage.settings("mapping")
    everything, notes = _to_the_end(stage, usual)
    lines, memory = [], []
    with TemporaryDirectory() as folder:
        for what, old, new in CHANGES:
            changed = replace(usual, mappings=(*usual.mappings, _changed(Path(folder), old, new)))
            with create_app(changed).app_context():
                jobs.load_documents()
                db.session.commit()
            worked, costs = _to_the_end(stage, changed)
            memory += [one.megabytes for one in worked]
            _check_taken_over(stage)
            lines.append(
                Line(
                    what=f"{options.size:,} statements again: {what}",
                    measured=max(one.seconds for one in worked),
                    unit="s",
                    reference=max(one.seconds for one in everything),
                    reference_is="s, all by all rules",
                    notes=[f"{costs}; {_items(worked):,} statements were looked at"],
                )
            )
    stage.drop("mapping")
    rate = _items(everything) / max(one.seconds for one in everything)
    lines[0] = replace(lines[0], notes=[*lines[0].notes, f"all by all rules: {rate:,.0f} statements/s; {notes}"])
    return [*lines, _memory_line(memory)]


def _to_the_end(stage: Stage, settings: Settings) -> tuple[list[Worked], crew.Costs]:
    """Let two workers read until nothing is left to be read by any rule."""
    stage.settle()
    return crew.run(_map, settings, math.inf, count=2, watch={"database": stage.database_pid})


def _changed(folder: Path, old: str, new: str) -> Path:
    """Write the shipped mapping of Moodle with other words in it."""
    shipped_one = (shipped("mappings") / "moodle.yaml").read_text()
    assert old in shipped_one, f"{old!r} does not stand in the shipped mapping any more"
    (folder / "moodle.yaml").write_text(shipped_one.replace(old, new))
    return folder


def _check_taken_over(stage: Stage) -> None:
    """Make sure that what was measured did the work: the changed rules count, and nothing is left to read."""
    with stage.app("mapping").app_context():
        assert readings.pending(db.session) is None, "the changed rules do not count yet"
        assert readings.behind(db.session) == 0, "not everything has been read"
        db.session.rollback()


def _prepare(stage: Stage, options: Options) -> None:
    stage.app("mapping")
    load(stage, "mapping", size=options.size, seed=0)


def _start_anew(stage: Stage) -> None:
    """Forget all that was read, and begin a reading by the rules in force."""
    with stage.app("mapping").app_context():
        db.session.execute(_EMPTY)
        db.session.commit()
        jobs.load_documents()
    stage.settle()


def _rate(worked: list[Worked]) -> float:
    return sum(one.items / one.seconds for one in worked)


def _items(worked: list[Worked]) -> int:
    return sum(one.items for one in worked)


def _memory_line(memory: list[tuple[float, float]]) -> Line:
    """Take the worker that grew most."""
    before, after = max(memory, key=lambda pair: pair[1] / pair[0])
    return Line(
        what="mapping, memory of a worker",
        measured=after,
        unit="MB",
        reference=before,
        reference_is="MB, after a quarter of the time",
        bars=(Bar(1.1, Of.RATIO, most=True),),
    )


# --- in the workers' processes ---------------------------------------------------------------------------------------


def _map(_number: int, settings: Settings, seconds: float) -> Worked:
    with create_app(settings).app_context():
        documents.current(db.session)  # compiled before, as in a worker that has been up for a while
        db.session.rollback()
        crew.ready()
        return _until(seconds, lambda: jobs.read_once(db.session), waits=lambda: readings.pending(db.session))


def _read_only(_number: int, settings: Settings, seconds: float) -> Worked:
    positions = dict.fromkeys(range(readings.LANES), (0, 0))
    lanes = cycle(positions)

    def read() -> int:
        lane = next(lanes)
        found = lrs.read_after(db.session, positions[lane], lane=lane, lanes=readings.LANES, limit=500)
        for item in found:
            msgspec.json.decode(item.payload)
        positions[lane] = (found[-1].xid, found[-1].seq) if found else positions[lane]
        db.session.commit()
        return len(found)

    with create_app(settings).app_context():
        crew.ready()
        return _until(seconds, read)


def _decode_only(_number: int, seconds: float) -> Worked:
    texts = [b"{" + rest for rest in statements.as_sent()]

    def decode() -> int:
        for one in texts:
            msgspec.json.decode(one)
        return len(texts)

    crew.ready()
    return _until(seconds, decode)


def _until(seconds: float, work: Callable[[], int], waits: Callable[[], object] = lambda: None) -> Worked:
    """Work until the time is over or nothing is left, nor waits to be done once another lets go of it."""
    memory, items = 0.0, 0
    began = now = time.perf_counter()
    while now - began < seconds and ((count := work()) or waits()):
        items, now = items + count, time.perf_counter()
        if not memory and now - began > seconds / 4:
            memory = resident_megabytes()
    return Worked(items, now - began, (memory or resident_megabytes(), resident_megabytes()))

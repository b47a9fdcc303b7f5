"""What of a program is still open before it may be launched: a success contract needs more than courses.

Most trainings that change nothing were launched without anybody having said what should change
(reference/impact.md, section 1, rows 1 to 13). Nothing here refuses a document: who asks for training is told what to
find out first, and the reasons are kept.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from bridge.mapping.hashes import content_hash, plain
from bridge.mapping.kinds import Behaviour, Cause, Metric, Program
from bridge.mapping.positions import Path

UNSEEN = frozenset(
    {
        "know",
        "knows",
        "understand",
        "understands",
        "appreciate",
        "appreciates",
        "learn",
        "learns",
        "believe",
        "believes",
    }
    | {"feel", "feels", "realise", "realises", "realize", "realizes", "think", "thinks", "remember", "remembers"}
    | {"grasp", "grasps", "internalise", "internalises", "internalize", "internalizes", "value", "values"}
    | {"is aware", "are aware", "be aware", "is familiar", "are familiar", "be familiar", "has an understanding"}
)
"""What nobody can see somebody do (Mager, Preparing Instructional Objectives)."""
_WORDS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a program does not say yet, or says so that nobody could check it."""

    path: Path
    """Where it belongs in the document."""
    text: str
    remedy: str


def gaps(program: Program, metrics: Mapping[str, Metric]) -> tuple[Gap, ...]:
    """Give what is open, in the order in which it is best found out: the outcome first, courses last."""
    return tuple(_gaps(program, metrics))


_FREE = frozenset({"title", "changes", "readiness"})
"""What may change after the launch without another question being asked of the data.

`changes` are what nobody could agree on before: they take verdicts away and never give one. Readiness is no effect."""


def contract_hash(program: Program) -> str:
    """Change when anything does that was agreed."""
    return content_hash(plain(program, without=_FREE))


def changes(agreed: Program, now: Program) -> tuple[str, ...]:
    """Name the keys of a program that say something else now than was agreed."""
    names = (part.name for part in fields(agreed) if part.name not in _FREE)
    return tuple(
        "metrics" if name == "goals" else name for name in names if getattr(agreed, name) != getattr(now, name)
    )


def warnings(program: Program) -> tuple[str, ...]:
    """Give what stands against training as the answer; it blocks nothing."""
    others = [cause for cause in program.causes if cause is not Cause.CAPABILITY]
    if not others:
        return ()
    named = " and ".join(cause.value for cause in others)
    if Cause.CAPABILITY in program.causes:
        return (
            f"Training removes no cause that lies in {named}: say who deals with that, or the effect will be small.",
        )
    return (f"The cause is {named} and not capability: training is not what removes it.",)


def _gaps(program: Program, metrics: Mapping[str, Metric]) -> Iterator[Gap]:
    if not program.problem:
        yield Gap(
            ("problem",), "What is the performance problem?", "Say in `problem` what goes wrong, where and how often."
        )
    if not program.causes:
        remedy = f"Find out why people do not perform, and write `causes: [...]` with any of {', '.join(Cause)}."
        yield Gap(("causes",), "Is it a lack of capability, or something else?", remedy)
    if not program.stakes:
        yield Gap(("stakes",), "What is protected or gained?", "Say it in `stakes`.")
    if not program.sponsor:
        yield Gap(("sponsor",), "Who outside of training answers for the outcome?", "Name them in `sponsor`.")
    if not program.owner:
        yield Gap(("owner",), "Who runs the program?", "Name them in `owner`.")
    if not program.population:
        remedy = "Write `population: {role: [...]}`, by the attributes that your rosters give."
        yield Gap(("population",), "Whose performance should change?", remedy)
    yield from _goals(program, metrics)
    if not program.behaviours:
        remedy = "Write `behaviours`: what somebody else could see people do, and where it shows."
        yield Gap(("behaviours",), "What will people do differently?", remedy)
    for place, behaviour in enumerate(program.behaviours):
        yield from _behaviour(("behaviours", place), behaviour)
    if not program.reinforcement:
        remedy = "Leave `reinforcement` out for 14, 30 and 90 days, or name others."
        yield Gap(("reinforcement",), "How is it kept up after training?", remedy)
    if not program.courses:
        remedy = "Write `courses` and `completion`, as the LMS's statements have their ids."
        yield Gap(("courses",), "In which courses is it learned?", remedy)


def _goals(program: Program, metrics: Mapping[str, Metric]) -> Iterator[Gap]:
    if not program.goals:
        remedy = "Write `metrics: [{metric: ..., primary: true, target: ...}]`."
        yield Gap(("metrics",), "Which measure of performance should move?", remedy)
    elif program.primary is None:
        remedy = "Write `primary: true` at the one that decides: with several, chance makes one of them move."
        yield Gap(("metrics",), "No metric is primary.", remedy)
    for place, goal in enumerate(program.goals):
        if goal.primary and goal.target is None:
            unit = metrics[goal.metric].unit if goal.metric in metrics else "the metric's unit"
            remedy = f"Write `target: ...`, in {unit} or as a percentage: less would not be worth it."
            yield Gap(("metrics", place, "target"), f"By how much should {goal.metric} change at least?", remedy)


def _behaviour(path: Path, behaviour: Behaviour) -> Iterator[Gap]:
    if behaviour.evidence is None:
        remedy = "Write `evidence: {metric: ...}` or `evidence: {fact: observed}`: without it nobody can tell."
        yield Gap((*path, "evidence"), f"Where does it show that somebody {behaviour.does}?", remedy)
    if unseen := _unseen(behaviour.does):
        remedy = "Write what a colleague beside them would see: asks, logs, calls, answers, checks, ..."
        yield Gap((*path, "does"), f"Nobody can see that somebody {unseen!r}.", remedy)


def _unseen(does: str) -> str | None:
    """Give the words at the beginning that say something which cannot be seen."""
    words = [word.lower() for word in _WORDS.findall(does)]
    beginnings = [" ".join(words[:count]) for count in (1, 2, 3)]
    return next((beginning for beginning in beginnings if beginning in UNSEEN), None)

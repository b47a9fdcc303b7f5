"""What Canvas's Caliper events say."""

from connectors.caliper.deeds import (
    SAME_KIND,
    URN,
    Deed,
    JsonMap,
    Unfit,
    canvas,
    enrolled,
    globalised,
    map_at,
    number_at,
    score,
    text_at,
    urn,
)


def read(event: JsonMap) -> Deed:
    """Give what an event of an envelope says. Raises Unfit."""
    kind, action = event.get("type"), event.get("action")
    if not isinstance(kind, str) or not isinstance(action, str):
        raise Unfit("This is no Caliper event, which has a type and an action, nor one with metadata and body.")
    match kind, action, _kind_of(text_at(map_at(event, "object"), "id")):
        case "NavigationEvent", "NavigatedTo", _:
            return _visit(event)
        case "SessionEvent", "LoggedIn" | "LoggedOut", _:
            verb = "logged in" if action == "LoggedIn" else "logged out"
            return Deed(verb, _person(event, event, "actor"), "", "site")
        case ("AssignableEvent" | "AssessmentEvent", "Submitted", _) | ("Event", "Modified", "submission"):
            return _submission(event)
        case "GradeEvent", "Graded", _:
            return _grade(event)
        case "Event", "Created" | "Modified", "enrollment":
            return enrolled(canvas(map_at(event, "object")), event)
        case "MessageEvent", "Posted", _:
            return _reply(event)
        case "ThreadEvent", "Created", _:
            thread = map_at(event, "object")
            if canvas(thread).get("is_announcement") is True:
                raise Unfit("An announcement is teaching, not learning.")
            return Deed(
                "created",
                _person(event, event, "actor"),
                _urn(event, thread),
                "discussion",
                name=text_at(thread, "name"),
                course=_course(event),
            )
        case "Event", "Created", "groupMembership":
            membership = map_at(event, "object")
            group = map_at(membership, "organization")
            return Deed(
                "joined", _person(event, membership, "member"), _urn(event, group), "group", name=text_at(group, "name")
            )
    raise Unfit(f"{kind} {action} says nothing of a learner, or is not known here.")


def _visit(event: JsonMap) -> Deed:
    asset = map_at(event, "object")
    about = canvas(asset)
    part = text_at(about, "asset_subtype")
    name = _urn(event, asset)
    # A list inside a course or group, such as its quizzes, is a page of its own.
    return Deed(
        "viewed",
        _person(event, event, "actor"),
        f"{name}:{part}" if part else name,
        "page" if part else _kind_of(name),
        name=text_at(about, "asset_name"),
        course=_course(event),
    )


def _submission(event: JsonMap) -> Deed:
    submission = map_at(event, "object")
    work = map_at(submission, "assignable")
    learner = _person(event, submission, "assignee")
    if _person(event, event, "actor") != learner:
        raise Unfit("Somebody else than the learner changed the submission.")
    return Deed(
        "submitted",
        learner,
        _urn(event, work),
        _kind_of(text_at(work, "id")),
        course=_course(event),
        attempt=_urn(event, submission),
    )


def _grade(event: JsonMap) -> Deed:
    submission = map_at(event, "object")
    work, points = map_at(submission, "assignable"), map_at(event, "generated")
    learner = _person(event, submission, "assignee")
    by_canvas = _kind_of(text_at(map_at(event, "actor"), "id")) != "user"
    grader = None if by_canvas else _person(event, event, "actor")
    return Deed(
        "scored",
        learner,
        _urn(event, work),
        _kind_of(text_at(work, "id")),
        course=_course(event),
        attempt=_urn(event, submission),
        instructor=grader if grader != learner else None,
        result=score(number_at(points, "scoreGiven"), number_at(points, "maxScore")),
    )


def _reply(event: JsonMap) -> Deed:
    entry = map_at(event, "object")
    thread = map_at(entry, "isPartOf")
    return Deed(
        "replied",
        _person(event, event, "actor"),
        _urn(event, entry),
        "discussionEntry",
        course=_course(event),
        parent=_urn(event, thread) if thread else None,
    )


def _person(event: JsonMap, holder: JsonMap, key: str) -> str:
    """Give the global id of a user, whose urn ends with it."""
    name = text_at(map_at(holder, key), "id")
    if _kind_of(name) != "user":
        raise Unfit(f"Its {key} is no user of Canvas.")
    return globalised(name.rpartition(":")[2], event)


def _course(event: JsonMap) -> str | None:
    """Give the urn of the course; a section's begins with it."""
    kind, _, rest = text_at(map_at(event, "group"), "id").removeprefix(URN).partition(":")
    return urn("course", rest.partition(":")[0], event) if kind == "course" else None


def _urn(event: JsonMap, entity: JsonMap) -> str:
    name = text_at(entity, "id")
    kind = _kind_of(name)
    if not kind:
        raise Unfit("Its object, or what that belongs to, has no id of Canvas.")
    return urn(kind, name.rpartition(":")[2], event)


def _kind_of(name: str) -> str:
    """Give what a urn of Canvas is of: everything between its beginning and its number."""
    kind, colon, _ = name.removeprefix(URN).rpartition(":")
    return SAME_KIND.get(kind, kind) if colon and name.startswith(URN) else ""

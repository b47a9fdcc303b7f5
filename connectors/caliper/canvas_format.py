"""What events in Canvas's own format say."""

from connectors.caliper.deeds import (
    PROGRESS,
    SAME_KIND,
    Deed,
    JsonMap,
    Unfit,
    enrolled,
    globalised,
    map_at,
    number_at,
    score,
    text_at,
    urn,
)


def read(event: JsonMap) -> Deed:
    """Give what an event (`metadata` and `body`) says. Raises Unfit."""
    name, body = text_at(map_at(event, "metadata"), "event_name"), map_at(event, "body")
    match name:
        case "asset_accessed":
            return _visit(event, body)
        case "logged_in" | "logged_out":
            return Deed(name.replace("_", " "), _user(event), "", "site")
        case "submission_created" | "submission_updated":
            return _submission(event, "assignment", body)
        case "quiz_submitted":
            return _submission(event, "quiz", body | {"user_id": text_at(map_at(event, "metadata"), "user_id")})
        case "grade_change":
            return _grade(event, body)
        case "course_grade_change":
            return _course_grade(event, body)
        case "enrollment_created" | "enrollment_updated":
            return enrolled(body, event)
        case "discussion_entry_created" | "discussion_entry_submitted":
            return Deed(
                "replied",
                _user(event, body),
                _made(event, "discussionEntry", body, "discussion_entry_id"),
                "discussionEntry",
                course=_course(event),
                parent=_made(event, "discussion", body, "discussion_topic_id"),
            )
        case "group_membership_created":
            group = _made(event, "group", body, "group_id")
            return Deed("joined", _user(event, body), group, "group", name=text_at(body, "group_name"))
        case "course_progress" | "course_completed":
            return _progress(event, body, name)
    raise Unfit(f"{name or 'An event without a name'} says nothing of a learner, or is not known here.")


def _visit(event: JsonMap, body: JsonMap) -> Deed:
    kind, part = text_at(body, "asset_type"), text_at(body, "asset_subtype")
    kind = SAME_KIND.get(kind, kind)
    name = _made(event, kind, body, "asset_id")
    return Deed(
        "viewed",
        _user(event),
        f"{name}:{part}" if part else name,
        "page" if part else kind,
        name=text_at(body, "asset_name"),
        course=_course(event),
    )


def _submission(event: JsonMap, kind: str, body: JsonMap) -> Deed:
    learner = _user(event, body)
    acting = text_at(map_at(event, "metadata"), "user_id")
    if acting and globalised(acting, event) != learner:
        raise Unfit("Somebody else than the learner changed the submission.")
    return Deed(
        "submitted",
        learner,
        _made(event, kind, body, f"{kind}_id"),
        kind,
        course=_course(event),
        attempt=_made(event, "submission", body, "submission_id"),
    )


def _grade(event: JsonMap, body: JsonMap) -> Deed:
    grader = text_at(body, "grader_id")
    # What is graded in part, such as a quiz with an essay, has no score yet.
    partly = body.get("grading_complete") is False
    result = {} if partly else score(number_at(body, "score"), number_at(body, "points_possible"))
    return Deed(
        "scored",
        _user(event, body),
        _made(event, "assignment", body, "assignment_id"),
        "assignment",
        course=_course(event),
        attempt=_made(event, "submission", body, "submission_id"),
        instructor=globalised(grader, event) if grader else None,
        result=result,
    )


def _course_grade(event: JsonMap, body: JsonMap) -> Deed:
    """Read the final score, in per cent with what is not graded yet as 0; the current one falls as work comes in."""
    final = number_at(body, "final_score")
    if final is None or body.get("workflow_state") == "deleted":
        raise Unfit("The course has no score.")
    course = _made(event, "course", body, "course_id")
    return Deed("scored", _user(event, body), course, "course", course=course, result=score(final, 100))


def _progress(event: JsonMap, body: JsonMap, name: str) -> Deed:
    course, progress, user = map_at(body, "course"), map_at(body, "progress"), map_at(body, "user")
    done, needed = number_at(progress, "requirement_completed_count"), number_at(progress, "requirement_count")
    share = round(100 * done / needed) if done is not None and needed else None
    complete = name == "course_completed"
    made = _made(event, "course", course, "id")
    return Deed(
        "completed" if complete else "progressed",
        _user(event, {"user_id": text_at(user, "id")}),
        made,
        "course",
        name=text_at(course, "name"),
        course=made,
        actor_name=text_at(user, "name"),
        at=text_at(progress, "completed_at") or None,
        result={"completion": True} if complete else {} if share is None else {"extensions": {PROGRESS: share}},
    )


def _user(event: JsonMap, body: JsonMap | None = None) -> str:
    """Give the global id of the user that an event is about, else of whom it came from."""
    found = text_at(map_at(event, "metadata") if body is None else body, "user_id")
    if not found:
        raise Unfit("It names no user.")
    return globalised(found, event)


def _made(event: JsonMap, kind: str, body: JsonMap, key: str) -> str:
    number = text_at(body, key)
    if not number:
        raise Unfit(f"It has no {key}.")
    return urn(kind, number, event)


def _course(event: JsonMap) -> str | None:
    about = map_at(event, "metadata")
    number = text_at(about, "context_id")
    return urn("course", number, event) if about.get("context_type") == "Course" and number else None

"""What is answered under /xapi, as an OpenAPI 3.1 document for machines (spec.openapis.org).

Schemas of statements come from the structs that validate them, so they cannot drift; tests hold the rest against the
routes, the parameters and the answers. HEAD and OPTIONS go without saying: each resource that answers GET answers them.
"""

import re
from typing import Any

import msgspec

from lrs.xapi import structs, versions
from lrs.xapi.formats import Format
from lrs.xapi.parameters import MAX_LIMIT

_Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_KINDS_BY_OBJECT_TYPE = {"Group", "StatementRef", "SubStatement", "ContextAgent", "ContextGroup"}
"""Must say their objectType."""
_IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
_BEYOND_TYPES: dict[str, _Json] = {
    "Agent": {"oneOf": [{"required": [name]} for name in _IDENTIFIERS]},
    "Group": {"anyOf": [{"required": [name]} for name in (*_IDENTIFIERS, "member")]},
}
"""Rules that the structs' types do not say; many more there are no words for in JSON Schema."""
_LANGUAGE = "^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"
"""Wider than what is accepted: JSON Schema's regular expressions cannot ignore case."""

_TEXT: _Json = {"type": "string"}
_BOOLEAN: _Json = {"type": "boolean"}
_UUID: _Json = {"type": "string", "format": "uuid"}
_IRI: _Json = {"type": "string", "format": "iri"}
_TIMESTAMP: _Json = {"type": "string", "format": "date-time"}
_ERRORS = {
    "400": "What was sent breaks a rule; the answer says which, where, and what to do.",
    "401": "No credential, or one that is not known.",
    "403": "The credential's scopes do not allow it.",
    "404": "There is no such thing.",
    "409": "What is stored differs from what is sent under its name.",
    "412": "A precondition does not hold (If-Match, If-None-Match).",
    "413": "The body is too large.",
    "429": "Too many requests; wait as long as Retry-After says.",
    "503": "The database does not answer; nothing was stored; send it again later.",
}
_ALWAYS = ("400", "401", "403", "429", "503")


def document(url: str) -> _Json:
    """Describe the LRS that is reached at `url`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lrs-bridge: Experience API (xAPI)",
            "version": versions.Version.TWO,
            "description": "xAPI 1.0.3 and 2.0.0 (IEEE 9274.1.1) on one endpoint, by the header of the request.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "security": [{"basic": []}, {"bearer": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "parameters": {"version": _header(versions.HEADER, {"type": "string", "pattern": r"^[12]\.0(\.\d+)?$"})},
            "schemas": _schemas(),
        },
    }


# --- resources -----------------------------------------------------------------------------------------------------


def _paths() -> dict[str, _Json]:
    activity, agent, registration = (
        _query("activityId", _IRI),
        _json_query("agent", "Actor"),
        _query("registration", _UUID),
    )
    state = [activity | {"required": True}, agent | {"required": True}, registration]
    number = _path("number", {"type": "integer", "minimum": 1})
    return {
        "/about": {
            "get": {"summary": "Say which versions are spoken.", "security": []}
            | _answers({"200": _json("About")}, errors=()),
        },
        "/openapi.json": {
            "get": {"summary": "This document.", "security": []}
            | _answers({"200": _json({"type": "object"})}, errors=()),
        },
        "/statements": {
            "get": _operation("Find statements, or one by its id.", _filters(), {"200": _found()}, "404"),
            "put": _operation(
                "Store a statement under an id.",
                [_query("statementId", _UUID) | {"required": True}],
                {"204": {"description": "Stored, or stored already and equal."}},
                "409",
                "413",
                body=_statements_body("Statement"),
            ),
            "post": _operation(
                "Store a statement or a list of them.",
                [],
                {"200": _ids()},
                "409",
                "413",
                body=_statements_body("Statements"),
            ),
        },
        "/statements/more/{token}": {
            "get": _operation(
                "Read on where `more` of an answer says.",
                [_path("token", {"type": "string", "minLength": 1})],
                {"200": _found()},
            ),
        },
        "/activities": {
            "get": _operation(
                "Read what is known of an activity.", [activity | {"required": True}], {"200": _json("Activity")}
            ),
        },
        "/agents": {
            "get": _operation(
                "Read what is known of a person.", [agent | {"required": True}], {"200": _json("Person")}
            ),
        },
        "/refused": {
            "get": _operation(
                "List what was refused of one's own requests; beyond xAPI, as is all that follows.",
                [_query("after", {"type": "integer", "minimum": 0}), _query("waiting", _BOOLEAN)],
                {"200": _json({"type": "object", "required": ["refused", "more"]})},
            ),
        },
        "/refused/{number}": {
            "get": _operation("Read a refused request.", [number], {"200": _json({"type": "object"})}, "404"),
            "post": _operation("Store it as its credential now stands.", [number], {"200": _ids()}, "404", "409"),
            "delete": _operation("Forget it.", [number], {"204": {"description": "Done."}}, "404"),
        },
        "/repaired/{statement_id}": {
            "get": _operation(
                "Read what a statement was before it was repaired.",
                [_path("statement_id", _UUID)],
                {"200": _json({"type": "object", "required": ["id", "original", "repairs"]})},
                "404",
            ),
        },
        "/activities/state": _documents("stateId", state, several=True),
        "/activities/profile": _documents("profileId", state[:1]),
        "/agents/profile": _documents("profileId", state[1:2]),
    }


def _documents(name: str, owner: list[_Json], *, several: bool = False) -> _Json:
    """Describe a document resource (Communication 2.2); `several`: DELETE without an id clears them all."""
    one = _query(name, _TEXT)
    named = [*owner, one | {"required": True}]
    checked = [_header("If-Match", _TEXT, required=False), _header("If-None-Match", _TEXT, required=False)]
    body = {"required": False, "content": {kind: {"schema": {}} for kind in ("application/json", "text/plain")}}
    done = {"204": {"description": "Done."}}
    return {
        "get": _operation(
            "Read a document, or without its id the list of them.",
            [*owner, one, _query("since", _TIMESTAMP)],
            {"200": {"description": "The document as it was sent, or the list of ids."}},
            "404",
        ),
        "put": _operation("Store a document.", [*named, *checked], done, "409", "412", "413", body=body),
        "post": _operation(
            "Store a document, or merge JSON.", [*named, *checked], done, "409", "412", "413", body=body
        ),
        "delete": _operation(
            "Delete a document.", [*owner, one, *checked] if several else [*named, *checked], done, "404", "409", "412"
        ),
    }


def _filters() -> list[_Json]:
    """Describe the parameters of GET statements (Communication 2.1.3)."""
    return [
        _query("statementId", _UUID),
        _query("voidedStatementId", _UUID),
        _json_query("agent", "Actor"),
        _query("verb", _IRI),
        _query("activity", _IRI),
        _query("registration", _UUID),
        _query("related_activities", _BOOLEAN),
        _query("related_agents", _BOOLEAN),
        _query("since", _TIMESTAMP),
        _query("until", _TIMESTAMP),
        _query("limit", {"type": "integer", "minimum": 0, "description": f"0 and more than {MAX_LIMIT}: {MAX_LIMIT}."}),
        _query("format", {"type": "string", "enum": [*Format], "default": Format.EXACT}),
        _query("attachments", _BOOLEAN),
        _query("ascending", _BOOLEAN),
        _header("Accept-Language", _TEXT, required=False),
    ]


# --- parts ---------------------------------------------------------------------------------------------------------


def _operation(summary: str, parameters: list[_Json], answers: _Json, *errors: str, body: _Json | None = None) -> _Json:
    described: _Json = {
        "summary": summary,
        "parameters": [{"$ref": "#/components/parameters/version"}, *parameters],
        **_answers(answers, errors=(*_ALWAYS, *errors)),
    }
    if body is not None:
        described["requestBody"] = body
    return described


def _answers(answers: _Json, *, errors: tuple[str, ...]) -> _Json:
    content = {"application/json": {"schema": _ref("Error")}}
    return {
        "responses": answers
        | {status: {"description": _ERRORS[status], "content": content} for status in sorted(errors)}
    }


def _found() -> _Json:
    found = {"anyOf": [_ref("StatementResult"), _ref("Statement")]}
    return {
        "description": "A page, or the statement that an id asks for; with attachments=true as multipart/mixed.",
        "content": {"application/json": {"schema": found}, "multipart/mixed": {}},
    }


def _statements_body(schema: str) -> _Json:
    return {"required": True, "content": {"application/json": {"schema": _ref(schema)}, "multipart/mixed": {}}}


def _json(schema: str | _Json, description: str = "Found.") -> _Json:
    described = _ref(schema) if isinstance(schema, str) else schema
    return {"description": description, "content": {"application/json": {"schema": described}}}


def _ids() -> _Json:
    return _json({"type": "array", "items": _TEXT}, "The ids, in order.")


def _path(name: str, schema: _Json) -> _Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: _Json) -> _Json:
    return {"name": name, "in": "query", "schema": schema}


def _json_query(name: str, schema: str) -> _Json:
    return {"name": name, "in": "query", "content": {"application/json": {"schema": _ref(schema)}}}


def _header(name: str, schema: _Json, *, required: bool = True) -> _Json:
    return {"name": name, "in": "header", "required": required, "schema": schema}


def _ref(schema: str) -> _Json:
    return {"$ref": f"{_SCHEMAS}{schema}"}


# --- schemas -------------------------------------------------------------------------------------------------------


def _schemas() -> _Json:
    _, components = msgspec.json.schema_components([structs.Statement], ref_template=f"{_SCHEMAS}{{name}}")
    texts = {"type": "array", "items": _TEXT}
    nothing = ["string", "null"]
    return {name: _as_accepted(name, schema) for name, schema in components.items()} | {
        "Actor": {"anyOf": [_ref("Agent"), _ref("Group")]},
        "Statements": {"anyOf": [_ref("Statement"), {"type": "array", "items": _ref("Statement")}]},
        "StatementResult": {
            "type": "object",
            "required": ["statements", "more"],
            "properties": {"statements": {"type": "array", "items": _ref("Statement")}, "more": _TEXT},
            "additionalProperties": False,
        },
        "Person": {
            "type": "object",
            "required": ["objectType"],
            "properties": {
                "objectType": {"const": "Person"},
                **dict.fromkeys(("name", "mbox", "mbox_sha1sum", "openid"), texts),
                "account": {"type": "array", "items": _ref("Account")},
            },
        },
        "About": {"type": "object", "required": ["version"], "properties": {"version": texts}},
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": _TEXT,
                "index": {"type": ["integer", "null"], "description": "Which statement of the list, from 0."},
                "pointer": {"type": nothing, "description": "JSON pointer, or the name of the parameter."},
                "rule": {"type": nothing},
                "section": {"type": nothing, "description": "Of xAPI 1.0.3."},
                "remedy": {"type": nothing},
            },
        },
    }


def _as_accepted(name: str, schema: _Json) -> _Json:
    """Turn msgspec's schema of a struct into that of what may be sent: objectType is left out, where it may be."""
    schema = _portable(schema)
    if name not in _KINDS_BY_OBJECT_TYPE:
        schema["required"] = [one for one in schema["required"] if one != "objectType"]
    return schema | _BEYOND_TYPES.get(name, {})


def _portable(schema: Any) -> Any:  # noqa: ANN401  JSON is anything
    """Write Python's regular expressions as those of JSON Schema (ECMA-262), and drop what msgspec adds for itself."""
    match schema:
        case {"pattern": str(pattern), **rest}:
            written = _LANGUAGE if "(?i:" in pattern else re.sub(r"\\Z$", "$", pattern)
            return {"pattern": written, **_portable(rest)}
        case dict():
            return {name: _portable(value) for name, value in schema.items() if name not in {"title", "discriminator"}}
        case list():
            return [_portable(one) for one in schema]
        case _:
            return schema

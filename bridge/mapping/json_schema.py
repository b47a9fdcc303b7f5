"""JSON Schema (2020-12) of mapping documents, made from their marshmallow schemas, so that editors complete and check.

It says less than `mapping validate`: not whether an expression is CEL, nor whether names that are used are there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, fields

from bridge.mapping.schemas import SCHEMAS
from bridge.mapping.schemas.descriptions import DESCRIPTIONS, KINDS

Forms = Mapping[str, Mapping[str, type[Schema]]]
"""Schemas that others own, by kind and by the `type` of the document."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def of_kind(kind: str, forms: Forms) -> dict[str, Any]:
    """Give the JSON Schema of the documents of one kind; `forms` are those of kinds that others validate."""
    return {"$schema": _DIALECT, **_document(kind, forms)}


def of_all(forms: Forms) -> dict[str, Any]:
    """Give the JSON Schema of a document of any kind."""
    kinds = sorted([*SCHEMAS, *forms])
    # By `if` and not `oneOf`: an editor can then say what is wrong with a document of its kind.
    return {
        "$schema": _DIALECT,
        "title": "A mapping document of lrs-bridge",
        "type": "object",
        "required": ["kind", "name"],
        "properties": {"kind": {"enum": kinds, "description": "What the document is about."}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{kind}"},
            }
            for kind in kinds
        ],
        "$defs": {kind: _document(kind, forms) for kind in kinds},
    }


def _document(kind: str, forms: Forms) -> dict[str, Any]:
    about = {"title": f"A document of kind {kind}", "description": KINDS[kind]}
    if kind in SCHEMAS:
        made = _map(SCHEMAS[kind]())
        made["properties"]["kind"] = {"const": kind, "description": KINDS[kind]}
        return {**about, **made}
    types = forms[kind]
    return {
        **about,
        "type": "object",
        "required": ["kind", "name", "type"],
        "properties": {"kind": {"const": kind}, "type": {"enum": sorted(types)}},
        "allOf": [
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": _map(types[name]())}
            for name in sorted(types)
        ],
    }


def _map(schema: Schema) -> dict[str, Any]:
    keys = dict(_keys(schema))
    made: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": keys}
    required = [field.data_key or name for name, field in schema.fields.items() if field.required]
    if required:
        made["required"] = required
    return {**made, **getattr(schema, "json_schema", {})}


def _keys(schema: Schema) -> Iterator[tuple[str, dict[str, Any]]]:
    described = {**DESCRIPTIONS[""], **DESCRIPTIONS.get(type(schema).__name__, {})}
    for name, field in schema.fields.items():
        key = field.data_key or name
        about = {"description": described[key]} if key in described else {}
        yield key, {**about, **_value_or_else(field)}


def _value_or_else(field: fields.Field[Any]) -> dict[str, Any]:
    otherwise = getattr(field, "json_schema_else", None)
    return {"anyOf": [dict(otherwise), _value(field)]} if otherwise else _value(field)


def _value(field: fields.Field[Any]) -> dict[str, Any]:
    match field:
        case _ if found := getattr(field, "json_schema", None):
            return dict(found)
        case fields.List():
            least = getattr(field, "least", 0)
            return {"type": "array", "items": _value_or_else(field.inner), **({"minItems": least} if least else {})}
        case fields.Nested():
            return _map(field.schema)
        case fields.Dict():
            values = _value_or_else(field.value_field) if field.value_field else {}
            names = {"propertyNames": _value(field.key_field)} if field.key_field else {}
            return {"type": "object", "additionalProperties": values, **names}
        case fields.String():
            return {"type": "string", "minLength": 1}
        case fields.Boolean():
            return {"type": "boolean"}
    return {}

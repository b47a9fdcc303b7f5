"""Vendors' OpenAPI files (`contracts/`), held against what we send and what our fakes answer."""

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
from requests import PreparedRequest

FOLDER = Path(__file__).parent / "contracts"


class Contract:
    """One vendor's file."""

    def __init__(self, vendor: str) -> None:
        with gzip.open(FOLDER / f"{vendor}.json.gz", "rt", encoding="utf-8") as file:
            self._contract: dict[str, Any] = _plain(json.load(file))

    def check_request(self, path: str, request: PreparedRequest) -> None:
        """Raise unless parameters and body are as the operation has them; unknown parameters are refused."""
        operation = self._operation(path, request)
        known = {one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"}
        for name, value in parse_qsl(urlsplit(request.url or "").query):
            assert name in known, f"{path} has no parameter {name!r}"
            self._check(known[name]["schema"], _typed(known[name]["schema"], value))
        missing = [name for name, one in known.items() if one.get("required") and f"{name}=" not in str(request.url)]
        assert not missing
        if request.body:
            assert request.headers["Content-Type"] == "application/json"
            self._check(_json(operation["requestBody"]), json.loads(request.body))

    def check_answer(self, path: str, request: PreparedRequest, body: object, status: int = 200) -> None:
        """Raise unless the answer is as the operation has it."""
        self._check(_json(self._operation(path, request)["responses"][str(status)]), body)

    def _operation(self, path: str, request: PreparedRequest) -> dict[str, Any]:
        assert path in self._contract["paths"], f"there is no {path}"
        found: dict[str, Any] = self._contract["paths"][path][str(request.method).lower()]
        return found

    def _check(self, schema: dict[str, Any], value: object) -> None:
        whole = {**schema, "components": self._contract["components"]}
        jsonschema_rs.Draft4Validator(whole, validate_formats=False).validate(value)


def _json(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part["content"]["application/json"]["schema"]
    return found


def _typed(schema: dict[str, Any], text: str) -> object:
    match schema.get("type"):
        case "integer":
            return int(text)
        case "boolean":
            return {"true": True, "false": False}[text]
        case "array":
            return text.split(",")
    return text


def _plain(part: Any) -> Any:
    """Write `nullable` (OpenAPI 3.0) as JSON Schema has it, also beside a `$ref`, where vendors mean it."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain = {key: _plain(value) for key, value in part.items()}
    if plain.get("nullable") is True:
        return {"anyOf": [{key: value for key, value in plain.items() if key != "nullable"}, {"type": "null"}]}
    return plain

"""Sources of vendors that we know: a manifest of ours says how they are spoken to, the document whose account it is.

A manifest is a YAML file in `manifests/`. It has the keys of a `type: rest` document, and besides: `vendor`, what it
`rests_on` (the vendor's pages and the day they were read), the settings of an `account`, and its `streams` by name.
`{account.site}` stands for a setting of the account, wherever it is written; `{account.fields.list}` for one with
commas as a list. Where there are several ways to sign in, `sign_in` has the settings and the keys of each; the first is
the default. A stream may have `defaults` of its own for settings, and `deletions`: blocks for `deleted` by name, that a
document can choose.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from marshmallow import ValidationError, fields

from connectors.documents import Document, Key, SourceSchema, StrictSchema, Text, TextList, nearest, say, validate
from connectors.errors import ConfigError, Fault
from connectors.secrets import SecretField
from connectors.sources import rest
from connectors.sources.asking import fill
from connectors.sources.durations import Length
from connectors.sources.paths import PathsField
from connectors.sources.rest import RestSchema, RestSource

MANIFESTS = Path(__file__).parent / "manifests"
VENDORS = (
    "dynamics",
    "freshdesk",
    "hubspot",
    "intercom",
    "jira",
    "odoo",
    "roundup",
    "rt",
    "salesforce",
    "servicenow",
    "tryton",
    "zendesk",
)
"""Those with a manifest; a test compares the two."""


class _Setting(StrictSchema):
    """How a manifest declares a setting of an account."""

    what = Text(required=True)
    """What it is and where to find it, for the person who fills it in."""
    pattern = Text(load_default=None)
    """What it must look like as a whole; without one it is a secret."""
    default = fields.Raw(load_default=None)
    """Without one it must be given."""


class _SignIn(StrictSchema):
    """One of several ways to sign in: settings and keys beside those of all."""

    account = fields.Dict(keys=Text(), values=fields.Nested(_Setting), required=True)
    system = fields.Dict(keys=Text(), required=True)


class ManifestSchema(StrictSchema):
    """The keys of a manifest beside those that go into a `type: rest` document."""

    vendor = Text(required=True)
    rests_on = fields.Dict(keys=Text(), values=fields.Date(), required=True)
    account = fields.Dict(keys=Text(), values=fields.Nested(_Setting), required=True)
    sign_in = fields.Dict(keys=Text(), values=fields.Nested(_SignIn), load_default={})
    system = fields.Dict(keys=Text(), required=True)
    streams = fields.Dict(keys=Text(), values=fields.Dict(keys=Text()), required=True)


class _Account(Key):
    """Settings of an account: texts, and names of secrets."""

    json_schema = {"type": "object"}  # noqa: RUF012

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise ValidationError(say("This is not a block.", "Write one line a setting."))
        return dict(value)


class VendorSchema(SourceSchema):
    """The keys of a document whose type is a vendor."""

    stream = Text(required=True)
    account = _Account(required=True)
    start = fields.Raw(load_default=None)
    lookback = Length(load_default=None)
    settle = Length(load_default=None)
    omit = PathsField(load_default=None)
    require = PathsField(load_default=None)
    hosts = TextList(load_default=None)
    allow_private = TextList(load_default=None)
    backfill = fields.Raw(load_default=None)
    deleted = fields.Raw(load_default=None)
    """Another way to learn of deletions than the manifest's: `none`, a name that it has for one, or a block."""


@cache
def manifest(vendor: str) -> Mapping[str, Any]:
    """Read a vendor's manifest."""
    written = yaml.safe_load((MANIFESTS / f"{vendor}.yaml").read_text("utf-8"))
    checked: Mapping[str, Any] = ManifestSchema().load(
        {**written, "rests_on": {page: str(day) for page, day in written["rests_on"].items()}}
    )
    return checked


def load(document: Document, *, base: Path) -> RestSource:  # noqa: ARG001 - it has no paths, other sources do
    """Give the source that a document declares. Raises ConfigError, its faults at the keys of the document."""
    validate(VendorSchema(), document)
    known = manifest(str(document["type"]))
    if document["stream"] not in known["streams"]:
        what = f"{known['vendor']} has no stream {document['stream']!r} here."
        raise ConfigError([Fault(("stream",), what, nearest(document["stream"], known["streams"]))])
    known = _signed_in(known, document["account"])
    if faults := list(_account_faults(known, document["account"])):
        raise ConfigError(faults)
    full = _full(known, document)
    try:
        data = validate(RestSchema(), full)
    except ConfigError as err:
        raise ConfigError([_as_written(fault, document) for fault in err.faults]) from err
    return replace(rest.source(data, full), zone_key=_zone_key(known["streams"][document["stream"]]))


def _zone_key(declared: Mapping[str, Any]) -> tuple[str, str] | None:
    """Give where a document says the zone of the stream's times: it has no cursor of its own, but perhaps a setting."""
    setting = re.fullmatch(r"\{account\.(\w+)\}", declared.get("cursor", {}).get("timezone", ""))
    return ("account", setting[1]) if setting else None


def _signed_in(known: Mapping[str, Any], account: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the manifest with the settings and keys of the way to sign in that the account names."""
    ways = known["sign_in"]
    if not ways:
        return known
    way = account.get("sign_in", next(iter(ways)))
    if way not in ways:
        what = f"There is no way to sign in called {way!r} here."
        raise ConfigError([Fault(("account", "sign_in"), what, nearest(str(way), ways))])
    mine = {**known["account"], **ways[way]["account"]}
    return {**known, "account": mine, "system": {**known["system"], **ways[way]["system"]}, "way": way}


def _as_written(fault: Fault, document: Document) -> Fault:
    """Give a fault the place that it has in the document: what goes into the cursor stands at its top there."""
    inside = fault.path[0] == "cursor" and len(fault.path) > 1 and fault.path[1] in document
    return replace(fault, path=fault.path[1:]) if inside else fault


def _full(known: Mapping[str, Any], document: Document) -> dict[str, Any]:
    """Write the document of type `rest` that this one stands for."""
    declared = copy.deepcopy(known["streams"][document["stream"]])
    defaults = {name: setting["default"] for name, setting in known["account"].items()} | declared.pop("defaults", {})
    stream = fill({**known["system"], **declared}, dict(_slots({**defaults, **document["account"]})))
    deletions = {"none": None, **stream.pop("deletions", {})}
    cursor = {key: document[key] for key in ("start", "lookback", "settle") if key in document}
    if cursor and "cursor" not in stream:
        key = next(iter(cursor))
        what = f"The stream {document['stream']!r} has no times that it is asked by, so there is no {key!r}."
        raise ConfigError([Fault((key,), what, "Take the line out.")])
    own = {key: document[key] for key in OWN if key in document}
    if isinstance(own.get("deleted"), str):
        if own["deleted"] not in deletions:
            what = f"There is no way to learn of deletions called {own['deleted']!r} here."
            raise ConfigError([Fault(("deleted",), what, nearest(own["deleted"], deletions))])
        own["deleted"] = deletions[own["deleted"]]
    lists = {key: [*stream.get(key, []), *_listed(document.get(key))] for key in ("omit", "require", "hosts")}
    full = {
        **stream,
        **own,
        **{key: value for key, value in lists.items() if value},
        **({"cursor": {**stream["cursor"], **cursor}} if cursor else {}),
    }
    return {key: value for key, value in full.items() if key != "deleted" or value is not None}


OWN = ("kind", "name", "title", "type", "every", "allow_private", "backfill", "deleted")
"""What a document says in place of the manifest, beside what goes into the cursor and into lists."""


def _slots(account: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in account.items():
        yield f"account.{name}", value
        if isinstance(value, str):
            yield f"account.{name}.list", [part.strip() for part in value.split(",") if part.strip()]


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return [] if value is None else value if isinstance(value, list) else [value]


def _account_faults(known: Mapping[str, Any], account: Mapping[str, Any]) -> Iterator[Fault]:
    settings = known["account"]
    for name in account:
        if name == "sign_in" and known["sign_in"]:
            continue
        others = [way for way, has in known["sign_in"].items() if name in has["account"]]
        if name not in settings and others:
            what = f"{name!r} does not belong to `sign_in: {known['way']}`."
            yield Fault(("account", name), what, f"Write `sign_in: {others[0]}`, or take the line out.")
        elif name not in settings:
            yield Fault(("account", name), f"There is no key {name!r} here.", nearest(str(name), settings))
    for name, setting in settings.items():
        if name in account:
            yield from _setting_faults(name, setting, account[name])
        elif setting["default"] is None:
            yield Fault(("account",), f"The setting {name!r} is missing.", f"Add it: {setting['what']}.")


def _setting_faults(name: str, setting: Mapping[str, Any], value: object) -> Iterator[Fault]:
    if setting["pattern"] is not None:
        if not isinstance(value, str) or not re.fullmatch(setting["pattern"], value):
            yield Fault(("account", name), f"{value!r} does not do here.", f"It is {setting['what']}.")
        return
    try:
        SecretField().deserialize(value)
    except ValidationError as err:
        told = err.messages if isinstance(err.messages, list) else next(iter(err.messages.values()))
        text, _, remedy = str(told[0]).partition("\n")
        yield Fault(("account", name), text, remedy)

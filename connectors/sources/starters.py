"""Documents to begin with: what a person fills in, with a word on each line.

What is left empty is refused with its line until it is filled in, so that nothing is pulled from a place that nobody
meant.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.documents import ConnectorSchema, check_kind, nearest, validate
from connectors.errors import ConfigError, Fault
from connectors.secrets import SecretName
from connectors.sources import vendors

_HEAD = """\
# Fill in what is empty, then: lrs-bridge source validate FILE, and lrs-bridge source check {name}
# While a line is empty this file is refused, and with it every change of other documents: what was in force stays so.
kind: source
name: {name}
title: {title}
type: {type}
every: 1h                             # how often it is pulled: 10s to 31d
"""

_GENERIC: Mapping[str, str] = {
    "csv": """\
path:                                 # fill in: from this file's folder, as data/tickets.csv; or https://...
delimiter: ","
key: []                               # fill in: the columns that name a record, as [number]
# cursor: [changed_at]                # the columns that order the versions of a record; declared below
# columns:
#   changed_at: {{type: datetime, timezone: UTC}}
""",
    "json": """\
path:                                 # fill in: from this file's folder, as export/users.json; or https://...
# records: items                      # where the list stands; left out: the file is the list
key: []                               # fill in: the keys that name a record, as [id]
# cursor: [changed_at]                # the keys that order the versions of a record; declared below
# columns:
#   changed_at: {{type: datetime}}
""",
    "rest": """\
base_url:                             # fill in: as https://help.example.com/api/v2
auth:                                 # none | basic | bearer | api_key | client_credentials | ...
  type: bearer
  token: {{secret: {name}-token}}       # set {variable}
request:
  path: /tickets
  params: {{updated_since: "{{low}}", sort: updated_at}}
page: {{type: page, param: page}}       # single | page | offset | link_header | next_url | token | keyset
# records: data.tickets               # where the list stands in the answer; left out: the answer is the list
key: id
cursor:
  field: updated_at                   # the time of the last change
  format: iso                         # iso | iso_ms | iso_us | unix | unix_ms | a pattern such as "%Y-%m-%d %H:%M:%S"
  ordered: true                       # answers come oldest change first
  # start: "2025-01-01T00:00:00Z"     # default: from the beginning
# deleted: {{type: flag, field: status, is: deleted}}
""",
    "sql": """\
url:                                  # fill in: as postgresql://reader@crm-db.example.com:5432/crm
password: {{secret: {name}-password}}   # set {variable}
query:                                # fill in: one select that gives the records
key: id                               # the columns that name a record
cursor:
  field: changed_at                   # a time of the last change, or a number that only grows
  # start: "2025-01-01T00:00:00Z"     # default: from the beginning
# timezone: Europe/Berlin             # of times without an offset
# deleted: {{type: flag, field: is_deleted, is: true}}
""",
    "xapi": """\
endpoint:                             # fill in: what stands before `statements`, as https://lrs.example.com/xapi/
auth: {{type: basic, username: reader, password: {{secret: {name}-token}}}}    # set {variable}
verb:                                 # fill in, as http://adlnet.gov/expapi/verbs/scored; or take out: all statements
# since: "2025-01-01T00:00:00Z"       # default: from the beginning
""",
    "webhook": """\
verify:                               # standard | zendesk | hubspot | intercom | jira | header | basic
  type: header
  header: X-Hook-Secret
  secret: {{secret: {name}-token}}      # set {variable}
completes:                            # fill in: the source whose records are named; or declare `cursor` instead
key: id                               # where what is sent names a record
# records: events                     # where the records stand; left out: what is sent is the record, or a list of them
# only: {{field: type, is: [ticket.updated]}}
""",
    "live_events": """\
# Canvas sends to https://(your LRS_BRIDGE_URL)/live-events/{name}, with "Sign Payload" on.
root_account:                         # fill in: the uuid of your root account, as in /api/v1/accounts/self
hosts: []                             # fill in: the names by which Canvas is called, as [acme.instructure.com]
# home_page: https://acme.instructure.com   # default: the first of hosts
""",
}
"""What comes after the head, by type."""


def write(type_: str, types: Iterable[str], *, name: str | None, stream: str | None) -> str:
    """Give a document of a type as YAML; of a vendor, for one of its streams. Raises ConfigError."""
    check_kind({"kind": "source", "type": type_}, "source", types)
    if type_ in vendors.VENDORS:
        return _of_vendor(type_, name, stream)
    name = _checked(name or f"my-{type_}".replace("_", "-"), type_)
    if stream is not None:
        raise ConfigError([Fault((), f"The type {type_} has no streams.", "Leave the stream out.")])
    # A type that is too much of its own to begin with nothing: README.md has an example of each.
    body = _GENERIC.get(type_, "# connectors/README.md has an example with every key of this type.\n")
    secret = SecretName(f"{name}-{'password' if type_ == 'sql' else 'token'}")
    return _HEAD.format(name=name, title=name, type=type_) + body.format(name=name, variable=secret.variable)


def _of_vendor(vendor: str, name: str | None, stream: str | None) -> str:
    known = vendors.manifest(vendor)
    streams = list(known["streams"])
    stream = stream or streams[0]
    if stream not in streams:
        raise ConfigError([Fault((), f"{known['vendor']} has no stream {stream!r} here.", nearest(stream, streams))])
    name = _checked(name or f"{vendor}-{stream}".replace("_", "-"), vendor)
    lines = [
        _HEAD.format(name=name, title=f'"{stream.replace("_", " ").capitalize()} ({known["vendor"]})"', type=vendor),
        f"# Streams: {', '.join(streams)}. One document each.\nstream: {stream}\n",
        "account:\n",
        *_settings(vendor, known["account"]),
    ]
    ways: Mapping[str, Any] = known["sign_in"]
    for place, (way, has) in enumerate(ways.items()):
        if len(ways) > 1:
            lines.append(f"  {'' if place == 0 else '# '}sign_in: {way}\n")
        lines += _settings(vendor, has["account"], commented=place > 0)
    lines.append('# start: "2025-01-01T00:00:00Z"       # from when on; default: from the beginning\n')
    lines.append("# backfill: {slice: 30d}              # begin at the present, and read the past beside it\n")
    return "".join(lines)


def _settings(vendor: str, settings: Mapping[str, Any], *, commented: bool = False) -> Iterator[str]:
    for name, setting in settings.items():
        begin = "  # " if commented or setting["default"] is not None else "  "
        if setting["pattern"] is None:
            secret = SecretName(f"{vendor}-{name}".replace("_", "-"))
            yield f"  # {setting['what']}\n{begin}{name}: {{secret: {secret.name}}}    # set {secret.variable}\n"
        elif setting["default"] is not None:
            yield f"  # {setting['what']}\n{begin}{name}: {setting['default']!r}\n"
        else:
            yield f"{begin}{name}:    # fill in: {setting['what']}\n"


def _checked(name: str, type_: str) -> str:
    """Give a name that does as one; raises ConfigError."""
    validate(ConnectorSchema(), {"kind": "source", "name": name, "type": type_})
    return name

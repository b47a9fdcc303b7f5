"""A destination that is another LRS: it takes findings as statements, and statements that are forwarded."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, validates_schema

from connectors import http, lrs
from connectors.destinations.rows import RowDestinationSchema
from connectors.documents import Document, Text, TextList, nearest, say, validate
from connectors.errors import DestinationRefused, SourceRefused
from connectors.reach import Reach
from connectors.secrets import Hidden, SecretName, Secrets
from connectors.sources.choices import Choice
from connectors.sources.xapi import VERSIONS, BasicSchema

log = logging.getLogger(__name__)


class LrsSchema(RowDestinationSchema):
    """The keys of a `type: lrs` document."""

    endpoint = Text(required=True)
    allow_private = TextList(load_default=[])
    auth = Choice({"basic": BasicSchema}, required=True)
    version = Text(load_default=VERSIONS[0])
    site = Text(load_default=None)
    feeds = TextList(load_default=())
    """None unless asked for: statements about people are not for every LRS that takes forwarded ones."""

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what we must not call, and what no LRS understands."""
        if fault := http.url_fault(data["endpoint"]):
            raise ValidationError(say(*fault), "endpoint")
        if data["version"] not in VERSIONS:
            what = f"There is no xAPI {data['version']!r} here."
            raise ValidationError(say(what, nearest(data["version"], VERSIONS)), "version")
        if data["site"] and not urlsplit(data["site"]).scheme:
            raise ValidationError(say(f"{data['site']!r} is no IRI.", "Write it as accounts have it."), "site")


@dataclass(frozen=True, slots=True)
class Lrs:
    """The other LRS."""

    name: str
    title: str
    feeds: tuple[str, ...]
    programs: tuple[str, ...] | None
    site: str | None
    endpoint: str
    allow_private: frozenset[str]
    username: str | SecretName
    password: SecretName
    version: str
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "Lrs":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    @contextmanager
    def writer(self) -> Iterator[lrs.Writer]:
        """Give what posts to it, over one connection."""
        try:
            username, password = (self.reach.secrets.value(one) for one in (self.username, self.password))
            hidden = Hidden()
            hidden.add(password, *([username] if isinstance(self.username, SecretName) else []))
            with http.guarded_session(self.allow_private) as session:
                yield lrs.Writer(
                    session,
                    self.endpoint,
                    username,
                    password,
                    version=self.version,
                    tell=log.info,
                    sleep=self.reach.clock.sleep,
                    hide=hidden.hide,
                )
        except SourceRefused as err:  # of secrets and addresses, which sources share
            raise DestinationRefused(str(err), status=err.status) from err


def load(document: Document, *, base: Path) -> Lrs:  # noqa: ARG001 - it has no paths
    """Give the destination that a document declares. Raises ConfigError."""
    data = validate(LrsSchema(), document)
    return Lrs(
        name=data["name"],
        title=data["title"],
        feeds=tuple(data["feeds"]),
        programs=None if data["programs"] is None else tuple(data["programs"]),
        site=data["site"],
        endpoint=data["endpoint"].rstrip("/") + "/",
        allow_private=frozenset(host.lower() for host in data["allow_private"]),
        username=data["auth"]["username"],
        password=data["auth"]["password"],
        version=data["version"],
    )

"""Where a document says that its files lie: on this machine, on the web, on an SFTP server, in a bucket.

`path` is one file, a folder (with a / at its end) or a pattern, whose last part has * or ?.
"""

import binascii
import fnmatch
import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from marshmallow import ValidationError, post_load, validates_schema

from connectors import http
from connectors.documents import StrictSchema, Text, say
from connectors.reach import Reach
from connectors.secrets import SecretField, SecretName, TextOrSecret
from connectors.sources import buckets, sftp
from connectors.sources.files import LocalStore, Store, WebStore

_SFTP = re.compile(r"sftp://([^/@:]+)@([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?(/.+)")
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.*)")
HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


class Place(Protocol):
    """A kind of place, as the document has it; nothing is opened yet."""

    @property
    def path(self) -> str:
        """The file, folder or pattern, as the place's own store knows it."""

    def store(self, reach: Reach) -> Any:  # noqa: ANN401 - a context manager of a Store
        """Open it."""


@dataclass(frozen=True, slots=True)
class Local:
    """This machine."""

    path: str

    @contextmanager
    def store(self, reach: Reach) -> Iterator[Store]:  # noqa: ARG002 - needs nothing of it
        """Open it."""
        yield LocalStore()


@dataclass(frozen=True, slots=True)
class Web:
    """A web address."""

    path: str
    allow_private: frozenset[str]

    @contextmanager
    def store(self, reach: Reach) -> Iterator[Store]:  # noqa: ARG002 - needs nothing of it
        """Open it."""
        yield WebStore(self.allow_private)


@dataclass(frozen=True, slots=True)
class Sftp:
    """An SFTP server."""

    user: str
    host: str
    port: int
    path: str
    host_key: str
    password: SecretName | None
    private_key: SecretName | None

    @contextmanager
    def store(self, reach: Reach) -> Iterator[sftp.SftpStore]:
        """Log in."""
        secrets = [reach.secrets.value(one) if one else None for one in (self.password, self.private_key)]
        password, key = secrets
        with sftp.connected(sftp.Login(self.host, self.port, self.user, self.host_key, password, key)) as store:
            yield store


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of a store that speaks S3."""

    bucket: str
    path: str
    endpoint: str
    region: str
    access_key_id: str | SecretName | None
    secret_access_key: SecretName | None
    allow_private: frozenset[str]

    @contextmanager
    def store(self, reach: Reach) -> Iterator[buckets.BucketStore]:
        """Get ready to ask."""
        credentials = None
        if self.access_key_id and self.secret_access_key:
            values = (reach.secrets.value(one) for one in (self.access_key_id, self.secret_access_key))
            credentials = buckets.Credentials(*values)
        with http.guarded_session(self.allow_private) as web:
            yield buckets.BucketStore(
                web,
                endpoint=self.endpoint,
                region=self.region,
                bucket=self.bucket,
                credentials=credentials,
                clock=reach.clock,
            )


class SftpSchema(StrictSchema):
    """`access` of an SFTP server: `{host_key: ssh-ed25519 AAAA..., password: {secret: name}}`, or `private_key`."""

    host_key = Text(required=True)
    password = SecretField(load_default=None)
    private_key = SecretField(load_default=None)

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what no server could be known by, or nobody let in by."""
        kind, _, written = data["host_key"].partition(" ")
        try:
            known = kind in HOST_KEYS and b64decode(written, validate=True)
        except binascii.Error:
            known = False
        if not known:
            remedy = "Write the type and the key, as `ssh-keyscan` tells them: ssh-ed25519 AAAA..."
            raise ValidationError(say("This is not the key of a server.", remedy), "host_key")
        if data["password"] is None and data["private_key"] is None:
            raise ValidationError(say("Nobody is let in without one.", "Add `password` or `private_key`."), "password")


class BucketSchema(StrictSchema):
    """`access` of a bucket: `{endpoint: ..., region: ..., access_key_id: ..., secret_access_key: {secret: name}}`."""

    endpoint = Text(load_default=None)
    region = Text(load_default="us-east-1")
    access_key_id = TextOrSecret(load_default=None)
    secret_access_key = SecretField(load_default=None)

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse an address that we must not call, and half a login."""
        if data["endpoint"] and (fault := http.url_fault(data["endpoint"])):
            raise ValidationError(say(*fault), "endpoint")
        if (data["access_key_id"] is None) != (data["secret_access_key"] is None):
            what = "These two belong together."
            raise ValidationError(say(what, "Write both, or for a public bucket neither."), "secret_access_key")

    @post_load
    def default_endpoint(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Go to Amazon where nothing is said."""
        return {**data, "endpoint": data["endpoint"] or f"https://s3.{data['region']}.amazonaws.com"}


ACCESS: Mapping[str, type[StrictSchema]] = {"sftp": SftpSchema, "s3": BucketSchema}
"""What `access` says, by the scheme of `path`."""


def place(
    path: str, access: object, base: Path, allow_private: Collection[str], *, example: str = "folder/file.csv"
) -> Place:
    """Give where the files are; a path without a scheme starts at `base`. Raises ValidationError.

    `example` is what the message shows of a path that does not do.
    """
    scheme = path.partition("://")[0] if "://" in path else ""
    if access is not None and scheme not in ACCESS:
        what = "There is nothing to log in to."
        raise ValidationError(say(what, "Take it out: it is for sftp:// and s3://."), "access")
    allowed = frozenset(host.lower() for host in allow_private)
    match scheme:
        case "":
            # Where a folder is meant, the / at its end is part of what is said.
            return Local(f"{base / path}/" if path.endswith("/") else str(base / path))
        case "sftp":
            user, host, port, within = _parts(_SFTP, path, f"sftp://user@host/{example}")
            if int(port or 22) > 65535:
                raise ValidationError(say(f"There is no port {port}.", "Write one up to 65535."), "path")
            within = within.removeprefix("/~/") if within.startswith("/~/") else within
            return Sftp(user, host.strip("[]"), int(port or 22), within, **_access(scheme, access))
        case "s3":
            bucket, within = _parts(_S3, path, f"s3://bucket/{example}")
            return Bucket(bucket, within, **_access(scheme, access), allow_private=allowed)
    if fault := http.url_fault(path):
        raise ValidationError(say(*fault), "path")
    return Web(path, allowed)


def _parts(form: re.Pattern[str], path: str, example: str) -> tuple[Any, ...]:
    found = form.fullmatch(path)
    if found is None:
        scheme = path.partition("://")[0]
        # Not repeated: somebody may have put a password into it.
        raise ValidationError(say(f"This is no {scheme}:// address.", f"Write it like {example}."), "path")
    return found.groups()


def _access(scheme: str, access: object) -> dict[str, Any]:
    if access is not None and not isinstance(access, Mapping):
        raise ValidationError(say("This is not a block.", "Write one line a key."), "access")
    try:
        loaded: dict[str, Any] = ACCESS[scheme]().load(access or {})
    except ValidationError as err:
        raise ValidationError({"access": err.messages}) from err
    return loaded


def is_many(path: str) -> bool:
    """Tell whether a path stands for several files; a web address never does."""
    name = path.rpartition("/")[2]
    return not path.startswith(("https://", "http://")) and (not name or "*" in name or "?" in name)


def folder_and_pattern(path: str) -> tuple[str, re.Pattern[str]]:
    """Give the folder and what the names in it must be like; hidden files are never meant."""
    folder, _, name = path.rpartition("/")
    shape = fnmatch.translate((name or "*").replace("[", "[[]"))
    return folder or ("/" if path.startswith("/") else ""), re.compile(rf"(?!\.){shape}")


def ending(path: str) -> str:
    """Give the path without what a web address asks for behind it."""
    return urlsplit(path).path if path.startswith(("https://", "http://")) else path

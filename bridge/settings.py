"""Every setting there is, and the only place that reads the environment.

`Settings.VARIABLES` names them; the README's table is checked against it by a test.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from bridge.errors import SettingsError

PACKAGE = Path(__file__).resolve().parent
NEW_TOKEN_KEY = "openssl rand -base64 32"  # noqa: S105 - a command
"""What a person types to make a key for tokens."""
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
"""32 bytes in URL-safe base64: https://github.com/fernet/spec/blob/master/Spec.md"""


def shipped(folder: str) -> Path:
    """Give a folder that ships with lrs-bridge: `mappings` or `migrations`.

    A wheel carries them inside the package, a checkout beside it.
    """
    installed = PACKAGE / "shipped" / folder
    return installed if installed.is_dir() else PACKAGE.parent / folder


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a process must know before it starts; made once, passed on, never changed."""

    database_url: str = field(repr=False)
    """SQLAlchemy URL of a PostgreSQL 14 or newer; `postgresql://` and `postgres://` are read as psycopg 3."""
    redis_url: str = field(repr=False)
    """URL of a Redis 6.2 or newer or a Valkey."""
    secret_key: str | None = field(default=None, repr=False)
    """Keys the hashes of credentials and signs login cookies. None: one is made once and kept in the database."""
    token_keys: tuple[str, ...] = field(default=(), repr=False)
    """Fernet keys that tokens of sources are kept with: the first encrypts, all decrypt. None: no token is kept."""
    mappings: tuple[Path, ...] = ()
    """Folders of YAML documents, read after the shipped ones; later ones win."""
    data_dir: Path = Path("lrs-bridge-data")
    """Where `up` keeps its servers, and where relative paths of destinations start."""
    public_url: str = "http://127.0.0.1:8080"
    """How others reach this server; it names our authority in statements and makes links."""
    max_body_bytes: int = 64 * 1024 * 1024
    """A larger request is refused with 413."""
    refused_max_bytes: int = 100 * 1024 * 1024
    """So much of what a credential sent and was refused is kept, to be replayed."""
    refused_max_days: int = 90
    """And so long."""
    attachments: str | None = None
    """Path, or URL such as s3://bucket/folder, where large attachments lie. None: in the database, as the others."""
    log_level: str = "INFO"
    oidc_issuer: str | None = None
    """URL of an OpenID provider whose bearer tokens are taken beside HTTP Basic. None: none are."""
    oidc_audience: str | None = None
    """What its tokens must name as their audience: this server."""
    oidc_jwks_url: str | None = None
    """Where its keys are. None: asked of the provider."""
    oidc_scope_claim: str = "scope"
    """The claim with the xAPI scopes: a text with spaces, or a list."""
    oidc_name_claim: str = "client_id"
    """The claim that says whose a token is, for people; without it the subject stands."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "database_url": "DATABASE_URL",
        "redis_url": "REDIS_URL",
        "secret_key": "LRS_BRIDGE_SECRET_KEY",
        "token_keys": "LRS_BRIDGE_TOKEN_KEYS",
        "mappings": "LRS_BRIDGE_MAPPINGS",
        "data_dir": "LRS_BRIDGE_DATA_DIR",
        "public_url": "LRS_BRIDGE_URL",
        "max_body_bytes": "LRS_BRIDGE_MAX_BODY_BYTES",
        "refused_max_bytes": "LRS_BRIDGE_REFUSED_MAX_BYTES",
        "refused_max_days": "LRS_BRIDGE_REFUSED_MAX_DAYS",
        "attachments": "LRS_BRIDGE_ATTACHMENTS",
        "log_level": "LRS_BRIDGE_LOG_LEVEL",
        "oidc_issuer": "LRS_BRIDGE_OIDC_ISSUER",
        "oidc_audience": "LRS_BRIDGE_OIDC_AUDIENCE",
        "oidc_jwks_url": "LRS_BRIDGE_OIDC_JWKS_URL",
        "oidc_scope_claim": "LRS_BRIDGE_OIDC_SCOPE_CLAIM",
        "oidc_name_claim": "LRS_BRIDGE_OIDC_NAME_CLAIM",
    }

    @property
    def shown_url(self) -> str | None:
        """Where people elsewhere reach this server; None where nobody has said."""
        return None if self.public_url == type(self).public_url else self.public_url

    @classmethod
    def from_env(cls) -> "Settings":
        """Read the process's environment; raises SettingsError naming the variable and what to write."""
        return cls.from_mapping(os.environ)

    @classmethod
    def from_mapping(cls, env: Mapping[str, str]) -> "Settings":
        """Read settings from variables; an empty variable counts as not set."""
        values = {name: env[variable] for name, variable in cls.VARIABLES.items() if env.get(variable)}
        for name in ("database_url", "redis_url"):
            if name not in values:
                raise SettingsError(
                    f"{cls.VARIABLES[name]} is not set. Set DATABASE_URL and REDIS_URL to servers of your own, "
                    "or run `lrs-bridge up`, which starts its own."
                )
        issuer, audience = _provider(values)
        return cls(
            database_url=_psycopg(values["database_url"]),
            redis_url=_broker(values["redis_url"]),
            secret_key=values.get("secret_key"),
            token_keys=_token_keys(values.get("token_keys", "")),
            mappings=named_folders(env),
            data_dir=Path(values.get("data_dir", cls.data_dir)),
            public_url=values.get("public_url", cls.public_url).rstrip("/"),
            max_body_bytes=_whole_number("max_body_bytes", values, "bytes"),
            refused_max_bytes=_whole_number("refused_max_bytes", values, "bytes"),
            refused_max_days=_whole_number("refused_max_days", values, "days"),
            attachments=_attachments(values.get("attachments")),
            log_level=_log_level(values.get("log_level", cls.log_level)),
            oidc_issuer=issuer,
            oidc_audience=audience,
            oidc_jwks_url=values.get("oidc_jwks_url"),
            oidc_scope_claim=values.get("oidc_scope_claim", cls.oidc_scope_claim),
            oidc_name_claim=values.get("oidc_name_claim", cls.oidc_name_claim),
        )

    def to_mapping(self) -> dict[str, str]:
        """Give the variables that make the same settings in a child process."""
        values = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "secret_key": self.secret_key or "",
            "token_keys": ",".join(self.token_keys),
            "mappings": os.pathsep.join(str(path) for path in self.mappings),
            "data_dir": str(self.data_dir),
            "public_url": self.public_url,
            "max_body_bytes": str(self.max_body_bytes),
            "refused_max_bytes": str(self.refused_max_bytes),
            "refused_max_days": str(self.refused_max_days),
            "attachments": self.attachments or "",
            "log_level": self.log_level,
            "oidc_issuer": self.oidc_issuer or "",
            "oidc_audience": self.oidc_audience or "",
            "oidc_jwks_url": self.oidc_jwks_url or "",
            "oidc_scope_claim": self.oidc_scope_claim,
            "oidc_name_claim": self.oidc_name_claim,
        }
        return {self.VARIABLES[name]: value for name, value in values.items()}

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder of documents in the order in which they are read."""
        return document_folders(self.mappings, self.data_dir)


def document_folders(named: tuple[Path, ...], data_dir: Path) -> tuple[Path, ...]:
    """Give the shipped folder, the one in the data directory if it is there, and the named ones."""
    own = own_documents(data_dir)
    return (shipped("mappings"), *([own] if own.is_dir() else []), *named)


def own_documents(data_dir: Path) -> Path:
    """Give the folder in which commands put documents when no other is named."""
    return data_dir / "mappings"


def named_folders(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Give the folders of documents that the environment names."""
    return tuple(Path(part) for part in env.get(Settings.VARIABLES["mappings"], "").split(os.pathsep) if part)


def environment() -> dict[str, str]:
    """Give a copy of the process's environment, to hand on to a child process."""
    return dict(os.environ)


def has_servers(env: Mapping[str, str]) -> bool:
    """Tell whether the user's own servers are named; one of the two alone is a mistake worth a word."""
    named = [bool(env.get(variable)) for variable in ("DATABASE_URL", "REDIS_URL")]
    if any(named) and not all(named):
        raise SettingsError("Set both DATABASE_URL and REDIS_URL, or neither (then `up` starts its own servers).")
    return all(named)


def _psycopg(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise SettingsError(f"DATABASE_URL must be a postgresql:// URL{_instead_of(url)}.")
    return f"postgresql+psycopg://{rest}"


def _broker(url: str) -> str:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError(f"REDIS_URL must be a redis://, rediss:// or unix:// URL{_instead_of(url)}.")
    return url


def _instead_of(url: str) -> str:
    """Name the wrong scheme, and nothing else of the URL: it may hold a password."""
    scheme, separator, _ = url.partition("://")
    return f", not {scheme}://" if separator else ""


def _token_keys(text: str) -> tuple[str, ...]:
    """Give the keys, of either base64; what is no key is named by its place, for it may be half of one."""
    keys = tuple(key.strip().replace("+", "-").replace("/", "_") for key in text.split(",") if key.strip())
    for place, key in enumerate(keys, 1):
        if not _FERNET_KEY.fullmatch(key):
            raise SettingsError(
                f"Key {place} in LRS_BRIDGE_TOKEN_KEYS is none: it must be 32 random bytes in base64. "
                f"`{NEW_TOKEN_KEY}` makes one."
            )
    return keys


def _whole_number(name: str, values: Mapping[str, str], unit: str) -> int:
    text = values.get(name, str(getattr(Settings, name)))
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{Settings.VARIABLES[name]} must be a whole number of {unit} above 0, not {text!r}.")
    return int(text)


def _attachments(place: str | None) -> str | None:
    scheme, separator, _ = (place or "").partition("://")
    if separator and scheme not in {"s3", "gs", "az"}:
        raise SettingsError("LRS_BRIDGE_ATTACHMENTS must be a path or an s3://, gs:// or az:// URL.")
    if separator and find_spec("obstore") is None:
        raise SettingsError("LRS_BRIDGE_ATTACHMENTS is a URL: install lrs-bridge[s3], or name a path.")
    return place


def _log_level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise SettingsError(f"LRS_BRIDGE_LOG_LEVEL must be one of {', '.join(levels)}, not {text!r}.")
    return text.upper()


def _provider(values: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Give issuer and audience: without an audience, tokens that were made for other servers would be taken here."""
    issuer, audience = values.get("oidc_issuer"), values.get("oidc_audience")
    if bool(issuer) != bool(audience):
        raise SettingsError("Set both LRS_BRIDGE_OIDC_ISSUER and LRS_BRIDGE_OIDC_AUDIENCE, or neither.")
    for name in ("oidc_issuer", "oidc_jwks_url"):
        if name in values and not values[name].startswith(("https://", "http://")):
            raise SettingsError(f"{Settings.VARIABLES[name]} must be an https:// URL.")
    return issuer, audience

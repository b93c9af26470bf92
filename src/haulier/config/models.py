"""What the rest of the program holds of its configuration: frozen, validated, without pydantic.

:func:`haulier.config.layers.load_config` makes a :class:`Config`; tests and hosts may also make one directly. Every
field tells its help text, range and default in its metadata, from which the validation, the schema, ``haulier config
show`` and the starter file are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "BackendConfig",
    "Config",
    "PluginsConfig",
    "UploadConfig",
    "WatchConfig",
    "default_state_dir",
    "setting",
]

DeleteProof = Literal["", "acknowledged", "size", "content"]

_MIB = 1024 * 1024
_DAY = 86400.0


def setting(
    default: Any = None,
    *,
    text: str,
    factory: Callable[[], Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    size: bool = False,
    default_text: str = "",
) -> Any:
    """Describe one field of a configuration dataclass.

    Args:
        default: Its default, unless ``factory`` is given.
        text: Help for people, one sentence.
        factory: Makes the default.
        minimum: Least number allowed.
        maximum: Greatest number allowed.
        size: A number of bytes that may be written as a text such as ``"64MiB"``.
        default_text: Says what the default is when it is no constant.
    """
    metadata = {"help": text, "minimum": minimum, "maximum": maximum, "size": size, "default_text": default_text}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def default_state_dir() -> Path:
    """The platform's folder for the state of this user's programs. Creates nothing."""
    import platformdirs

    return Path(platformdirs.user_state_dir("haulier", appauthor=False))


@dataclass(frozen=True, slots=True)
class UploadConfig:
    """The table ``[upload]``. Durations are seconds, sizes bytes. The fields' help texts document them."""

    enabled: bool = setting(True, text="Whether anything is uploaded at all.")
    backend: str = setting(
        "",
        text="Name of the backend that tasks go to: one of the tables below [backends].",
        default_text="the only backend, when there is exactly one",
    )
    also: tuple[str, ...] = setting(
        (),
        text="Names of further backends that every file goes to as well; its source goes when all have proof.",
    )
    state_dir: Path = setting(  # noqa: RUF009 - makes a field
        factory=default_state_dir,
        text="Local folder of the journal: the durable queue and the receipts.",
        default_text="the platform's folder for state",
    )
    auto_upload: bool = setting(
        False,
        text="Take what appears in the watched folders.",
        default_text="true when watch.paths is set",
    )
    upload_timeout: float = setting(
        60.0,
        text="Seconds of silence, in either direction, after which a socket operation is given up; "
        "the upload as a whole has no limit.",
        minimum=0.1,
        maximum=_DAY,
    )
    max_retries: int = setting(3, text="Retries of a task after its first try.", minimum=0, maximum=1000)
    max_concurrent_uploads: int = setting(
        2, text="Tasks uploaded at the same time, to each backend.", minimum=1, maximum=64
    )
    delete_after_upload: bool = setting(
        False, text="Delete the source once its receipt shows at least the proof named by delete_proof."
    )
    delete_proof: DeleteProof = setting(  # noqa: RUF009 - makes a field
        "",
        text="Least proof of arrival before a source is deleted: content, size or acknowledged.",
        default_text="the strongest the backend offers",
    )
    sidecar_grace: float = setting(
        _DAY,
        text="Seconds after its newest media file for which a sidecar is kept in case another segment follows.",
        minimum=0,
        maximum=366 * _DAY,
    )
    upload_older_recordings: bool = setting(
        True, text="Also take files that lay in the watched folders before the program started."
    )
    max_file_age_days: int = setting(
        30,
        text="Age in days, by modification time, beyond which watched folders' files are left alone; "
        "`send` and `scan` take them all the same.",
        minimum=1,
        maximum=36500,
    )
    commit_timeout: float = setting(
        600.0,
        text="Seconds a commit may take before its answer counts as lost and the destination is asked.",
        minimum=0.1,
        maximum=_DAY,
    )
    memory_budget: int = setting(
        64 * _MIB,
        text="Bytes of file content held in memory at most, by all uploads together.",
        minimum=64 * 1024,
        maximum=1024**4,
        size=True,
    )
    part_size: int = setting(
        8 * _MIB,
        text="Bytes of a part; a backend's own limits may change it.",
        minimum=1024,
        maximum=5 * 1024**3,
        size=True,
    )
    key_template: str = setting(
        "{mtime:%Y/%m/%d}/{id16}/{name}",
        text="How an object's key is made of the item: modification time, identity and file name.",
    )


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """The table ``[watch]``. Durations are seconds."""

    paths: tuple[Path, ...] = setting((), text="Folders whose new files are uploaded.")
    settle_seconds: float = setting(
        10.0,
        text="Seconds that size and modification time of a file must have stood still before it counts as whole.",
        minimum=0,
        maximum=_DAY,
    )
    interval_seconds: float = setting(
        30.0, text="Seconds between two scans of the watched folders.", minimum=0.1, maximum=_DAY
    )


@dataclass(frozen=True, slots=True)
class PluginsConfig:
    """The table ``[plugins]``."""

    files: tuple[Path, ...] = setting((), text="Python files that are loaded as plugins.")
    allow: tuple[str, ...] = setting(
        (), text="Names of the installed plugins that may be loaded.", default_text="all that are installed"
    )
    deny: tuple[str, ...] = setting((), text="Names of installed plugins that are not loaded.")
    strict: bool = setting(False, text="Stop at the first plugin that cannot be loaded instead of going on without it.")


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """One table ``[backends.NAME]``. :func:`haulier.config.options.build_options` checks it against its type.

    Attributes:
        name: The backend's name.
        type: Its backend type; by default its name.
        options: The rest of the table. May hold secrets in clear, so it is never printed.
        origins: Where each option came from, by its dotted name.
        texts: Options that may be given as text whatever their type, e.g. from the environment.
    """

    name: str
    type: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    texts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration after all layers.

    Attributes:
        upload: Table ``[upload]``.
        watch: Table ``[watch]``.
        backends: Tables ``[backends.NAME]`` by name.
        plugins: Table ``[plugins]``.
        origins: Where each value came from, by dotted path: ``default``, a file, ``environment NAME`` or ``argument``.
        warnings: What the user should know, each a sentence; never holds a secret.
        path: The configuration file, or None.
    """

    upload: UploadConfig = field(default_factory=UploadConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    backends: Mapping[str, BackendConfig] = field(default_factory=dict)
    plugins: PluginsConfig = field(default_factory=PluginsConfig)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def base_dir(self) -> Path | None:
        """The folder that relative paths in backend tables refer to; None without a file."""
        return None if self.path is None else self.path.parent

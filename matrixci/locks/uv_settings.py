"""Index settings of uv's configuration files, and the settings of uv that matrixci ignores.

uv runs without the configuration that it would discover by itself. Otherwise a lock would depend
on the working directory and on variables that no run records.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w
import tomllib

from matrixci.errors import UsageError
from matrixci.locks.pip_settings import ignored_in_files

INDEX_KEYS: Final = (
    "index",
    "index-url",
    "extra-index-url",
    "index-strategy",
    "keyring-provider",
    "native-tls",
    "system-certs",
    "allow-insecure-host",
)
"""Keys of index settings. `find-links` is left out: an image build cannot read local folders."""

# Variables of the resolver's process besides the index settings: files, certificates, cache and
# the helpers of a keyring.
_INHERITED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TMPDIR|TEMP|TMP|NETRC|RUST_LOG|XDG_\w+"
    r"|SSL_(CERT_FILE|CERT_DIR|CLIENT_CERT)|DBUS_SESSION_BUS_ADDRESS|GOOGLE_APPLICATION_CREDENTIALS"
    r"|UV_(CACHE_DIR|NO_CACHE|CONCURRENT_\w+)"
)
# Variables that make uv and pip choose other releases or build a different wheel.
_IGNORED: Final = re.compile(
    r"UV_(PRERELEASE|RESOLUTION|FORK_STRATEGY|EXCLUDE_NEWER\w*|CONSTRAINT|OVERRIDE|EXCLUDE"
    r"|BUILD_CONSTRAINT|NO_BINARY\w*|NO_BUILD\w*|NO_SOURCES\w*|TORCH_BACKEND|FIND_LINKS|NO_INDEX"
    r"|OFFLINE|REQUIRE_HASHES|NO_DEPS|PYTHON_PLATFORM)"
    r"|PIP_(PRE|CONSTRAINT|BUILD_CONSTRAINT|UPLOADED_PRIOR_TO|NO_BINARY|ONLY_BINARY|PREFER_BINARY"
    r"|REQUIRE_HASHES|NO_BUILD_ISOLATION|CONFIG_SETTINGS)"
)


def inherited_environment() -> dict[str, str]:
    """Return the variables that the resolver's process inherits besides the index settings."""
    return {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}


def index_config() -> str:
    """Return a uv.toml with the index settings of the user and the system, or an empty text.

    Raises:
        UsageError: a configuration file is not valid TOML or cannot be read.
    """
    settings: dict[str, Any] = {}
    for path in _config_files():
        config = _read(path)
        for table in (config, config.get("pip", {})):
            settings |= {key: table[key] for key in INDEX_KEYS if key in table}
    return tomli_w.dumps(settings)


def ignored_settings(folder: Path) -> list[str]:
    """Return the settings of uv that matrixci ignores.

    Args:
        folder: the working directory, in which uv would look for a project.
    """
    names = sorted(name for name, value in os.environ.items() if value and _IGNORED.fullmatch(name))
    found = [f"${name}" for name in names]
    found += [
        f"{', '.join(others)} in {path}"
        for path in _config_files()
        if (others := sorted(_other_keys(_read(path))))
    ]
    return [*found, *ignored_in_files(), *[*_project_settings(folder)][:1]]


def _other_keys(config: Mapping[str, Any]) -> Iterator[str]:
    pip = config.get("pip", {})
    yield from (key for key in config if key not in (*INDEX_KEYS, "pip"))
    yield from (f"pip.{key}" for key in pip if key not in INDEX_KEYS)


def _project_settings(folder: Path) -> Iterator[str]:
    """Yield the uv configuration of a folder and its parents, skipping unreadable files."""
    for parent in (folder, *folder.parents):
        if (parent / "uv.toml").is_file():
            yield str(parent / "uv.toml")
        project = parent / "pyproject.toml"
        try:
            tool = tomllib.loads(project.read_text(encoding="utf-8")).get("tool", {})
        except (OSError, ValueError):
            continue
        if isinstance(tool, dict) and tool.get("uv"):
            yield f"[tool.uv] in {project}"


def _config_files() -> list[Path]:
    """Return the files of the system and of the user in increasing precedence."""
    if named := os.environ.get("UV_CONFIG_FILE"):
        named_path = Path(named).expanduser()
        return [named_path] if named_path.is_file() else []
    system = [Path(each) / "uv/uv.toml" for each in _system_folders()]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    first = next((path for path in (*system, Path("/etc/uv/uv.toml")) if path.is_file()), None)
    user = home / "uv/uv.toml"
    return [path for path in (first, user) if path is not None and path.is_file()]


def _system_folders() -> list[str]:
    return [each for each in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if each]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"uv's configuration file {path} cannot be read: {error}"
        raise UsageError(msg) from error

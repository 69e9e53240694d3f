"""pip's index settings, from its configuration files and environment variables.

pip runs without its other settings, such as `pre` and `constraint`. Otherwise a build would depend
on settings that no run records.
"""

import os
import sys
from collections.abc import Iterator
from configparser import Error, RawConfigParser
from pathlib import Path
from typing import Final

from matrixci.errors import UsageError

_KEPT: Final = frozenset(
    {
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "trusted-host",
        "keyring-provider",
        "cert",
        "client-cert",
        "proxy",
        "timeout",
        "default-timeout",
        "retries",
        "cache-dir",
        "no-cache-dir",
    }
)
# Keys that make pip choose other releases or build a different wheel.
_CHOOSING: Final = frozenset(
    {
        "pre",
        "constraint",
        "build-constraint",
        "uploaded-prior-to",
        "no-binary",
        "only-binary",
        "prefer-binary",
        "require-hashes",
        "no-build-isolation",
        "config-settings",
    }
)
# The commands that download; a later section overrides an earlier one.
_SECTIONS: Final = ("global", "download", "install", "wheel")
_FILE: Final = "PIP_CONFIG_FILE"


def configured_settings() -> dict[str, str]:
    """Return the index settings of pip's configuration files as environment variables of pip.

    Raises:
        UsageError: a configuration file is invalid or cannot be read.
    """
    return {
        _variable(key): " ".join(value.split())
        for path in _config_files()
        for key, value in _settings(path)
        if key in _KEPT
    }


def ignored_in_files() -> list[str]:
    """Return the settings in pip's configuration files that matrixci ignores, each with its file.

    Raises:
        UsageError: a configuration file is invalid or cannot be read.
    """
    return [
        f"{key} in {path}"
        for path in _config_files()
        for key, value in _settings(path)
        if key in _CHOOSING or (key == "index-url" and not is_remote(value))
    ]


def is_remote(url: str) -> bool:
    """Return whether a URL is not a local folder, which a build could not reach."""
    return url.startswith(("http://", "https://"))


def pip_environment() -> dict[str, str]:
    """Return the environment of this process, with only the index settings of pip.

    Raises:
        UsageError: a configuration file is invalid or cannot be read.
    """
    kept = {_variable(key) for key in _KEPT}
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") or name in kept
    }
    # The configuration files are passed as variables, so pip must not read them.
    return {**configured_settings(), **ours, _FILE: os.devnull}


def _settings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the keys and values of a file in increasing precedence."""
    config = _read(path)
    for section in _SECTIONS:
        for name, value in config.items(section) if config.has_section(section) else ():
            if value:
                yield name.lower().replace("_", "-"), value


def _variable(key: str) -> str:
    return f"PIP_{key.upper().replace('-', '_')}"


def _config_files() -> Iterator[Path]:
    """Yield the files that pip reads in increasing precedence."""
    named = os.environ.get(_FILE)
    if named == os.devnull:
        return
    home, config = Path.home(), os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    folders = (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    candidates = [*(Path(folder) / "pip/pip.conf" for folder in folders if folder)]
    candidates.append(Path("/etc/pip.conf"))
    by_name = Path(named) if named and Path(named).exists() else None
    if by_name is None:
        candidates += [home / ".pip/pip.conf", Path(config).expanduser() / "pip/pip.conf"]
    candidates.append(Path(sys.prefix) / "pip.conf")
    candidates += [by_name] if by_name else []
    yield from (path for path in candidates if path.is_file())


def _read(path: Path) -> RawConfigParser:
    config = RawConfigParser()
    try:
        config.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, ValueError, Error) as error:
        msg = f"pip's configuration file {path} cannot be read: {error}"
        raise UsageError(msg) from error
    return config

"""Index settings of this machine, for the resolver and for image builds."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from matrixci.locks.pip_settings import configured_settings, is_remote
from matrixci.locks.uv_settings import index_config, inherited_environment
from matrixci.util.redaction import redact

# Variables of uv, pip and their HTTP stacks. Local paths are left out: a build cannot see them.
_PASSED: Final = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|INDEX_\w+_(USERNAME|PASSWORD)"
    r"|KEYRING_PROVIDER|HTTP_TIMEOUT|HTTP_RETRIES|INSECURE_HOST|NATIVE_TLS|SYSTEM_CERTS)"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT|RETRIES)"
    r"|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)


def index_environment() -> dict[str, str]:
    """Return the index settings as environment variables.

    Raises:
        UsageError: a configuration file of pip is invalid or cannot be read.
    """
    settings = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
    configured = configured_settings()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"):
        if name not in settings and (value := _remote(name, configured.get(name, ""))):
            settings[name] = value
    # uv does not read pip's settings, so they are translated for machines that only set those.
    _default(settings, "UV_DEFAULT_INDEX", settings.get("PIP_INDEX_URL"))
    _default(settings, "UV_INDEX", settings.get("PIP_EXTRA_INDEX_URL"))
    # The reverse: one step of an image build uses pip.
    index = settings.get("UV_DEFAULT_INDEX") or settings.get("UV_INDEX_URL", "")
    _default(settings, "PIP_INDEX_URL", re.sub(r"^[\w.-]+=", "", index))  # uv allows NAME=URL
    return settings


def resolver_environment() -> dict[str, str]:
    """Return the complete environment of the resolver's process.

    Raises:
        UsageError: a configuration file of pip is invalid or cannot be read.
    """
    environment = {**inherited_environment(), **index_environment()}
    if bundle := _ca_bundle():
        environment["SSL_CERT_FILE"] = str(bundle)
    return environment


def build_secrets(folder: Path, *, keep_wheels: bool = True) -> dict[str, Path]:
    """Return the secrets of an image build, a mapping of id to file.

    Args:
        folder: receives the files that must be written.
        keep_wheels: the build keeps its wheels in the engine's cache for other builds. Not a
            secret, but passed as one because secrets do not change the cache key of a layer.
    """
    secrets = {}
    if bundle := _ca_bundle():
        secrets["ca"] = bundle
    if netrc := _file(os.environ.get("NETRC")) or _file("~/.netrc"):
        secrets["netrc"] = netrc
    if config := index_config():
        secrets["uv-config"] = _private(folder / "uv.toml", config)
    settings = index_environment()
    if not keep_wheels:
        settings["MATRIXCI_KEEP_WHEELS"] = "no"
    secrets["index"] = _private(folder / "index.sh", _as_shell(settings))
    return secrets


def recorded_settings() -> dict[str, str]:
    """Return the index settings to record in a run.

    Credentials are left out, and so are timeouts and retries, which do not affect a lock.
    """
    settings = {
        name: _shown(name, value)
        for name, value in index_environment().items()
        if not name.endswith(("_TIMEOUT", "_RETRIES"))
    }
    config = index_config()
    return {**settings, **({"uv.toml": redact(config)} if config else {})}


def _shown(name: str, value: str) -> str:
    return "***" if name.endswith(("_USERNAME", "_PASSWORD")) else redact(value)


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _ca_bundle() -> Path | None:
    """Return the certificates from uv's setting, or else from pip's."""
    own = _file(os.environ.get("SSL_CERT_FILE"))
    return own or _file(os.environ.get("PIP_CERT") or configured_settings().get("PIP_CERT"))


def _remote(name: str, value: str) -> str:
    """Return a setting without local folders, which a build cannot see."""
    if not name.endswith("_URL"):
        return value
    return " ".join(url for url in value.split() if is_remote(url))


def _default(settings: dict[str, str], name: str, value: str | None) -> None:
    if value and not any(other in settings for other in _same_as(name)):
        settings[name] = value


def _same_as(name: str) -> tuple[str, ...]:
    old = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
    return (name, old[name]) if name in old else (name,)


def _file(name: str | None) -> Path | None:
    path = Path(name).expanduser() if name else None
    return path if path is not None and path.is_file() else None


def _as_shell(settings: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())

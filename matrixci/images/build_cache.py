"""BuildKit's own cache, kept outside of the engine: what a setting for it means for each build."""

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from matrixci.errors import UsageError
from matrixci.images.buildx import Build

# What keeps the caches of different builds apart in one place. A later export to the same name
# would take the place of the one before.
_NAMES: Final = {
    "gha": "scope",
    "registry": "ref",
    "local": "tag",
    "s3": "name",
    "azblob": "name",
}
_NEEDED: Final = {"registry": "ref", "s3": "bucket", "azblob": "account_url", "local": "dest"}
_SECRET: Final = re.compile(r"secret|token|password|access_key", re.IGNORECASE)
# Said of an export alone.
_EXPORTS: Final = re.compile(
    r"mode|ignore-error|dest|image-manifest|oci-mediatypes|.*compression.*"
)
_GITHUB: Final = "ACTIONS_RUNTIME_TOKEN"
_FAILED: Final = re.compile(
    r"^#(\d+) exporting cache to .*\n(?:.*\n)*?#\1 ERROR: (.*)$", re.MULTILINE
)
_NO_EXPORT: Final = (
    "--build-cache is not used: this engine can't export a build cache, as its images aren't kept "
    'by containerd. Put {"features": {"containerd-snapshotter": true}} into its daemon.json and '
    "restart it, or share images by --registry, which needs none of that"
)
_NO_TOKEN: Final = (
    f"--build-cache is not used: type=gha needs {_GITHUB}, which GitHub gives to actions and not "
    "to commands; an action such as crazy-max/ghaction-github-runtime hands it on"
)


@dataclass(frozen=True, kw_only=True)
class BuildCache:
    """A place for caches, as buildx names it."""

    kind: str
    attributes: Mapping[str, str]

    def apply(self, what: Build, name: str) -> Build:
        """Return a build that takes from the cache of this name, and fills it."""
        named = {**self.attributes, _NAMES[self.kind]: self._named(name)}
        exported = {**named, "mode": "max", "ignore-error": "true"}
        imported = {key: value for key, value in named.items() if not _EXPORTS.fullmatch(key)}
        if self.kind == "local":
            imported["src"] = self.attributes["dest"]
        sources = [*what.cache_from]
        if self.kind != "local" or _has(Path(self.attributes["dest"]), named["tag"]):
            sources.append(self._spec(imported))
        return replace(what, cache_from=sources, cache_to=[*what.cache_to, self._spec(exported)])

    def _named(self, name: str) -> str:
        given = self.attributes.get(_NAMES[self.kind], "")
        if self.kind != "registry":
            return f"{given or 'matrixci'}-{name}"
        has_tag = ":" in given.rpartition("/")[2]
        return f"{given}{'-' if has_tag else ':'}{name}"

    def _spec(self, attributes: Mapping[str, str]) -> str:
        return ",".join(
            [f"type={self.kind}", *(f"{key}={value}" for key, value in attributes.items())]
        )

    def hindrance(self, *, exportable: bool) -> str | None:
        """Return why it can't be used, None where it can.

        Args:
            exportable: whether the engine can export a cache.
        """
        if not exportable:
            return _NO_EXPORT
        return _NO_TOKEN if self.kind == "gha" and not os.environ.get(_GITHUB) else None


def parse_build_cache(text: str) -> BuildCache:
    """Read a setting, as buildx takes it for --cache-to.

    Raises:
        UsageError: it is none, or carries a secret.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    attributes = {key.strip(): value.strip() for key, _, value in pairs}
    kind = attributes.pop("type", "")
    if kind == "local" and "src" in attributes:
        attributes.setdefault("dest", attributes.pop("src"))
    if kind not in _NAMES or not all(attributes.values()) or not _has_needed(kind, attributes):
        msg = (
            f"--build-cache {text} names no place for a build cache.\n"
            "Write type=gha, type=local,dest=FOLDER, type=registry,ref=HOST/REPOSITORY, or what "
            "buildx takes for s3 and azblob."
        )
        raise UsageError(msg)
    if any(_SECRET.search(key) for key in attributes):
        msg = (
            "--build-cache takes no credentials: they would stand in the run's files.\n"
            "Hand them over in the environment, or by docker login."
        )
        raise UsageError(msg)
    return BuildCache(kind=kind, attributes=attributes)


def _has_needed(kind: str, attributes: Mapping[str, str]) -> bool:
    return kind not in _NEEDED or _NEEDED[kind] in attributes


def _has(folder: Path, tag: str) -> bool:
    """Tell whether a local cache has a tag: asked for another one, buildx fails the build."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        name = "org.opencontainers.image.ref.name"
        return any(entry.get("annotations", {}).get(name) == tag for entry in index["manifests"])
    return False


def failed_export(log: str) -> str | None:
    """Return why a cache could not be exported, from the log of a build that went well else."""
    found = _FAILED.search(log)
    return found[2] if found else None


class CacheInUse:
    """The cache of a run; told once where it doesn't work."""

    def __init__(self, cache: BuildCache, say: Callable[[str], None], *, exportable: bool) -> None:
        self._cache = cache
        self._say = say
        hindrance = cache.hindrance(exportable=exportable)
        self._works = hindrance is None
        if hindrance is not None:
            say(hindrance)
        self._told = False

    def apply(self, what: Build, name: str) -> Build:
        """Return a build that uses the cache of this name, where it works."""
        return self._cache.apply(what, name) if self._works else what

    def examine(self, log: Path) -> None:
        """Tell where a cache could not be written, once."""
        if self._works and not self._told:
            text = log.read_text(encoding="utf-8", errors="replace")
            if (failure := failed_export(text)) is not None:
                self._told = True
                self._say(f"--build-cache could not be written: {failure}")

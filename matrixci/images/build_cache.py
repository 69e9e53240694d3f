"""External build cache of BuildKit (--build-cache): the options that each build gets."""

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

# The attribute that names the cache of one build. Each build needs its own: an export replaces an
# earlier one of the same name.
_NAMES: Final = {
    "gha": "scope",
    "registry": "ref",
    "local": "tag",
    "s3": "name",
    "azblob": "name",
}
_NEEDED: Final = {"registry": "ref", "s3": "bucket", "azblob": "account_url", "local": "dest"}
_SECRET: Final = re.compile(r"secret|token|password|access_key", re.IGNORECASE)
# Attributes of exports only.
_EXPORTS: Final = re.compile(
    r"mode|ignore-error|dest|image-manifest|oci-mediatypes|.*compression.*"
)
_GITHUB: Final = "ACTIONS_RUNTIME_TOKEN"
_FAILED: Final = re.compile(
    r"^#(\d+) exporting cache to .*\n(?:.*\n)*?#\1 ERROR: (.*)$", re.MULTILINE
)
_NO_EXPORT: Final = (
    "--build-cache is not used: this engine cannot export a build cache, because it does not store "
    'images in containerd. Set {"features": {"containerd-snapshotter": true}} in its daemon.json '
    "and restart it, or share images with --registry, which does not need that"
)
_NO_TOKEN: Final = (
    f"--build-cache is not used: type=gha needs {_GITHUB}, which GitHub sets for actions but not "
    "for commands; an action such as crazy-max/ghaction-github-runtime passes it on"
)


@dataclass(frozen=True, kw_only=True)
class BuildCache:
    """Location of build caches, as a type and attributes of buildx."""

    kind: str
    attributes: Mapping[str, str]

    def apply(self, build: Build, name: str) -> Build:
        """Return a build that imports and exports the cache of this name."""
        named = {**self.attributes, _NAMES[self.kind]: self._named(name)}
        exported = {**named, "mode": "max", "ignore-error": "true"}
        imported = {key: value for key, value in named.items() if not _EXPORTS.fullmatch(key)}
        if self.kind == "local":
            imported["src"] = self.attributes["dest"]
        sources = [*build.cache_from]
        if self.kind != "local" or _has(Path(self.attributes["dest"]), named["tag"]):
            sources.append(self._spec(imported))
        return replace(build, cache_from=sources, cache_to=[*build.cache_to, self._spec(exported)])

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

    def problem(self, *, exportable: bool) -> str | None:
        """Return why the cache cannot be used, None if it can.

        Args:
            exportable: the engine can export a cache.
        """
        if not exportable:
            return _NO_EXPORT
        return _NO_TOKEN if self.kind == "gha" and not os.environ.get(_GITHUB) else None


def parse_build_cache(text: str) -> BuildCache:
    """Parse the value of --build-cache, in the format of buildx's --cache-to.

    Raises:
        UsageError: it is invalid, or contains credentials.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    attributes = {key.strip(): value.strip() for key, _, value in pairs}
    kind = attributes.pop("type", "")
    if kind == "local" and "src" in attributes:
        attributes.setdefault("dest", attributes.pop("src"))
    if kind not in _NAMES or not all(attributes.values()) or not _has_needed(kind, attributes):
        msg = (
            f"Invalid build cache: --build-cache {text}.\n"
            "Write type=gha, type=local,dest=FOLDER, type=registry,ref=HOST/REPOSITORY, or the "
            "attributes of buildx for s3 and azblob."
        )
        raise UsageError(msg)
    if any(_SECRET.search(key) for key in attributes):
        msg = (
            "--build-cache does not accept credentials: they would be stored in the run's files.\n"
            "Pass them in the environment, or with docker login."
        )
        raise UsageError(msg)
    return BuildCache(kind=kind, attributes=attributes)


def _has_needed(kind: str, attributes: Mapping[str, str]) -> bool:
    return kind not in _NEEDED or _NEEDED[kind] in attributes


def _has(folder: Path, tag: str) -> bool:
    """Return whether a local cache has a tag: buildx fails to import a missing one."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        name = "org.opencontainers.image.ref.name"
        return any(entry.get("annotations", {}).get(name) == tag for entry in index["manifests"])
    return False


def failed_export(log: str) -> str | None:
    """Return why the cache could not be exported, from the log of a build that succeeded."""
    found = _FAILED.search(log)
    return found[2] if found else None


class CacheInUse:
    """The build cache of a run; each problem with it is reported once."""

    def __init__(self, cache: BuildCache, say: Callable[[str], None], *, exportable: bool) -> None:
        self._cache = cache
        self._say = say
        problem = cache.problem(exportable=exportable)
        self._works = problem is None
        if problem is not None:
            say(problem)
        self._reported = False

    def apply(self, build: Build, name: str) -> Build:
        """Return a build that uses the cache of this name, or the same build if none works."""
        return self._cache.apply(build, name) if self._works else build

    def examine(self, log: Path) -> None:
        """Report, once, that the cache could not be exported."""
        if self._works and not self._reported:
            text = log.read_text(encoding="utf-8", errors="replace")
            if (failure := failed_export(text)) is not None:
                self._reported = True
                self._say(f"cannot export the cache of --build-cache: {failure}")

"""One call of `docker buildx build`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from matrixci.engine.client import Engine
from matrixci.errors import BaseImageError, EngineError, ResolverError
from matrixci.images.build_failure import BuildCause, cause_of, own_cause_of
from matrixci.util.invocation import called
from matrixci.util.redaction import redact, redact_file
from matrixci.util.subprocesses import run_process

_TAIL_LINES = 15
# BuildKit repeats what the step printed in a summary, now and then the last of its lines alone.
_FAILED = re.compile(r"^#(\d+) ERROR: ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Build:
    """What is built, from what."""

    context: Path
    dockerfile: Path
    target: str | None = None
    tag: str | None = None
    """None: only the build cache is filled."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    cache_from: Sequence[str] = ()
    cache_to: Sequence[str] = ()
    """As buildx writes them."""


class BuildError(Exception):
    """A build that failed, with the end of its log."""


async def build(engine: Engine, what: Build, log: Path, time_limit: float) -> None:
    """Build, and write the log to a file.

    Args:
        engine: where it is built.
        what: what is built.
        log: the file that takes the output; credentials in URLs are taken out.
        time_limit: in seconds.

    Raises:
        BuildError: it failed or took too long; the message is the end of its log.
        BaseImageError: it failed because its base image is gone.
        EngineError: it failed because the engine is lost, or its disk is full.
        ResolverError: it failed because the package index is lost.
    """
    try:
        with log.open("wb") as file:
            done = await run_process(
                _argv(what), env=engine.environment(), log=file, time_limit=time_limit
            )
    except TimeoutError as error:
        msg = f"The build took longer than {time_limit:.0f} s.\n{_tail(log)}"
        raise BuildError(msg) from error
    finally:
        redact_file(log)
    if done.exit_status != 0:
        await engine.ping()
        raise build_error(log)


def build_error(log: Path) -> BuildError | EngineError | ResolverError | BaseImageError:
    """Return the error that a failed build comes to: its own, or that of what it stands on."""
    told = f"{_tail(log)}\nthe whole log: {log.name}"
    cause = _own_cause(log) or cause_of(_printed(log))
    match cause:
        case BuildCause.DISK:
            return EngineError(
                "The disk of the container engine is full: a build found no space left on it.\n"
                f"Free some: {called('clean', '--all')}\n{told}"
            )
        case BuildCause.ENGINE:
            return EngineError(f"The container engine was lost in the middle of a build.\n{told}")
        case BuildCause.BASE:
            return BaseImageError(
                "A base image is not on the container engine any more, and no registry has it.\n"
                f"{told}"
            )
        case BuildCause.INDEX:
            return ResolverError(f"The package index was lost in the middle of a build.\n{told}")
        case BuildCause.HASH:
            return BuildError(
                "The package index served a file that is not the locked one: its hash is another, "
                f"so it was not installed.\n{told}"
            )
        case None:
            return BuildError(told)
        case _ as never:
            assert_never(never)


def _own_cause(log: Path) -> BuildCause | None:
    """Return what BuildKit itself says at the end, outside of what a step printed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return own_cause_of(lines[-1]) if lines else None


def _argv(what: Build) -> Sequence[str]:
    argv = ["docker", "buildx", "build", "--progress=plain", "--provenance=false"]
    # The driver of the engine itself: images land where containers start from.
    argv += ["--builder=default", f"--file={what.dockerfile}"]
    argv += ["--output=type=cacheonly"] if what.tag is None else [f"--tag={what.tag}", "--load"]
    argv += [f"--target={what.target}"] if what.target else []
    argv += [f"--build-arg={name}={value}" for name, value in what.arguments.items()]
    argv += [f"--label={name}={value}" for name, value in what.labels.items()]
    argv += [f"--secret=id={name},src={path}" for name, path in what.secrets.items()]
    argv += [f"--cache-from={place}" for place in what.cache_from]
    argv += [f"--cache-to={place}" for place in what.cache_to]
    return [*argv, str(what.context)]


def _tail(log: Path) -> str:
    """Return the end of what a build's log has to say."""
    return "\n".join(_printed(log).splitlines()[-_TAIL_LINES:])


def _printed(log: Path) -> str:
    """Return what the step that failed printed, or all of a build's log where none did."""
    text = redact(log.read_text(encoding="utf-8", errors="replace"))
    for step in reversed(_FAILED.findall(text)):
        if lines := re.findall(rf"^#{step} \d+\.\d+ (.*)$", text, re.MULTILINE):
            return "\n".join(lines).strip()
    return text

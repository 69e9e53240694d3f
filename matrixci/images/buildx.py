"""Run `docker buildx build`, and explain its failures."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from matrixci.engine.client import Engine
from matrixci.errors import BaseImageError, EngineError, ResolverError
from matrixci.images.build_failure import BuildCause, cause_of, reported_cause
from matrixci.util.invocation import called
from matrixci.util.redaction import redact, redact_file
from matrixci.util.subprocesses import run_process

_TAIL_LINES = 15
# BuildKit repeats the output of the failed step in a summary, sometimes only its last line.
_FAILED = re.compile(r"^#(\d+) ERROR: ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Build:
    """Options of one build."""

    context: Path
    dockerfile: Path
    target: str | None = None
    tag: str | None = None
    """None: only fill the build cache."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    cache_from: Sequence[str] = ()
    cache_to: Sequence[str] = ()
    """In the format of buildx."""


class BuildError(Exception):
    """A failed build, with the end of its log."""


async def build(engine: Engine, spec: Build, log: Path, time_limit: float) -> None:
    """Run a build, and write its log to a file.

    Args:
        engine: the engine to build on.
        spec: the options of the build.
        log: the file for the output; credentials in URLs are redacted.
        time_limit: in seconds.

    Raises:
        BuildError: the build failed or took too long; the message is the end of its log.
        BaseImageError: the base image is missing.
        EngineError: the engine failed, or its disk is full.
        ResolverError: the package index failed.
    """
    try:
        with log.open("wb") as file:
            done = await run_process(
                _argv(spec), env=engine.environment(), log=file, time_limit=time_limit
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
    """Return the error of a failed build, by its cause."""
    end = f"{_tail(log)}\nfull log: {log.name}"
    cause = _reported_cause(log) or cause_of(_output(log))
    match cause:
        case BuildCause.DISK:
            return EngineError(
                "The container engine's disk is full: a build found no space left on it.\n"
                f"Free some space: {called('clean', '--all')}\n{end}"
            )
        case BuildCause.ENGINE:
            return EngineError(f"The container engine failed during a build.\n{end}")
        case BuildCause.BASE:
            return BaseImageError(
                "A base image was removed from the container engine, and no registry has it.\n"
                f"{end}"
            )
        case BuildCause.INDEX:
            return ResolverError(f"The package index failed during a build.\n{end}")
        case BuildCause.HASH:
            return BuildError(
                "The package index served a file whose hash does not match the lock, so it was not "
                f"installed.\n{end}"
            )
        case None:
            return BuildError(end)
        case _ as never:
            assert_never(never)


def _reported_cause(log: Path) -> BuildCause | None:
    """Return the cause that BuildKit itself reports at the end of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return reported_cause(lines[-1]) if lines else None


def _argv(spec: Build) -> Sequence[str]:
    argv = ["docker", "buildx", "build", "--progress=plain", "--provenance=false"]
    # The engine's own builder: images are stored where containers are started.
    argv += ["--builder=default", f"--file={spec.dockerfile}"]
    argv += ["--output=type=cacheonly"] if spec.tag is None else [f"--tag={spec.tag}", "--load"]
    argv += [f"--target={spec.target}"] if spec.target else []
    argv += [f"--build-arg={name}={value}" for name, value in spec.arguments.items()]
    argv += [f"--label={name}={value}" for name, value in spec.labels.items()]
    argv += [f"--secret=id={name},src={path}" for name, path in spec.secrets.items()]
    argv += [f"--cache-from={place}" for place in spec.cache_from]
    argv += [f"--cache-to={place}" for place in spec.cache_to]
    return [*argv, str(spec.context)]


def _tail(log: Path) -> str:
    """Return the last lines of a failed build's output."""
    return "\n".join(_output(log).splitlines()[-_TAIL_LINES:])


def _output(log: Path) -> str:
    """Return the output of the failed step, or the whole log if no step failed."""
    text = redact(log.read_text(encoding="utf-8", errors="replace"))
    for step in reversed(_FAILED.findall(text)):
        if lines := re.findall(rf"^#{step} \d+\.\d+ (.*)$", text, re.MULTILINE):
            return "\n".join(lines).strip()
    return text

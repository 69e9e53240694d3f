"""One call of `docker buildx build`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matrixci.engine import Engine
from matrixci.processes import redact, run_process

_TAIL_LINES = 15
# What the step that failed printed, as BuildKit repeats it; the Dockerfile's own lines come after.
_SUMMARY = re.compile(r"^------\n > \[[^\n]*\n(.*?)^------$", re.DOTALL | re.MULTILINE)
_STAMP = re.compile(r"^\d+\.\d+ ", re.MULTILINE)


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
        EngineError: it failed because the engine is lost.
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
        _redact_file(log)
    if done.exit_status != 0:
        await engine.ping()
        msg = f"{_tail(log)}\nthe whole log: {log.name}"
        raise BuildError(msg)


def _argv(what: Build) -> Sequence[str]:
    argv = ["docker", "buildx", "build", "--progress=plain", "--provenance=false"]
    # The driver of the engine itself: images land where containers start from.
    argv += ["--builder=default", f"--file={what.dockerfile}"]
    argv += ["--output=type=cacheonly"] if what.tag is None else [f"--tag={what.tag}", "--load"]
    argv += [f"--target={what.target}"] if what.target else []
    argv += [f"--build-arg={name}={value}" for name, value in what.arguments.items()]
    argv += [f"--label={name}={value}" for name, value in what.labels.items()]
    argv += [f"--secret=id={name},src={path}" for name, path in what.secrets.items()]
    return [*argv, str(what.context)]


def _redact_file(log: Path) -> None:
    text = log.read_text(encoding="utf-8", errors="replace")
    log.write_text(redact(text), encoding="utf-8")


def _tail(log: Path) -> str:
    """Return the end of a build's log: BuildKit's own summary where it wrote one."""
    text = redact(log.read_text(encoding="utf-8", errors="replace"))
    printed = "".join(_STAMP.sub("", told) for told in _SUMMARY.findall(text)).strip()
    return "\n".join((printed or text).splitlines()[-_TAIL_LINES:])

"""Size and removal of an engine's build cache."""

import re
from datetime import timedelta
from typing import Final

from matrixci.engine.client import Engine
from matrixci.errors import EngineError
from matrixci.util.subprocesses import run_process

_RECLAIMABLE: Final = re.compile(r"^Reclaimable:\s*(\S+)", re.MULTILINE)
_TOTAL: Final = re.compile(r"^Total:\s*(\S+)", re.MULTILINE)


async def build_cache_size(engine: Engine, unused_for: timedelta | None = None) -> str:
    """Return the removable size of an engine's build cache, as buildx prints it.

    Raises:
        EngineError: the engine failed.
    """
    found = _RECLAIMABLE.search(await _buildx(engine, "du", unused_for))
    return found[1] if found else "0B"


async def prune_build_cache(engine: Engine, unused_for: timedelta | None = None) -> str:
    """Remove an engine's build cache; return the removed size, as buildx prints it.

    Args:
        engine: the engine.
        unused_for: remove only what was not used for this time; None: everything.

    Raises:
        EngineError: the engine failed.
    """
    found = _TOTAL.search(await _buildx(engine, "prune", unused_for, "--all", "--force"))
    return found[1] if found else "0B"


async def _buildx(engine: Engine, command: str, unused_for: timedelta | None, *more: str) -> str:
    # By the docker command: the SDK times out if the answer takes minutes.
    argv = ["docker", "buildx", command, "--builder=default", *more]
    if unused_for is not None:
        argv.append(f"--filter=until={int(unused_for.total_seconds())}s")
    done = await run_process(argv, env=engine.environment())
    if done.exit_status != 0:
        msg = f"docker buildx {command} failed: {done.stderr.strip()}"
        raise EngineError(msg)
    return done.stdout

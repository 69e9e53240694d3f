import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from matrixci.engine.client import Engine
from matrixci.errors import DiskFullError, EngineError, ExitCode
from matrixci.execution.preflight import check_free_space

GIB = 2**30


class Roomy(Engine):
    """An engine with so much room, or of which nothing can be known."""

    def __init__(self, free: int | EngineError | None) -> None:
        self.free = free

    async def free_disk(self) -> int | None:
        await asyncio.sleep(0)
        if isinstance(self.free, EngineError):
            raise self.free
        return self.free


def look(free: int | EngineError | None, work_dir: Path) -> str | None:
    return asyncio.run(check_free_space(Roomy(free), work_dir, 10 * GIB))


def test_enough_free_space_is_accepted(tmp_path: Path) -> None:
    assert look(10 * GIB, tmp_path / "not/there/yet") is None


def test_full_disk_is_refused_with_sizes_and_advice(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        look(3 * GIB + GIB // 4, tmp_path)

    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    message = str(caught.value)
    assert "3.25 GiB are free, and 10.00 GiB are needed" in message
    assert "matrixci clean --all" in message


@pytest.mark.parametrize("free", [None, EngineError("it is busy")])
def test_unknown_free_space_is_only_a_remark(tmp_path: Path, free: EngineError | None) -> None:
    assert "unknown" in str(look(free, tmp_path))


def test_full_work_dir_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    with pytest.raises(
        DiskFullError, match=r"disk of the work directory is nearly full: 0\.00 GiB"
    ):
        look(20 * GIB, tmp_path / "home")

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


def test_room_enough_is_no_matter(tmp_path: Path) -> None:
    assert look(10 * GIB, tmp_path / "not/there/yet") is None


def test_a_full_disk_is_refused_with_the_metrics_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        look(3 * GIB + GIB // 4, tmp_path)

    assert caught.value.exit_code is ExitCode.INFRASTRUCTURE
    told = str(caught.value)
    assert "3.25 GiB are free, and 10.00 GiB are needed" in told
    assert "matrixci clean --all" in told


@pytest.mark.parametrize("free", [None, EngineError("it is busy")])
def test_what_can_not_be_known_is_told_and_stops_nothing(
    tmp_path: Path, free: EngineError | None
) -> None:
    assert "unknown" in str(look(free, tmp_path))


def test_a_full_home_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    with pytest.raises(
        DiskFullError, match=r"disk of the work directory is nearly full: 0\.00 GiB"
    ):
        look(20 * GIB, tmp_path / "home")

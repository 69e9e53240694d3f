import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from matrixci.util import process_identity as owner
from matrixci.util.temp_dirs import sweep_temporary_folders, temporary_folder


@pytest.fixture
def left_by() -> str:
    """Return how the folders of a process that has ended are named."""
    process = subprocess.Popen(["true"])
    process.wait()
    label = owner.this_process().replace("/", "+")
    return label.replace(f"+{os.getpid()}+", f"+{process.pid}+")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folder_is_removed_afterwards(temporary: Path) -> None:
    with temporary_folder("build") as folder:
        assert folder.parent == temporary
        assert list(folder.iterdir()) == []
        (folder / "secret").touch()
    assert list(temporary.iterdir()) == []


def test_only_folders_of_killed_processes_are_removed(temporary: Path, left_by: str) -> None:
    ours = owner.this_process().replace("/", "+")
    left = temporary / f"matrixci-build@{left_by}@abc_1"
    left.mkdir()
    (left / "index.sh").touch()
    others = [
        f"matrixci-build@{ours}@abc_1",
        "matrixci-build@elsewhere+boot+1+1@abc_1",
        "matrixci-build@nonsense@abc_1",
        "matrixci-runs",
        f"other-build@{left_by}@abc_1",
    ]
    for name in others:
        (temporary / name).mkdir()

    with temporary_folder("build") as folder:
        assert sweep_temporary_folders() == 1
        assert folder.exists()

    assert sorted(path.name for path in temporary.iterdir()) == sorted(others)


def test_folder_with_a_mount_is_kept(
    temporary: Path,
    left_by: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    roots = [temporary / f"matrixci-root@{left_by}@{each}" for each in ("mounted", "plain")]
    for root in roots:
        (root / "root/proc").mkdir(parents=True)
    mounts = tmp_path_factory.mktemp("proc") / "mounts"
    mounts.write_text(f"proc {roots[0]}/root/proc proc rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr("matrixci.util.temp_dirs._MOUNTS", mounts)
    assert sweep_temporary_folders() == 1
    assert list(temporary.iterdir()) == roots[:1]
    mounts.unlink()
    assert sweep_temporary_folders() == 1

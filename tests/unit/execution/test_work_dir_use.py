import subprocess
import sys
from pathlib import Path

from matrixci.execution.work_dir_use import in_use

HOLDS = """
import sys
from pathlib import Path
from matrixci.execution.work_dir_use import in_use
with in_use(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_work_dir_is_exclusive_until_another_process_uses_it(tmp_path: Path) -> None:
    with in_use(tmp_path) as use, use.alone() as alone:
        assert alone
    argv = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with in_use(tmp_path) as use, use.alone() as alone:
            assert not alone
        other.kill()
    with in_use(tmp_path) as use, use.alone() as alone:
        assert alone


def test_two_uses_exclude_each_other(tmp_path: Path) -> None:
    with in_use(tmp_path) as one, in_use(tmp_path):
        with one.alone() as alone:
            assert not alone
        with in_use(tmp_path) as third, third.alone() as alone:
            assert not alone  # the first one still holds its lock


def test_missing_work_dir_is_neither_locked_nor_created(tmp_path: Path) -> None:
    with in_use(tmp_path / "absent") as use, use.alone() as alone:
        assert alone
    assert list(tmp_path.iterdir()) == []

"""Tests of matrixci installed from its wheel, outside of any checkout."""

import subprocess
from pathlib import Path

import pytest
import uv
from toy import PASSING, PYTHON, Toy

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import packages only from the virtual environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    program = uv.find_uv_bin()
    interpreter = folder / "environment/bin/python"
    for argv in (
        [program, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(CHECKOUT)],
        [program, "venv", "--quiet", "--python", PYTHON, str(folder / "environment")],
    ):
        subprocess.run(argv, check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    install = [program, "pip", "install", "--quiet", "--python", str(interpreter), str(wheel)]
    subprocess.run(install, check=True, cwd=folder)
    return interpreter


def test_cell_runs_outside_of_any_checkout(toy: Toy, python: Path) -> None:
    toy.write(PASSING)

    with toy.command(python=python) as command:
        assert command.end() == 0, command.stderr

    toy.ended(toy.latest(), 0)
    assert "READY" in command.stdout


@pytest.mark.parametrize("name", ["docker/base.Dockerfile", "docker/engine.sh", "checks"])
def test_data_files_are_in_the_package(python: Path, tmp_path: Path, name: str) -> None:
    folder, _, file = name.partition("/")
    expression = f"data_folder({folder!r}) / {file!r}"
    code = f"from matrixci.util.resources import data_folder; print({expression})"
    done = subprocess.run(
        [str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    path = Path(done.stdout.strip())
    assert path.exists()
    assert "matrixci" in path.parts

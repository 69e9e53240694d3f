from pathlib import Path

import pytest
from harness_runs import install, supervise

TORCH = """
__version__ = "2.0+cu130"
class version:
    cuda = "13.0"
class cuda:
    device_count = lambda: 2
    is_available = lambda: True
"""
DEVICE = """
def test_device(device):
    assert device == "cuda"
"""


def test_versions_are_attested(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {"numpy": '__version__ = "2.0"', "torch": TORCH})

    run = supervise(tmp_path, DEVICE, environment, device="cuda")

    attested = run.of("attestation")[0]
    assert attested["distributions"]["numpy"] == "2.0"
    assert attested["modules"] == {"numpy": "2.0", "torch": "2.0+cu130"}
    assert (attested["torch_cuda"], attested["gpus"]) == ("13.0", 2)
    assert run.outcomes == {"test_it.py::test_device": "passed"}


def test_cuda_cell_without_a_gpu(tmp_path: Path) -> None:
    run = supervise(tmp_path, DEVICE, device="cuda")

    end = run.ends["test_it.py::test_device"]
    assert (end["outcome"], end["reason"], end["need"]) == ("skipped", "no GPU", "gpu")


@pytest.mark.parametrize(
    ("modules", "imported"),
    [
        pytest.param(
            {"numpy": "import sys; sys.exit()", "torch": TORCH},
            {"numpy": None, "torch": "2.0+cu130"},
            id="exit",
        ),
        pytest.param(
            {"numpy": "import os; os.kill(os.getpid(), 11)", "torch": TORCH},
            {"numpy": None, "torch": None},
            id="segfault",
        ),
        pytest.param(
            {"numpy": "import os, sys; os.write(int(sys.argv[1]), b'{}\\n[1]\\n'); os._exit(0)"},
            {"numpy": None},
            id="garbage",
        ),
        pytest.param(
            {"numpy": "import time; time.sleep(600)"},
            {"numpy": None},
            id="hang",
        ),
    ],
)
def test_modules_that_cannot_be_imported(
    tmp_path: Path, modules: dict[str, str], imported: dict[str, str | None]
) -> None:
    environment = install(tmp_path / "site", modules)
    limits = {"check_seconds": 30, "start_seconds": 2 if "sleep" in modules["numpy"] else 30}

    run = supervise(tmp_path, "def test_1(): pass\n", environment, limits=limits)

    assert run.status == 0
    attested = run.of("attestation")[0]
    assert {name: attested["distributions"][name] for name in modules} == dict.fromkeys(
        modules, "2.0"
    )
    assert attested["modules"] == imported


def test_missing_attestation_is_no_error(tmp_path: Path) -> None:
    environment = install(tmp_path / "site", {})
    (tmp_path / "site" / "platform.py").write_text("raise SystemExit(1)")

    run = supervise(tmp_path, "def test_1(): pass\n", environment)

    assert run.of("attestation") == []
    assert "nothing was attested" in run.log

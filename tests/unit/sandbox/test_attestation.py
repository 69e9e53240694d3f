from typing import Any

import pytest
from result_records import ATTESTATION, LOCK, changed, examined, expected, records, without

from matrixci.model import (
    Reason,
)

GPU = {"gpu": True, "torch_backend": "cu130"}
CUDA_LOCK = {"torch_backend": "cu130", "versions": LOCK.versions | {"torch": "2.15.0+cu130"}}
CUDA_ATTESTED = {
    "distributions": CUDA_LOCK["versions"],
    "modules": {"numpy": "2.5.5", "torch": "2.15.0+cu130"},
    "torch_cuda": "13.0",
}
# From the default index: no local part in the lock, one in the module.
FALLBACK_LOCK = {
    "torch_backend": None,
    "fallback": True,
    "versions": LOCK.versions | {"torch": "2.15.0"},
}
FALLBACK_ATTESTED = {**CUDA_ATTESTED, "distributions": FALLBACK_LOCK["versions"]}


@pytest.mark.parametrize(
    ("attested", "cell", "lock", "says"),
    [
        ({"python": "3.11.9"}, {}, {}, "Python is 3.11.9, not 3.12"),
        ({"python": "3.1.2"}, {}, {}, "Python is 3.1.2, not 3.12"),
        ({"python": "3.120.1"}, {}, {}, "Python is 3.120.1, not 3.12"),
        ({}, {"requires": ("numpy<2",)}, {}, "numpy<2 is declared, 2.5.5 is installed"),
        ({}, {"requires": ("tensorflow",)}, {}, "tensorflow is declared, tensorflow is not"),
        ({"modules": {"numpy": None, "torch": "2.15.0"}}, {}, {}, "numpy 2.5.5 cannot be imported"),
        ({"modules": {"torch": "2.15.0+cpu"}}, {}, {}, "numpy 2.5.5 cannot be imported"),
        (
            {"modules": {"numpy": "1.26.4", "torch": "2.15.0+cpu"}},
            {},
            {},
            "numpy 2.5.5 is installed, 1.26.4 is imported",
        ),
        (
            {"modules": {"numpy": "2.5.5", "torch": "2.15.0+cu130"}},
            {},
            {},
            "torch 2.15.0+cpu is installed, 2.15.0+cu130 is imported",
        ),
        ({"modules": {"numpy": "2.5.5", "torch": None}}, {}, {}, "cannot be imported"),
        ({}, {}, {"versions": LOCK.versions | {"six": "1"}}, "six 1 is locked, but not installed"),
        (
            {"distributions": LOCK.versions | {"pip": "25"}},
            {},
            {},
            "pip 25 is installed, but not locked",
        ),
        (
            {"distributions": LOCK.versions | {"pytest": "8.4.0"}},
            {},
            {},
            "pytest 9.1.0 is locked, 8.4.0 is installed",
        ),
        (
            {"distributions": LOCK.versions | {"pytest": "unknown"}},
            {},
            {},
            "pytest 9.1.0 is locked, unknown is installed",
        ),
        (
            {"distributions": LOCK.versions | {"numpy": "unknown"}},
            {},
            {},
            "numpy>=2 is declared, unknown is installed",
        ),
        ({"torch_cuda": "13.0"}, {}, {}, "torch's backend is cpu, torch is built for CUDA 13.0"),
        ({}, {"gpu": True}, {}, "the cell requests a GPU, but torch is built without CUDA"),
        ({**FALLBACK_ATTESTED, "torch_cuda": None}, {"gpu": True}, FALLBACK_LOCK, "without CUDA"),
        (
            {**CUDA_ATTESTED, "torch_cuda": "12.8"},
            GPU,
            CUDA_LOCK,
            "torch's backend is cu130, torch is built for CUDA 12.8",
        ),
    ],
)
def test_differences_from_the_declaration_are_reported(
    attested: dict[str, Any], cell: dict[str, Any], lock: dict[str, Any], says: str
) -> None:
    evidence = examined(changed(ATTESTATION, **attested)(records()), expected(cell=cell, lock=lock))

    assert evidence.problem
    assert evidence.problem.reason is Reason.NOT_AS_DECLARED
    assert says in evidence.problem.message
    assert len(evidence.checks) == 3


@pytest.mark.parametrize(
    ("attested", "cell", "lock"),
    [
        pytest.param(CUDA_ATTESTED, GPU, CUDA_LOCK, id="CUDA"),
        pytest.param(FALLBACK_ATTESTED, {}, FALLBACK_LOCK, id="cpu from the default index"),
        pytest.param(FALLBACK_ATTESTED, {"gpu": True}, FALLBACK_LOCK, id="GPU, default index"),
        pytest.param({"torch_cuda": "13.0"}, {}, {"fallback": True}, id="cpu build out of reach"),
        pytest.param({"python": "3.12.0rc1+"}, {}, {}, id="release candidate"),
        pytest.param(
            {"distributions": LOCK.versions | {"pytest": "9.1"}}, {}, {}, id="equal versions"
        ),
        pytest.param(
            {"distributions": {}, "modules": {}},
            {"requires": (), "gpu": True},
            {"versions": {}},
            id="no torch",
        ),
        pytest.param(
            {
                "distributions": LOCK.versions | {"numpy": "2.6.0rc1"},
                "modules": {"numpy": "2.6.0rc1", "torch": "2.15.0+cpu"},
            },
            {},
            {"versions": LOCK.versions | {"numpy": "2.6.0rc1"}},
            id="pre-release",
        ),
    ],
)
def test_declared_versions_are_accepted(
    attested: dict[str, Any], cell: dict[str, Any], lock: dict[str, Any]
) -> None:
    evidence = examined(changed(ATTESTATION, **attested)(records()), expected(cell=cell, lock=lock))

    assert evidence.problem is None


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ('platform_machine == "riscv64"', True),
        ('platform_machine != "riscv64"', False),
        ('python_full_version == "3.12.99"', True),
        ('python_version == "3.12"', True),
        ('python_version < "3.12"', False),
        ('sys_platform == "linux" and os_name == "posix"', True),
        ('platform_system == "Windows"', False),
        ('implementation_name == "pypy"', False),
    ],
)
def test_markers_are_evaluated_for_the_container(marker: str, *, applies: bool) -> None:
    attested = changed(ATTESTATION, machine="riscv64", python="3.12.99")(records())
    cell = {"requires": (f"absent ; {marker}",)}
    problem = examined(attested, expected(cell=cell)).problem
    assert ("absent is not installed" in problem.message if problem else False) == applies


def test_missing_attestation_is_no_evidence() -> None:
    evidence = examined(without(ATTESTATION)(records()))

    assert evidence.problem
    assert evidence.problem.reason is Reason.NOT_AS_DECLARED
    assert evidence.attestation is None


def test_many_differences_are_counted() -> None:
    more = {f"package-{number}": "1" for number in range(9)}

    evidence = examined(records(), expected(lock={"versions": LOCK.versions | more}))

    assert evidence.problem
    assert evidence.problem.message.endswith("package-4 1 is locked, but not installed; 4 more.")

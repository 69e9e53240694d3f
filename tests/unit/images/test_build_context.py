from pathlib import Path

from matrixci.images.build_context import split_lock
from matrixci.locks.lock import Lock, Pin, parse_lock

REAL = parse_lock(
    (Path(__file__).parents[1] / "data/resolver_lock.txt").read_text(encoding="utf-8")
)
LOCK = Lock(pins=REAL, torch_backend=None)


def names(text: str) -> list[str]:
    """Return the names in a requirements file."""
    return [pin.name for pin in parse_lock(text)]


def test_lock_is_split_into_cuda_torch_and_the_rest() -> None:
    parts = split_lock(LOCK)
    assert names(parts.nvidia) == ["nvidia-cublas"]
    assert names(parts.torch) == ["cuda-toolkit", "torch", "triton", "typing-extensions"]
    assert names(parts.rest) == ["accelerate", "my-own", "numpy", "packaging", "pytest"]


def test_shared_dependencies_of_torch_are_in_its_part() -> None:
    def pin(name: str, *via: str) -> Pin:
        return Pin(name=name, version="1", url=None, hashes=(f"sha256:{name}",), via=via)

    pins = (
        pin("nvidia-alone", "other"),
        pin("nvidia-nccl-cu13", "torch", "other"),
        pin("numpy", "transformers", "torch"),
        pin("other"),
        pin("torch", "other"),
    )
    parts = split_lock(Lock(pins=pins, torch_backend=None))
    assert names(parts.nvidia) == ["nvidia-nccl-cu13"]
    assert names(parts.torch) == ["numpy", "torch"]
    assert names(parts.rest) == ["nvidia-alone", "other"]


def test_own_wheel_is_never_in_a_shared_layer() -> None:
    pins = (
        Pin(name="filelock", version="1", url="file:///f.whl", hashes=(), via=("torch",)),
        Pin(name="sympy", version="1", url=None, hashes=(), via=("torch",)),
        Pin(name="torch", version="1", url=None, hashes=(), via=()),
    )
    parts = split_lock(Lock(pins=pins, torch_backend=None))
    assert names(parts.torch) == ["sympy", "torch"]
    assert parts.rest == "filelock @ file:///run/wheels/f.whl\n"


def test_lock_without_torch_is_in_the_rest() -> None:
    pins = tuple(pin for pin in REAL if pin.name in {"numpy", "pytest", "nvidia-cublas"})
    parts = split_lock(Lock(pins=pins, torch_backend=None))
    assert (parts.nvidia, parts.torch) == ("", "")
    assert names(parts.rest) == ["numpy", "nvidia-cublas", "pytest"]


def test_every_pin_is_installed_once_with_its_hashes() -> None:
    parts = split_lock(LOCK)
    installed = parse_lock(parts.nvidia + parts.torch + parts.rest)
    facts = {pin.name: (pin.version, pin.hashes) for pin in LOCK.pins}
    assert {pin.name: (pin.version, pin.hashes) for pin in installed} == facts
    assert len(installed) == len(LOCK.pins)


def test_own_wheel_is_installed_from_the_build_context() -> None:
    url = "my-own @ file:///run/wheels/my_own-1.0%2Blocal-py3-none-any.whl"
    assert url in split_lock(LOCK).rest

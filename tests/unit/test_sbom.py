import json
import re
from dataclasses import replace
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from factories import an_image

from matrixci.lock import Lock, Pin
from matrixci.sbom import bill_of_materials


def a_pin(name: str, version: str, *hashes: str, via: tuple[str, ...] = ()) -> Pin:
    return Pin(name=name, version=version, url=None, hashes=hashes, via=via)


LOCK = Lock(
    pins=(
        a_pin("numpy", "2.5.5", f"sha256:{'a' * 64}", f"sha512:{'b' * 128}", via=("toy",)),
        a_pin("torch", "2.15.0+cpu", via=("-r", "-", "toy")),
        a_pin("toy", "1.0", f"sha256:{'c' * 64}", "md5:00"),
    ),
    torch_backend="cpu",
)
IMAGE = an_image(base="registry.example:5000/team/python:3.12-slim-bookworm")


def made(lock: Lock = LOCK, **fields: object) -> dict[str, Any]:
    image = IMAGE.model_copy(update=fields)
    return dict(json.loads(bill_of_materials(lock, image, "3.12")))


def test_it_is_valid_by_the_standards_own_schema() -> None:
    assert (
        JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill_of_materials(LOCK, IMAGE, "3.12"))
        is None
    )


def test_each_pin_is_a_component_with_its_hashes() -> None:
    found = {component["name"]: component for component in made()["components"]}
    assert {name: component["purl"] for name, component in found.items()} == {
        "numpy": "pkg:pypi/numpy@2.5.5",
        "toy": "pkg:pypi/toy@1.0",
        "torch": "pkg:pypi/torch@2.15.0%2Bcpu",
    }
    assert found["numpy"]["hashes"] == [
        {"alg": "SHA-256", "content": "a" * 64},
        {"alg": "SHA-512", "content": "b" * 128},
    ]
    assert found["toy"]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert "hashes" not in found["torch"]


def test_who_needs_what_is_told() -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in made()["dependencies"]}
    assert needs == {
        "image": ["pkg:pypi/torch@2.15.0%2Bcpu", "pkg:pypi/toy@1.0"],
        "pkg:pypi/numpy@2.5.5": [],
        "pkg:pypi/toy@1.0": ["pkg:pypi/numpy@2.5.5", "pkg:pypi/torch@2.15.0%2Bcpu"],
        "pkg:pypi/torch@2.15.0%2Bcpu": [],
    }


def test_the_base_is_told_by_its_digest_and_no_host_is_named() -> None:
    text = bill_of_materials(LOCK, IMAGE, "3.12")
    facts = {each["name"]: each["value"] for each in made()["metadata"]["properties"]}
    assert facts == {
        "matrixci:lock": f"sha256:{LOCK.digest}",
        "matrixci:python": "3.12",
        "matrixci:torch-backend": "cpu",
        "matrixci:base": "team/python:3.12-slim-bookworm",
        "matrixci:base-digest": "sha256:11",
        "matrixci:base-origin": "registry",
    }
    assert "registry.example" not in text
    assert re.findall(r"https?://\S+", text) == [
        'http://cyclonedx.org/schema/bom-1.6.schema.json",'
    ]


def test_the_same_lock_on_the_same_base_is_the_same_document() -> None:
    assert bill_of_materials(LOCK, IMAGE, "3.12") == bill_of_materials(LOCK, IMAGE, "3.12")
    other = replace(LOCK, pins=(*LOCK.pins, a_pin("z", "1")))
    numbers = {
        made()["serialNumber"],
        made(other)["serialNumber"],
        made(base_digest="sha256:22")["serialNumber"],
    }
    assert len(numbers) == 3


def test_a_wheel_of_our_own_is_told_without_its_place() -> None:
    own = tuple(
        replace(pin, url="file:///somewhere/toy-1.0-py3-none-any.whl") if pin.name == "toy" else pin
        for pin in LOCK.pins
    )
    assert "somewhere" not in bill_of_materials(replace(LOCK, pins=own), IMAGE, "3.12")

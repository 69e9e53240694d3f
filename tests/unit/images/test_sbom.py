import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from factories import an_image

from matrixci.images.base_contents import BaseContents, DebianPackage
from matrixci.images.sbom import bill_of_materials
from matrixci.locks.lock import Lock, Pin


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
LIBC = DebianPackage(name="libc6", version="2.36-9+deb12u10", architecture="amd64", source="glibc")
CONTENTS = BaseContents(python="3.12.9", system="debian", system_version="12", packages=(LIBC,))
LIBC_URL = "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12&upstream=glibc"
IMAGE = an_image(base="registry.example:5000/team/python:3.12-slim-bookworm")


def made(lock: Lock = LOCK, contents: BaseContents = CONTENTS, **fields: object) -> dict[str, Any]:
    image = IMAGE.model_copy(update=fields)
    return dict(json.loads(bill_of_materials(lock, image, "3.12", contents)))


def test_document_is_valid_by_the_schema_of_the_standard() -> None:
    document = bill_of_materials(LOCK, IMAGE, "3.12", CONTENTS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None


def test_each_pin_is_a_component_with_its_hashes() -> None:
    found = {component["name"]: component for component in made()["components"]}
    purls = {name: each["purl"] for name, each in found.items() if "pypi" in each.get("purl", "")}
    assert purls == {
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


def test_dependencies_are_listed() -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in made()["dependencies"]}
    assert needs == {
        "image": [
            "pkg:generic/python@3.12.9",
            "pkg:pypi/torch@2.15.0%2Bcpu",
            "pkg:pypi/toy@1.0",
            "system",
        ],
        "system": [LIBC_URL],
        LIBC_URL: [],
        "pkg:generic/python@3.12.9": [],
        "pkg:pypi/numpy@2.5.5": [],
        "pkg:pypi/toy@1.0": ["pkg:pypi/numpy@2.5.5", "pkg:pypi/torch@2.15.0%2Bcpu"],
        "pkg:pypi/torch@2.15.0%2Bcpu": [],
    }


def test_base_is_identified_by_its_digest_without_a_host() -> None:
    text = bill_of_materials(LOCK, IMAGE, "3.12", CONTENTS)
    facts = {each["name"]: each["value"] for each in made()["metadata"]["properties"]}
    assert facts == {
        "matrixci:lock": f"sha256:{LOCK.digest}",
        "matrixci:python": "3.12",
        "matrixci:torch-backend": "cpu",
        "matrixci:base": "team/python:3.12-slim-bookworm",
        "matrixci:base-digest": "sha256:11",
        "matrixci:base-origin": "registry",
        "matrixci:interpreter": "3.12.9",
        "matrixci:system-packages": "1",
    }
    assert "registry.example" not in text
    assert re.findall(r"https?://\S+", text) == [
        'http://cyclonedx.org/schema/bom-1.6.schema.json",'
    ]


def test_same_lock_on_the_same_base_gives_the_same_document() -> None:
    assert bill_of_materials(LOCK, IMAGE, "3.12", CONTENTS) == bill_of_materials(
        LOCK, IMAGE, "3.12", CONTENTS
    )
    other = replace(LOCK, pins=(*LOCK.pins, a_pin("z", "1")))
    numbers = {
        made()["serialNumber"],
        made(other)["serialNumber"],
        made(base_digest="sha256:22")["serialNumber"],
        made(contents=BaseContents(python="3.12.10"))["serialNumber"],
    }
    assert len(numbers) == 4


def test_own_wheel_is_listed_without_its_path() -> None:
    own = tuple(
        replace(pin, url="file:///somewhere/toy-1.0-py3-none-any.whl") if pin.name == "toy" else pin
        for pin in LOCK.pins
    )
    assert "somewhere" not in bill_of_materials(replace(LOCK, pins=own), IMAGE, "3.12", CONTENTS)


@pytest.mark.parametrize(
    ("source", "qualifiers"),
    [
        ("git+https://host.example/a@c0ffee", "?vcs_url=git%2Bhttps://host.example/a%40c0ffee"),
        (
            "https://host.example/toy-1.0.tar.gz",
            "?download_url=https://host.example/toy-1.0.tar.gz",
        ),
        ("file:///somewhere/toy", ""),
    ],
)
def test_own_wheel_is_listed_with_its_origin(source: str, qualifiers: str) -> None:
    own = tuple(replace(pin, source=source) if pin.name == "toy" else pin for pin in LOCK.pins)
    document = bill_of_materials(replace(LOCK, pins=own), IMAGE, "3.12", CONTENTS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    found = {each["name"]: each for each in json.loads(document)["components"]}
    assert unquote(found["toy"]["purl"]) == unquote(f"pkg:pypi/toy@1.0{qualifiers}")
    assert "somewhere" not in document


def test_interpreter_and_system_packages_are_components() -> None:
    found = {component["name"]: component for component in made()["components"]}
    assert found["python"]["type"] == "platform"
    assert found["python"]["purl"] == "pkg:generic/python@3.12.9"
    assert found["python"]["cpe"] == "cpe:2.3:a:python:python:3.12.9:*:*:*:*:*:*:*"
    assert found["libc6"]["purl"] == LIBC_URL
    assert (found["debian"]["type"], found["debian"]["version"]) == ("operating-system", "12")


def test_unknown_contents_of_a_base_are_marked() -> None:
    document = bill_of_materials(LOCK, IMAGE, "3.12", BaseContents())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    facts = {each["name"]: each["value"] for each in json.loads(document)["metadata"]["properties"]}
    assert facts["matrixci:interpreter"].startswith("unknown: ")
    assert facts["matrixci:system-packages"].startswith("unknown: ")
    assert len(json.loads(document)["components"]) == len(LOCK.pins)

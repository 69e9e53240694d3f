"""A software bill of materials of a cell's image, from its lock: CycloneDX 1.6 in JSON.

The same lock on the same base is the same document, byte for byte, so it holds no time, no run and
no name of a host.
"""

import re
import uuid
from collections.abc import Iterable
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from matrixci.lock import Lock, Pin
from matrixci.model import ImageRecord

_NAMESPACE: Final = uuid.UUID("6f0e0b5e-4c0e-5a0d-9a53-0d1c3f6f2b11")
_ALGORITHMS: Final = {
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}
_REGISTRY: Final = re.compile(r"^[^/]*[.:][^/]*/|^localhost/")


def bill_of_materials(lock: Lock, image: ImageRecord, python: str) -> str:
    """Return the bill of materials of an image.

    Args:
        lock: what is installed in it.
        image: what it was made from.
        python: X.Y of the interpreter.
    """
    components = {pin.name: _component(pin) for pin in lock.pins}
    made_of = f"{lock.digest}\n{image.base_digest}"
    metadata = BomMetaData(
        component=Component(
            type=ComponentType.CONTAINER,
            name="matrixci/cell",
            version=lock.digest,
            bom_ref="image",
        ),
        properties=_properties(lock, image, python),
    )
    metadata.timestamp = None  # type: ignore[assignment] # the same lock makes the same file
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, made_of),
        metadata=metadata,
        components=components.values(),
        dependencies=_dependencies(lock, components, metadata.component),
    )
    return f"{JsonV1Dot6(bom).output_as_string(indent=1)}\n"


def _component(pin: Pin) -> Component:
    purl = PackageURL(type="pypi", name=pin.name, version=pin.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=list(_hashes(pin)),
    )


def _hashes(pin: Pin) -> Iterable[HashType]:
    """Yield the digests of the release's files, of which an installer takes one that fits."""
    for each in pin.hashes:
        algorithm, _, content = each.partition(":")
        if algorithm in _ALGORITHMS:
            yield HashType(alg=_ALGORITHMS[algorithm], content=content)


def _properties(lock: Lock, image: ImageRecord, python: str) -> list[Property]:
    facts = {
        "lock": f"sha256:{lock.digest}",
        "python": python,
        "torch-backend": lock.torch_backend or "default index",
        "base": _REGISTRY.sub("", image.base),
        "base-digest": image.base_digest,
        "base-origin": str(image.base_origin),
    }
    return [Property(name=f"matrixci:{name}", value=value) for name, value in facts.items()]


def _dependencies(
    lock: Lock, components: dict[str, Component], image: Component | None
) -> list[Dependency]:
    """Return who needs what; what anyone else asks for is asked for by the cell."""
    needs: dict[str, list[Dependency]] = {name: [] for name in components}
    asked = []
    for pin in lock.pins:
        here = Dependency(ref=components[pin.name].bom_ref)
        known = [name for name in pin.via if name in needs]
        for name in known:
            needs[name].append(here)
        asked += [] if known and len(known) == len(pin.via) else [here]
    found = [
        Dependency(ref=components[name].bom_ref, dependencies=below)
        for name, below in needs.items()
    ]
    top = [] if image is None else [Dependency(ref=image.bom_ref, dependencies=asked)]
    return [*top, *found]

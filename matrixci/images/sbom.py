"""Software bill of materials of a cell image, in CycloneDX 1.6 (JSON).

It lists the packages of the lock, the interpreter and the packages of the operating system.

The same lock on the same base gives the same document, byte for byte. So it contains no time, no
run and no host name.
"""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from matrixci.images.base_contents import BaseContents, DebianPackage
from matrixci.locks.lock import Lock, Pin
from matrixci.model import ImageRecord

_NAMESPACE: Final = uuid.UUID("6f0e0b5e-4c0e-5a0d-9a53-0d1c3f6f2b11")
_ALGORITHMS: Final = {
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}
_REGISTRY: Final = re.compile(r"^[^/]*[.:][^/]*/|^localhost/")


def bill_of_materials(lock: Lock, image: ImageRecord, python: str, contents: BaseContents) -> str:
    """Return the bill of materials of an image.

    Args:
        lock: the packages installed in the image.
        image: the image and its base.
        python: X.Y of the interpreter.
        contents: of its base images.
    """
    components = {pin.name: _component(pin) for pin in lock.pins}
    below = _BaseComponents.of(contents)
    made_of = f"{lock.digest}\n{image.base_digest}\n{contents.model_dump_json()}"
    metadata = BomMetaData(
        component=Component(
            type=ComponentType.CONTAINER,
            name="matrixci/cell",
            version=lock.digest,
            bom_ref="image",
        ),
        properties=_properties(lock, image, python, contents),
    )
    metadata.timestamp = None  # type: ignore[assignment] # the same lock must give the same file
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, made_of),
        metadata=metadata,
        components=[*components.values(), *below.components],
        dependencies=_dependencies(lock, components, below, metadata.component),
    )
    return f"{JsonV1Dot6(bom).output_as_string(indent=1)}\n"


@dataclass(frozen=True, kw_only=True)
class _BaseComponents:
    """Components of the base images."""

    interpreter: Component | None
    system: Component | None
    packages: tuple[Component, ...]

    @classmethod
    def of(cls, contents: BaseContents) -> "_BaseComponents":
        system = None
        if contents.system is not None:
            name, version = contents.system, contents.system_version
            system = Component(
                type=ComponentType.OPERATING_SYSTEM, name=name, version=version, bom_ref="system"
            )
        packages = tuple(_debian(each, contents) for each in contents.packages)
        return cls(
            interpreter=None if contents.python is None else _interpreter(contents.python),
            system=system,
            packages=packages,
        )

    @property
    def components(self) -> list[Component]:
        parts = [self.interpreter, self.system, *self.packages]
        return [part for part in parts if part is not None]

    def dependencies(self) -> tuple[list[Dependency], list[Dependency]]:
        """Return the dependencies of the image on these, and those among these."""
        packages = [Dependency(ref=each.bom_ref) for each in self.packages]
        whole = [Dependency(ref=self.interpreter.bom_ref)] if self.interpreter else []
        if self.system is None:
            return [*whole, *packages], [*whole, *packages]
        system = Dependency(ref=self.system.bom_ref, dependencies=packages)
        return [*whole, system], [*whole, system, *packages]


def _interpreter(version: str) -> Component:
    purl = PackageURL(type="generic", name="python", version=version)
    return Component(
        type=ComponentType.PLATFORM,
        name="python",
        version=version,
        purl=purl,
        cpe=f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        bom_ref=purl.to_string(),
    )


def _debian(package: DebianPackage, contents: BaseContents) -> Component:
    qualifiers = {"arch": package.architecture}
    if contents.system and contents.system_version:
        qualifiers["distro"] = f"{contents.system}-{contents.system_version}"
    if package.source is not None:
        qualifiers["upstream"] = package.source
    purl = PackageURL(
        type="deb",
        namespace=contents.system or "debian",
        name=package.name,
        version=package.version,
        qualifiers=qualifiers,
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=purl.to_string(),
    )


def _component(pin: Pin) -> Component:
    purl = PackageURL(
        type="pypi", name=pin.name, version=pin.version, qualifiers=_origin(pin.source or "")
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=list(_hashes(pin)),
    )


def _origin(source: str) -> dict[str, str]:
    """Return the qualifiers of a package URL for a wheel that was built from another source."""
    scheme = source.partition("://")[0]
    if "+" in scheme:
        return {"vcs_url": source}
    return {"download_url": source} if scheme in {"http", "https"} else {}


def _hashes(pin: Pin) -> Iterable[HashType]:
    """Yield the digests of the release's files, one of which is installed."""
    for each in pin.hashes:
        algorithm, _, content = each.partition(":")
        if algorithm in _ALGORITHMS:
            yield HashType(alg=_ALGORITHMS[algorithm], content=content)


def _properties(
    lock: Lock, image: ImageRecord, python: str, contents: BaseContents
) -> list[Property]:
    facts = {
        "lock": f"sha256:{lock.digest}",
        "python": python,
        "torch-backend": lock.torch_backend or "default index",
        "base": _REGISTRY.sub("", image.base),
        "base-digest": image.base_digest,
        "base-origin": str(image.base_origin),
        "interpreter": contents.python or "unknown: it does not start in its base image",
        "system-packages": str(len(contents.packages) or "unknown: the base has no dpkg database"),
    }
    return [Property(name=f"matrixci:{name}", value=value) for name, value in facts.items()]


def _dependencies(
    lock: Lock, components: dict[str, Component], below: _BaseComponents, image: Component | None
) -> list[Dependency]:
    """Return all dependencies; those of the image are the directly requested packages."""
    needs: dict[str, list[Dependency]] = {name: [] for name in components}
    direct = []
    for pin in lock.pins:
        here = Dependency(ref=components[pin.name].bom_ref)
        known = [name for name in pin.via if name in needs]
        for name in known:
            needs[name].append(here)
        direct += [] if known and len(known) == len(pin.via) else [here]
    found = [
        Dependency(ref=components[name].bom_ref, dependencies=required)
        for name, required in needs.items()
    ]
    needed, more = below.dependencies()
    if image is not None:
        found = [Dependency(ref=image.bom_ref, dependencies=[*direct, *needed]), *found]
    return [*found, *more]

"""Base images: by name from a registry, or assembled from this machine's own interpreters.

An assembled base is a debootstrap root of the machine's own release, with one CPython laid into
/usr/local beside the shared libraries that it needs: the same layout as the official images.
"""

import asyncio
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uv

from matrixci.engine.client import Engine
from matrixci.engine.labels import PROJECT_LABEL
from matrixci.errors import INFRASTRUCTURE, BaseImageError, EngineError, NoInterpreterError
from matrixci.images.buildx import Build, BuildError, build
from matrixci.images.registry import Registry
from matrixci.model import BaseOrigin
from matrixci.util.invocation import called
from matrixci.util.once_map import Once
from matrixci.util.redaction import redact
from matrixci.util.resources import data_folder
from matrixci.util.stages import StageListener
from matrixci.util.subprocesses import run_process
from matrixci.util.temp_dirs import temporary_folder

_INTERPRETER_FACTS: Final = """
import json, sys, sysconfig
shared = sysconfig.get_config_var("Py_ENABLE_SHARED")
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": getattr(sys, "_base_executable", sys.executable),
    "stdlib": sysconfig.get_path("stdlib"),
    "library": shared and sysconfig.get_config_var("INSTSONAME"),
    "libraries": sysconfig.get_config_var("LIBDIR"),
    "scheme": sysconfig.get_default_scheme(),
}))
"""
# What a container never needs: the interpreter's own tests, its static library, its editors.
_LEFT_OUT: Final = (
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "config-*",
    "site-packages",
)
# Parts of the C library must come from the root that the image runs on.
_C_LIBRARY: Final = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|nsl|nss_\w+))\.so.*")
_BUILD_SECONDS: Final = 900.0
_ASSEMBLED_SYSTEM: Final = "the assembled system"
_ROOT_PACKAGES: Final = ("netbase", "tzdata")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image that stands on the engine."""

    name: str
    digest: str
    origin: BaseOrigin


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A CPython of this machine that can be laid into another root."""

    version: str
    executable: Path
    stdlib: Path
    library: Path | None


class Bases:
    """The base images of one run; each is fetched or made once, for whoever asks first."""

    def __init__(
        self,
        engine: Engine,
        origin: BaseOrigin | None,
        logs: Path,
        listener: StageListener,
        shared: Registry | None = None,
    ) -> None:
        """Set up, fetching nothing yet.

        Args:
            engine: where the images are to stand.
            origin: how they must come to be; None: assembled where no registry answers.
            logs: the folder that takes the logs.
            listener: hears of what is assembled.
            shared: where assembled ones are shared with other machines.
        """
        self._engine = engine
        self._shared = shared
        self._origin = origin
        self._logs = logs
        self._listener = listener
        self._bases: Once[Base] = Once(passing=INFRASTRUCTURE)
        self._registry = asyncio.Lock()
        self._pulled: set[str] = set()
        self._absent: dict[str, str] = {}  # version X.Y to why no interpreter was found

    async def system(self, name: str) -> Base:
        """Return the operating system's image.

        Raises:
            BaseImageError: it can be neither pulled nor assembled.
        """
        return await self._bases(
            name,
            lambda: self._get(name, self._assembled_system),
            self._is_still_there,
        )

    async def python(self, name: str, version: str) -> Base:
        """Return the image that the interpreter `version` (X.Y) is taken from.

        Raises:
            BaseImageError: it can be neither pulled nor assembled.
        """
        return await self._bases(
            name,
            lambda: self._get(name, lambda: self._assemble_python(version)),
            self._is_still_there,
        )

    async def named(self, name: str) -> Base:
        """Return the image that a cell names for itself: no other may stand in for it.

        Raises:
            BaseImageError: it isn't on the engine, and can't be pulled.
        """
        return await self._bases(
            ("named", name), lambda: self._get_named(name), self._is_still_there
        )

    async def close(self) -> None:
        """Break off what is still under way."""
        await self._bases.close()

    async def _is_still_there(self, base: Base) -> bool:
        """Tell whether a base is still on the engine, and nobody removed it meanwhile."""
        return await self._engine.images.digest(base.name) == base.digest

    async def _get_named(self, name: str) -> Base:
        if await self._engine.images.digest(name) is None:
            try:
                await self._engine.images.pull(name)
            except EngineError as error:
                raise BaseImageError(str(error)) from error
        digest = await self._engine.images.digest(name)
        if digest is None:
            msg = f"No registry answers for {name}, the base image that the cell names."
            raise BaseImageError(msg)
        return Base(name=name, digest=digest, origin=BaseOrigin.REGISTRY)

    async def _get(self, name: str, assemble: Callable[[], Coroutine[Any, Any, Base]]) -> Base:
        if self._origin is not BaseOrigin.ASSEMBLED and await self._from_registry(name):
            digest = await self._engine.images.digest(name)
            if digest is not None:
                return Base(name=name, digest=digest, origin=BaseOrigin.REGISTRY)
        if self._origin is BaseOrigin.REGISTRY:
            msg = f"No registry answers for {name}, and base images must come from one."
            raise BaseImageError(msg)
        return await assemble()

    async def _from_registry(self, name: str) -> bool:
        """Have an image by its name; False where no registry answers, which is asked only once."""
        async with self._registry:
            if await self._engine.images.digest(name) is not None:
                return True
            if self._origin is BaseOrigin.ASSEMBLED:
                return False
            try:
                pulled = await self._engine.images.pull(name)
            except EngineError as error:
                raise BaseImageError(str(error)) from error
            if not pulled and self._origin is None:
                told = f"no registry answers for {name}: base images are assembled here"
                self._listener.said(told)
                self._origin = BaseOrigin.ASSEMBLED
            return pulled

    def _refuse_another_machine(self) -> None:
        """Refuse to assemble for an engine that could not run what is here.

        Raises:
            BaseImageError: its machine is of another kind.
        """
        here, there = map(_architecture, (platform.machine(), self._engine.facts.architecture))
        if here != there:
            msg = (
                f"A base image can't be assembled from this machine's interpreters: it is {here}, "
                f"and the container engine is {there}.\nName a registry's images under base: in "
                "matrix.yaml that the engine can pull, or use an engine of this machine's kind."
            )
            raise BaseImageError(msg)

    async def _assembled_system(self) -> Base:
        return await self._bases(_ASSEMBLED_SYSTEM, self._assemble_system, self._is_still_there)

    async def _assemble_system(self) -> Base:
        self._refuse_another_machine()
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        key = _key(release, *_ROOT_PACKAGES)
        tag = f"matrixci/system:{release}-{key}"
        if not await self._stands(tag, key):
            what = f"base system ({release})"
            self._listener.said(f"assembling the {what} with debootstrap")
            with self._listener.stage(what), temporary_folder("root") as folder:
                archive = await self._debootstrap(folder, release)
                await self._engine.images.import_root(
                    archive, tag, {PROJECT_LABEL: "base", f"{PROJECT_LABEL}.key": key}
                )
        return await self._assembled(tag)

    async def _debootstrap(self, folder: Path, release: str) -> Path:
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            msg = (
                "No registry answers, and a base image can't be assembled here: debootstrap and "
                f"root are needed.\nRun {called('matrix', '--install-engine')} as root, or name a "
                "registry's images under base: in matrix.yaml."
            )
            raise BaseImageError(msg)
        root, archive = folder / "root", folder / "root.tar"
        mirror, keyring = await _package_source(release)
        argv = ["debootstrap", "--variant=minbase", f"--include={','.join(_ROOT_PACKAGES)}"]
        argv += [f"--keyring={keyring}"] if keyring else []
        await self._command([*argv, release, str(root), mirror], "system")
        left_out = ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"]
        left_out += ["usr/share/locale", "usr/share/info", "dev", "proc", "sys", "etc/resolv.conf"]
        exclude = [f"--exclude=./{path}/*" for path in left_out]
        await self._command(["tar", "-C", str(root), *exclude, "-cf", str(archive), "."], "system")
        return archive

    async def _command(self, argv: Sequence[str], name: str) -> None:
        path = self._logs / f"base-{name}.log"
        with path.open("ab") as log:
            done = await run_process(argv, log=log, time_limit=_BUILD_SECONDS)
        text = redact(path.read_text(encoding="utf-8", errors="replace"))
        path.write_text(text, encoding="utf-8")
        if done.exit_status != 0:
            end = "\n".join(text.splitlines()[-8:])
            msg = f"{argv[0]} failed while a base image was assembled:\n{end}"
            raise BaseImageError(msg)

    async def _assemble_python(self, version: str) -> Base:
        self._refuse_another_machine()
        interpreter = await self._interpreter(version)
        system = await self._assembled_system()
        key = _key(system.digest, interpreter.version, str(interpreter.stdlib))
        tag = f"matrixci/python:{interpreter.version}-{key}"
        if not await self._stands(tag, key):
            what = f"base image of Python {interpreter.version}"
            self._listener.said(f"assembling a {what} from this machine's")
            with self._listener.stage(what), temporary_folder("python") as folder:
                await asyncio.to_thread(_lay_out, interpreter, folder)
                await self._lay_over(system, interpreter, folder, tag, key)
        return await self._assembled(tag)

    async def _interpreter(self, version: str) -> Interpreter:
        """Find an interpreter; that there is none is found out once for all cells."""
        if version in self._absent:
            raise NoInterpreterError(self._absent[version])
        try:
            return await find_interpreter(version)
        except NoInterpreterError as error:
            self._absent[version] = str(error)
            raise

    async def _lay_over(
        self, system: Base, interpreter: Interpreter, context: Path, tag: str, key: str
    ) -> None:
        what = Build(
            context=context,
            dockerfile=data_folder("docker") / "base.Dockerfile",
            tag=tag,
            arguments={"OS_BASE": system.name},
            labels={PROJECT_LABEL: "base", f"{PROJECT_LABEL}.key": key},
        )
        log = self._logs / f"base-python{interpreter.version}.log"
        try:
            await build(self._engine, what, log, _BUILD_SECONDS)
        except BuildError as error:
            msg = f"The base image of Python {interpreter.version} could not be made:\n{error}"
            raise BaseImageError(msg) from error

    async def _stands(self, tag: str, key: str) -> bool:
        """Tell whether an assembled image is there already.

        A registry's goes before this machine's own: two that were assembled from the same differ by
        their files' times, and what is built on them could not be shared.
        """
        labels = {PROJECT_LABEL: "base", f"{PROJECT_LABEL}.key": key}
        if self._shared and await self._shared.pull(_shared_tag(tag), tag, labels):
            self._pulled.add(tag)
            return True
        return await self._engine.images.digest(tag) is not None

    async def _assembled(self, tag: str) -> Base:
        digest = await self._engine.images.digest(tag)
        if digest is None:
            msg = f"The base image {tag} vanished from the engine."
            raise BaseImageError(msg)
        if self._shared and tag not in self._pulled:
            self._shared.push(tag, _shared_tag(tag))
        return Base(name=tag, digest=digest, origin=BaseOrigin.ASSEMBLED)


def _shared_tag(tag: str) -> str:
    """Return the tag in a registry of one repository for a name on the engine."""
    return tag.rpartition("/")[2].replace(":", "-")


async def _package_source(release: str) -> tuple[str, str]:
    """Return the mirror and the keyring file (or "") from which apt gets this release.

    Raises:
        BaseImageError: apt has no source for it.
    """
    line = "$(RELEASE)|$(REPO_URI)|$(SIGNED_BY)"
    argv = ["apt-get", "indextargets", "--format", line, "Created-By: Packages"]
    done = await run_process(argv)
    for found, mirror, keyring in (row.split("|") for row in done.stdout.splitlines()):
        if found == release:
            # apt leaves the name of a field that a source doesn't have as it stands.
            return mirror, "" if keyring.startswith("$(") else keyring
    msg = (
        f"apt has no source for {release or 'this system'}, which a base image would be made from."
    )
    raise BaseImageError(msg)


async def find_interpreter(version: str) -> Interpreter:
    """Find a CPython X.Y of this machine that can be laid into another root.

    One that a distribution has patched to keep its packages elsewhere can't; uv fetches a build
    of its own where it finds no other and may download.

    Raises:
        BaseImageError: there is none.
    """
    tried = []
    for extra in (["--system"], ["--managed-python"]):
        found = await _uv(["python", "find", "--no-project", *extra, version])
        if found is None and extra == ["--managed-python"]:
            await _uv(["python", "install", version])
            found = await _uv(["python", "find", "--no-project", *extra, version])
        if found is None:
            continue
        interpreter = await _facts(Path(found))
        if interpreter is not None:
            return interpreter
        tried.append(found)
    beside = f" ({', '.join(tried)}: keeps its packages in a place of its own)" if tried else ""
    msg = (
        f"No registry answers, and this machine has no CPython {version} for a base image{beside}."
        f"\nInstall one (uv python install {version}, or pyenv), or set base: in matrix.yaml."
    )
    raise NoInterpreterError(msg)


async def missing_interpreters(versions: Collection[str]) -> list[str]:
    """Return the versions X.Y of which this machine has no CPython; nothing is downloaded."""
    found = [await _uv(["python", "find", "--no-project", version]) for version in versions]
    return [version for version, path in zip(versions, found, strict=True) if path is None]


async def _uv(arguments: Sequence[str]) -> str | None:
    environment = dict(os.environ)
    if pyenv := shutil.which("pyenv"):
        # uv stops at the first of pyenv's shims that has no version chosen; so choose all of them.
        done = await run_process([pyenv, "versions", "--bare"])
        environment["PYENV_VERSION"] = ":".join(done.stdout.split())
    done = await run_process([uv.find_uv_bin(), *arguments], env=environment)
    return done.stdout.strip() or None if done.exit_status == 0 else None


async def _facts(executable: Path) -> Interpreter | None:
    """Describe an interpreter; None where it is none that can be moved."""
    done = await run_process([str(executable), "-I", "-c", _INTERPRETER_FACTS])
    if done.exit_status != 0:
        return None
    facts = json.loads(done.stdout)
    if facts["scheme"] != "posix_prefix":
        return None
    library = Path(facts["libraries"], facts["library"]) if facts["library"] else None
    return Interpreter(
        version=facts["version"],
        executable=Path(facts["executable"]).resolve(),
        stdlib=Path(facts["stdlib"]),
        library=library if library is None or library.exists() else None,
    )


def _lay_out(interpreter: Interpreter, context: Path) -> None:
    """Copy an interpreter and the libraries it needs to `context`/usr/local."""
    prefix = context / "usr/local"
    minor = interpreter.version.rpartition(".")[0]
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib").mkdir()
    shutil.copy2(interpreter.executable, prefix / f"bin/python{minor}")
    for name in ("python3", "python"):
        (prefix / "bin" / name).symlink_to(f"python{minor}")
    stdlib = prefix / f"lib/python{minor}"
    shutil.copytree(
        interpreter.stdlib, stdlib, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT)
    )
    (stdlib / "site-packages").mkdir()
    objects = [interpreter.executable, *interpreter.stdlib.glob("lib-dynload/*.so")]
    if interpreter.library is not None:
        objects.append(interpreter.library)
        shutil.copy2(interpreter.library, prefix / "lib")
    for library in _libraries(objects):
        if not (prefix / "lib" / library.name).exists():
            shutil.copy2(library, prefix / "lib")


def _libraries(objects: Sequence[Path]) -> list[Path]:
    """Return the shared libraries that these need, those of the C library left out."""
    listed = subprocess.run(  # noqa: S603
        ["ldd", *map(str, objects)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = {Path(path) for path in re.findall(r"=> (/\S+) \(", listed)}
    return sorted(path for path in found if not _C_LIBRARY.fullmatch(path.name))


def _architecture(name: str) -> str:
    """Return the kernel's name of an architecture; other systems and engines have their own."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name.lower(), name)


def _key(*parts: str) -> str:
    """Return a short digest of what an assembled image is made of, this recipe included."""
    recipe = (data_folder("docker") / "base.Dockerfile").read_text(encoding="utf-8")
    text = "\n".join([*parts, platform.machine(), recipe, ",".join(_LEFT_OUT)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]

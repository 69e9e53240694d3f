"""Where the container engine listens, as the docker command finds it, with its certificates."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docker.errors import TLSParameterError
from docker.tls import TLSConfig
from requests.adapters import HTTPAdapter

from matrixci.errors import EngineError

_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_VARIABLES: Final = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
)
"""By which the docker command is told where its engine is."""


class _Config(TLSConfig):
    """Sets up the SDK's client as it says, whatever the environment wants.

    REQUESTS_CA_BUNDLE goes before a session's own setting (psf/requests#3829), and names
    certificates for the web.
    """

    connections: int

    def configure_client(self, client: Any) -> None:  # noqa: ANN401 (a session of requests)
        super().configure_client(client)
        # The usual one has room for ten connections, and complains of each above.
        client.mount("https://", _Adapter(verify=client.verify, pool_maxsize=self.connections))


class _Adapter(HTTPAdapter):
    def __init__(self, *, verify: str | bool, pool_maxsize: int) -> None:
        super().__init__(pool_maxsize=pool_maxsize)
        self._verify = verify

    def send(self, request: Any, *args: Any, **settings: Any) -> Any:  # noqa: ANN401
        return super().send(request, *args, **{**settings, "verify": self._verify})


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """A folder with ca.pem, cert.pem and key.pem."""

    folder: Path
    verify: bool
    """The engine must show a certificate that ca.pem stands for."""

    def config(self, connections: int) -> TLSConfig:
        """Return them for the SDK, with room for so many connections.

        Raises:
            EngineError: one is missing.
        """
        ca, cert, key = (self.folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        own = (str(cert), str(key)) if cert.exists() or key.exists() else None
        if self.verify and not ca.is_file():
            msg = (
                f"The engine's certificate can't be verified: there is no {ca}.\n"
                "Put the certificate there that the engine's own is signed with "
                "(DOCKER_CERT_PATH names the folder)."
            )
            raise EngineError(msg)
        try:
            config = _Config(
                client_cert=own, ca_cert=str(ca) if self.verify else None, verify=self.verify
            )
        except TLSParameterError as error:
            msg = f"In {self.folder} one of cert.pem and key.pem is missing: both are needed."
            raise EngineError(msg) from error
        config.connections = connections
        return config


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine listens."""

    host: str
    named_by: str
    certificates: Certificates | None = None
    """None: without TLS."""

    @property
    def is_local(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.host.startswith("unix://")

    def environment(self, host: str | None = None) -> dict[str, str]:
        """Return an environment in which the docker command meets the same engine.

        Args:
            host: where it is to be met, where that isn't the endpoint's own address.
        """
        ours = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
        ours["DOCKER_HOST"] = host or self.host
        if self.certificates is not None:
            ours["DOCKER_CERT_PATH"] = str(self.certificates.folder)
            ours["DOCKER_TLS_VERIFY" if self.certificates.verify else "DOCKER_TLS"] = "1"
        return ours


def engine_endpoint() -> Endpoint:
    """Return where the engine listens: as the environment says, a docker context, or as usual.

    Raises:
        EngineError: the environment names a context that isn't there.
    """
    if host := os.environ.get("DOCKER_HOST"):
        certificates = _of_environment() if host.startswith("tcp://") else None
        return Endpoint(host=host, named_by="DOCKER_HOST", certificates=certificates)
    named = os.environ.get("DOCKER_CONTEXT")
    name = named or _read(_config_folder() / "config.json").get("currentContext")
    if name and name != "default":
        if (endpoint := _of_context(str(name))) is not None:
            return endpoint
        if named:
            msg = (
                f"DOCKER_CONTEXT names no context that can be read: {name}\nSee: docker context ls"
            )
            raise EngineError(msg)
    return Endpoint(host=_DEFAULT_HOST, named_by="the usual socket")


def _config_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _of_environment() -> Certificates | None:
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not os.environ.get("DOCKER_TLS"):
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or _config_folder())
    return Certificates(folder=folder, verify=verify)


def _of_context(name: str) -> Endpoint | None:
    """Return the endpoint of a context, None where it can't be read.

    The SDK looks for contexts only where there is a config.json, and takes a context's
    certificates only where there are all three.
    """
    contexts, place = _config_folder() / "contexts", hashlib.sha256(name.encode()).hexdigest()
    described = _read(contexts / "meta" / place / "meta.json")
    with suppress(LookupError, TypeError):
        endpoint = described["Endpoints"]["docker"]
        host, verify = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify", False)
        folder = contexts / "tls" / place / "docker"
        certificates = Certificates(folder=folder, verify=verify)
        has_any = host.startswith("tcp://") and folder.is_dir()
        return Endpoint(
            host=host,
            named_by=f"the docker context {name}",
            certificates=certificates if has_any else None,
        )
    return None


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object of the docker command's, an empty one where it can't be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}

"""Address and certificates of the container engine, found as the docker command does."""

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
"""Environment variables that name the docker command's engine."""


class _Config(TLSConfig):
    """TLS settings that the environment does not override.

    REQUESTS_CA_BUNDLE, which names certificates for the web, would take precedence over a session's
    own setting (psf/requests#3829).
    """

    connections: int

    def configure_client(self, client: Any) -> None:  # noqa: ANN401 (a session of requests)
        super().configure_client(client)
        # The default adapter pools ten connections and warns about each one above that.
        client.mount("https://", _Adapter(verify=client.verify, pool_maxsize=self.connections))


class _Adapter(HTTPAdapter):
    def __init__(self, *, verify: str | bool, pool_maxsize: int) -> None:
        super().__init__(pool_maxsize=pool_maxsize)
        self._verify = verify

    def send(self, request: Any, *args: Any, **settings: Any) -> Any:  # noqa: ANN401
        return super().send(request, *args, **{**settings, "verify": self._verify})


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """A folder that contains ca.pem, cert.pem and key.pem."""

    folder: Path
    verify: bool
    """Verify the engine's certificate against ca.pem."""

    def config(self, connections: int) -> TLSConfig:
        """Return the TLS settings of the SDK, with a pool of this many connections.

        Raises:
            EngineError: a certificate is missing.
        """
        ca, cert, key = (self.folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        own = (str(cert), str(key)) if cert.exists() or key.exists() else None
        if self.verify and not ca.is_file():
            msg = (
                f"Cannot verify the engine's certificate: {ca} does not exist.\n"
                "Copy the certificate of the authority that signed the engine's certificate there "
                "(DOCKER_CERT_PATH names the folder)."
            )
            raise EngineError(msg)
        try:
            config = _Config(
                client_cert=own, ca_cert=str(ca) if self.verify else None, verify=self.verify
            )
        except TLSParameterError as error:
            msg = f"cert.pem or key.pem is missing in {self.folder}: both are needed."
            raise EngineError(msg) from error
        config.connections = connections
        return config


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Address and certificates of an engine."""

    host: str
    named_by: str
    """The setting that names the address."""
    certificates: Certificates | None = None
    """None: without TLS."""

    @property
    def is_local(self) -> bool:
        """Whether the engine listens at a socket of this machine."""
        return self.host.startswith("unix://")

    def environment(self, host: str | None = None) -> dict[str, str]:
        """Return an environment in which the docker command reaches the same engine.

        Args:
            host: the address to use instead of the endpoint's own.
        """
        environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
        environment["DOCKER_HOST"] = host or self.host
        if self.certificates is not None:
            environment["DOCKER_CERT_PATH"] = str(self.certificates.folder)
            environment["DOCKER_TLS_VERIFY" if self.certificates.verify else "DOCKER_TLS"] = "1"
        return environment


def engine_endpoint() -> Endpoint:
    """Return the engine that the environment or a docker context names, or the default one.

    Raises:
        EngineError: the environment names a context that does not exist.
    """
    if host := os.environ.get("DOCKER_HOST"):
        certificates = _environment_certificates() if host.startswith("tcp://") else None
        return Endpoint(host=host, named_by="DOCKER_HOST", certificates=certificates)
    named = os.environ.get("DOCKER_CONTEXT")
    name = named or _read(_config_folder() / "config.json").get("currentContext")
    if name and name != "default":
        if (endpoint := _context_endpoint(str(name))) is not None:
            return endpoint
        if named:
            msg = (
                f"DOCKER_CONTEXT names the context {name}, which cannot be read.\n"
                "List the contexts: docker context ls"
            )
            raise EngineError(msg)
    return Endpoint(host=_DEFAULT_HOST, named_by="the default socket")


def _config_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _environment_certificates() -> Certificates | None:
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    if not verify and not os.environ.get("DOCKER_TLS"):
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or _config_folder())
    return Certificates(folder=folder, verify=verify)


def _context_endpoint(name: str) -> Endpoint | None:
    """Return the endpoint of a context, None if it cannot be read.

    The SDK would ignore contexts without a config.json, and certificates unless all three exist.
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
    """Return a JSON object from a file of the docker command, an empty one if it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}

"""Certificates for an engine and its clients, signed by an authority of the test."""

import shutil
import subprocess
from pathlib import Path

from engine_state import skip_or_fail

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_DAYS = ["-days", "2"]


class Authority:
    """A certificate authority; each certificate gets a folder with cert.pem, key.pem and ca.pem."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            skip_or_fail("openssl is not installed, which creates the certificates")
        self.folder = folder
        folder.mkdir()
        where = ["-keyout", "ca-key.pem", "-out", "ca.pem"]
        self._openssl("req", "-x509", *_KEY, *where, *_DAYS, "-subj", f"/CN={folder.name}")

    def sign(self, folder: Path, use: str, name: str) -> Path:
        """Sign a certificate for a use (serverAuth, clientAuth) and a name; return its folder."""
        folder.mkdir()
        shutil.copy(self.folder / "ca.pem", folder)
        (folder / "extensions").write_text(f"subjectAltName={name}\nextendedKeyUsage={use}\n")
        key, request = folder / "key.pem", folder / "request.pem"
        self._openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={use}")
        signed = ["-in", request, "-out", folder / "cert.pem", "-extfile", folder / "extensions"]
        authority = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"]
        self._openssl("x509", "-req", *signed, *authority, *_DAYS)
        return folder

    def _openssl(self, *arguments: object) -> None:
        argv = ["openssl", *map(str, arguments)]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)

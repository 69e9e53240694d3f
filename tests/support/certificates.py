"""Certificates for an engine and for those who may use it, signed by an authority of the test's."""

import shutil
import subprocess
from pathlib import Path

from engine_state import skip_or_fail

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_DAYS = ["-days", "2"]


class Authority:
    """Signs certificates; each lies as cert.pem and key.pem, with ca.pem, in a folder."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            skip_or_fail("there is no openssl, which makes the certificates of the test")
        self.folder = folder
        folder.mkdir()
        where = ["-keyout", "ca-key.pem", "-out", "ca.pem"]
        self._openssl("req", "-x509", *_KEY, *where, *_DAYS, "-subj", f"/CN={folder.name}")

    def sign(self, folder: Path, use: str, name: str) -> Path:
        """Sign one for `use` (serverAuth, clientAuth) and a name; return its folder."""
        folder.mkdir()
        shutil.copy(self.folder / "ca.pem", folder)
        (folder / "extensions").write_text(f"subjectAltName={name}\nextendedKeyUsage={use}\n")
        key, request = folder / "key.pem", folder / "request.pem"
        self._openssl("req", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={use}")
        signed = ["-in", request, "-out", folder / "cert.pem", "-extfile", folder / "extensions"]
        ours = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"]
        self._openssl("x509", "-req", *signed, *ours, *_DAYS)
        return folder

    def _openssl(self, *arguments: object) -> None:
        argv = ["openssl", *map(str, arguments)]
        subprocess.run(argv, cwd=self.folder, check=True, capture_output=True)

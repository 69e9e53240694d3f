"""The option --install-engine."""

import subprocess

from matrixci.cli.console import print_note
from matrixci.engine.endpoint import engine_endpoint
from matrixci.errors import EngineError
from matrixci.util.resources import data_folder


def install_engine() -> None:
    """Install and start a container engine, unless one is running.

    Raises:
        EngineError: that failed; the script has printed the reason.
    """
    endpoint = engine_endpoint()
    if not endpoint.is_local:
        print_note(f"--install-engine has no effect: {endpoint.named_by} names {endpoint.host}")
        return
    argv = ["bash", str(data_folder("docker") / "engine.sh"), "install"]
    if subprocess.run(argv, env=endpoint.environment(), check=False).returncode != 0:  # noqa: S603
        msg = "The container engine could not be installed."
        raise EngineError(msg)

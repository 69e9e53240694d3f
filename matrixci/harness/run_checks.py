"""Run the checks with pytest, configured only by the orders on stdin.

Usage: python run_checks.py EVENT_FD STACKS_FD, with the orders as JSON on stdin; see supervise.py.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import Any

# pytest would read these variables when it is imported or started.
for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
    os.environ.pop(name, None)

import protocol  # noqa: E402
import pytest  # noqa: E402
from pytest_collection import CollectionPlugin  # noqa: E402
from pytest_plugin import CheckPlugin, session_fixtures  # noqa: E402
from selection import is_by_id  # noqa: E402
from supervisor_channel import SupervisorChannel  # noqa: E402


def options(orders: dict[str, Any]) -> list[str]:
    """Return pytest's command line."""
    select = orders["cell"]["select"]
    return [
        *("-c", os.devnull, "--rootdir", orders["checks"], "--import-mode=importlib"),
        *("-p", "no:cacheprovider", "-p", "no:faulthandler", "--continue-on-collection-errors"),
        *(("--strict-markers",) if orders["cell"]["builtin"] else ()),
        *("-W", "default"),
        # Files left in tmp_path would fill the memory that holds the temporary file system.
        *("-o", "tmp_path_retention_policy=none"),
        # No capture: the supervisor reads the output, so that a crash loses none of it.
        # Quiet: the last line would count the checks of this process only.
        *("-qq", "--color=no", "--capture=no", "-o", "verbosity_assertions=2"),
        *(("-k", select) if select and not is_by_id(select) else ()),
        orders["checks"],
    ]


def set_import_path(orders: dict[str, Any]) -> None:
    """Let checks import the modules next to them.

    The folder of checks comes first and replaces the harness's. A user's suite can also be imported
    by the name of its folder (`from tests.helpers import x`). Modules in its subfolders can be
    imported by their own names, as with pytest's default import mode.
    """
    checks = Path(orders["checks"])
    sys.path[0] = str(checks)
    # A suite may have a module named like one of the harness, such as network.py.
    for file in Path(__file__).resolve().parent.glob("*.py"):
        sys.modules.pop(file.stem, None)
    if orders["cell"].get("package"):
        sys.path.append(str(checks.parent))
    if not orders["cell"]["builtin"]:
        folders = {file.parent for file in checks.rglob("*.py")} - {checks}
        sys.path += sorted(str(each) for each in folders if not (each / "__init__.py").exists())


def main() -> int:
    """Run the checks; return pytest's exit status."""
    descriptor, stacks = map(int, sys.argv[1:3])
    for number in (descriptor, stacks):
        os.set_inheritable(number, False)  # noqa: FBT003 - the signature is os's
    orders = json.load(sys.stdin)
    if orders["cell"]["builtin"]:
        # The built-in checks observe what an import loads, so plugins of the stack under test must
        # not be loaded (anyio has one). A user's own checks may need them.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    faulthandler.enable(stacks)
    faulthandler.register(protocol.STACKS_SIGNAL, stacks)
    set_import_path(orders)
    channel = SupervisorChannel(descriptor)
    plugins = [
        CollectionPlugin(orders, channel),
        CheckPlugin(orders, channel),
        session_fixtures(orders["cell"]),
    ]
    return int(pytest.main(options(orders), plugins=plugins))


if __name__ == "__main__":
    sys.exit(main())

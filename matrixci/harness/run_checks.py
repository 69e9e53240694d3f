"""The process of the checks: pytest, with nothing but the orders to decide how it runs.

Usage: python run_checks.py SAY_FD STACKS_FD, with the orders as JSON on stdin; see supervise.py.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from pathlib import Path
from typing import Any

# Settings of the machine's stay out. pytest reads them when it is imported or started.
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
        # What a check leaves in its tmp_path would fill the memory that the scratch is made of.
        *("-o", "tmp_path_retention_policy=none"),
        # The supervisor takes in the output, so that none is lost in a crash.
        # Twice quiet: the last line would count the phases of one process, not the checks of all.
        *("-qq", "--color=no", "--capture=no", "-o", "verbosity_assertions=2"),
        *(("-k", select) if select and not is_by_id(select) else ()),
        orders["checks"],
    ]


def set_import_path(orders: dict[str, Any]) -> None:
    """Have checks import what lies beside them, by the names that a suite uses for it.

    The folder of checks comes first, in place of the harness's own. A suite is also importable by
    its folder's name (`from tests.helpers import x`), and so is what lies beside a file deeper in
    it, as with pytest's default import mode.
    """
    checks = Path(orders["checks"])
    sys.path[0] = str(checks)
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
        # The built-in checks observe what an import loads: plugins of the stack under test stay out
        # (anyio brings one). A user's own checks have the plugins that they require.
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

"""Issues on GitHub, read and written with the program gh."""

import json
import subprocess
from typing import Final, assert_never

from matrixci.errors import GitHubError
from matrixci.github.regression_issue import Action, Close, Open, OpenIssue, Update
from matrixci.util.redaction import redact

LABEL: Final = "matrixci"
"""Marks our issues. Only collaborators can set labels, so other issues are never ours."""
_SECONDS: Final = 120.0


def open_issues() -> list[OpenIssue]:
    """Return our open issues.

    Raises:
        GitHubError: gh cannot be run, or failed.
    """
    options = ("--label", LABEL, "--state", "open", "--limit", "1000", "--json", "number,body")
    output = _gh("issue", "list", *options)
    try:
        found = [(int(one["number"]), str(one["body"])) for one in json.loads(output)]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"gh issue list did not print a list of issues: {output[:200]}"
        raise GitHubError(msg) from error
    return [OpenIssue(number=number, body=body) for number, body in found]


def carry_out(action: Action) -> str:
    """Carry out an action, and return a line about it.

    Raises:
        GitHubError: gh cannot be run, or failed.
    """
    match action:
        case None:
            return "nothing to open, update or close"
        case Open(title=title, body=body):
            about = "maintained by matrixci's scheduled runs"
            _gh("label", "create", LABEL, "--force", "--description", about)
            argv = ("issue", "create", "--title", title, "--label", LABEL, "--body-file", "-")
            return f"opened {_gh(*argv, stdin=body).strip()}"
        case Update(number=number, title=title, body=body, comment=comment):
            _gh("issue", "edit", str(number), "--title", title, "--body-file", "-", stdin=body)
            if comment is None:
                return f"updated #{number}"
            _gh("issue", "comment", str(number), "--body-file", "-", stdin=comment)
            return f"updated #{number} and commented on new regressions"
        case Close(number=number, comment=comment):
            _gh("issue", "close", str(number), "--comment", comment)
            return f"closed #{number}"
        case _ as never:
            assert_never(never)


def _gh(*arguments: str, stdin: str = "") -> str:
    argv = ("gh", *arguments)
    try:
        done = subprocess.run(  # noqa: S603
            argv, input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"Cannot run gh, GitHub's command line program: {error}"
        raise GitHubError(msg) from error
    if done.returncode != 0:
        msg = f"gh {' '.join(arguments[:2])} failed: {redact(done.stderr).strip()}"
        raise GitHubError(msg)
    return done.stdout

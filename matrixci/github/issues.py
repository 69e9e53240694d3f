"""The issues of a project on GitHub; no other module runs its command line program."""

import json
import subprocess
from typing import Final, assert_never

from matrixci.errors import GitHubError
from matrixci.github.regression_issue import Action, Close, Open, OpenIssue, Update
from matrixci.util.redaction import redact

LABEL: Final = "matrixci"
"""Marks the issues: only who may triage can label, so nobody else's text is taken for ours."""
_SECONDS: Final = 120.0


def open_issues() -> list[OpenIssue]:
    """Return the issues that are open and ours.

    Raises:
        GitHubError: GitHub can't be asked.
    """
    asked = ("--label", LABEL, "--state", "open", "--limit", "1000", "--json", "number,body")
    said = _gh("issue", "list", *asked)
    try:
        found = [(int(one["number"]), str(one["body"])) for one in json.loads(said)]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"gh issue list didn't print a list of issues: {said[:200]}"
        raise GitHubError(msg) from error
    return [OpenIssue(number=number, body=body) for number, body in found]


def carry_out(action: Action) -> str:
    """Do what was decided, and return it in words.

    Raises:
        GitHubError: GitHub can't be reached, or refuses.
    """
    match action:
        case None:
            return "nothing to open, update or close"
        case Open(title=title, body=body):
            about = "kept by the scheduled matrix of matrixci"
            _gh("label", "create", LABEL, "--force", "--description", about)
            argv = ("issue", "create", "--title", title, "--label", LABEL, "--body-file", "-")
            return f"opened {_gh(*argv, stdin=body).strip()}"
        case Update(number=number, title=title, body=body, comment=comment):
            _gh("issue", "edit", str(number), "--title", title, "--body-file", "-", stdin=body)
            if comment is None:
                return f"updated #{number}"
            _gh("issue", "comment", str(number), "--body-file", "-", stdin=comment)
            return f"updated #{number}, with a comment on what is new"
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
        msg = f"GitHub's command line program, gh, can't be run or doesn't answer: {error}"
        raise GitHubError(msg) from error
    if done.returncode != 0:
        msg = f"gh {' '.join(arguments[:2])} failed: {redact(done.stderr).strip()}"
        raise GitHubError(msg)
    return done.stdout

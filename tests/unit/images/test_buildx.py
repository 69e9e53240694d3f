from pathlib import Path

from matrixci.images.buildx import BuildError, build_error

CUT = """\
#12 [torch 2/2] RUN sh /run/install-locked.sh /run/lock/torch.txt
#12 0.101 error: Failed to fetch: 503 Service Unavailable
#12 DONE 0.2s

#13 [cell 1/2] RUN sh /run/install-locked.sh /run/lock/rest.txt
#13 0.271 Using Python 3.11.7 environment at: /usr/local
#13 0.363 error: Failed to download `toydependency==1.0`
#13 0.366   cause: Hash mismatch for `toydependency==1.0`
#13 0.368 
#13 0.371          Computed:
#13 0.372            sha256:3e6d957b
#13 ERROR: process "/bin/sh -c sh /run/install-locked.sh" did not complete: exit code: 1
------
 > [cell 1/2] RUN sh /run/install-locked.sh /run/lock/rest.txt:

0.372            sha256:3e6d957b
------
ERROR: failed to solve: process "/bin/sh -c sh /run/install-locked.sh": exit code: 1
"""  # noqa: W291 - recorded output


def test_cause_is_found_in_the_failed_step_if_the_summary_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "image.log"
    log.write_text(CUT, encoding="utf-8")
    failure = build_error(log)
    assert isinstance(failure, BuildError)
    first, *rest = str(failure).splitlines()
    assert "does not match the lock" in first
    assert rest[0] == "Using Python 3.11.7 environment at: /usr/local"
    assert rest[-2:] == ["           sha256:3e6d957b", "full log: image.log"]


def test_failure_without_output_is_explained_by_the_whole_log(tmp_path: Path) -> None:
    log = tmp_path / "image.log"
    log.write_text("#3 [internal] load\n#3 ERROR: gone\nERROR: failed\n", encoding="utf-8")
    assert str(build_error(log)).splitlines()[:2] == ["#3 [internal] load", "#3 ERROR: gone"]

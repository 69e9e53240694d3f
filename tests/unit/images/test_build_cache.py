import json
from pathlib import Path

import pytest

from matrixci.errors import ExitCode, UsageError
from matrixci.images.build_cache import CacheInUse, failed_export, parse_build_cache
from matrixci.images.buildx import Build

PLAIN = Build(context=Path(), dockerfile=Path("Dockerfile"))


def applied(text: str, build: Build = PLAIN) -> tuple[list[str], list[str]]:
    done = parse_build_cache(text).apply(build, "torch-1")
    return list(done.cache_from), list(done.cache_to)


@pytest.mark.parametrize(
    ("text", "imported", "exported"),
    [
        ("type=gha", "type=gha,scope=matrixci-torch-1", "type=gha,scope=matrixci-torch-1"),
        (
            "type=gha,scope=mine,timeout=5m",
            "type=gha,scope=mine-torch-1,timeout=5m",
            "type=gha,scope=mine-torch-1,timeout=5m",
        ),
        (
            "type=registry,ref=h.example:5000/a,compression=zstd",
            "type=registry,ref=h.example:5000/a:torch-1",
            "type=registry,ref=h.example:5000/a:torch-1,compression=zstd",
        ),
        (
            "type=registry,ref=h.example:5000/a:b,mode=min",
            "type=registry,ref=h.example:5000/a:b-torch-1",
            "type=registry,ref=h.example:5000/a:b-torch-1",
        ),
        (
            "type=s3,bucket=b,region=r",
            "type=s3,bucket=b,region=r,name=matrixci-torch-1",
            "type=s3,bucket=b,region=r,name=matrixci-torch-1",
        ),
    ],
)
def test_each_build_has_its_own_cache(text: str, imported: str, exported: str) -> None:
    sources, targets = applied(text)
    assert sources == [imported]
    (target,) = targets
    attributes = dict(pair.split("=", 1) for pair in target.split(","))
    assert (attributes.pop("mode"), attributes.pop("ignore-error")) == ("max", "true")
    assert attributes == dict(
        pair.split("=", 1) for pair in exported.split(",") if "mode" not in pair
    )


@pytest.mark.parametrize("key", ["dest", "src"])
def test_folder_without_the_cache_is_not_imported(tmp_path: Path, key: str) -> None:
    text = f"type=local,{key}={tmp_path}"
    tag = "matrixci-torch-1"
    exported = f"type=local,dest={tmp_path},tag={tag},mode=max,ignore-error=true"
    assert applied(text) == ([], [exported])
    for content in ("{broken", "[]", "{}", '{"manifests": [{}]}'):
        (tmp_path / "index.json").write_text(content)
        assert applied(text)[0] == []
    entry = {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [{}, entry]}))
    assert applied(text) == ([f"type=local,tag={tag},src={tmp_path}"], [exported])


def test_other_caches_of_a_build_are_kept(tmp_path: Path) -> None:
    build = Build(
        context=tmp_path, dockerfile=tmp_path, cache_from=["type=x"], cache_to=["type=inline"]
    )
    sources, targets = applied("type=gha", build)
    assert (sources[0], targets[0], len(sources), len(targets)) == ("type=x", "type=inline", 2, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gha",
        "type=inline",
        "type=nothing",
        "type=registry",
        "type=local",
        "type=gha,scope",
        "type=s3,region=r",
        "type=azblob",
        "type=local,dest=",
    ],
)
def test_invalid_location_is_reported(text: str) -> None:
    with pytest.raises(UsageError, match="Invalid build cache") as caught:
        parse_build_cache(text)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("key", ["token", "secret_access_key", "access_key_id", "session_token"])
def test_credentials_are_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(UsageError, match="does not accept credentials") as caught:
        parse_build_cache(f"type=s3,bucket=b,{key}=geheim")
    assert "geheim" not in str(caught.value)


# Problems


def test_engine_without_export_is_reported_once() -> None:
    said: list[str] = []
    cache = CacheInUse(parse_build_cache("type=gha"), said.append, exportable=False)
    assert cache.apply(PLAIN, "torch-1") is PLAIN
    assert cache.apply(PLAIN, "cell-1") is PLAIN
    (message,) = said
    assert "containerd-snapshotter" in message
    assert "--registry" in message


@pytest.mark.parametrize("token", ["", "geheim"])
def test_github_cache_needs_a_token(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", token)
    said: list[str] = []
    cache = CacheInUse(parse_build_cache("type=gha"), said.append, exportable=True)
    assert (cache.apply(PLAIN, "torch-1") is PLAIN) == (not token)
    assert len(said) == (not token)


LOG = """#16 exporting to image
#16 DONE 0.2s

#17 exporting cache to registry
#17 preparing build cache for export
#18 other
#18 ERROR: of another step
#17 writing layer sha256:00 0.0s done
#17 ERROR: error writing layer blob: connection refused
"""


def test_failed_export_is_found_in_the_log() -> None:
    assert failed_export(LOG) == "error writing layer blob: connection refused"
    assert failed_export(LOG.replace("#17 ERROR: ", "#17 DONE ")) is None
    assert failed_export("") is None


def test_failed_export_is_reported_once(tmp_path: Path) -> None:
    said: list[str] = []
    cache = CacheInUse(
        parse_build_cache("type=registry,ref=h.example/a"), said.append, exportable=True
    )
    log = tmp_path / "log"
    for text in ("fine", LOG, LOG):
        log.write_text(text)
        cache.examine(log)
    message = (
        "cannot export the cache of --build-cache: error writing layer blob: connection refused"
    )
    assert said == [message]

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built strictly: each broken link or anchor is an error."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: it hides the warnings from --strict, which then fails on none of them.
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class Loaded(HTMLParser):
    """Collects the URLs that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in {"script", "img", "iframe"}:
            self.urls.append(named.get("src") or "")
        if tag == "link" and named.get("rel") != "canonical":
            self.urls.append(named.get("href") or "")


def test_the_site_loads_nothing_from_other_hosts(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert [url for url in loaded.urls if url.startswith(("http", "//"))] == [], page


def test_the_site_holds_no_source_of_its_generator(site: Path) -> None:
    assert [path for path in site.rglob("*") if path.suffix == ".py"] == []


def test_generated_tables_are_on_their_pages(site: Path) -> None:
    assert "<code>precompile</code>" in (site / "reference" / "matrix-yaml.html").read_text()
    assert "<code>--as-of" in (site / "reference" / "commands.html").read_text()
    assert "Unreleased" in (site / "changelog.html").read_text()


@pytest.mark.parametrize("document", OUTSIDE, ids=lambda path: path.name)
def test_links_of_documents_outside_the_site_lead_to_files(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_is_short_and_names_the_test_command() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
    start = "python3 -m pip install nox && python3 -m nox -s"
    for session in ("matrix", "tests"):
        assert f"{start} {session} -- --install-engine" in lines


def test_the_architecture_page_shows_every_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each for each in contracts["contracts"] if each["name"] == "layers")["layers"]
    names = [name for layer in layers for name in layer.split(" | ")]
    picture = (DOCS / "assets" / "layers.svg").read_text()
    assert re.findall(r'class="name"[^>]*>(\w+)<', picture) == names
    page = (DOCS / "explanation" / "architecture.md").read_text()
    apart = {"schemas"}  # not a step: it writes the schema files
    missing = [
        name
        for name in names
        if name not in apart and not re.search(rf"`matrixci/{name}(/|\.py)`", page)
    ]
    assert missing == []


def test_every_path_that_a_page_names_exists() -> None:
    roots = ("matrixci", "checks", "docker", "tests", "examples", "docs", r"\.ci", r"\.github")
    named = re.compile(rf"`((?:{'|'.join(roots)})/[\w./-]*)`")
    pages = [*DOCS.rglob("*.md"), *OUTSIDE]
    pages.remove(DOCS / "tutorial.md")  # its paths are those of the reader's own package
    missing = {
        (page.name, path)
        for page in pages
        for path in named.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    }
    assert missing == set()


def test_contributing_names_every_session_of_contributors() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sessions = [
        each.name
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
        and any(getattr(name, "id", "") == "contributor_session" for name in each.decorator_list)
    ]
    assert "lint" in sessions
    assert [name for name in sessions if f"`nox -s {name}`" not in page] == []

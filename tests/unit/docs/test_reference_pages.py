import re
from pathlib import Path

import pytest
from reference_pages.commands import commands
from reference_pages.markdown import code, table
from reference_pages.modules import PACKAGE, modules
from reference_pages.outcomes import cell_outcomes, check_outcomes, errors, exit_codes, reasons
from reference_pages.pages import MARKER, ROOT_PAGES, TABLES, fill, root_page
from reference_pages.report_formats import report_formats
from reference_pages.schema import schema_tables

from matrixci.cli.help import OrderedGroup
from matrixci.cli.main import app
from matrixci.errors import ExitCode
from matrixci.model import CellOutcome, CheckOutcome, Reason
from matrixci.reports.formats import FORMATS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def first_cells(markdown: str) -> list[str]:
    """Return the codes in the tables, each row's first."""
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    found = [re.search(r"`([^`]+)`", row) for row in rows]
    return [each[1] for each in found if each is not None]


@pytest.mark.parametrize(
    ("markdown", "names"),
    [
        (cell_outcomes(), [*CellOutcome]),
        (check_outcomes(), [*CheckOutcome]),
        (reasons(), [*Reason]),
        (exit_codes(), [str(each.value) for each in ExitCode]),
        (report_formats(), [*FORMATS]),
    ],
)
def test_each_table_has_a_row_for_every_member(markdown: str, names: list[str]) -> None:
    assert first_cells(markdown) == names


def test_errors_are_listed_with_their_exit_code() -> None:
    row = next(line for line in errors().splitlines() if "MatrixFileError" in line)
    assert "| `2` |" in row


def test_commands_are_described_in_the_order_of_the_help() -> None:
    text = commands()
    headings = re.findall(r"^## matrixci (\w+)$", text, re.MULTILINE)
    assert headings[0] == "matrix"
    assert len(headings) == len(app.registered_commands) + len(app.registered_groups)
    assert "### matrixci history show" in text
    assert "`--python" not in text  # axes belong to a matrix, not to the command
    assert app.info.cls is OrderedGroup


def test_options_are_described_with_default_and_range() -> None:
    rows = {line.split("`")[1]: line for line in commands().splitlines() if line.startswith("| `")}
    assert "[default: matrix.yaml]" in rows["--matrix <path>"]
    assert any(name.startswith("--jobs") and "[x>=1]" in row for name, row in rows.items())


def test_schema_tables_name_keys_types_and_defaults() -> None:
    text = schema_tables("matrix")
    assert "| `subject` | *string*, required<br>The package under test" in text
    assert "| `gates` | *[Gates](#gates)*<br>" in text
    assert "### Gates" in text
    assert "| `memory` | *size*, default `6 GiB`<br>" in text
    assert "| `exclude` | *list of rule*<br>" in text


@pytest.mark.parametrize("name", ["matrix", "run", "cell-result"])
def test_schema_tables_link_only_to_their_own_sections(name: str) -> None:
    text = schema_tables(name)
    anchors = {
        each.lower().replace(" ", "-") for each in re.findall(r"^### (.+)$", text, re.MULTILINE)
    }
    assert {*re.findall(r"\]\(#([^)]+)\)", text)} <= anchors


def test_every_module_is_listed_with_its_docstring() -> None:
    text = modules()
    listed = re.findall(r"^\| `(\w+\.py)` \| (.*) \|$", text, re.MULTILINE)
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert len(listed) == len(files)
    assert [name for name, task in listed if not task.strip()] == []
    assert "## matrixci/reports/page/" in text


def test_text_of_a_table_cannot_end_its_cell() -> None:
    assert table(["a"], [["one|two\nthree"]]).splitlines()[-1] == r"| one\|two three |"


def test_code_in_a_table_shows_its_bars_without_backslashes() -> None:
    assert code("--base <a|b>") == "<code>--base &lt;a&#124;b&gt;</code>"


def test_every_table_is_on_a_page_and_every_marker_names_a_table() -> None:
    texts = [page.read_text("utf-8") for page in PAGES]
    assert sorted(name for text in texts for name in MARKER.findall(text)) == sorted(TABLES)
    assert not any("<!--" in MARKER.sub("", text) for text in texts)


def test_a_marker_is_replaced_by_its_table() -> None:
    assert fill("a <!-- generated: reasons -->\ntext\n<!-- end --> b") == f"a {reasons()} b"


@pytest.mark.parametrize("name", ROOT_PAGES)
def test_documents_of_the_root_keep_links_only_to_pages_of_the_site(name: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", root_page(name))
    assert [each for each in links if not (DOCS / each).is_file() and each not in ROOT_PAGES] == []

"""Tests of the page in a real browser: its use, and attacks from the text of a run."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Final, Literal

import pytest
from page_demo import FOLDER, ISOLATION, STATE, demo_report
from page_hostile import hostile_report
from page_large import large_report

from matrixci.reports.page.html import render

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import (  # noqa: E402 - it may be missing
    Browser,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

CHROMIUM: Final = os.environ.get("MATRIXCI_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The installed browser, unless MATRIXCI_CHROMIUM names another."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

# A reserved host name: the tests serve only the page.
PAGE: Final = "https://page.test/report.html"
CELL: Final = "py3.12-numpy2-cpu"
Scheme = Literal["light", "dark"]
Open = Callable[..., Page]


# Module scope: the driver's event loop runs in this thread until it is closed, and would prevent
# other tests from starting one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def demo() -> str:
    return render(demo_report())


@pytest.fixture(scope="session")
def hostile() -> str:
    return render(hostile_report())


@pytest.fixture(scope="session")
def large() -> str:
    return render(large_report(10_000, 60))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open pages, and fail if one logs a message, raises an error or requests anything."""
    events: list[str] = []
    contexts = []

    def opened(
        text: str,
        state: str = "",
        *,
        width: int = 1440,
        height: int = 900,
        scheme: Scheme = "light",
    ) -> Page:
        def handle(route: Route) -> None:
            if route.request.url.partition("#")[0] == PAGE:
                route.fulfill(body=text, content_type="text/html; charset=utf-8")
            else:
                events.append(f"request: {route.request.url}")
                route.abort()

        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.route("**/*", handle)
        page = context.new_page()
        page.on("console", lambda message: events.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on("dialog", lambda dialog: events.append(f"dialog: {dialog.message}"))
        page.goto(PAGE + state)
        return page

    yield opened
    for context in contexts:
        context.close()
    # The browser requests the site's icon, not the page.
    assert [line for line in events if not line.endswith("/favicon.ico")] == []


def cell(page: Page, cell_id: str = CELL) -> Locator:
    return page.locator(f'td.cell[title="{cell_id}"]')


def drawer(page: Page) -> Locator:
    return page.get_by_role("dialog")


def shown_count(page: Page) -> Locator:
    return page.locator(".shown")


def test_table_has_a_word_and_counts_in_each_cell(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    expect(page.locator("td.cell")).to_have_count(16)
    expect(cell(page)).to_contain_text("failed")
    expect(cell(page)).to_contain_text("6 passed · 2 failed · 1 crashed · 1 known")
    expect(cell(page, "py3.11-numpy2-cuda")).to_contain_text("partial10 passed · 3 need a GPU")
    expect(cell(page, "py3.13-numpy1-cpu")).to_contain_text("unsatisfiable")
    expect(
        page.get_by_role("columnheader", name="device cuda (no GPU on this engine)")
    ).to_be_visible()
    row = page.get_by_role("row").filter(has=cell(page, "py3.13-numpy1-cpu"))
    expect(row).to_contain_text("no NumPy 1.x wheel for Python 3.13")


def test_repeated_labels_are_merged(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    header = page.get_by_role("rowheader", name="py3.12", exact=True)
    expect(header).to_have_count(1)
    expect(header).to_have_attribute("rowspan", "2")


def test_text_filters_cells_by_messages_of_their_checks(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    page.get_by_role("searchbox").fill("TorchDynamoPlugin")
    expect(shown_count(page)).to_have_text("1 of 16 cells")
    expect(page.locator("td.cell:not(.off)")).to_have_attribute("title", CELL)
    expect(page.locator("#failures-list article")).to_have_count(3)
    expect(page).to_have_url(f"{PAGE}#q=TorchDynamoPlugin")
    page.get_by_role("button", name="Clear").click()
    expect(shown_count(page)).to_have_text("16 cells")


def test_words_of_a_filter_have_to_match_together(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    page.get_by_role("searchbox").fill("py3.11 cuda")
    expect(shown_count(page)).to_have_text("2 of 16 cells")
    page.get_by_role("searchbox").fill("nothing of this")
    expect(page.locator("#grid")).to_contain_text("No cell matches the filter.")


def test_outcome_and_axes_filter(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    page.get_by_role("button", name=re.compile("failed")).click()
    expect(shown_count(page)).to_have_text("3 of 16 cells")
    page.locator(".menu summary", has_text="python").click()
    page.get_by_role("checkbox", name="3.12").check()
    expect(shown_count(page)).to_have_text("2 of 16 cells")
    expect(page).to_have_url(f"{PAGE}#outcome=failed&axis.python=3.12")


def test_address_holds_the_filters(open_page: Open, demo: str) -> None:
    page = open_page(demo, "#outcome=failed&axis.python=3.12&q=state")
    expect(shown_count(page)).to_have_text("1 of 16 cells")
    expect(page.get_by_role("searchbox")).to_have_value("state")
    expect(page.get_by_role("button", name=re.compile("failed"))).to_have_attribute(
        "aria-pressed", "true"
    )


@pytest.mark.parametrize("width", [1440, 390])
def test_blockers_say_what_failed_where_and_since_when(
    open_page: Open, demo: str, width: int
) -> None:
    page = open_page(demo, width=width)
    first = page.locator(".blockers li").first
    for text in (
        "failed",
        "TensorFlow stays out where it is switched off.",
        "expected: tensorflow is not in sys.modules; seen: 214 modules of tensorflow",
        "2 of 16 cells: py3.12-numpy1-cpu, py3.12-numpy2-cpu",
        "red since 2026-10-15, last green 2026-10-14",
        "in no green cell: huggingface-hub 2.1.0 → 2.4.0",
        ISOLATION,
    ):
        expect(first).to_contain_text(text)
    expect(first).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_cell_details_are_shown(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    cell(page).click()
    opened = drawer(page)
    expect(opened.get_by_role("heading", name=CELL)).to_be_focused()
    for text in (
        "TrainingArguments() keeps a configured AcceleratorState.",
        STATE,
        "expected: AcceleratorState as configured",
        f"python3 -m nox -s matrix -- --cell py3.12-numpy2-cpu --check {STATE}",
        "transformers 5.20.2 → 5.23.0",
        "hf-xet 1.8.0 added",
        "passed → failed",
        "27.5 s",  # of the build
        "failed for 2 runs, 1 change",
        "2 attempts: earlier attempts failed because of the infrastructure",
        f"Bill of materials: in {FOLDER}/sboms/{CELL}.cdx.json",
    ):
        expect(opened).to_contain_text(text)
    link = opened.get_by_role("link", name="huggingface/transformers#40376")
    expect(link).to_have_attribute(
        "href", "https://github.com/huggingface/transformers/issues/40376"
    )
    expect(page).to_have_url(f"{PAGE}#cell={CELL}")


def test_parts_of_a_cell_are_built_on_demand(open_page: Open, demo: str) -> None:
    page = open_page(demo, f"#cell={CELL}")
    opened = drawer(page)
    assert "package-7==" not in (opened.text_content() or "")
    opened.get_by_text("Lock", exact=True).click()
    expect(opened).to_contain_text("package-7==1.7")
    opened.get_by_text("Attested by the container").click()
    expect(opened).to_contain_text("import tensorflowfailed")
    opened.get_by_text("5 passed").click()
    expect(opened.locator(".check")).to_have_count(10)


def test_log_keeps_its_colours_and_shows_other_controls(open_page: Open, demo: str) -> None:
    page = open_page(demo, f"#cell={CELL}")
    drawer(page).get_by_text("Log", exact=True).click()
    expect(drawer(page).locator("pre .a-2").first).to_have_text("passed")
    expect(drawer(page)).to_contain_text("\\x1b[2Jcleared")
    assert "\x1b" not in (drawer(page).text_content() or "")


def test_address_of_a_check_opens_it(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    link = page.locator(".matrix td a").first
    href = link.get_attribute("href")
    assert href is not None
    other = open_page(demo, href)
    focused = drawer(other).locator(".check:focus")
    expect(focused).to_be_in_viewport()
    expect(focused).to_contain_text("keeps a configured AcceleratorState")


def test_unknown_address_shows_the_whole_page(open_page: Open, demo: str) -> None:
    page = open_page(demo, "#cell=py9-gone&outcome=unheard&axis.python=2.7&check=none")
    expect(drawer(page)).to_have_count(0)
    expect(page.locator("#grid")).to_contain_text("No cell matches the filter.")


def test_back_closes_the_cell(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    cell(page).click()
    expect(drawer(page)).to_be_visible()
    page.go_back()
    expect(drawer(page)).to_have_count(0)


def test_table_is_navigated_by_keys(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    first = cell(page, "py3.10-numpy1-cpu")
    expect(page.locator('td.cell[tabindex="0"]')).to_have_count(1)
    first.focus()
    for key, focused in (
        ("ArrowRight", "py3.10-numpy1-cuda"),
        ("ArrowRight", "py3.10-numpy1-cuda"),
        ("ArrowDown", "py3.10-numpy2-cuda"),
        ("Home", "py3.10-numpy2-cpu"),
        ("Control+End", "py3.13-numpy2-cuda"),
        ("Control+Home", "py3.10-numpy1-cpu"),
        ("PageDown", "py3.13-numpy2-cpu"),
        ("ArrowUp", "py3.13-numpy1-cpu"),
    ):
        page.keyboard.press(key)
        expect(cell(page, focused)).to_be_focused()
    page.keyboard.press("Enter")
    expect(drawer(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer(page)).to_have_count(0)
    expect(cell(page, "py3.13-numpy1-cpu")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("3.12")
    expect(shown_count(page)).to_have_text("4 of 16 cells")
    page.keyboard.press("Escape")
    expect(shown_count(page)).to_have_text("16 cells")


def test_focus_is_visible(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    cell(page, "py3.10-numpy1-cpu").focus()
    page.keyboard.press("ArrowDown")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "2px"


def test_neighbours_can_be_opened_from_a_cell(open_page: Open, demo: str) -> None:
    page = open_page(demo, "#outcome=failed&cell=py3.12-numpy1-cpu")
    drawer(page).get_by_role("button", name="Next cell").click()
    expect(drawer(page).get_by_role("heading", name=CELL)).to_be_focused()
    expect(drawer(page).get_by_role("button", name="Next cell")).to_be_disabled()


def test_command_is_copied(open_page: Open, demo: str) -> None:
    page = open_page(demo, f"#cell={CELL}")
    drawer(page).get_by_role("button", name="Copy the command", exact=True).click()
    expect(drawer(page).get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"python3 -m nox -s matrix -- --cell {CELL}"


def test_failures_with_the_same_message_are_grouped(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    group = page.locator("#failures-list article").filter(has_text=ISOLATION)
    expect(group).to_contain_text("2 cells")
    expect(group.get_by_role("link")).to_have_text(["py3.12-numpy1-cpu", CELL])
    group.get_by_role("link").last.click()
    expect(drawer(page).locator(".check:focus")).to_contain_text("TensorFlow stays out")


def test_memory_addresses_are_ignored_in_grouping(open_page: Open) -> None:
    page = open_page(render(large_report(700, 60)))
    expect(page.locator("#failures-count")).to_have_text("10")


def test_regressions_are_listed_with_changed_packages(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    row = page.locator("#baseline tr").filter(has_text="TensorFlow stays out")
    expect(row).to_contain_text("regressed")
    expect(row).to_contain_text("transformers 5.20.2 → 5.23.0")
    expect(row).not_to_contain_text("fsspec")  # it changed in only one of the two cells


def test_changed_metrics_are_shown_with_their_ratio(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    row = page.get_by_role("region", name="Changed metrics").get_by_role("row").last
    expect(row).to_contain_text("test_import.py::test_import_trainer: modules")
    expect(row).to_contain_text("1410 → 2034")
    expect(row).to_contain_text("1.44")
    expect(row.get_by_role("link")).to_have_count(2)


def test_checks_are_shown_by_cell(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    rows = page.locator(".matrix tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.filter(has_text="A Trainer trains.")).to_contain_text("10/11")
    page.get_by_role("checkbox", name="Show checks that passed everywhere").check()
    expect(rows).to_have_count(13)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["", f"#cell={CELL}", "#q=tensorflow"])
def test_page_is_accessible(open_page: Open, demo: str, scheme: Scheme, state: str) -> None:
    page = open_page(demo, state, scheme=scheme)
    assert _violations(page) == []


def test_phone_layout_is_accessible_and_scrolls_vertically_only(open_page: Open, demo: str) -> None:
    page = open_page(demo, width=390, height=844)
    assert _violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".menu summary").last.click()
    expect(page.get_by_role("checkbox", name="cuda")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.keyboard.press("Escape")
    cell(page).click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 390


def _violations(page: Page) -> list[str]:
    """Return the serious and critical findings of axe, each with its first element."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    page.wait_for_timeout(250)  # until animations have ended
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


def test_theme_follows_the_system_until_chosen(open_page: Open, demo: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    dark, light = open_page(demo, scheme="dark"), open_page(demo)
    assert dark.evaluate(background) != light.evaluate(background)
    button = light.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    assert dark.evaluate(background) == light.evaluate(background)
    light.reload()
    assert dark.evaluate(background) == light.evaluate(background)


def test_no_attack_runs_or_becomes_markup(open_page: Open, hostile: str) -> None:
    page = open_page(hostile)
    for _ in range(3):
        cells = page.locator("td.cell")
        cells.last.click()
        for part in drawer(page).locator("details").all():
            part.evaluate("element => { element.open = true; }")
        page.keyboard.press("Escape")
        page.get_by_role("searchbox").fill("<img")
        page.get_by_role("searchbox").fill("")
    assert page.evaluate("window.pwned") is None
    assert page.locator("img, iframe, script[src], svg svg, [onerror], [onload]").count() == 0
    assert page.locator("script").count() == 2
    for link in page.locator("a").all():
        assert (link.get_attribute("href") or "").startswith(("#", "https://github.com/"))
    seen = page.locator("main").inner_text()
    assert "<img src=x onerror=window.pwned=1>" in seen
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", seen)


def test_hostile_address_is_shown_as_text(open_page: Open, hostile: str) -> None:
    page = open_page(hostile, "#q=<img src=x onerror=window.pwned=1>&cell=__proto__&check=toString")
    assert page.evaluate("window.pwned") is None
    expect(page.get_by_role("searchbox")).to_have_value("<img src=x onerror=window.pwned=1>")


def test_every_hostile_cell_can_be_linked_to(open_page: Open, hostile: str) -> None:
    page = open_page(hostile)
    for index in range(page.locator("td.cell").count()):
        page.locator("td.cell").nth(index).click()
        title = drawer(page).locator("h2").inner_text()
        page.reload()
        expect(drawer(page).locator("h2")).to_have_text(title)
        page.keyboard.press("Escape")


def test_large_run_creates_few_elements_and_finds_a_cell(open_page: Open, large: str) -> None:
    page = open_page(large)
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
    expect(shown_count(page)).to_have_text("10,000 cells")
    expect(page.locator("#failures-list article")).to_have_count(10)
    page.get_by_role("searchbox").fill("build249-xpu py3.13")
    expect(shown_count(page)).to_have_text("2 of 10,000 cells")
    page.locator("td.cell:not(.off)").first.click()
    expect(drawer(page).locator(".count")).to_have_text("60")


def test_large_table_grows_during_navigation(open_page: Open, large: str) -> None:
    page = open_page(large)
    before = page.locator(".grid tbody tr").count()
    page.get_by_role("button", name=re.compile("Show more")).scroll_into_view_if_needed()
    expect(page.locator(".grid tbody tr").nth(before)).to_be_attached()
    page.locator('td.cell[tabindex="0"]').focus()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowDown")
    expect(page.locator("td.cell:focus")).to_be_in_viewport()
    later = page.get_by_role("button", name="Later cells")
    later.click()
    expect(page.locator(".pager")).to_contain_text("cells 41")


def test_printing_expands_collapsed_parts(open_page: Open, demo: str) -> None:
    page = open_page(demo)
    page.emulate_media(media="print")
    expect(page.locator("#filters")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".blocking details li")).to_be_visible()
    expect(page.locator("#baseline .part table")).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".blocking details li")).to_be_hidden()
    assert len(page.pdf(format="A4")) > 10_000


def test_only_the_open_cell_is_printed(open_page: Open, demo: str) -> None:
    page = open_page(demo, f"#cell={CELL}")
    page.emulate_media(media="print")
    expect(page.locator("main")).to_be_hidden()
    expect(drawer(page).get_by_text("TrainingArguments() keeps")).to_be_visible()


def test_page_without_script_shows_the_verdict(browser: Browser, demo: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(demo)
    expect(page.locator(".badge")).to_contain_text("NOT READY")
    expect(page.locator(".gates li")).to_have_count(4)
    context.close()


def test_warning_is_shown_as_a_warning(
    open_page: Open,
) -> None:
    page = open_page(render(demo_report(warnings=(STATE,))))
    expect(cell(page)).to_contain_text(
        "6 passed · 1 failed · 1 crashed · 1 known issue · 1 warning"
    )
    group = page.locator("#failures-list article").filter(has_text=STATE)
    expect(group).to_contain_text("failed (warning)")
    # Warnings are listed separately and not counted as failures.
    failing = page.locator("#failures-list > div").first.locator("article")
    expect(failing.filter(has_text=STATE)).to_have_count(0)
    expect(page.locator("#failures-count")).to_have_text(str(failing.count()))
    cell(page).click()
    expect(drawer(page).locator(".check").filter(has_text=STATE)).to_contain_text("(warning)")

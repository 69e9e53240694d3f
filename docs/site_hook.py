"""MkDocs hook: fill generated tables into the pages, and add pages from the repository's root."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference_pages.pages import ROOT_PAGES, fill, root_page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each document in the repository's root that the site shows."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, content=root_page(name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs calls it with these names
    """Replace each marker of a page by the table that it names."""
    return fill(markdown)

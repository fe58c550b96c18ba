"""A real Chromium, where one is installed."""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Path of an installed Chromium or Chrome."""
    names = (os.environ.get("BSCONV_NAS_BROWSER", ""), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Generator[Any]:
    """One browser for all tests of a process."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed (apt install chromium, or BSCONV_NAS_BROWSER=/path)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """A page with what it did wrong: messages of errors, and requests to other hosts."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        page.set_default_timeout(90_000)

    def open(self, link: str) -> Any:
        """Open a link and wait until the page is drawn."""
        self.page.goto(link)
        self.page.locator("html.ready[data-drawn]").wait_for(state="attached")
        return self.page

    def assert_clean(self, link: str) -> None:
        """No error, and nothing asked of any other host."""
        assert self.errors == []
        foreign = [url for url in self.requests if not url.startswith((link, "data:", "blob:"))]
        assert foreign == []


@pytest.fixture
def watched(browser: Any) -> Generator[Callable[..., Watched]]:
    """Makes pages of a size and colour scheme."""
    contexts: list[Any] = []

    def make(width: int = 1280, scheme: str = "light") -> Watched:
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        )
        return Watched(contexts[-1].new_page())

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder for studies."""
    return tmp_path / "studies"

"""The pictures of the dashboard in the README, taken from a real study by a real browser.

    python docs/make_screenshots.py STUDY_FOLDER [--to docs/images]

Writes dashboard-light.png and dashboard-dark.png (1280 px wide, as it opens) and dashboard-narrow.png (390 px).
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.serving import served

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
PICTURES = (("light", 1280, 1060), ("dark", 1280, 1060), ("narrow", 390, 1400))


def take(browser: Browser, link: str, scheme: str, size: tuple[int, int], path: Path) -> None:
    """One picture, at twice the pixels."""
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2,
    )
    page.goto(link)
    page.locator("html.ready").wait_for(state="attached")
    page.locator("#details .network").wait_for()
    page.locator("#choices table").wait_for()
    page.screenshot(path=path)
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "images")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with served(arguments.study.parent, [str(arguments.study)]) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for name, width, height in PICTURES:
            target = arguments.to / f"dashboard-{name}.png"
            take(browser, server.link, name, (width, height), target)
            print(target)
        browser.close()


if __name__ == "__main__":
    main()

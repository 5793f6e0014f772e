"""A picture of a report as it is opened: ``python docs/screenshot.py PAGE#state=ID OUT.png``."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(address: str, out: str) -> None:
    """Open the page at its link in a headless Chromium, and keep what is in sight."""
    page, _, link = address.partition("#")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        view = browser.new_page(viewport={"width": 1280, "height": 860})
        view.goto(f"{Path(page).resolve().as_uri()}#{link}")
        view.wait_for_selector(".boxes")
        view.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

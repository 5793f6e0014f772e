"""Take the pictures in ``docs/images`` again: ``python docs/pictures.py``, from the root.

The three control models are measured on 32 states, which takes seconds; the page about them is
opened in a headless Chromium. Figure 1 is of the published results alone.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from benchmark.cli.app import app

_IMAGES = Path("docs/images")
_REGISTRY = "fixtures/models/registry.toml"
_LINKS = {"results.png": ("", 960), "states.png": ("state=4c7d9abd05&box=5", 1160)}
"""The part of the page that each picture shows, as in its address, and its height in pixels."""

_COLOURS = 128
"""Colours of a picture. The pages have few, so that the files are a third as large."""


def main() -> None:
    """Measure, write the reports and take the pictures."""
    with TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("copy-a", "copy-b", "track"):
            model, out = f"fixtures/models/{name}", work / "runs" / name
            _benchmark("run", "--model", model, "--states", "32", "--out", out)
        _benchmark("report", work / "runs", "--registry", _REGISTRY, "--out", work / "report")
        _benchmark("report", "--out", work / "published")
        _photograph(work / "report/index.html", work)
        shutil.copy(work / "published/figures/figure-1.png", work)
        for name in (*_LINKS, "figure-1.png"):
            _compress(work / name, _IMAGES / name)


def _benchmark(*arguments: str | Path) -> None:
    app([*map(str, arguments), "--quiet"], standalone_mode=False)


def _photograph(page: Path, folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (link, height) in _LINKS.items():
            view = browser.new_page(viewport={"width": 1280, "height": height})
            view.goto(f"{page.resolve().as_uri()}#{link}")
            view.wait_for_selector(".boxes")
            if unknown := view.inner_text("#unknown"):
                raise SystemExit(f"error: {name}: {unknown}")
            view.screenshot(path=folder / name)
        browser.close()


def _compress(picture: Path, out: Path) -> None:
    with Image.open(picture) as image:
        # Without dithering, which would be seen on flat ground and compress badly.
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(out, optimize=True)


if __name__ == "__main__":
    main()

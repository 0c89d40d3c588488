"""The Chromium that the browser tests drive: the system's, else Playwright's own.

Run as a program, it has Playwright download one where there is none.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = (
    "chromium-headless-shell",  # without what draws windows: a fifth less to compute
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
)


def executable() -> str | None:
    """Where it is; None where there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def main() -> None:
    if executable() is None:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        if subprocess.run(command, check=False).returncode:
            print("no browser: its tests will be skipped. Install chromium to run them.")


if __name__ == "__main__":
    main()

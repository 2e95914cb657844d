"""A real Chromium, headless, on the running stack; where none is installed the tests say skipped, and why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.storefront import Storefront

FLAGS = [
    "--no-sandbox",  # Chromium's own sandbox does not start as root, which a container's CI runs as.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # The browser itself calls home; only what the pages ask for is of interest.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium; Playwright's own build would be downloaded from another host."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)  # It asks no page for its patience.
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab of a browser that has seen nothing yet."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Storefront]:
    """The demo tenant's storefront."""
    made = Storefront(stack.base_url, stack.tenant, stack.api_key)
    yield made
    made.close()


@pytest.fixture
def psp(stack: Stack) -> Iterator[PspSide]:
    """The stack's PSP."""
    side = PspSide(stack.psp_url)
    yield side
    side.heal()
    side.close()

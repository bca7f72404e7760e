"""Fixtures that every room's tests share."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from rigs.commands import Run

REPOSITORY = Path(__file__).resolve().parent.parent

# So that tests can say `from rigs.sshd import ...`; last, so that it hides nothing.
sys.path.append(str(REPOSITORY / "tests"))


def pytest_configure() -> None:
    """Has Ctrl-C work here and in what tests start: a job in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the lock of this computer out of it, so that test runs do not wait for each other.

    And the user's own key for serial numbers: tests neither need it nor make one.
    """
    key = tmp_path_factory.mktemp("key") / "device-key"
    key.write_text("a key of the tests' own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COMPOFA_DEVICE_KEY", str(key))
        yield


CHROMIUM_OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1600,2400"
)


@pytest.fixture
def browser(_chromium: Chrome) -> Chrome:
    """A headless Chromium that does what a person does with a page; its log is empty."""
    _chromium.get("about:blank")
    _chromium.get_log("browser")
    return _chromium


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver is installed to use the page with")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = chromium
    for option in CHROMIUM_OPTIONS.split():
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    started = Chrome(options, ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of released data to test against; it is not part of the repository."""
    folder = REPOSITORY.parent / "shared" / "reference"
    if not folder.is_dir():
        pytest.skip(f"the released data to test against is not in {folder}")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command's `main` with arguments, in this process."""

    from rigs.commands import Ended

    def call(main: Callable[[], None], *arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return Ended(int(leaving.value.code or 0), captured.out, captured.err)

    return call

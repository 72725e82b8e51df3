from collections.abc import Iterator
from pathlib import Path

import pytest
from canaries import Search, Watch

from autotrader.messages import set_language


def pytest_configure(config: pytest.Config) -> None:
    """Let somebody look for the canaries in whatever the session leaves."""
    config.pluginmanager.register(Watch(config), "canaries")


@pytest.fixture(scope="session")
def canaries(request: pytest.FixtureRequest) -> Search:
    """The session's search: to it a test tells further secrets, and the files into which it put one itself."""
    plugin = request.config.pluginmanager.get_plugin("canaries")
    assert isinstance(plugin, Watch)
    return plugin.search


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def benchmarks(root: Path) -> Iterator[None]:
    """Make the folder of measurements importable; it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield


@pytest.fixture(scope="session")
def shared(root: Path) -> Path:
    """The folder of recordings beside the project; a test that needs it is skipped without it."""
    folder = (root / "../shared").resolve()
    if not folder.is_dir():
        pytest.skip("recordings not here (../shared)")
    return folder


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Begin every test in English, whatever the one before it spoke."""
    set_language("en")
    yield
    set_language("en")

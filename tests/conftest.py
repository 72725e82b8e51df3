from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrader.messages import set_language


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return Path(__file__).resolve().parents[1]


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

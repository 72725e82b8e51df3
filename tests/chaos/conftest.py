"""Long chaos runs only when they are asked for (``-m chaos``); their figures are printed at the end."""

import pytest

from chaos import figures


def _is_asked_for(config):
    expression = config.option.markexpr
    return "chaos" in expression and "not chaos" not in expression


def pytest_collection_modifyitems(config, items):
    """Leave out what takes minutes unless the expression of ``-m`` asks for it."""
    if _is_asked_for(config):
        return
    left = [item for item in items if item.get_closest_marker("chaos")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def pytest_sessionstart(session):
    """Begin with no figures."""
    if _is_asked_for(session.config) and not hasattr(session.config, "workerinput"):
        figures.FIGURES.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter):
    """Print what was measured."""
    if figures.FIGURES.is_file() and _is_asked_for(terminalreporter.config):
        terminalreporter.section("figures")
        terminalreporter.write(figures.FIGURES.read_text())


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

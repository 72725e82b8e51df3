"""The report of a run: one HTML file that opens without a network and says what the run earned, cost and risked.

Knows the order of the page, the files that it is made of, and how it is written whole. Refuses to know how a run was
made or what a section says: every number comes from the folder or from `autotrader.models.performance`, and what the
folder does not hold is said, not drawn.
"""

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from autotrader.adapters.web.cover import caveats, disclaimers, header
from autotrader.adapters.web.markup import Markup, h, joined
from autotrader.adapters.web.reading import Run, read
from autotrader.adapters.web.sections import SECTIONS
from autotrader.adapters.web.words import Words
from autotrader.errors import OperatorError


def render(run_dir: Path, language: str) -> Path:
    """Write ``report.html`` into a run folder.

    Parameters
    ----------
    run_dir
        A folder with ``summary.json`` and the Parquet files of a finished run.
    language
        ``"en"`` or ``"ko"``.

    Returns
    -------
    Path
        The report, which is whole or not there.

    Raises
    ------
    OperatorError
        If the language is unknown, a file is missing, damaged or of another shape, or the folder cannot be written;
        the text names the file and what to do.
    """
    words = Words(language)
    return write(run_dir / "report.html", page(read(run_dir, words)), words)


def page(run: Run) -> str:
    """Return the whole report as HTML; the same folder gives the same bytes."""
    sections = [
        h("section", h("h2", run.words(f"{name}.title"), id=name), *build(run)) for name, build in SECTIONS.items()
    ]
    body = joined([header(run, SECTIONS), caveats(run), *sections, disclaimers(run)])
    return document(f"{run.summary.strategy} {run.summary.run_id}", body, run.words)


def document(title: str, body: Markup, words: Words) -> str:
    """Return a whole page around its body: style, charts and the script that draws them, no network."""
    own = files("autotrader.adapters.web")
    return Template(own.joinpath("report.html").read_text(encoding="utf-8")).substitute(
        language=words.language,
        title=escape(f"{title} · autotrader"),
        css=own.joinpath("report.css").read_text(encoding="utf-8"),
        body=body,
        plotly=get_plotlyjs(),
    )


def write(path: Path, text: str, words: Words) -> Path:
    """Write a page, whole or not at all; raise OperatorError where it cannot be written."""
    # The reader of an old report keeps a whole one until the new one is whole.
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OperatorError(words("error.unwritable", file=path, detail=error.strerror)) from error
    return path

"""Write docs/outcomes.md: what every answer of the exchange proves about an order, a cancel and a query.

The rows are those that the program judges by (autotrader/adapters/binance/outcomes.py).

Run: python tests/tools/make_outcomes_page.py [--out FILE]
"""

import argparse
from pathlib import Path

from autotrader.adapters.binance.outcomes import TABLE, By, Call, Outcome, Row

OUT = Path(__file__).resolve().parents[2] / "docs/outcomes.md"

INTRO = """\
# Outcomes

What an answer of Binance, or none, proves about a request. `tests/tools/make_outcomes_page.py` writes this page from
the table that the program judges by; do not edit it. [한국어는 아래에 있습니다.](#한국어)

An order that was sent is done or failed only by evidence: an answer with the order's number, a code or a sentence of
the exchange. The limiter (418, 429) and the door (401, 403, 451) prove by their status alone that nothing went in. All
else leaves it unknown: its exposure stays held, and it is asked for, never sent again.

Where several rows fit an answer, the one in the upper table decides. A 2xx with what was asked for is done before any
table is looked at; an order's number beside an error's code is a contradiction and proves neither.

In a cell, ↻ says that the same request may be sent again, with a new stamp: after waiting, measuring the clock or
backing off, as the outcome says. The alert is what an operator is told; the one in a cell goes before the row's.
"""

KOREAN = """\
## 한국어

바이낸스의 응답(또는 무응답)으로 요청에 대해 무엇이 증명되는지를 정리한 표입니다. 이 문서는 프로그램이 판정에 쓰는
표에서 `tests/tools/make_outcomes_page.py`가 작성하므로 직접 고치지 마십시오. 표의 제목은 영어와 한국어를 함께 씁니다.

* 전송한 주문은 증거가 있을 때만 완료 또는 실패로 봅니다. 증거란 주문 번호, 거래소의 코드나 문장이 담긴 응답입니다.
  제한기(418, 429)와 관문(401, 403, 451)의 상태 코드는 그 자체로 요청이 처리되지 않았음을 증명합니다. 그 밖에는
  모두 미확인이며, 익스포저를 유지한 채 조회할 뿐 다시 보내지 않습니다.
* 여러 행이 들어맞으면 위쪽 표의 행이 우선합니다.
* ↻ 표시는 같은 요청을 새 타임스탬프로 다시 보내도 된다는 뜻입니다. 결과에 따라 대기, 시계 보정, 간격 늘리기를 먼저
  합니다.
* 경보는 운영자에게 알리는 이름이며, 칸에 적힌 경보가 행의 경보보다 우선합니다.
"""

MEANINGS = {
    Outcome.DONE: ("carried out", "처리됨"),
    Outcome.FAILED: ("not carried out", "처리되지 않음"),
    Outcome.UNKNOWN: ("carried out or not: ask for its state, hold its exposure", "미확인: 상태 조회, 익스포저 유지"),
    Outcome.ABSENT: ("no such order; once, it proves nothing: ask again", "주문 없음. 한 번은 증거가 아님: 재조회"),
    Outcome.WAIT: ("not carried out; until the window rolls or the ban ends", "처리되지 않음. 제한이 풀릴 때까지 대기"),
    Outcome.RESYNC: ("not carried out; measure the clock", "처리되지 않음. 시계 보정"),
    Outcome.REFRESH: ("not carried out; read filters, brackets, status", "처리되지 않음. 필터, 구간, 종목 상태 재조회"),
    Outcome.RECONCILE: ("not carried out; compare position, mode, stream", "처리되지 않음. 포지션, 모드, 스트림 대조"),
    Outcome.HALT: ("not carried out; open nothing, exits are still tried", "처리되지 않음. 진입 중지, 청산은 계속"),
}

HEADINGS = {
    By.PHRASE: "Words in the text · 문장 속의 표현",
    By.LIMIT: "Status of the limiter · 제한기의 상태 코드",
    By.CODE: "Code · 코드",
    By.SENTENCE: "First sentence, from status 400 · 첫 문장(상태 코드 400 이상)",
    By.DOOR: "Status at the door · 관문의 상태 코드",
    By.STATUS: "Status · 상태 코드",
    By.ANYTHING: "Anything else · 그 밖의 경우",
}

COLUMNS = (
    "found by · 근거", "what it says · 내용", "place · 주문", "amend · 정정", "cancel · 취소", "query · 조회",
    "other · 기타", "alert · 경보",
)  # fmt: skip


def page() -> str:
    """Return the page, English first."""
    legend = ["| outcome · 결과 | meaning | 의미 |", "|---|---|---|"]
    legend += [f"| {outcome} | {english} | {korean} |" for outcome, (english, korean) in MEANINGS.items()]
    return "\n".join([INTRO, *legend, "", *(_table(by) for by in By), KOREAN])


def _table(by: By) -> str:
    rows = [row for row in TABLE if row.by is by]
    if by is By.CODE:
        rows.sort(key=lambda row: abs(int(row.key)))
    head = [f"## {HEADINGS[by]}", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*head, *map(_line, rows), ""])


def _line(row: Row) -> str:
    cells = [_cell(row, call) for call in Call]
    key = "" if row.by is By.ANYTHING else f"`{row.key}`"
    return f"| {key} | {row.says} | {' | '.join(cells)} | {row.alert} |"


def _cell(row: Row, call: Call) -> str:
    step = row.reaction.step(call)
    alert = f" ({step.alert})" if step.alert else ""
    return f"{step.outcome}{' ↻' if step.again else ''}{alert}"


def main() -> None:
    """Write the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.parse_args().out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

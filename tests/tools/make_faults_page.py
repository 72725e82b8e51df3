"""Write docs/faults.md: every fault that the exchange on loopback can be told to have, and which test shows each row.

The tables of faults are those that the program reads plans by (autotrader/adapters/loopback/faults.py); the rows of the
catalogue and their tests stand in fault_rows.toml beside this file.

Run: python tests/tools/make_faults_page.py [--out FILE]
"""

import argparse
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from autotrader.adapters.loopback.faults import reference

OUT = Path(__file__).resolve().parents[2] / "docs/faults.md"
ROWS = Path(__file__).with_name("fault_rows.toml")
FAMILIES = {
    "A": ("Market data", "시세"),
    "B": ("Orders", "주문"),
    "C": ("The account and its stream", "계정과 계정 스트림"),
    "D": ("Requests, limits, network", "요청, 제한, 네트워크"),
    "E": ("Clock", "시계"),
    "F": ("Process, disk, journal", "프로세스, 디스크, 저널"),
    "H": ("Operator, mode, kill", "운영자, 모드, 킬"),
}
COVERS = {"full": "yes · 있음", "partial": "in part · 일부", "none": "none · 없음"}

ELSEWHERE = {
    "A18": "the market's speed: `--speed`, and the rate of a synthetic market",
    "C8": "no fault: more trades than a page holds, read with `fromId`",
    "D6": "`--tls`: a certificate that nobody vouches for",
    "F17": "a long run",
    "H15": "the client's own alarms",
}

INTRO = """\
# Faults

What `autotrader exchange serve` can be told to do wrong, to whom, and when. `tests/tools/make_faults_page.py` writes
this page; do not edit it. [한국어는 아래에 있습니다.](#한국어)

A plan is a TOML file of `[[fault]]` tables (`--faults FILE`). The control port takes the same tables as JSON while the
exchange runs: `POST /_control/faults` adds one, `GET /_control/faults` lists them with how often each matched and
fired, `DELETE /_control/faults/NAME` lifts one.

    [[fault]]
    do = "lose_answer"
    method = "POST"
    path = "/fapi/v1/order"
    account = "demo"
    skip = 3

* Every table names what it does (`do`); `name` is what it is lifted by. Without a selector it concerns everybody.
  `path` and `stream` are patterns (`*`), the other selectors are compared whole.
* `after_s`, `until_s` and `at_s` count seconds of exchange time since the opening. Without `at_s` a deed at a time is
  done at once, and a deed on connections waits for the next one that opens; with it, it concerns those open then.
* A fault fires once unless `count` says otherwise; `skip` lets the first matches pass, `share` draws among them.
  `mute`, `hold`, `maintenance`, `weight` and `skew` go on until `until_s`, or until they are lifted.
* The first fault of the plan that matches and fires decides; `weight` and `skew` add up.
* A request over the WebSocket API is asked about as the REST request that it equals. A gateway's page has no place in a
  frame there: the connection is cut.
* The fees of `fee_tier` are everybody's. `mark_jump` in a recording moves the mark alone; in a synthetic market the
  index that the mark is made of.
* `funding` settles at once. `next_funding` is seen first, in `premiumIndex`, the mark price streams and `fundingInfo`
  (in a recording from its next mark on), and settled at its stamp; a rate at or beyond the cap then makes a contract
  whose mark is the exchange's own an hourly one.
* What a plan did, and what of it could not be done, stands in the history (`fault` records).

The last column names rows of the project's catalogue of faults: A market data, B orders, C user stream and account,
D network and limits, E clock, H operator.
"""

KOREAN = """\
## 한국어

`autotrader exchange serve`가 일부러 일으킬 수 있는 장애의 목록입니다. 이 문서는 `tests/tools/make_faults_page.py`가
작성하므로 직접 고치지 마십시오.

* 계획은 `[[fault]]` 표로 된 TOML 파일입니다(`--faults FILE`). 실행 중에는 같은 표를 JSON으로 `POST /_control/faults`에
  보내고, `GET /_control/faults`로 목록과 발생 횟수를 보며, `DELETE /_control/faults/NAME`으로 해제합니다.
* `do`는 동작, `name`은 해제할 때 쓰는 이름입니다. 선택 키가 없으면 모두에게 적용됩니다. `path`와 `stream`에는 `*`를
  쓸 수 있습니다.
* `after_s`, `until_s`, `at_s`는 개장 이후의 거래소 시각(초)입니다. `at_s`가 없으면 시각 동작은 즉시 실행되고,
  연결 동작은 다음에 열리는 연결을 기다립니다.
* `count`가 없으면 한 번만 발생합니다. `mute`, `hold`, `maintenance`, `weight`, `skew`는 `until_s`까지 또는 해제할
  때까지 계속됩니다.
* 처음으로 일치하는 장애가 적용되며, `weight`와 `skew`는 합산됩니다.
* `funding`은 즉시 정산합니다. `next_funding`은 먼저 `premiumIndex`, 마크 가격 스트림, `fundingInfo`에 나타나고
  (녹화에서는 다음 마크부터) 정산 시각에 정산됩니다. 마크를 거래소가 직접 계산하는 계약은 펀딩비가 한도
  이상이면 그 뒤 1시간 간격이 됩니다.
* 실행한 내용과 실행하지 못한 내용은 이력의 `fault` 기록에 남습니다.
"""


COVERED = """\
## Which test shows each row · 항목별 테스트

Every row of the catalogue but those of databases and services (G), which do not exist yet. A test counts where it
brings the fault about and asserts what must hold, through the parts that a run is made of; "in part" says what no test
shows. How an operator is told is not judged here: what is told stands in the summary, the journal and the status, and
nothing sends it anywhere yet.

카탈로그의 모든 항목입니다. 아직 없는 데이터베이스와 서비스(G)는 제외합니다. 장애를 실제로 일으키고, 실행을 이루는 구성
요소를 통해 지켜야 할 것을 확인하는 테스트만 셉니다. "일부"에는 테스트가 보여 주지 못하는 것을 적습니다. 운영자에게
알리는 방법은 여기서 판단하지 않습니다.
"""


def rows() -> list[dict[str, Any]]:
    """Return the rows of the catalogue: id, fault, holds, cover, and where they have any, tests and lacks."""
    return tomllib.loads(ROWS.read_text(encoding="utf-8"))["row"]


def _covered() -> list[str]:
    found = rows()
    parts = [COVERED, "| | " + " | ".join(COVERS.values()) + " |", "|---|---|---|---|"]
    for family, names in FAMILIES.items():
        counts = Counter(one["cover"] for one in found if one["id"][0] == family)
        parts.append(f"| {family}: {' · '.join(names)} | {' | '.join(str(counts[cover]) for cover in COVERS)} |")
    for family, names in FAMILIES.items():
        parts += ["", f"### {family}: {' · '.join(names)}", ""]
        parts += ["| row | what goes wrong | what must hold | shown | tests; what is missing |", f"|{'---|' * 5}"]
        parts += [_row(one) for one in found if one["id"][0] == family]
    return parts


def _row(one: dict[str, Any]) -> str:
    tests = [f"`{name.removeprefix('tests/')}`" for name in one.get("tests", ())]
    said = "<br>".join([*tests, *([f"*Missing: {one['lacks']}.*"] if "lacks" in one else [])])
    return f"| {one['id']} | {one['fault']} | {one['holds']} | {COVERS[one['cover']]} | {said} |"


def page() -> str:
    """Return the page, English first."""
    tables = reference().rsplit("Served by nothing here", 1)[0].rstrip()
    rest = ["## Rows that no fault serves", "", *(f"* {row}: {why}." for row, why in ELSEWHERE.items())]
    return "\n".join([INTRO, tables, "", *rest, "", *_covered(), "", KOREAN])


def main() -> None:
    """Write the page."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    arguments.parse_args().out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write docs/risk.md: every reason of the risk gate, its settings, and the answers at its boundaries.

The rows are those that the tests run (tests/scenarios/test_risk_table.py), the defaults those of the
configuration, the sentences those that the program itself says. Only how a row reads is known here.

Run: python tests/tools/make_risk_page.py [--out FILE]
"""

import argparse
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

from autotrader.adapters.web.words import TEXTS
from autotrader.config import Risk
from autotrader.messages import say_in
from core_ext.types import Reason

TESTS = Path(__file__).resolve().parents[1]
OUT = TESTS.parent / "docs/risk.md"
LANGUAGES = ("en", "ko")

TITLES = {
    "R1": ("Price collar", "가격 제한폭"),
    "R2": ("Chasing", "추격 주문"),
    "R3": ("Order notional", "주문 금액"),
    "R4": ("Order quantity", "주문 수량"),
    "R5": ("Position of a symbol", "종목별 포지션"),
    "R6": ("Gross exposure", "총 익스포저"),
    "R7": ("Leverage setting", "레버리지 설정"),
    "R8": ("Leverage bracket", "레버리지 구간"),
    "R9": ("Distance to liquidation", "청산가까지의 거리"),
    "R10": ("Margin ratio", "유지증거금률"),
    "R11": ("Order rate", "주문 빈도"),
    "R12": ("Request weight", "요청 가중치"),
    "R13": ("Message quality", "주문 품질"),
    "R14": ("Repetition", "반복 거래"),
    "R15": ("Duplicate order", "중복 주문"),
    "R16": ("Self-trade", "자기 거래"),
    "R17": ("Unusual size", "이례적 수량"),
    "R18": ("Stale data", "오래된 시세"),
    "R19": ("Unknown orders", "결과 미확인 주문"),
    "R20": ("Drawdown ladder", "낙폭 단계"),
    "R21": ("Daily loss", "일일 손실"),
    "R22": ("Drawdown kill", "낙폭 한도와 전량 청산"),
    "R23": ("Loss rate", "손실 속도"),
    "R24": ("Volatility and spread", "변동성과 스프레드"),
    "R25": ("Open orders", "미체결 주문 수"),
    "R26": ("Missing stop", "손절 주문 없음"),
    "R27": ("Funding cost", "펀딩 비용"),
    "R28": ("Symbol status", "종목 상태"),
    "R29": ("Allow-list", "허용 목록"),
    "R30": ("Mode", "모드"),
    "R31": ("What cannot be judged", "판정 불가"),
    "R32": ("What leaves is what was approved", "승인 내용과 전송 내용의 일치"),
    "Filters": ("The exchange's filters", "거래소 필터"),
    "Margin": ("Margin", "증거금"),
    "Headroom": ("Portfolio headroom", "포트폴리오 여유 한도"),
    "Data quality": ("Data quality", "데이터 품질"),
    "Amendments": ("Amendments", "정정 주문"),
    "Reduce-only": ("Reduce-only orders", "축소 전용 주문"),
    "Halt": ("Halt", "거래 중지"),
    "Gates": ("Gates of a run on a wire", "실거래 전제 조건"),
}

# What each word of a situation says; {} is its value.
FACTS = {
    "equity": ("equity {} USDT", "자기자본 {} USDT"),
    "path": ("then {}", "이후 {}"),
    "drawdown": ("drawdown {} %", "낙폭 {} %"),
    "day_loss": ("loss of the day {} %", "당일 손실 {} %"),
    "lost_by": ("all of it {}", "모두 {}"),
    "recovered": ("won back since", "이후 모두 회복"),
    "next_day": ("on the next UTC day", "다음 UTC 날짜"),
    "needs_operator": ("the limit waits for an operator", "운영자 확인이 필요한 설정"),
    "allow": ("the operator has acknowledged it", "운영자가 확인함"),
    "position": ("{}", "{}"),
    "entry": ("entered at {}", "진입가 {}"),
    "live_buys": ("live buy orders {} BTC", "미체결 매수 {} BTC"),
    "live_sells": ("live sell orders {} BTC", "미체결 매도 {} BTC"),
    "live_reducing": ("live reduce-only sell orders {} BTC", "미체결 축소 전용 매도 {} BTC"),
    "elsewhere": ("{} USDT held in another symbol", "다른 종목 포지션 {} USDT"),
    "unmarked_elsewhere": ("that symbol has no mark price", "그 종목은 마크 가격 없음"),
    "leverage": ("exchange leverage {}", "거래소 레버리지 {}배"),
    "strategy_leverage": ("strategy_leverage {}", "strategy_leverage {}"),
    "liquidation": ("liquidation {} % away after the fill", "체결 후 청산가까지 {} %"),
    "atr": ("hourly ATR {} %", "1시간 ATR {} %"),
    "mark": ("mark price {}", "마크 가격 {}"),
    "mark_age": ("mark price {} s old", "마크 가격 나이 {}초"),
    "last": ("newer last price {}", "더 최근의 체결가 {}"),
    "ask": ("best ask {}", "최우선 매도호가 {}"),
    "bid": ("best bid {}", "최우선 매수호가 {}"),
    "book_age": ("book {} s old", "호가창 나이 {}초"),
    "book_lost": ("book not usable", "호가창 사용 불가"),
    "depth": ("{} BTC in the top 20 levels a side", "한쪽 상위 20호가 잔량 {} BTC"),
    "minute_volume": ("{} USDT traded a minute", "1분 거래대금 {} USDT"),
    "candle_age": ("hourly candles, age of the last in intervals: {}", "1시간봉, 마지막 봉의 나이 {}주기"),
    "candle_volume": ("{} BTC traded in it", "그 봉의 거래량 {} BTC"),
    "sent": ("{} orders sent at once", "주문 {}건을 한꺼번에 전송"),
    "sent_ago": ("{} s ago", "{}초 전"),
    "same_ago": ("buy 0.001 at 100,000.0 sent {} s ago", "100,000.0에 0.001 매수 주문을 {}초 전에 전송"),
    "open_orders": ("{} open orders of the symbol", "이 종목의 미체결 주문 {}건"),
    "open_elsewhere": ("{} open orders of another symbol", "다른 종목의 미체결 주문 {}건"),
    "status": ("status {}", "종목 상태 {}"),
    "band": ("exchange's price band {} % of the mark", "거래소 가격 범위 마크 가격 대비 {} %"),
    "prices": ("exchange's prices {}", "거래소 허용 가격 {}"),
    "least": ("exchange's least quantity {} BTC", "거래소 최소 수량 {} BTC"),
    "minimum": ("exchange's least notional {} USDT", "거래소 최소 주문 금액 {} USDT"),
    "reprices": ("an order at 100,000.0 and {} re-prices of it", "100,000.0의 주문과 호가 변경 {}회"),
    "reprices_ago": ("{} s ago", "{}초 전"),
    "cluster": ("both symbols in one cluster: {}", "두 종목이 같은 상관 묶음: {}"),
    "net": ("max_net {}", "max_net {}"),
    "weight": ("request weight used {} of 2,400", "요청 가중치 2,400 중 {} 사용"),
    "ended": ("{} orders ended in ten minutes", "10분간 종료된 주문 {}건"),
    "unfilled": ("{} of them unfilled", "그중 미체결 {}건"),
    "ended_ago": ("{} s ago", "{}초 전"),
    "entries": ("{} buy entries", "매수 진입 {}건"),
    "entries_ago": ("{} s ago", "{}초 전"),
    "lost_trips": ("{} losing round trips in the hour", "1시간 내 손실 왕복 거래 {}회"),
    "own_sell": ("own sell order at {}", "자기 매도 주문 {}"),
    "own_buy": ("own buy order at {}", "자기 매수 주문 {}"),
    "usual": ("50 orders of {} BTC before", "이전 주문 50건, 각 {} BTC"),
    "unknown": ("{} orders of unknown outcome of the symbol", "이 종목의 결과 미확인 주문 {}건"),
    "unknown_elsewhere": ("{} orders of unknown outcome of another symbol", "다른 종목의 결과 미확인 주문 {}건"),
    "rate_loss": ("{} % lost at once", "한꺼번에 {} % 손실"),
    "rate_loss_ago": ("{} s ago", "{}초 전"),
    "minute_ago": ("mid {} half a minute ago", "30초 전 중간값 {}"),
    "median_spread": ("median spread {}", "스프레드 중앙값 {}"),
    "no_stop_for": ("no stop for {} s, unprotected_s = 3", "손절 주문 없이 {}초, unprotected_s = 3"),
    "stop": ("then a stop for {} BTC", "이후 손절 주문 {} BTC"),
    "funding": ("funding rate {} %", "펀딩비율 {} %"),
    "funding_in": ("due in {} min", "{}분 후 정산"),
    "delist_in": ("delisting in {} h", "상장 폐지 {}시간 전"),
    "suspended": ("trading suspended by the exchange", "거래소가 거래를 중단함"),
    "sides": ("entry_sides = {}", "entry_sides = {}"),
    "hours": ("entries from {} UTC, now 12:00", "진입 시간 {} UTC, 현재 12:00"),
    "armed": ("armed: {}", "주문 활성화: {}"),
    "headroom": ("headroom {} BTC", "여유 한도 {} BTC"),
    "headroom_age": ("{} s old", "{}초 전 값"),
    "crossed_ago": ("a crossed touch {} s ago", "{}초 전 교차된 호가"),
    "wide_ago": ("a spread of 6 % {} s ago", "{}초 전 6 % 스프레드"),
    "open_buy": ("open buy order of {} BTC at 99,990.0", "99,990.0의 미체결 매수 {} BTC"),
    "cancelling": ("its cancellation is on the way", "취소 요청 진행 중"),
    "halted": ("halted", "거래 중지 중"),
    "gates": ("gate {} is closed", "{} 조건 미충족"),
    "leaves": ("the text that would leave says {}", "전송할 내용: {}"),
    "lacks": ("the text that would leave lacks {}", "전송할 내용에 {} 없음"),
    "killed": ("killed by the operator", "운영자가 강제 종료(KILL)함"),
    "resumed": ("then resumed", "이후 재개(RESUME)"),
}
ABSENT = {
    "mark": ("no mark price", "마크 가격 없음"),
    "ask": ("no ask", "매도호가 없음"),
    "bid": ("no bid", "매수호가 없음"),
    "headroom": ("no headroom told", "여유 한도 없음"),
}
SIGNATURES = {
    "other": ("signature of another text", "다른 내용의 서명"),
    "short": ("signature one digit short", "서명 한 자리 부족"),
}
LOST_BY = {
    "fees": ("in fees", "수수료"),
    "realised": ("realised", "실현손실"),
    "unrealised": ("unrealised", "평가손실"),
}

# Facts whose value is a word and no number.
WORDS = (
    *("status", "sides", "hours", "armed", "cluster", "halted", "killed", "resumed", "allow", "recovered", "next_day"),
    *("gates", "needs_operator", "unmarked_elsewhere", "book_lost", "suspended", "cancelling"),
)

HEADS = {
    "en": {
        "title": "Risk controls",
        "other": "[한국어는 아래에 있습니다.](#리스크-통제)",
        "intro": """\
Every order passes the gate in `core_ext/risk.pyx`; an order that it refuses reaches no exchange. The report counts
refusals by the reason codes of this page. The tables are the rows that `tests/scenarios/test_risk_table.py` runs:
just inside a limit, exactly at it, just outside. `tests/tools/make_risk_page.py` writes this page; do not edit it.

* An order exactly at an order limit is allowed; a loss exactly at a loss limit trips it.
* Exposure is worst case: the position and everything live, pending or unknown on that side.
* An order that can only shrink a position is refused by nothing but the wide price collar and the exchange's own
  filters, whatever is halted, killed, lost, stale or used up. Cancels are refused by nothing.
* What cannot be computed is refused.
* The signed text of an approved order is read back and compared with it before it may leave (R32,
  `core_ext/wire.pyx`). This control has no setting and no exemption.
* Unless a row says otherwise: equity and mark price 100,000 USDT, best bid and ask one tick (0.1) around it,
  100 BTC in the top 20 levels of each side, the default settings. Controls that a row names as lifted are out of
  the way, so that the one of the section decides.""",
        "reasons": "Reason codes",
        "reason": "reason code | what it means",
        "settings": "setting in `[risk]` | default | what it is",
        "rows": "situation | order | answer",
        "allowed": "allowed",
        "lifted": "{} lifted",
        "long": "long {} BTC",
        "short": "short {} BTC",
        "equity": "equity {}",
        "deposit": "deposit of {}",
        "order": "{side} {quantity} at {price}",
        "market": "{side} {quantity} at market",
        "sides": ("buy", "sell"),
        "reduce_only": "reduce-only",
        "unknown": "of a symbol that the run does not have",
        "edge": "expected profit {} %",
        "reprice": "re-priced",
        "passive": "post-only",
        "amend": "as the amendment of the open order",
        "yes": "yes",
        "no": "no",
    },
    "ko": {
        "title": "리스크 통제",
        "other": "[English above.](#risk-controls)",
        "intro": """\
모든 주문은 `core_ext/risk.pyx`의 게이트를 거치며, 거부된 주문은 거래소로 전송되지 않습니다.
보고서는 거부 건수를 이 문서의 사유 코드별로 집계합니다. 아래 표는 `tests/scenarios/test_risk_table.py`가
실제로 검증하는 행으로, 한도 바로 안쪽과 정확히 한도인 경우, 한도 바로 바깥을 다룹니다.
이 문서는 `tests/tools/make_risk_page.py`가 작성하므로 직접 고치지 마십시오.

* 주문 한도는 정확히 한도인 주문까지 허용하고, 손실 한도는 손실이 정확히 한도에 이르면 발동합니다.
* 익스포저는 최악의 경우로 계산합니다. 포지션에 같은 방향의 미체결 주문, 전송 중인 주문, 결과를 모르는 주문을
  모두 더합니다.
* 포지션을 줄이기만 하는 주문은 거래 중지, 강제 종료, 손실 한도, 오래된 시세, 한도 소진과 관계없이 넓은 가격
  제한폭과 거래소 필터 외에는 거부되지 않습니다. 주문 취소는 어떤 경우에도 거부되지 않습니다.
* 계산할 수 없으면 거부합니다.
* 승인된 주문은 서명까지 마친 전송문을 다시 읽어 승인 내용과 비교합니다(R32, `core_ext/wire.pyx`). 이 통제에는 설정도
  예외도 없습니다.
* 별도 표시가 없으면 자기자본과 마크 가격은 100,000 USDT, 최우선 매수·매도호가는 그 위아래 1틱(0.1),
  한쪽 상위 20호가 잔량은 100 BTC이고 설정은 기본값입니다. "해제"로 표시한 통제는 해당 항목만 판정하도록 한도를
  풀어 둔 것입니다.""",
        "reasons": "사유 코드",
        "reason": "사유 코드 | 의미",
        "settings": "`[risk]` 설정 | 기본값 | 설명",
        "rows": "상황 | 주문 | 판정",
        "allowed": "허용",
        "lifted": "{} 해제",
        "long": "롱 {} BTC",
        "short": "숏 {} BTC",
        "equity": "자기자본 {}",
        "deposit": "입금 {}",
        "order": "{price}에 {quantity} {side}",
        "market": "시장가로 {quantity} {side}",
        "sides": ("매수", "매도"),
        "reduce_only": "축소 전용",
        "unknown": "실행에 없는 종목",
        "edge": "기대 수익 {} %",
        "reprice": "호가 변경",
        "passive": "포스트온리",
        "amend": "미체결 주문의 정정",
        "yes": "예",
        "no": "아니요",
    },
}


def number(value: object) -> str:
    """Return a number with its decimals kept and its thousands set apart."""
    return f"{Decimal(str(value)):,}"


def table(head: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {head} |"
    yield "|---" * (head.count("|") + 1) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def told(name: str, value: object, language: str) -> str:
    """Return one fact of a situation as words."""
    at, heads = LANGUAGES.index(language), HEADS[language]
    if value is None:
        return ABSENT[name][at]
    if name == "position":
        side = "short" if Decimal(value) < 0 else "long"
        return heads[side].format(number(abs(Decimal(value))))
    if name == "path":
        steps = [heads["deposit" if step[0] == "+" else "equity"].format(number(step.strip("+"))) for step in value]
        return FACTS[name][at].format(" → ".join(steps))
    if name == "prices":
        return FACTS[name][at].format("–".join(map(number, value)))
    if name == "signature":
        return SIGNATURES[value][at]
    if name in ("leaves", "lacks"):
        return FACTS[name][at].format(f"`{value}`")
    if name == "lost_by":
        return FACTS[name][at].format(LOST_BY[value][at])
    if isinstance(value, bool):
        value = heads["yes" if value else "no"]
    plain = not isinstance(value, int) and name in WORDS
    return FACTS[name][at].format(value if plain else number(value))


def situation(row: object, language: str) -> str:
    facts = [told(name, value, language) for name, value in row.given.items()]
    if row.lifted:
        lifted = [{"burst": "order_burst"}.get(name, name) for name in row.lifted]
        facts.append(HEADS[language]["lifted"].format(", ".join(lifted)))
    return "; ".join(facts) or "—"


def order(wanted: object, language: str) -> str:
    heads = HEADS[language]
    words = {"side": heads["sides"][wanted.side], "quantity": wanted.quantity}
    text = heads["market"].format(**words)
    if wanted.price is not None:
        text = heads["order"].format(**words, price=number(wanted.price))
    known = wanted.symbol == 0
    more = [heads["reduce_only"]] * wanted.reduce_only + [heads["unknown"]] * (not known)
    more += [heads["edge"].format(wanted.edge)] if wanted.edge else []
    return ", ".join([text, *more] + ([heads[wanted.how]] if wanted.how else []))


def answer(reason: Reason, language: str) -> str:
    return HEADS[language]["allowed"] if reason == Reason.APPROVED else f"`{reason.name}`"


def cells(row: object, language: str) -> tuple[str, str, str]:
    return situation(row, language), order(row.order, language), answer(row.answer, language)


def reasons(language: str) -> Iterator[tuple[str, str]]:
    for reason in Reason:
        if reason != Reason.APPROVED:
            yield f"`{reason.name}`", TEXTS[language][f"reason.{reason.name}"]


def _default(value: object) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def settings(names: tuple[str, ...], language: str) -> Iterator[tuple[str, str, str]]:
    defaults = {one.name: one.default for one in fields(Risk)}
    for name in names:
        yield f"`{name}`", _default(defaults[name]), say_in(language, f"field.risk.{name}")


def section(control: object, language: str) -> Iterator[str]:
    title = TITLES[control.name][LANGUAGES.index(language)]
    yield f"### {control.name} · {title}" if control.name[1:].isdigit() else f"### {title}"
    yield ""
    if control.settings:
        yield from table(HEADS[language]["settings"], settings(control.settings, language))
    yield from table(HEADS[language]["rows"], (cells(row, language) for row in control.rows))


def part(controls: tuple[object, ...], language: str) -> Iterator[str]:
    heads = HEADS[language]
    yield from (f"# {heads['title']}", "", heads["other"], "", heads["intro"], "", f"## {heads['reasons']}", "")
    yield from table(heads["reason"], reasons(language))
    for control in controls:
        yield from section(control, language)


def page(controls: tuple[object, ...]) -> str:
    """Return the page, English first."""
    return "\n".join([*part(controls, "en"), *part(controls, "ko")]).rstrip() + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=OUT)
    sys.path[:0] = [str(TESTS), str(TESTS / "scenarios")]
    controls = importlib.import_module("test_risk_table").CONTROLS
    arguments.parse_args().out.write_text(page(controls), encoding="utf-8")


if __name__ == "__main__":
    main()

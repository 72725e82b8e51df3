"""What leaves is what was approved (R32): every order that the text can say, and every way to say it wrongly."""

import copy
import pickle
import re
from pathlib import Path
from random import Random

import pytest
from builders import E8, limits, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader.research.stress import STAND_ASIDE
from core_ext.account import Account
from core_ext.orders import Orders
from core_ext.risk import RiskGate
from core_ext.signal import Markets
from core_ext.types import Instruments, OrderType, PriceMatch, Reason, SelfTrade, Setting, Term, TimeInForce
from core_ext.wire import Approval, Signer

NOW = 1_700_000_000 * 10**9
STAMP = NOW // 10**6
SIGNER = Signer(b"a secret of the account")
SIGNATURE = len("&signature=") + 64
CORE = Path(__file__).resolve().parents[1] / "core_ext"

# Ticks of 0.1, 0.05, 1 and 0.000001; lots of 0.001, 1, 5 and 0.2.
SPECS = [
    spec(),
    spec("ETHUSDT", tick_e8=5 * 10**6, lot_e8=E8),
    spec("1000PEPEUSDT", tick_e8=E8, lot_e8=5 * E8),
    spec("DOGEUSDT", tick_e8=100, lot_e8=2 * 10**7),
]
MOST_TICKS = [4_000_000, 4_000_000, 400_000, 10**9]


class Desk:
    """A gate that stands aside, so that what it approves is up to the test."""

    def __init__(self, hedge=False, epoch=9):
        bounds = limits(**STAND_ASIDE) | {"max_order_e8": 1 << 61, "assumed_minute_e8": 1 << 60}
        wide = {"min_notional_e8": 1, "up_e8": 10**6 * E8, "down_e8": 1, "collar_e8": 10**6 * E8}
        self.instruments = Instruments([one | wide | {"brackets": [(0, 1 << 60, 400_000, 0, 150)]} for one in SPECS])
        self.account, self.orders, markets = Account(self.instruments, 10**9 * E8), Orders(epoch), Markets(len(SPECS))
        self.gate = RiskGate(self.instruments, self.account, self.orders, markets, bounds)
        for symbol, one in enumerate(SPECS):
            mark = one["tick_e8"] * MOST_TICKS[symbol] // 2
            middle = MOST_TICKS[symbol] // 2
            markets.set(
                symbol, bid_ticks=middle - 1, ask_ticks=middle + 1, mark_e8=mark, ts_mark=NOW, ts_book=NOW,
                depth_lots=(1 << 40, 1 << 40), book_good=True,
            )  # fmt: skip
            self.account.mark(symbol, mark)
            self.account.set(symbol, Setting.LEVERAGE, 100)
        assert self.account.set(0, Setting.HEDGE_MODE, 1) == 0 if hedge else True

    def approve(self, symbol, side, lots, ticks=0, **words):
        approval = Approval()
        position = -(10**6) if side == 0 else 10**6
        if words.get("reduce_only"):
            self.account.fill(symbol, position, MOST_TICKS[symbol] // 2, 0)
        found = self.gate.ask(symbol, side, lots, ticks, now=NOW, approval=approval, **words)
        assert found == Reason.APPROVED, found
        return approval

    def text(self, approval, stamp=STAMP):
        return SIGNER.order_text(approval, self.instruments, stamp)

    def verdict(self, text, approval, stamp=STAMP):
        return SIGNER.compare(text, approval, self.instruments, stamp)


def signed(parameters):
    return parameters + b"&signature=" + SIGNER.sign(parameters)


@st.composite
def orders(draw):
    """Return (hedge, words): any order that the text can say."""
    symbol, hedge = draw(st.integers(0, len(SPECS) - 1)), draw(st.booleans())
    words = {
        "symbol": symbol,
        "side": draw(st.integers(0, 1)),
        "lots": draw(st.integers(1, 2_000)),
        "stp": draw(st.sampled_from(SelfTrade)),
    }
    words |= {"position_side": 1 + words["side"]} if hedge else {"reduce_only": draw(st.booleans())}
    if draw(st.booleans()):
        words |= {"type": OrderType.LIMIT, "tif": draw(st.sampled_from(TimeInForce))}
        words |= {"good_till": NOW + 10**12 + draw(st.integers(0, 10**15))} if words["tif"] == TimeInForce.GTD else {}
        match = draw(st.sampled_from(PriceMatch))
        words |= {"price_match": match} if match else {"ticks": draw(st.integers(1, MOST_TICKS[symbol]))}
    return hedge, words


def decimal(steps, step_e8):
    """Return the decimal text of so many steps: as many decimals as a step has."""
    digits = f"{step_e8 / E8:.8f}".rstrip("0")
    places = len(digits.partition(".")[2])
    units = steps * step_e8 // 10 ** (8 - places)
    return f"{units // 10**places}" + (f".{units % 10**places:0{places}d}" if places else "")


def said(hedge, words, client_id):
    """Return the parameters of an order as the exchange documents them."""
    one = SPECS[words["symbol"]]
    told = {
        "newClientOrderId": f"at{client_id:016x}",
        "quantity": decimal(words["lots"], one["lot_e8"]),
        "side": ("BUY", "SELL")[words["side"]],
        "symbol": one["symbol"],
        "timestamp": str(STAMP),
        "type": "LIMIT" if "type" in words else "MARKET",
    }
    told |= {"positionSide": ("BOTH", "LONG", "SHORT")[words["position_side"]]} if hedge else {}
    told |= {"reduceOnly": "true"} if words.get("reduce_only") else {}
    told |= {"selfTradePreventionMode": words["stp"].name} if words["stp"] else {}
    told |= {"timeInForce": words["tif"].name} if "tif" in words else {}
    told |= {"goodTillDate": str(words["good_till"] // 10**6)} if "good_till" in words else {}
    told |= {"priceMatch": words["price_match"].name} if "price_match" in words else {}
    told |= {"price": decimal(words["ticks"], one["tick_e8"])} if "ticks" in words else {}
    return "&".join(f"{name}={told[name]}" for name in sorted(told)).encode()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(orders(), st.integers(1, 2**32 - 1))
def test_every_order_that_the_text_can_say_leaves_as_it_was_approved(order, epoch):
    hedge, words = order
    desk = Desk(hedge, epoch)
    approval = desk.approve(**words)
    text = desk.text(approval)
    assert text == signed(said(hedge, words, epoch << 32 | 1))
    assert desk.verdict(text, approval) == Reason.APPROVED
    assert desk.verdict(text, approval, STAMP + 1) == Reason.R32_NOT_AS_APPROVED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(orders(), st.integers(0, 2**32))
def test_no_text_with_another_byte_leaves_whether_it_is_signed_again_or_not(order, seed):
    dice = Random(seed)
    desk = Desk(order[0])
    approval = desk.approve(**order[1])
    text = desk.text(approval)
    for _ in range(100):
        at = dice.randrange(len(text))
        byte = dice.choice(b"0123456789abcdefABF.&=-+ ") if dice.random() < 0.5 else dice.randrange(256)
        changed = text[:at] + bytes([byte]) + text[at + 1 :]
        expected = Reason.APPROVED if changed == text else Reason.R32_NOT_AS_APPROVED
        assert desk.verdict(changed, approval) == expected
        if at < len(text) - SIGNATURE:
            assert desk.verdict(signed(changed[:-SIGNATURE]), approval) == expected


FULL = {"symbol": 0, "side": 1, "lots": 12, "ticks": 345_678, "tif": TimeInForce.GTX, "stp": SelfTrade.EXPIRE_MAKER}


def test_no_other_byte_anywhere_in_a_text_leaves():
    desk = Desk()
    approval = desk.approve(**FULL)
    text = desk.text(approval)
    for at in range(len(text)):
        changes = (text[:at] + bytes([byte]) + text[at + 1 :] for byte in range(256) if byte != text[at])
        assert {desk.verdict(changed, approval) for changed in changes} == {Reason.R32_NOT_AS_APPROVED}


def test_no_text_that_is_shorter_longer_or_says_a_parameter_twice_leaves():
    desk = Desk()
    approval = desk.approve(**FULL)
    text = desk.text(approval)
    plain = text[:-SIGNATURE]
    parameters = plain.split(b"&")
    wrong = [text[:k] for k in range(len(text))] + [text + b"0", text + b"&", text + b"\0", b"&" + text, b""]
    for k, one in enumerate(parameters):
        without, twice = parameters[:k] + parameters[k + 1 :], parameters[: k + 1] + parameters[k:]
        wrong += [signed(b"&".join(without)), signed(b"&".join(twice)), signed(b"&".join([*without, one, b"x=1"]))]
    wrong += [signed(plain + b"&recvWindow=5000"), signed(plain.replace(b"=34567", b"=034567"))]
    wrong += [signed(plain.replace(b"0.012", text)) for text in (b".012", b"0.0120", b"00.012", b"0.012 ", b"12e-3")]
    wrong += [signed(plain.replace(b"%d" % STAMP, b"%d" % (STAMP + 2**64)))]  # wraps to the stamp in 64 bits
    wrong += [signed(plain.replace(b"0.012", b"%d.%03d" % divmod(12 + 2**64, 1000)))]
    wrong += [Signer(b"another secret").sign(plain).join((plain + b"&signature=", b""))]
    assert {desk.verdict(one, approval) for one in wrong} == {Reason.R32_NOT_AS_APPROVED}


def test_an_order_that_another_endpoint_takes_has_no_text():
    desk = Desk()
    desk.account.fill(0, 1000, MOST_TICKS[0] // 2, 0)
    stop = {"type": OrderType.STOP_MARKET, "trigger_ticks": 1_000_000}
    others = [
        desk.approve(0, 1, 10, **stop),
        desk.approve(0, 1, 0, terms=Term.CLOSE_POSITION, **stop),
        desk.approve(0, 1, 10, 1_000_000, type=OrderType.STOP, trigger_ticks=1_000_000),
        desk.approve(0, 1, 10, type=OrderType.TRAILING_STOP_MARKET, callback_e8=10**6),
        desk.approve(0, 1, 10, 2_000_001, terms=Term.PRICE_PROTECT),
    ]
    as_market = desk.text(desk.approve(0, 1, 10))
    for approval in others:
        assert desk.text(approval) == b""
        assert desk.verdict(as_market, approval) == Reason.R32_NOT_AS_APPROVED


def test_what_nobody_approved_has_no_text():
    desk = Desk()
    assert desk.text(Approval()) == b""
    refused = Approval()
    assert desk.gate.ask(0, 0, 0, now=NOW, approval=refused) != Reason.APPROVED
    assert desk.gate.ask(0, 0, 10, now=NOW, approval=refused, hold=False) == Reason.APPROVED
    assert desk.text(refused) == b""
    approval = desk.approve(3, 0, 10)
    assert SIGNER.order_text(approval, Instruments(SPECS[:3]), STAMP) == b""
    assert SIGNER.compare(desk.text(approval), approval, Instruments(SPECS[:3]), STAMP) == Reason.R32_NOT_AS_APPROVED


def test_an_approval_shows_and_takes_nothing():
    for keep in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not stored"):
            keep(Approval())
    assert [name for name in dir(Approval()) if not name.startswith("_")] == []


def test_there_is_one_way_from_an_approved_order_to_bytes():
    """The encoder is nobody else's to call, its one caller compares what it wrote, and risk alone fills an approval."""
    sources = {path.name: path.read_text() for kind in ("pyx", "pxd") for path in sorted(CORE.glob(f"*.{kind}"))}
    assert {name: text.count("encode_order(") for name, text in sources.items() if "encode_order" in text} == {
        "wire.pyx": 2
    }
    assert {name for name, text in sources.items() if re.search(r"\bApproval\b", text)} == {
        "wire.pyx", "wire.pxd", "risk.pyx",
    }  # fmt: skip
    way = re.search(r"cdef Py_ssize_t sign_order\(.*?\n\n", sources["wire.pyx"], re.DOTALL).group()
    assert "encode_order(" in way and re.search(
        r"if says\([^)]*\):\n +return n\n +memset\(out, 0, n\)\n +return 0", way
    )

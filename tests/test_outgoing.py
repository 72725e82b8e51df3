"""What leaves is what was approved (R32): every order that the text can say, and every way to say it wrongly."""

import copy
import pickle
import re
from decimal import Decimal
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
BARE = Signer(None)
NAMED = Signer(b"a secret of the account", name=b"The-Key_of-the-Account")
SIGNATURE = len("&signature=") + 64
ACCEPTED = 0  # evidence
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
        self.account, self.orders = Account(self.instruments, 9 * 10**9 * E8), Orders(epoch)
        markets = Markets(len(SPECS))
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
        if words.get("reduce_only") or words.get("terms", 0) & Term.CLOSE_POSITION:
            self.account.fill(symbol, position, MOST_TICKS[symbol] // 2, 0, int(words.get("position_side") == 2))
        found = self.gate.ask(symbol, side, lots, ticks, now=NOW, approval=approval, **words)
        assert found == Reason.APPROVED, found
        return approval

    def text(self, approval, stamp=STAMP):
        return SIGNER.order_text(approval, self.instruments, stamp)

    def verdict(self, text, approval, stamp=STAMP):
        return SIGNER.compare(text, approval, self.instruments, stamp)

    def amend(self, client_id, ticks, lots):
        """Let an order stand, then have an amendment of it approved."""
        approval = Approval()
        assert self.orders.evidence(client_id, ACCEPTED)
        found = self.gate.ask_amend(client_id, ticks, lots, now=NOW, approval=approval)
        assert found == Reason.APPROVED, found
        return approval


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


@st.composite
def conditionals(draw):
    """Return (hedge, words): any conditional order that the text can say."""
    symbol, hedge, side = draw(st.integers(0, len(SPECS) - 1)), draw(st.booleans()), draw(st.integers(0, 1))
    kind, some_ticks = draw(st.sampled_from(list(OrderType)[2:])), st.integers(10, MOST_TICKS[symbol])
    words = {"symbol": symbol, "side": side, "type": kind, "stp": draw(st.sampled_from(SelfTrade))}
    words["terms"] = draw(st.sampled_from([0, Term.PRICE_PROTECT])) | draw(st.sampled_from([0, Term.MARK_TRIGGER]))
    closes = kind in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET) and draw(st.booleans())
    words["lots"] = 0 if closes else draw(st.integers(1, 2_000))
    words["terms"] |= Term.CLOSE_POSITION if closes else 0
    words |= {"position_side": 2 - side if closes else 1 + side} if hedge else {}
    words |= {} if hedge or closes else {"reduce_only": draw(st.booleans())}
    if kind == OrderType.TRAILING_STOP_MARKET:
        words |= {"callback_e8": draw(st.integers(10, 2_000) | st.integers(10**5, 2 * 10**7))}
        words["callback_e8"] *= 1 if words["callback_e8"] > 2_000 else 10_000
        words |= {"activate_ticks": draw(some_ticks)} if draw(st.booleans()) else {}
    else:
        words |= {"trigger_ticks": draw(some_ticks)}
    if kind in (OrderType.STOP, OrderType.TAKE_PROFIT):
        words |= {"tif": draw(st.sampled_from(TimeInForce))}
        words |= {"good_till": NOW + 10**12 + draw(st.integers(0, 10**15))} if words["tif"] == TimeInForce.GTD else {}
        match = draw(st.sampled_from(PriceMatch))
        words |= {"price_match": match} if match else {"ticks": draw(some_ticks)}
    return hedge, words


def decimal(steps, step_e8):
    """Return the decimal text of so many steps: as many decimals as a step has."""
    digits = f"{step_e8 / E8:.8f}".rstrip("0")
    places = len(digits.partition(".")[2])
    units = steps * step_e8 // 10 ** (8 - places)
    return f"{units // 10**places}" + (f".{units % 10**places:0{places}d}" if places else "")


def said(hedge, words, client_id, key=""):
    """Return the parameters of an order as the exchange documents them."""
    one, kind = SPECS[words["symbol"]], words.get("type", OrderType.MARKET)
    told = {
        "quantity": decimal(words["lots"], one["lot_e8"]),
        "side": ("BUY", "SELL")[words["side"]],
        "symbol": one["symbol"],
        "timestamp": str(STAMP),
        "type": kind.name,
    }
    name = f"at{client_id:016x}"
    told |= said_conditional(words, one, name) if kind > OrderType.MARKET else {"newClientOrderId": name}
    told |= {"apiKey": key} if key else {}
    told |= {"positionSide": ("BOTH", "LONG", "SHORT")[words["position_side"]]} if hedge else {}
    told |= {"reduceOnly": "true"} if words.get("reduce_only") else {}
    told |= {"selfTradePreventionMode": words["stp"].name} if words["stp"] else {}
    told |= {"timeInForce": words["tif"].name} if "tif" in words else {}
    told |= {"goodTillDate": str(words["good_till"] // 10**6)} if "good_till" in words else {}
    told |= {"priceMatch": words["price_match"].name} if "price_match" in words else {}
    told |= {"price": decimal(words["ticks"], one["tick_e8"])} if "ticks" in words else {}
    return joined(told)


def said_conditional(words, one, name):
    told = {"algoType": "CONDITIONAL", "clientAlgoId": name}
    told["workingType"] = "MARK_PRICE" if words["terms"] & Term.MARK_TRIGGER else "CONTRACT_PRICE"
    told |= {"priceProtect": "true"} if words["terms"] & Term.PRICE_PROTECT else {}
    told |= {"closePosition": "true", "quantity": ""} if words["terms"] & Term.CLOSE_POSITION else {}
    ticks = {"activatePrice": "activate_ticks", "triggerPrice": "trigger_ticks"}
    told |= {wire: decimal(words[name], one["tick_e8"]) for wire, name in ticks.items() if name in words}
    rate = Decimal(words.get("callback_e8", 0)) / 10**6
    return told | ({"callbackRate": f"{rate.normalize():f}"} if rate else {})


def joined(told):
    return "&".join(f"{name}={told[name]}" for name in sorted(told) if told[name]).encode()


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


@settings(max_examples=300, deadline=None, derandomize=True)
@given(conditionals(), st.integers(1, 2**32 - 1))
def test_every_conditional_order_that_the_text_can_say_leaves_as_it_was_approved(order, epoch):
    hedge, words = order
    desk = Desk(hedge, epoch)
    approval = desk.approve(**words)
    text = desk.text(approval)
    assert text == signed(said(hedge, words, epoch << 32 | 1))
    assert desk.verdict(text, approval) == Reason.APPROVED
    assert desk.verdict(text, approval, STAMP + 1) == Reason.R32_NOT_AS_APPROVED


@settings(max_examples=100, deadline=None, derandomize=True)
@given(orders() | conditionals())
def test_a_text_names_the_key_where_the_signer_has_one_and_only_there(order):
    desk = Desk(order[0])
    approval = desk.approve(**order[1])
    text = NAMED.order_text(approval, desk.instruments, STAMP)
    assert text == signed(said(*order, 9 << 32 | 1, key="The-Key_of-the-Account"))
    assert NAMED.compare(text, approval, desk.instruments, STAMP) == Reason.APPROVED
    assert desk.verdict(text, approval) == Reason.R32_NOT_AS_APPROVED
    assert NAMED.compare(desk.text(approval), approval, desk.instruments, STAMP) == Reason.R32_NOT_AS_APPROVED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, len(SPECS) - 1), st.integers(0, 1), st.integers(0, len(TimeInForce) - 1))
def test_an_amendment_leaves_as_it_was_approved(data, symbol, side, tif):
    middle = MOST_TICKS[symbol] // 2
    desk, some_ticks = Desk(), st.integers(*((10, middle), (middle, 2 * middle))[side])
    till = {"good_till": NOW + 10**15} if tif == TimeInForce.GTD else {}
    first = (data.draw(some_ticks), data.draw(st.integers(1, 2_000)))
    ticks, lots = data.draw(st.tuples(some_ticks, st.integers(1, 2_000)).filter(lambda one: one != first))
    desk.approve(symbol, side, first[1], first[0], tif=tif, type=OrderType.LIMIT, **till)
    approval = desk.amend(9 << 32 | 1, ticks, lots)
    told = {
        "origClientOrderId": "at0000000900000001",
        "price": decimal(ticks, SPECS[symbol]["tick_e8"]),
        "quantity": decimal(lots, SPECS[symbol]["lot_e8"]),
        "side": ("BUY", "SELL")[side],
        "symbol": SPECS[symbol]["symbol"],
        "timestamp": str(STAMP),
    }
    assert desk.text(approval) == signed(joined(told))
    assert desk.verdict(desk.text(approval), approval) == Reason.APPROVED
    named = NAMED.order_text(approval, desk.instruments, STAMP)
    assert named == signed(joined(told | {"apiKey": "The-Key_of-the-Account"}))
    assert NAMED.compare(named, approval, desk.instruments, STAMP) == Reason.APPROVED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(orders() | conditionals(), st.integers(0, 2**32))
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


STOP = {"symbol": 0, "side": 1, "lots": 12, "ticks": 345_678, "type": OrderType.STOP, "trigger_ticks": 345_679,
        "tif": TimeInForce.GTD, "good_till": NOW + 10**12, "reduce_only": True, "stp": SelfTrade.EXPIRE_MAKER,
        "terms": Term.PRICE_PROTECT | Term.MARK_TRIGGER}  # fmt: skip
CLOSE = {"symbol": 0, "side": 1, "lots": 0, "type": OrderType.STOP_MARKET, "trigger_ticks": 345_679,
         "terms": Term.CLOSE_POSITION}  # fmt: skip
TRAIL = {"symbol": 0, "side": 0, "lots": 12, "type": OrderType.TRAILING_STOP_MARKET, "callback_e8": 1_250_000,
         "activate_ticks": 1_000_000}  # fmt: skip


@pytest.mark.parametrize("words", [FULL, STOP, CLOSE, TRAIL], ids=["plain", "stop", "close", "trail"])
def test_no_other_byte_anywhere_in_a_text_leaves(words):
    desk = Desk()
    no_text_with_another_byte_leaves(desk, desk.approve(**words))


def test_no_other_byte_anywhere_in_the_text_of_an_amendment_leaves():
    desk = Desk()
    desk.approve(**FULL | {"tif": TimeInForce.GTC})
    no_text_with_another_byte_leaves(desk, desk.amend(9 << 32 | 1, 345_677, 13))


def no_text_with_another_byte_leaves(desk, approval):
    text = NAMED.order_text(approval, desk.instruments, STAMP)
    plain = text[:-SIGNATURE]
    for at in range(len(text)):
        changes = [text[:at] + bytes([byte]) + text[at + 1 :] for byte in range(256) if byte != text[at]]
        changes += [signed(plain[:at] + bytes([byte]) + plain[at + 1 :]) for byte in b"0129aEZ.&=-" if byte != text[at]]
        changes = changes if at < len(plain) else changes[:255]
        found = {NAMED.compare(changed, approval, desk.instruments, STAMP) for changed in changes}
        assert found == {Reason.R32_NOT_AS_APPROVED}


def test_a_callback_rate_that_is_written_otherwise_does_not_leave():
    desk = Desk()
    approval = desk.approve(**TRAIL)
    plain = desk.text(approval)[:-SIGNATURE]
    assert b"&callbackRate=1.25&" in plain
    for text in (b"1.250", b"1.26", b"01.25", b"1,25", b"1.", b"", b"125", b".125", b"1.2500001", b"1.25.", b"1"):
        assert desk.verdict(signed(plain.replace(b"1.25", text)), approval) == Reason.R32_NOT_AS_APPROVED


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


def test_the_text_of_one_order_is_not_that_of_another_call():
    desk = Desk()
    desk.account.fill(0, 1000, MOST_TICKS[0] // 2, 0)
    approvals = [desk.approve(**words) for words in (FULL, STOP, CLOSE, TRAIL)]
    desk.approve(0, 0, 10, 300_000)
    approvals.append(desk.amend(9 << 32 | 5, 300_001, 10))
    for approval in approvals:
        verdicts = [desk.verdict(desk.text(other), approval) == Reason.APPROVED for other in approvals]
        assert verdicts == [other is approval for other in approvals]


def test_what_a_text_would_drop_has_none():
    desk = Desk()
    protected = desk.approve(0, 1, 10, 2_000_001, terms=Term.PRICE_PROTECT)  # a plain order has no trigger to protect
    assert desk.text(protected) == b""
    same = Desk()
    as_limit = same.text(same.approve(0, 1, 10, 2_000_001))
    assert desk.verdict(as_limit, protected) == Reason.R32_NOT_AS_APPROVED


@settings(max_examples=300, deadline=None, derandomize=True)
@given(orders() | conditionals())
def test_there_is_room_for_the_longest_text(order):
    header = (CORE / "wire.pxd").read_text()
    room, longest_name = (int(re.search(rf"{name} = (\d+)", header)[1]) for name in ("ORDER_BYTES", "NAME_BYTES"))
    desk = Desk(order[0])
    text = NAMED.order_text(desk.approve(**order[1]), desk.instruments, STAMP).decode()
    sizes = {"apiKey": longest_name, "symbol": 31}
    numbers = {"price", "quantity", "triggerPrice", "activatePrice", "callbackRate", "goodTillDate", "timestamp"}
    values = {name: len(value) for name, value in (pair.split("=") for pair in text.split("&"))}
    values |= {name: sizes.get(name, 20 if name in numbers else size) for name, size in values.items()}
    assert sum(len(name) + 2 + size for name, size in values.items()) <= room


def test_a_name_of_31_letters_and_a_key_of_128_fit():
    long = SPECS[0] | {"symbol": "A" * 31}
    desk = Desk()
    approval = desk.approve(**STOP)
    signer, instruments = Signer(b"s", name=b"k" * 128), Instruments([long])
    text = signer.order_text(approval, instruments, 2**63 - 1)
    assert signer.compare(text, approval, instruments, 2**63 - 1) == Reason.APPROVED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(orders() | conditionals())
def test_without_a_key_a_text_says_the_same_order_and_has_no_signature(order):
    desk = Desk(order[0])
    approval = desk.approve(**order[1])
    text = BARE.order_text(approval, desk.instruments, STAMP)
    assert desk.text(approval) == signed(text)
    assert BARE.compare(text, approval, desk.instruments, STAMP) == Reason.APPROVED
    assert desk.verdict(text, approval) == Reason.R32_NOT_AS_APPROVED  # whoever has a key does not let it go unsigned
    assert BARE.compare(signed(text), approval, desk.instruments, STAMP) == Reason.R32_NOT_AS_APPROVED


@pytest.mark.parametrize("words", [FULL, STOP, CLOSE, TRAIL], ids=["plain", "stop", "close", "trail"])
def test_no_other_byte_anywhere_in_a_text_without_signature_leaves(words):
    desk = Desk()
    approval = desk.approve(**words)
    text = BARE.order_text(approval, desk.instruments, STAMP)
    changes = [text[:at] + bytes([byte]) + text[at + 1 :] for at in range(len(text)) for byte in range(256)]
    changes = [one for one in changes if one != text]
    changes += [text[:k] for k in range(len(text))] + [text + b"0", text + b"&", text + b"\0", b"&" + text]
    found = {BARE.compare(one, approval, desk.instruments, STAMP) for one in changes}
    assert found == {Reason.R32_NOT_AS_APPROVED}


def test_without_a_key_what_a_text_would_drop_has_none_and_nothing_is_signed():
    desk = Desk()
    protected = desk.approve(0, 1, 10, 2_000_001, terms=Term.PRICE_PROTECT)
    assert BARE.order_text(protected, desk.instruments, STAMP) == b""
    plain = BARE.reference_text(9 << 32 | 1, 3, desk.instruments, STAMP)
    assert plain == f"origClientOrderId=at0000000900000001&symbol=DOGEUSDT&timestamp={STAMP}".encode()
    with pytest.raises(ValueError, match="no key to sign with"):
        BARE.sign(plain)


@pytest.mark.parametrize("name", [b"k" * 129, b"alice&key", b"alice=key", b'alice"key', b"alice key", b"alice\0key"])
def test_a_key_that_could_be_more_than_a_name_is_refused_and_not_shown(name):
    with pytest.raises(ValueError, match="API key is at most 128") as error:
        Signer(b"secret", name=name)
    assert "alice" not in str(error.value) and "kk" not in str(error.value)


@pytest.mark.parametrize("signer,key", [(SIGNER, ""), (NAMED, "apiKey=The-Key_of-the-Account&")])
def test_a_reference_names_an_order_of_either_universe(signer, key):
    instruments = Instruments(SPECS)
    plain = signer.reference_text(9 << 32 | 1, 3, instruments, STAMP)
    assert plain == signed(f"{key}origClientOrderId=at0000000900000001&symbol=DOGEUSDT&timestamp={STAMP}".encode())
    algo = signer.reference_text(2**64 - 1, 3, instruments, STAMP, conditional=True)
    assert algo == signed(f"{key}clientAlgoId=atffffffffffffffff&timestamp={STAMP}".encode())
    for symbol in (-1, 4):
        with pytest.raises(IndexError):
            signer.reference_text(1, symbol, instruments, STAMP)


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
    """Nobody else calls the encoders, their one caller compares what they wrote, risk alone fills an approval."""
    sources = {path.name: path.read_text() for kind in ("pyx", "pxd") for path in sorted(CORE.glob(f"*.{kind}"))}
    for encoder in ("encode_order(", "plain_text(", "conditional_text(", "amendment_text("):
        assert {name: text.count(encoder) for name, text in sources.items() if encoder in text} == {"wire.pyx": 2}
    assert {name for name, text in sources.items() if re.search(r"\bApproval\b", text)} == {
        "wire.pyx", "wire.pxd", "risk.pyx", "live.pyx",
    }  # fmt: skip
    # A live run hands on what its desk was given by risk.
    assert re.findall(r"approved\.order = (.*)", sources["live.pyx"]) == ["self.engine.desk.approvals[approval]"]
    # What leaves is what the signer returned, and one call writes it; what is rehearsed is not written.
    signs = "n = self.signer.sign_order(&request.approval.order, self.instruments, stamp_ms, self.text)"
    assert [one.strip() for one in re.findall(r".*approval\.order.*", sources["feed.pyx"])] == [signs, signs]
    ways = dict(re.findall(r"\n    (?:c?def) (?:int )?(\w+)\((.*?)(?=\n    c?def |\Z)", sources["feed.pyx"], re.DOTALL))
    assert [name for name, text in ways.items() if signs in text] == ["rehearse", "dispatch"]
    assert [name for name, text in ways.items() if "self.write(" in text] == ["dispatch"]
    assert [name for name, text in ways.items() if "self.transport.send" in text] == ["write"]
    way = re.search(r"cdef Py_ssize_t sign_order\(.*?\n\n", sources["wire.pyx"], re.DOTALL).group()
    assert "encode_order(" in way and re.search(
        r"if says\([^)]*\):\n +return n\n +memset\(out, 0, n\)\n +return 0", way
    )

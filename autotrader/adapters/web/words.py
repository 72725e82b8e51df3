"""How the report speaks: its texts in English and Korean, and how numbers, times and spans are written.

Knows keys, texts and formats. Refuses to know runs, tables and charts. The two dictionaries have the same keys and the
same fields; a name that the report does not know (a new reason, a venue's code) is shown as it is.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from autotrader.errors import OperatorError

NONE = "—"
MINUS = "\u2212"
# A unit stays on the line of its number.
TIE = "\u00a0"

EN: Mapping[str, str] = MappingProxyType(
    {
        "error.language": "report language {language!r} is not known: choose en or ko",
        "error.folder": "{folder}: no such run folder: give the folder that a run printed when it ended",
        "error.missing": "{file}: missing: this is not a complete run folder, run the backtest or replay again",
        "error.incomplete": "{file}: missing, and INCOMPLETE stands beside it: the run failed or is still going; "
        "wait for it or run it again",
        "error.unreadable": "{file}: cannot be read ({detail}): check the path and its permissions",
        "error.damaged": "{file}: damaged or written by another version ({detail}): run again to rebuild it",
        "error.unwritable": "{file}: cannot be written ({detail}): check space and permissions of the folder",
        "mode.backtest": "BACKTEST",
        "mode.paper": "PAPER",
        "mode.testnet": "TESTNET",
        "mode.live": "LIVE",
        "head.period": "{start} to {end} UTC ({span})",
        "head.run": "run {run}",
        "verdict.no_fills": "Nothing was traded: no order was filled, so there is no result to judge.",
        "verdict.won": "Made {amount} ({share}) after costs.",
        "verdict.lost": "Lost {amount} ({share}) after costs.",
        "verdict.level": "Neither made nor lost money after costs.",
        "verdict.costs": "Before costs {before}, of which {unrealised} unrealised; fees {fees}; funding {funding}.",
        "verdict.eaten": "Costs turned a gain into a loss.",
        "verdict.limits": "Limits that fired: {limits}.",
        "verdict.no_limits": "No account limit fired.",
        "verdict.liquidations": "liquidation ({count})",
        "verdict.no_refusals": "No order was refused.",
        "verdict.refusals": "{total} orders were refused, most often: {reason} ({count}).",
        "key.result": "Net result",
        "key.of": "{share} of {base}",
        "key.drawdown": "Maximum drawdown",
        "key.limit": "limit {limit}",
        "key.no_limit": "no limit configured",
        "key.sharpe": "Sharpe ratio, annual",
        "key.days": "± standard error, daily returns: {days}",
        "key.days_only": "daily returns: {days}",
        "key.fees": "Fees",
        "key.of_traded": "{rate} of traded notional",
        "key.funding": "Funding",
        "key.payments": "received positive, payments: {count}",
        "key.fills": "Fills",
        "key.trips": "orders: {orders}, round trips: {trips}",
        "key.slippage": "Slippage",
        "key.target": "target {target}",
        "key.latency": "Market data to order, p99",
        "key.budget": "budget {budget}",
        "caveat.title": "Read this first",
        "caveat.none": "The run left no note and no warning.",
        "caveat.language": "The run was made in another language: what it noted then stands here as it was written.",
        "caveat.defaults": "Defaults used where a fact was missing: {count}",
        "caveat.transfers": "Money was moved during the run ({amount} net). Its times are not in the run folder, so "
        "daily and monthly returns, volatility and the standard error are left out.",
        "performance.title": "Equity and drawdown",
        "performance.no_equity": "equity.parquet has no row: there is no curve to draw.",
        "performance.equity": "Equity",
        "performance.start": "Starting equity",
        "performance.drawdown": "Drawdown",
        "performance.note": "Drawdown is measured from the running peak, which includes the starting equity. The "
        "dashed lines are the steps of the drawdown limit: half size, reduce-only, flatten and latch; a step deeper "
        "than the chart is out of sight.",
        "performance.thinned": "{shown} of {rows} observations are drawn; every high, low and deepest drawdown is "
        "among them.",
        "ladder.half": "half size",
        "ladder.reduce": "reduce-only",
        "ladder.flatten": "flatten, latch",
        "measure.title": "Measures",
        "measure.name": "Measure",
        "measure.value": "Value",
        "measure.target": "Target",
        "measure.remark": "Remark",
        "measure.total_return": "Total return",
        "measure.cagr": "Annual growth (CAGR)",
        "measure.volatility": "Annual volatility",
        "measure.sharpe": "Sharpe ratio, annual",
        "measure.sortino": "Sortino ratio, annual",
        "measure.calmar": "Calmar ratio",
        "measure.max_drawdown": "Maximum drawdown",
        "measure.turnover": "Turnover",
        "measure.fill_rate": "Fill rate",
        "measure.slippage": "Slippage per order",
        "measure.post_only": "Post-only success",
        "measure.latency": "Market data to order, p99",
        "measure.events": "Events processed",
        "measure.events_per_second": "Events per second",
        "measure.times": "times mean equity",
        "measure.per_second": "{value}/s",
        "measure.met": "met",
        "measure.missed": "missed",
        "measure.undefined": "not defined for this run",
        "measure.not_measured": "not measured",
        "measure.extrapolated": "annualised from {span}",
        "measure.estimate": "an estimate; see the sentence below",
        "sharpe.undefined": "The Sharpe ratio is not defined: it needs two days or more, with daily returns that "
        "differ.",
        "sharpe.no_error": "The standard error of the Sharpe ratio cannot be computed from this folder.",
        "sharpe.interval": "{days} daily returns: the standard error of the annual Sharpe ratio is about {error}, "
        "so its 95 % interval runs from {low} to {high}.",
        "sharpe.nothing": "The interval contains zero: this run says nothing about skill.",
        "sharpe.short": "Less than a year: this describes one stretch of the market, not the strategy.",
        "sharpe.long": "The interval assumes independent days; it does not know how many variants were tried before "
        "this one.",
        "positions.title": "Positions",
        "positions.none": "No position was ever open.",
        "positions.note": "Signed position after each fill, valued at the price of that fill (long above zero). "
        "Between fills the mark price moves the value; that is in the equity curve, not here.",
        "months.title": "Monthly returns",
        "months.none": "There are no daily returns, so there is no month to show.",
        "months.names": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        "months.year": "Year",
        "months.note": "UTC months of compounded daily returns; the first and the last month may be partial. Blue "
        "is a gain, orange a loss, deeper is larger.",
        "costs.title": "Costs",
        "costs.none": "There was no fill and no funding, so nothing was earned and nothing was paid.",
        "costs.item": "Item",
        "costs.rate": "bps of traded",
        "costs.gross": "Realised, gross",
        "costs.maker": "Maker fees",
        "costs.taker": "Taker fees",
        "costs.liquidation": "Liquidation fees",
        "costs.funding": "Funding",
        "costs.net": "Realised, net",
        "costs.slippage": "Memo: slippage",
        "costs.note": "Traded notional {traded}. Slippage against the mid at the decision is already inside the "
        "fill prices and therefore inside the gross result; it is shown for information and not subtracted again.",
        "costs.no_funding": "No funding was paid or received.",
        "costs.by_symbol": "Result by symbol",
        "costs.symbol_note": "Realised result, fees and funding of each symbol in USDT; open positions are not "
        "valued here.",
        "costs.total": "Total",
        "column.symbol": "Symbol",
        "column.fills": "Fills",
        "column.traded": "Traded",
        "column.gross": "Gross",
        "column.fees": "Fees",
        "column.funding": "Funding",
        "column.net": "Net",
        "accounts.title": "Do the accounts reconcile?",
        "accounts.initial": "Starting equity",
        "accounts.realised": "realised result, gross",
        "accounts.unrealised": "unrealised result",
        "accounts.funding": "funding received",
        "accounts.fees": "fees, liquidation fees included",
        "accounts.transfers": "transfers",
        "accounts.computed": "sum",
        "accounts.final": "Final equity that the run reports",
        "accounts.difference": "difference",
        "accounts.yes": "Yes: the sum equals the final equity to 1e-8 USDT.",
        "accounts.no": "NO: the sum misses the final equity by {difference} USDT. Do not trust this run; report it "
        "as a fault.",
        "accounts.columns": "Checked against the files: {checks}.",
        "accounts.agrees": "{name} agrees",
        "accounts.differs": "{name} DIFFERS by {difference} USDT",
        "accounts.split": "the split of the fees",
        "trades.title": "Trades",
        "trades.none": "fills.parquet has no row: there is no trade to list.",
        "trades.count": "{trips} round trips, {open} of them still open, from the {fills} fills in fills.parquet.",
        "trades.shown": "The first {shown} are shown.",
        "trades.summary": "Of the closed ones {winners} made money after fees; average net {mean}, best {best}, "
        "worst {worst}.",
        "trades.note": "Amounts in USDT. A round trip runs from flat to flat at average cost; a fill that turns the "
        "position ends one and begins the next. Funding is not included. Click a heading to sort.",
        "trades.number": "No.",
        "trades.side": "Side",
        "trades.long": "Long",
        "trades.short": "Short",
        "trades.entry": "Entry, UTC",
        "trades.held": "Held",
        "trades.size": "Largest size",
        "trades.entry_average": "Entry average",
        "trades.exit_average": "Exit average",
        "trades.open": "open",
        "latency.title": "Latency: market data to order",
        "latency.none": "No order decision was timed.",
        "latency.count": "Timed",
        "latency.worst": "max",
        "latency.budget": "Budget",
        "latency.axis": "Latency",
        "latency.orders": "Decisions",
        "latency.within": "The slowest of {count} was {worst}, inside the budget of {budget}.",
        "latency.beyond": "The slowest of {count} was {worst}, beyond the budget of {budget}.",
        "latency.note": "Time in process from the bytes of a market message to the bytes of the order, on the "
        "machine that ran this; the network is not in it. Both axes are logarithmic.",
        "refusals.title": "Orders and refusals",
        "refusals.no_orders": "No order was sent.",
        "refusals.none": "No order was refused.",
        "refusals.orders": "Orders by final state",
        "refusals.refused": "Refused, by reason",
        "refusals.type": "Type",
        "refusals.tif": "Time in force",
        "refusals.state": "State",
        "refusals.count": "Count",
        "refusals.share": "Share",
        "refusals.reason": "Reason",
        "refusals.meaning": "Meaning",
        "limits.title": "What limited the run",
        "limits.limiting": "Which cap set the size of an order",
        "limits.no_limiting": "No order was sized.",
        "limits.cap": "Cap",
        "limits.alarms": "Alarms",
        "limits.no_alarms": "No alarm was raised.",
        "limits.alarm": "Alarm",
        "limits.liquidations": "Liquidations",
        "limits.no_liquidations": "No position was liquidated.",
        "limits.unlisted": "The run counts {count} liquidations; fills.parquet lists {listed}.",
        "limits.time": "Time, UTC",
        "limits.side": "Side",
        "limits.quantity": "Quantity",
        "limits.price": "Price",
        "limits.realised": "Realised, USDT",
        "side.BUY": "buy",
        "side.SELL": "sell",
        "quality.title": "Quality of the market data",
        "quality.verdicts": "Verdicts on the stream",
        "quality.none": "The run keeps no verdicts on its market data.",
        "quality.judged": "{judged} data were judged before they entered any state; {discarded} were discarded.",
        "quality.verdict": "Verdict",
        "quality.policy": "What follows",
        "quality.data": "Data judged",
        "quality.dropped": "Discarded",
        "quality.found": "Verdicts",
        "quality.note": "A datum may have several verdicts. A suspect price is discarded only while neither the next "
        "one of its stream nor another stream confirms it; a crash is confirmed and enters.",
        "quality.history": "Checks of the candle files",
        "quality.no_history": "The run read no candle files.",
        "quality.bars": "Bars",
        "quality.missing": "Missing",
        "quality.gap": "Longest gap",
        "quality.jumps": "Jumps over 10 %",
        "quality.largest": "Largest",
        "quality.at": "At, UTC",
        "quality.empty": "Without volume",
        "quality.history_note": "A jump is the close of a bar against the close before. Bars that are there twice or "
        "out of order, and bars whose high and low do not hold their open and close, are refused before a run, so "
        "there are none.",
        "datum.STALE": "stream silent while others go on",
        "datum.BAD_PRICE": "price that cannot be true",
        "datum.OUTLIER": "price far from the median of the last 100",
        "datum.SPIKE": "price far from the last",
        "datum.CROSSED": "bid at or above ask",
        "datum.WIDE_SPREAD": "wide spread",
        "datum.ONE_SIDED": "depth on one side only",
        "datum.VOLUME_SPIKE": "volume far above its mean",
        "datum.VOLUME_DROP": "volume far below its mean",
        "policy.warn": "warned",
        "policy.conservative": "smaller, passive only",
        "policy.halt": "no entries in the symbol until it is clean",
        "policy.discard": "discarded",
        "data.title": "Data",
        "data.none": "The run names no data file.",
        "data.path": "File",
        "data.kind": "Kind",
        "data.rows": "Rows",
        "data.kind.recording": "recording",
        "data.kind.klines": "candles",
        "data.kind.mark": "mark candles",
        "data.kind.funding": "funding",
        "data.kind.trades": "trades",
        "data.mark": "Mark price by symbol",
        "data.no_mark": "The run names no source of the mark price.",
        "data.source": "Source",
        "configuration.title": "Configuration and fingerprints",
        "configuration.key": "Key",
        "configuration.value": "Value",
        "configuration.other": "other",
        "configuration.hashes": "Fingerprints",
        "configuration.none": "The run kept no configuration.",
        "configuration.hash_note": "The same configuration, data and version give the same order and state "
        "fingerprints; autotrader replay RUN_DIR --verify checks it.",
        "fingerprint.run_id": "Run",
        "fingerprint.seed": "Seed",
        "fingerprint.config": "Configuration, sha256",
        "fingerprint.journal": "Journal, sha256",
        "fingerprint.orders": "Orders, sha256",
        "fingerprint.state": "State, sha256",
        "disclaimer.simulated": "This is a simulation on recorded or streamed market data. Fills of resting orders "
        "follow a model of the queue, market orders a model of their impact; the recorded market did not react to "
        "these orders.",
        "disclaimer.past": "Past results, simulated or real, say little about future ones. Leveraged perpetual "
        "futures can lose everything that is deposited.",
        "disclaimer.advice": "This report is a record of a computation. It is not investment advice and not an offer.",
        "reason.R1_PRICE_COLLAR": "price too far from the mark price and the mid (price collar)",
        "reason.R3_ORDER_NOTIONAL": "order notional above the limit for one order",
        "reason.R4_ORDER_QUANTITY": "order quantity above the limit for one order or for the depth of the book",
        "reason.R5_POSITION_LIMIT": "position with all working orders would exceed the symbol's limit",
        "reason.R6_GROSS_EXPOSURE": "gross exposure of the account would exceed its limit",
        "reason.R9_LIQUIDATION_DISTANCE": "liquidation price would be too near",
        "reason.R11_ORDER_RATE": "more orders than the rate limit allows",
        "reason.R15_DUPLICATE": "same order again within the duplicate window",
        "reason.R18_STALE_DATA": "market data too old or the book not usable",
        "reason.R20_REDUCE_ONLY": "drawdown at three quarters of its limit: only orders that shrink a position pass",
        "reason.R21_DAILY_LOSS": "daily loss limit reached: entries are off",
        "reason.R22_DRAWDOWN_KILL": "drawdown limit reached: positions flattened, entries latched off",
        "reason.R25_OPEN_ORDERS": "too many open orders",
        "reason.R28_SYMBOL_STATUS": "symbol is not open for trading",
        "reason.R31_RISK_FAULT": "risk check failed, so the answer is no",
        "reason.R32_NOT_AS_APPROVED": "what would leave is not what was approved",
        "reason.R2_CHASE": "a chased order was re-priced too often or too far",
        "reason.R7_LEVERAGE": "leverage setting of the symbol above our limit",
        "reason.R8_BRACKET": "position too near to what the leverage bracket allows",
        "reason.R10_MARGIN_RATIO": "maintenance margin too large a share of the equity",
        "reason.R12_WEIGHT": "the exchange's request weight is nearly used up",
        "reason.R13_MESSAGE_QUALITY": "too many orders end unfilled, cancelled, expired or as dust",
        "reason.R14_REPEATED": "too many entries or losing round trips: off until somebody has looked",
        "reason.R16_SELF_TRADE": "would match an order of our own",
        "reason.R17_FAT_FINGER": "position far larger than usual",
        "reason.R19_UNKNOWN_ORDERS": "the outcome of earlier orders is not known",
        "reason.R23_LOSS_RATE": "fast loss: entries are paused",
        "reason.R24_VOLATILITY": "fast move or wide spread: the symbol is paused",
        "reason.R26_UNPROTECTED": "the position has no stop",
        "reason.R27_FUNDING_COST": "funding about to be paid eats the expected profit",
        "reason.R29_NOT_ALLOWED": "side, type, hour or position side not allowed",
        "reason.R30_MODE": "orders are not armed in this mode",
        "reason.HEADROOM_SPENT": "portfolio headroom of the symbol is used up",
        "reason.HEADROOM_STALE": "portfolio headroom is missing or too old",
        "reason.NOT_AMENDABLE": "the order cannot be amended, or nothing would change",
        "reason.FILTER_PRICE": "price off the tick grid or outside the exchange's price band",
        "reason.FILTER_QUANTITY": "quantity off the lot grid or outside the exchange's range",
        "reason.FILTER_NOTIONAL": "notional below the exchange's minimum",
        "reason.INSUFFICIENT_MARGIN": "not enough free margin",
        "reason.NOTHING_TO_REDUCE": "reduce-only order without a position to reduce",
        "reason.HALTED": "trading halted by the operator or a breaker",
        "reason.DATA_QUALITY": "suspect market data: the symbol is halted or conservative",
        "reason.GATE_CLOSED": "something that trading depends on is not in order",
        "reason.VENUE_-1001": "exchange: internal error, the order was not placed",
        "reason.VENUE_-1008": "exchange: throttled by system-level protection",
        "reason.VENUE_-1015": "exchange: too many new orders",
        "reason.VENUE_-1106": "exchange: a parameter that the order does not take",
        "reason.VENUE_-1112": "exchange: no quantity on the other side of the book",
        "reason.VENUE_-1115": "exchange: time in force that the order does not take",
        "reason.VENUE_-1116": "exchange: type that the order does not take",
        "reason.VENUE_-1130": "exchange: invalid parameter",
        "reason.VENUE_-2011": "exchange: no such order to cancel",
        "reason.VENUE_-2013": "exchange: no such order",
        "reason.VENUE_-2018": "exchange: balance is insufficient",
        "reason.VENUE_-2019": "exchange: margin is insufficient",
        "reason.VENUE_-2021": "exchange: the trigger price is already met",
        "reason.VENUE_-2022": "exchange: a reduce-only order would not reduce",
        "reason.VENUE_-2025": "exchange: too many open orders",
        "reason.VENUE_-2027": "exchange: position above the most at this leverage",
        "reason.VENUE_-4002": "exchange: price above its maximum",
        "reason.VENUE_-4004": "exchange: quantity below its minimum",
        "reason.VENUE_-4005": "exchange: quantity above its maximum",
        "reason.VENUE_-4013": "exchange: price below its minimum",
        "reason.VENUE_-4014": "exchange: price on no tick",
        "reason.VENUE_-4016": "exchange: price above the band around the mark",
        "reason.VENUE_-4023": "exchange: quantity on no step",
        "reason.VENUE_-4024": "exchange: price below the band around the mark",
        "reason.VENUE_-4045": "exchange: too many conditional orders",
        "reason.VENUE_-4050": "exchange: cross balance is insufficient",
        "reason.VENUE_-4051": "exchange: isolated balance is insufficient",
        "reason.VENUE_-4054": "exchange: no isolated position to give margin to",
        "reason.VENUE_-4061": "exchange: position side does not match the position mode",
        "reason.VENUE_-4062": "exchange: reduce-only is not for hedge mode",
        "reason.VENUE_-4116": "exchange: client order id already in use",
        "reason.VENUE_-4131": "exchange: best price too far from the mark for a market order",
        "reason.VENUE_-4135": "exchange: activation price is invalid",
        "reason.VENUE_-4137": "exchange: close-position takes no quantity",
        "reason.VENUE_-4138": "exchange: close-position takes no reduce-only",
        "reason.VENUE_-4141": "exchange: the symbol is closed",
        "reason.VENUE_-4164": "exchange: notional below its minimum",
        "reason.VENUE_-5021": "exchange: a fill-or-kill order could not be filled whole",
        "reason.VENUE_-5022": "exchange: a post-only order would have taken liquidity",
        "reason.VENUE_-5024": "exchange: the symbol takes no amendments now",
        "reason.VENUE_-5025": "exchange: only limit orders can be amended",
        "reason.VENUE_-5026": "exchange: amended too often",
        "reason.VENUE_-5027": "exchange: an amendment that changes nothing",
        "reason.VENUE_-5029": "exchange: an amendment to below the minimum notional",
        "reason.VENUE_-5037": "exchange: invalid price match",
        "reason.VENUE_-5038": "exchange: price match is for limit, stop and take-profit orders",
        "reason.VENUE_-5039": "exchange: invalid self-trade prevention",
        "reason.VENUE_-5040": "exchange: invalid good-till date",
        "reason.VENUE_-5041": "exchange: no level of the book to match the price of",
        "alarm.BOOK_GAP": "gap in the order book's update chain",
        "alarm.BOOK_CROSSED": "order book crossed",
        "alarm.BOOK_RECOVERED": "order book usable again",
        "alarm.DRAWDOWN_HALF": "drawdown at half its limit: half size",
        "alarm.DRAWDOWN_REDUCE_ONLY": "drawdown at three quarters of its limit: reduce-only",
        "alarm.DRAWDOWN_KILL": "drawdown limit: flattened and latched",
        "alarm.DAILY_LOSS": "daily loss limit",
        "alarm.FORCED_REDUCTION": "position reduced by force before the exchange would",
        "alarm.LOSS_RATE": "fast loss",
        "alarm.VOLATILITY": "fast move or wide spread",
        "alarm.MESSAGE_QUALITY": "poor order-to-fill quality",
        "alarm.REPEATED": "repeated entries or losses",
        "alarm.DELEVERAGING": "position reduced by the exchange's deleveraging (ADL)",
        "alarm.LIQUIDATED": "position liquidated by the exchange",
        "alarm.STRATEGY_DISABLED": "strategy disabled after an error",
        "alarm.LIQUIDATION_NEAR": "liquidation price near",
        "alarm.DATA_ANOMALY": "suspect market data",
        "alarm.FOREIGN_ORDER": "an order or a fill that is not ours: nothing is opened until the operator resumes",
        "alarm.LATE_FILL": "a fill of an order that had ended",
        "alarm.DIFFERENCE": "the exchange holds something else than was believed; taken over",
        "alarm.STOP_REFUSED": "the exchange refused a protective stop",
        "cap.FULL": "the size that the strategy named",
        "cap.NO_EDGE": "no edge stated or estimated: no order",
        "cap.KELLY": "fractional Kelly",
        "cap.VOLATILITY_TARGET": "volatility target",
        "cap.ATR_RISK": "risk per trade in ATR units",
        "cap.LIQUIDATION_SAFE": "distance that keeps clear of liquidation",
        "cap.VAR_HEADROOM": "room under the daily VaR limit",
        "cap.CONCENTRATION": "largest share of one symbol",
        "cap.GROSS": "room under the gross exposure limit",
        "cap.MARGIN": "free margin",
        "cap.INVENTORY": "inventory budget",
        "cap.BELOW_MINIMUM": "target below the exchange's minimum: nothing held",
        "cap.BAD_INPUT": "an input was not a finite positive number: no order",
        "span.day": "{value} d",
        "span.hour": "{value} h",
        "span.minute": "{value} min",
        "span.second": "{value} s",
        "span.millisecond": "{value} ms",
        "stress.title": "Stress run",
        "stress.cross": "cross margin",
        "stress.isolated": "isolated margin",
        "stress.about": "{start} to {end} UTC · {bars} bars of {interval} · equity before the entry {equity}",
        "stress.lived": "Survived at {leverages}.",
        "stress.gone": "Liquidated at {leverages}, UTC.",
        "stress.outcome": "What became of it",
        "stress.outcome_note": "Amounts are USDT, times UTC; what happened within a bar bears the stamp at which it "
        "closed. Lowest equity: of the mark's lows that were survived, and of what a liquidation left; with isolated "
        "margin of the position alone, while what was kept back beside it counts among what is left. Nearest "
        "liquidation: how far the mark's low stayed above the liquidation price, below zero how far the bar that "
        "liquidated went through it. Funding is received positive.",
        "stress.leverage": "Leverage",
        "stress.entry": "Bought at {price} USDT, {time} UTC.",
        "stress.became": "Outcome",
        "stress.notional": "Notional",
        "stress.lowest": "Lowest equity",
        "stress.nearest": "Nearest liquidation",
        "stress.paid": "Funding",
        "stress.fees": "All fees",
        "stress.fee": "Liquidation fee",
        "stress.left": "Left",
        "stress.gap": "The last price was farthest from the mark in the bar to {time} UTC: {gap}.",
        "stress.survived": "survived",
        "stress.liquidated": "liquidated {time}",
        "stress.ratio": "Margin ratio",
        "stress.ratio_note": "Maintenance margin over margin balance at the mark's low of each bar, as long as the "
        "position was held. At 100 % the exchange liquidates; beyond 120 % the line is cut off.",
        "stress.limit": "liquidation",
        "stress.equity": "Equity and maintenance margin",
        "stress.equity_note": "Each bar at the mark's low and at its close. A name in the legend takes its line "
        "off the chart.",
        "stress.balance": "equity",
        "stress.maintenance": "maintenance margin",
        "stress.price": "Mark against last, and the liquidation price",
        "stress.price_note": "Only the mark liquidates: a low of the last price below a dashed line does nothing "
        "as long as the mark's low stays above it. The liquidation price moves with funding.",
        "stress.price_note_candle": "There is no mark of these bars: the last price stands in, and its low liquidates.",
        "stress.last_low": "last, low",
        "stress.last_close": "last, close",
        "stress.mark_low": "mark, low",
        "stress.mark_close": "mark, close",
        "stress.liquidation": "liquidation price {leverage}x",
        "stress.gone_at": "liquidated {leverage}x",
        "stress.events": "Liquidations",
        "stress.events_note": "What the exchange closed by force. Below the price at which the account would owe, the "
        "loss is the insurance fund's.",
        "stress.no_events": "Nothing was liquidated.",
        "stress.time": "Time, UTC",
        "stress.quantity": "Quantity",
        "stress.mark": "Mark",
        "stress.taken": "Price",
        "stress.cause": "By",
        "stress.cause.LIQUIDATION_ORDER": "liquidation order",
        "stress.cause.INSURANCE_FUND": "insurance fund",
        "stress.cause.DELEVERAGED": "auto-deleveraging",
        "stress.cause.SETTLED": "settlement",
        "stress.funding": "Funding",
        "stress.funding_note": "Rate times mark times quantity at each stamp, while the position was held; "
        "received positive, USDT.",
        "stress.no_funding": "No funding stamp was met by a position.",
        "stress.rate": "Rate",
        "stress.total": "Total",
        "stress.files": "Files",
    }
)

KO: Mapping[str, str] = MappingProxyType(
    {
        "error.language": "보고서 언어 {language!r}은(는) 지원하지 않습니다: en 또는 ko를 지정하십시오",
        "error.folder": "{folder}: 실행 폴더가 없습니다: 실행이 끝날 때 출력된 폴더를 지정하십시오",
        "error.missing": "{file}: 파일이 없습니다: 완전한 실행 폴더가 아니므로 백테스트나 재생을 다시 실행하십시오",
        "error.incomplete": "{file}: 파일이 없고 INCOMPLETE 표시가 있습니다: 실행이 실패했거나 아직 진행 중이니 "
        "기다리거나 다시 실행하십시오",
        "error.unreadable": "{file}: 읽을 수 없습니다 ({detail}): 경로와 권한을 확인하십시오",
        "error.damaged": "{file}: 손상되었거나 다른 버전에서 만든 파일입니다 ({detail}): 다시 실행하여 새로 만드십시오",
        "error.unwritable": "{file}: 쓸 수 없습니다 ({detail}): 폴더의 여유 공간과 권한을 확인하십시오",
        "mode.backtest": "백테스트",
        "mode.paper": "모의거래 PAPER",
        "mode.testnet": "테스트넷",
        "mode.live": "실거래",
        "head.period": "기간 {start} ~ {end} UTC ({span})",
        "head.run": "실행 {run}",
        "verdict.no_fills": "거래 없음: 체결된 주문이 없어 평가할 손익이 없습니다.",
        "verdict.won": "비용 차감 후 {amount} ({share}) 이익.",
        "verdict.lost": "비용 차감 후 {amount} ({share}) 손실.",
        "verdict.level": "비용 차감 후 손익이 없습니다.",
        "verdict.costs": "비용 차감 전 {before}(미실현 {unrealised} 포함), 수수료 {fees}, 펀딩비 {funding}.",
        "verdict.eaten": "비용이 이익을 손실로 바꾸었습니다.",
        "verdict.limits": "발동된 한도: {limits}.",
        "verdict.no_limits": "발동된 계좌 한도는 없습니다.",
        "verdict.liquidations": "강제 청산 ({count}건)",
        "verdict.no_refusals": "거부된 주문은 없습니다.",
        "verdict.refusals": "거부된 주문 {total}건, 가장 많은 사유: {reason} ({count}건).",
        "key.result": "순손익",
        "key.of": "{base} 대비 {share}",
        "key.drawdown": "최대 낙폭",
        "key.limit": "한도 {limit}",
        "key.no_limit": "설정된 한도 없음",
        "key.sharpe": "샤프 지수(연율)",
        "key.days": "± 표준오차, 일간 수익률 {days}개",
        "key.days_only": "일간 수익률 {days}개",
        "key.fees": "수수료",
        "key.of_traded": "거래대금의 {rate}",
        "key.funding": "펀딩비",
        "key.payments": "수취가 양수, 정산 {count}회",
        "key.fills": "체결",
        "key.trips": "주문 {orders}건, 왕복 거래 {trips}건",
        "key.slippage": "슬리피지",
        "key.target": "목표 {target}",
        "key.latency": "시세→주문 지연 p99",
        "key.budget": "허용 {budget}",
        "caveat.title": "먼저 읽어 주십시오",
        "caveat.none": "실행이 남긴 참고 사항이나 경고가 없습니다.",
        "caveat.language": "다른 언어로 진행한 실행입니다. 당시의 참고 사항과 경고는 기록된 언어 그대로 싣습니다.",
        "caveat.defaults": "확인된 값이 없어 적용한 기본값: {count}개",
        "caveat.transfers": "실행 중 입출금이 있었습니다(순액 {amount}). 그 시각이 실행 폴더에 없으므로 일간·월간 "
        "수익률, 변동성, 표준오차는 표시하지 않습니다.",
        "performance.title": "자산과 낙폭",
        "performance.no_equity": "equity.parquet에 행이 없어 그릴 곡선이 없습니다.",
        "performance.equity": "평가 자산",
        "performance.start": "초기 자본",
        "performance.drawdown": "낙폭",
        "performance.note": "낙폭은 초기 자본을 포함한 누적 최고점 대비 하락률입니다. 점선은 낙폭 한도의 단계(수량 "
        "절반, 축소 전용, 전량 청산 후 거래 잠금)이며, 차트 범위보다 깊은 단계는 보이지 않습니다.",
        "performance.thinned": "관측값 {rows}개 중 {shown}개를 그렸으며 모든 구간의 고점, 저점, 최대 낙폭은 "
        "빠짐없이 포함됩니다.",
        "ladder.half": "수량 절반",
        "ladder.reduce": "축소 전용",
        "ladder.flatten": "전량 청산·잠금",
        "measure.title": "성과 지표",
        "measure.name": "지표",
        "measure.value": "값",
        "measure.target": "목표",
        "measure.remark": "비고",
        "measure.total_return": "총수익률",
        "measure.cagr": "연복리 수익률(CAGR)",
        "measure.volatility": "연 변동성",
        "measure.sharpe": "샤프 지수(연율)",
        "measure.sortino": "소르티노 지수(연율)",
        "measure.calmar": "칼마 지수",
        "measure.max_drawdown": "최대 낙폭",
        "measure.turnover": "회전율",
        "measure.fill_rate": "체결률",
        "measure.slippage": "주문당 슬리피지",
        "measure.post_only": "포스트 온리 성공률",
        "measure.latency": "시세→주문 지연 p99",
        "measure.events": "처리한 이벤트",
        "measure.events_per_second": "초당 이벤트",
        "measure.times": "평균 자산 대비 배수",
        "measure.per_second": "초당 {value}건",
        "measure.met": "충족",
        "measure.missed": "미달",
        "measure.undefined": "이 실행에서는 정의되지 않음",
        "measure.not_measured": "측정되지 않음",
        "measure.extrapolated": "{span} 실적을 연율로 환산한 값",
        "measure.estimate": "추정치이며 아래 설명을 참고하십시오",
        "sharpe.undefined": "샤프 지수는 정의되지 않습니다: 이틀 이상의 기간과 서로 다른 일간 수익률이 필요합니다.",
        "sharpe.no_error": "이 실행 폴더로는 샤프 지수의 표준오차를 계산할 수 없습니다.",
        "sharpe.interval": "일간 수익률 {days}개: 연 샤프 지수의 표준오차는 약 {error}이며, 95 % 신뢰구간은 {low} ~ "
        "{high}입니다.",
        "sharpe.nothing": "신뢰구간에 0이 포함되므로 이 실행만으로는 실력을 판단할 수 없습니다.",
        "sharpe.short": "1년 미만의 표본이므로 전략이 아니라 시장의 한 구간을 설명할 뿐입니다.",
        "sharpe.long": "이 구간은 일간 수익률이 서로 독립이라고 가정하며, 이전에 시험한 변형의 수는 반영하지 않습니다.",
        "positions.title": "포지션",
        "positions.none": "보유한 포지션이 없습니다.",
        "positions.note": "체결 직후의 포지션을 그 체결가로 평가한 값입니다(0보다 크면 롱). 체결 사이의 마크 가격 "
        "변동은 여기가 아니라 자산 곡선에 반영됩니다.",
        "months.title": "월간 수익률",
        "months.none": "일간 수익률이 없어 표시할 월이 없습니다.",
        "months.names": "1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월",
        "months.year": "연간",
        "months.note": "UTC 기준 일간 수익률을 월별로 복리 계산한 값이며, 첫 달과 마지막 달은 일부 기간일 수 "
        "있습니다. 주황은 이익, 파랑은 손실이고 색이 짙을수록 큽니다.",
        "costs.title": "비용",
        "costs.none": "체결과 펀딩비 정산이 없어 발생한 손익과 비용이 없습니다.",
        "costs.item": "항목",
        "costs.rate": "거래대금 대비 bps",
        "costs.gross": "실현손익(비용 차감 전)",
        "costs.maker": "메이커 수수료",
        "costs.taker": "테이커 수수료",
        "costs.liquidation": "청산 수수료",
        "costs.funding": "펀딩비",
        "costs.net": "실현손익(비용 차감 후)",
        "costs.slippage": "참고: 슬리피지",
        "costs.note": "총 거래대금 {traded}. 주문 결정 시점의 중간가 대비 슬리피지는 이미 체결가와 비용 차감 전 "
        "손익에 포함되어 있으므로 참고로만 표시하고 다시 차감하지 않습니다.",
        "costs.no_funding": "지급하거나 수취한 펀딩비가 없습니다.",
        "costs.by_symbol": "심볼별 손익",
        "costs.symbol_note": "심볼별 실현손익, 수수료, 펀딩비(USDT)이며 미청산 포지션의 평가손익은 포함하지 않습니다.",
        "costs.total": "합계",
        "column.symbol": "심볼",
        "column.fills": "체결",
        "column.traded": "거래대금",
        "column.gross": "차감 전 손익",
        "column.fees": "수수료",
        "column.funding": "펀딩비",
        "column.net": "순손익",
        "accounts.title": "계좌 대사",
        "accounts.initial": "초기 자본",
        "accounts.realised": "실현손익(비용 차감 전)",
        "accounts.unrealised": "미실현손익",
        "accounts.funding": "펀딩비 수취",
        "accounts.fees": "수수료(청산 수수료 포함)",
        "accounts.transfers": "입출금",
        "accounts.computed": "합계",
        "accounts.final": "실행이 보고한 최종 자산",
        "accounts.difference": "차이",
        "accounts.yes": "일치: 합계가 최종 자산과 1e-8 USDT까지 같습니다.",
        "accounts.no": "불일치: 합계와 최종 자산의 차이가 {difference} USDT입니다. 이 실행을 신뢰하지 말고 결함으로 "
        "보고하십시오.",
        "accounts.columns": "파일과 대조한 결과: {checks}.",
        "accounts.agrees": "{name} 일치",
        "accounts.differs": "{name} 불일치, 차이 {difference} USDT",
        "accounts.split": "수수료 구분",
        "trades.title": "거래",
        "trades.none": "fills.parquet에 행이 없어 표시할 거래가 없습니다.",
        "trades.count": "fills.parquet의 체결 {fills}건에서 나온 왕복 거래 {trips}건(미청산 {open}건 포함).",
        "trades.shown": "처음 {shown}건을 표시합니다.",
        "trades.summary": "청산된 거래 중 {winners}가 수수료 차감 후 이익; 평균 순손익 {mean}, 최고 {best}, 최저 "
        "{worst}.",
        "trades.note": "금액 단위는 USDT입니다. 왕복 거래는 포지션이 0에서 시작해 다시 0이 될 때까지이며 평균 "
        "단가로 계산합니다. 방향이 바뀌는 체결은 한 거래를 끝내고 다음 거래를 시작합니다. 펀딩비는 포함하지 "
        "않습니다. 제목을 누르면 정렬됩니다.",
        "trades.number": "번호",
        "trades.side": "방향",
        "trades.long": "롱",
        "trades.short": "숏",
        "trades.entry": "진입, UTC",
        "trades.held": "보유 시간",
        "trades.size": "최대 수량",
        "trades.entry_average": "평균 진입가",
        "trades.exit_average": "평균 청산가",
        "trades.open": "보유 중",
        "latency.title": "지연 시간: 시세 수신에서 주문까지",
        "latency.none": "측정된 주문 결정이 없습니다.",
        "latency.count": "측정 횟수",
        "latency.worst": "최대",
        "latency.budget": "허용",
        "latency.axis": "지연 시간",
        "latency.orders": "주문 결정 수",
        "latency.within": "{count}회 중 가장 느린 것은 {worst}로 허용 한도 {budget} 이내입니다.",
        "latency.beyond": "{count}회 중 가장 느린 것은 {worst}로 허용 한도 {budget}을(를) 초과했습니다.",
        "latency.note": "실행한 컴퓨터의 프로세스 안에서 시세 메시지를 받은 때부터 주문 메시지를 만들 때까지의 "
        "시간이며 네트워크는 포함하지 않습니다. 두 축 모두 로그 눈금입니다.",
        "refusals.title": "주문과 거부",
        "refusals.no_orders": "전송한 주문이 없습니다.",
        "refusals.none": "거부된 주문이 없습니다.",
        "refusals.orders": "최종 상태별 주문",
        "refusals.refused": "사유별 거부",
        "refusals.type": "유형",
        "refusals.tif": "유효 조건",
        "refusals.state": "상태",
        "refusals.count": "건수",
        "refusals.share": "비중",
        "refusals.reason": "사유 코드",
        "refusals.meaning": "의미",
        "limits.title": "실행을 제한한 요인",
        "limits.limiting": "주문 수량을 정한 한도",
        "limits.no_limiting": "수량을 산정한 주문이 없습니다.",
        "limits.cap": "한도",
        "limits.alarms": "경보",
        "limits.no_alarms": "발생한 경보가 없습니다.",
        "limits.alarm": "경보 코드",
        "limits.liquidations": "강제 청산",
        "limits.no_liquidations": "강제 청산된 포지션이 없습니다.",
        "limits.unlisted": "실행이 집계한 강제 청산은 {count}건이고 fills.parquet에는 {listed}건이 있습니다.",
        "limits.time": "시각, UTC",
        "limits.side": "방향",
        "limits.quantity": "수량",
        "limits.price": "가격",
        "limits.realised": "실현손익, USDT",
        "side.BUY": "매수",
        "side.SELL": "매도",
        "quality.title": "시장 데이터 품질",
        "quality.verdicts": "스트림 판정",
        "quality.none": "이 실행에는 시장 데이터 판정 기록이 없습니다.",
        "quality.judged": "데이터 {judged}건을 상태에 반영하기 전에 판정했고 {discarded}건을 버렸습니다.",
        "quality.verdict": "판정",
        "quality.policy": "대응",
        "quality.data": "판정한 데이터",
        "quality.dropped": "버린 데이터",
        "quality.found": "판정 내역",
        "quality.note": "데이터 한 건이 여러 판정을 받을 수 있습니다. 의심 가격은 같은 스트림의 다음 데이터나 다른 "
        "스트림이 확인해 주지 않을 때에만 버립니다. 실제 급락은 확인되므로 반영됩니다.",
        "quality.history": "캔들 파일 점검",
        "quality.no_history": "이 실행은 캔들 파일을 읽지 않았습니다.",
        "quality.bars": "캔들",
        "quality.missing": "누락",
        "quality.gap": "최장 공백",
        "quality.jumps": "10% 초과 변동",
        "quality.largest": "최대 변동",
        "quality.at": "시각, UTC",
        "quality.empty": "거래량 0",
        "quality.history_note": "변동은 직전 종가 대비 종가입니다. 중복되거나 순서가 뒤바뀐 캔들이나, 시가와 종가가 "
        "고가와 저가 사이를 벗어난 캔들이 있는 파일은 실행 전에 거부하므로 여기에는 없습니다.",
        "datum.STALE": "다른 스트림은 들어오는데 끊긴 스트림",
        "datum.BAD_PRICE": "있을 수 없는 가격",
        "datum.OUTLIER": "최근 100개 중앙값에서 크게 벗어난 가격",
        "datum.SPIKE": "직전 가격에서 크게 벗어난 가격",
        "datum.CROSSED": "호가 역전",
        "datum.WIDE_SPREAD": "과대 스프레드",
        "datum.ONE_SIDED": "한쪽으로 쏠린 호가 잔량",
        "datum.VOLUME_SPIKE": "평균을 크게 웃도는 거래량",
        "datum.VOLUME_DROP": "평균을 크게 밑도는 거래량",
        "policy.warn": "경고",
        "policy.conservative": "주문 축소, 메이커 주문만",
        "policy.halt": "정상으로 돌아올 때까지 해당 심볼 진입 중지",
        "policy.discard": "버림",
        "data.title": "데이터",
        "data.none": "실행이 기록한 데이터 파일이 없습니다.",
        "data.path": "파일",
        "data.kind": "종류",
        "data.rows": "행",
        "data.kind.recording": "호가 녹화",
        "data.kind.klines": "캔들",
        "data.kind.mark": "마크 캔들",
        "data.kind.funding": "펀딩비",
        "data.kind.trades": "체결",
        "data.mark": "심볼별 마크 가격 출처",
        "data.no_mark": "실행이 기록한 마크 가격 출처가 없습니다.",
        "data.source": "출처",
        "configuration.title": "설정과 해시 지문",
        "configuration.key": "항목",
        "configuration.value": "값",
        "configuration.other": "기타",
        "configuration.hashes": "지문",
        "configuration.none": "실행이 기록한 설정이 없습니다.",
        "configuration.hash_note": "설정, 데이터, 버전이 같으면 주문과 상태의 지문도 같습니다. `autotrader replay "
        "RUN_DIR --verify`로 확인할 수 있습니다.",
        "fingerprint.run_id": "실행",
        "fingerprint.seed": "시드",
        "fingerprint.config": "설정, sha256",
        "fingerprint.journal": "저널, sha256",
        "fingerprint.orders": "주문, sha256",
        "fingerprint.state": "상태, sha256",
        "disclaimer.simulated": "이 결과는 기록되었거나 수신한 시장 데이터에 대한 시뮬레이션입니다. 지정가 주문의 "
        "체결은 대기열 모형을, 시장가 주문은 시장 충격 모형을 따르며, 기록된 시장은 이 주문들에 반응하지 않았습니다.",
        "disclaimer.past": "과거 성과는 시뮬레이션이든 실거래든 미래 성과를 보장하지 않습니다. 레버리지를 사용하는 "
        "무기한 선물에서는 예치한 증거금 전액을 잃을 수 있습니다.",
        "disclaimer.advice": "이 보고서는 계산 결과의 기록이며 투자 자문이나 권유가 아닙니다.",
        "reason.R1_PRICE_COLLAR": "주문가가 마크 가격과 중간가에서 너무 멂(가격 제한폭)",
        "reason.R3_ORDER_NOTIONAL": "1회 주문 금액 한도 초과",
        "reason.R4_ORDER_QUANTITY": "1회 주문 수량 한도 또는 호가 잔량 대비 한도 초과",
        "reason.R5_POSITION_LIMIT": "미체결 주문까지 합친 포지션이 심볼 한도 초과",
        "reason.R6_GROSS_EXPOSURE": "계좌 총 익스포저 한도 초과",
        "reason.R9_LIQUIDATION_DISTANCE": "청산가까지의 거리 부족",
        "reason.R11_ORDER_RATE": "주문 빈도 한도 초과",
        "reason.R15_DUPLICATE": "중복 방지 시간 안에 같은 주문이 반복됨",
        "reason.R18_STALE_DATA": "시세가 오래되었거나 호가창을 사용할 수 없음",
        "reason.R20_REDUCE_ONLY": "낙폭이 한도의 3/4에 도달: 포지션을 줄이는 주문만 허용",
        "reason.R21_DAILY_LOSS": "일일 손실 한도 도달: 신규 진입 중지",
        "reason.R22_DRAWDOWN_KILL": "낙폭 한도 도달: 전량 청산 후 신규 진입 잠금",
        "reason.R25_OPEN_ORDERS": "미체결 주문 수 한도 초과",
        "reason.R28_SYMBOL_STATUS": "거래할 수 없는 상태의 심볼",
        "reason.R31_RISK_FAULT": "리스크 점검 실패로 거부",
        "reason.R32_NOT_AS_APPROVED": "전송할 내용이 승인된 주문과 다름",
        "reason.R2_CHASE": "추격 주문의 호가 변경이 너무 잦거나 너무 멂",
        "reason.R7_LEVERAGE": "심볼 레버리지 설정이 자체 한도 초과",
        "reason.R8_BRACKET": "레버리지 구간 한도에 너무 가까운 포지션",
        "reason.R10_MARGIN_RATIO": "유지증거금률 한도 초과",
        "reason.R12_WEIGHT": "거래소 요청 가중치 소진 임박",
        "reason.R13_MESSAGE_QUALITY": "미체결·취소·만료·소액 체결 비율 한도 초과",
        "reason.R14_REPEATED": "진입 또는 손실 왕복 거래 반복: 운영자 확인 전까지 차단",
        "reason.R16_SELF_TRADE": "자기 주문과 체결될 수 있음",
        "reason.R17_FAT_FINGER": "평소보다 지나치게 큰 포지션",
        "reason.R19_UNKNOWN_ORDERS": "이전 주문의 결과를 알 수 없음",
        "reason.R23_LOSS_RATE": "급격한 손실: 진입 일시 중지",
        "reason.R24_VOLATILITY": "급변동 또는 스프레드 확대: 심볼 일시 중지",
        "reason.R26_UNPROTECTED": "포지션에 손절 주문 없음",
        "reason.R27_FUNDING_COST": "곧 지급할 펀딩비가 기대 수익을 잠식",
        "reason.R29_NOT_ALLOWED": "허용되지 않은 방향·유형·시간 또는 포지션 방향",
        "reason.R30_MODE": "이 모드에서 주문이 활성화되지 않음",
        "reason.HEADROOM_SPENT": "심볼의 포트폴리오 여유 한도 소진",
        "reason.HEADROOM_STALE": "포트폴리오 여유 한도가 없거나 오래됨",
        "reason.NOT_AMENDABLE": "정정할 수 없는 주문이거나 바뀌는 것이 없음",
        "reason.FILTER_PRICE": "호가 단위에 맞지 않거나 거래소 가격 범위를 벗어남",
        "reason.FILTER_QUANTITY": "수량 단위에 맞지 않거나 거래소 수량 범위를 벗어남",
        "reason.FILTER_NOTIONAL": "거래소 최소 주문 금액 미달",
        "reason.INSUFFICIENT_MARGIN": "가용 증거금 부족",
        "reason.NOTHING_TO_REDUCE": "줄일 포지션이 없는 축소 전용 주문",
        "reason.HALTED": "운영자 또는 차단 장치에 의한 거래 중지",
        "reason.DATA_QUALITY": "시장 데이터 이상: 심볼 진입 중지 또는 보수 모드",
        "reason.GATE_CLOSED": "거래의 전제 조건이 갖추어지지 않음",
        "reason.VENUE_-1001": "거래소: 내부 오류로 주문이 접수되지 않음",
        "reason.VENUE_-1008": "거래소: 시스템 보호를 위한 요청 제한",
        "reason.VENUE_-1015": "거래소: 신규 주문 횟수 초과",
        "reason.VENUE_-1106": "거래소: 주문이 받지 않는 매개변수",
        "reason.VENUE_-1112": "거래소: 반대편 호가에 잔량 없음",
        "reason.VENUE_-1115": "거래소: 허용되지 않는 유효 조건",
        "reason.VENUE_-1116": "거래소: 허용되지 않는 주문 유형",
        "reason.VENUE_-1130": "거래소: 잘못된 매개변수",
        "reason.VENUE_-2011": "거래소: 취소할 주문이 없음",
        "reason.VENUE_-2013": "거래소: 존재하지 않는 주문",
        "reason.VENUE_-2018": "거래소: 잔고 부족",
        "reason.VENUE_-2019": "거래소: 증거금 부족",
        "reason.VENUE_-2021": "거래소: 이미 발동 조건을 충족한 가격",
        "reason.VENUE_-2022": "거래소: 축소 전용 주문이 포지션을 줄이지 않음",
        "reason.VENUE_-2025": "거래소: 미체결 주문 수 초과",
        "reason.VENUE_-2027": "거래소: 현재 레버리지의 최대 포지션 초과",
        "reason.VENUE_-4002": "거래소: 최고 주문 가격 초과",
        "reason.VENUE_-4004": "거래소: 최소 주문 수량 미달",
        "reason.VENUE_-4005": "거래소: 최대 주문 수량 초과",
        "reason.VENUE_-4013": "거래소: 최저 주문 가격 미달",
        "reason.VENUE_-4014": "거래소: 호가 단위에 맞지 않는 가격",
        "reason.VENUE_-4016": "거래소: 마크 가격 기준 상한 초과",
        "reason.VENUE_-4023": "거래소: 수량 단위에 맞지 않는 수량",
        "reason.VENUE_-4024": "거래소: 마크 가격 기준 하한 미달",
        "reason.VENUE_-4045": "거래소: 조건부 주문 수 초과",
        "reason.VENUE_-4050": "거래소: 교차 증거금 잔고 부족",
        "reason.VENUE_-4051": "거래소: 격리 증거금 잔고 부족",
        "reason.VENUE_-4054": "거래소: 증거금을 넣을 격리 포지션이 없음",
        "reason.VENUE_-4061": "거래소: 포지션 모드와 맞지 않는 포지션 방향",
        "reason.VENUE_-4062": "거래소: 헤지 모드에서는 축소 전용을 쓸 수 없음",
        "reason.VENUE_-4116": "거래소: 이미 쓰이는 주문 식별자",
        "reason.VENUE_-4131": "거래소: 최우선 호가가 마크 가격에서 너무 멀어 시장가 주문 불가",
        "reason.VENUE_-4135": "거래소: 잘못된 활성화 가격",
        "reason.VENUE_-4137": "거래소: 전량 청산 주문에는 수량을 지정할 수 없음",
        "reason.VENUE_-4138": "거래소: 전량 청산 주문에는 축소 전용을 지정할 수 없음",
        "reason.VENUE_-4141": "거래소: 거래할 수 없는 심볼",
        "reason.VENUE_-4164": "거래소: 최소 주문 금액 미달",
        "reason.VENUE_-5021": "거래소: FOK 주문을 전량 체결할 수 없음",
        "reason.VENUE_-5022": "거래소: 포스트 온리 주문이 즉시 체결될 가격",
        "reason.VENUE_-5024": "거래소: 지금은 주문을 정정할 수 없는 심볼",
        "reason.VENUE_-5025": "거래소: 지정가 주문만 정정할 수 있음",
        "reason.VENUE_-5026": "거래소: 정정 횟수 초과",
        "reason.VENUE_-5027": "거래소: 바뀌는 내용이 없는 정정",
        "reason.VENUE_-5029": "거래소: 정정하면 최소 주문 금액 미달",
        "reason.VENUE_-5037": "거래소: 잘못된 가격 매치",
        "reason.VENUE_-5038": "거래소: 가격 매치를 쓸 수 없는 주문 유형",
        "reason.VENUE_-5039": "거래소: 잘못된 자기 체결 방지 설정",
        "reason.VENUE_-5040": "거래소: 잘못된 만료 시각",
        "reason.VENUE_-5041": "거래소: 가격을 맞출 호가 단계가 없음",
        "alarm.BOOK_GAP": "호가창 갱신 순번 누락",
        "alarm.BOOK_CROSSED": "호가창 역전",
        "alarm.BOOK_RECOVERED": "호가창 복구",
        "alarm.DRAWDOWN_HALF": "낙폭이 한도의 1/2에 도달: 수량 절반",
        "alarm.DRAWDOWN_REDUCE_ONLY": "낙폭이 한도의 3/4에 도달: 축소 전용",
        "alarm.DRAWDOWN_KILL": "낙폭 한도 도달: 전량 청산 후 잠금",
        "alarm.DAILY_LOSS": "일일 손실 한도",
        "alarm.FORCED_REDUCTION": "거래소 청산 전 포지션 강제 축소",
        "alarm.LOSS_RATE": "급격한 손실",
        "alarm.VOLATILITY": "급변동 또는 스프레드 확대",
        "alarm.MESSAGE_QUALITY": "주문 품질 저하",
        "alarm.REPEATED": "반복 진입 또는 반복 손실",
        "alarm.DELEVERAGING": "거래소 자동 디레버리징(ADL)",
        "alarm.LIQUIDATED": "거래소의 강제 청산",
        "alarm.STRATEGY_DISABLED": "오류로 인한 전략 중지",
        "alarm.LIQUIDATION_NEAR": "청산가 근접",
        "alarm.DATA_ANOMALY": "시장 데이터 이상",
        "alarm.FOREIGN_ORDER": "우리 것이 아닌 주문 또는 체결: 운영자가 재개할 때까지 진입 중지",
        "alarm.LATE_FILL": "끝난 주문의 늦은 체결",
        "alarm.DIFFERENCE": "거래소 보유분이 내부 기록과 다름, 거래소 기준으로 수정",
        "alarm.STOP_REFUSED": "거래소가 보호 손절 주문을 거부",
        "cap.FULL": "전략이 정한 수량",
        "cap.NO_EDGE": "명시되거나 추정된 우위 없음: 주문 없음",
        "cap.KELLY": "부분 켈리",
        "cap.VOLATILITY_TARGET": "목표 변동성",
        "cap.ATR_RISK": "거래당 ATR 리스크",
        "cap.LIQUIDATION_SAFE": "청산을 피하기 위한 안전거리",
        "cap.VAR_HEADROOM": "일일 VaR 한도 여유",
        "cap.CONCENTRATION": "심볼 집중 한도",
        "cap.GROSS": "총 익스포저 한도 여유",
        "cap.MARGIN": "가용 증거금",
        "cap.INVENTORY": "재고 한도",
        "cap.BELOW_MINIMUM": "목표가 거래소 최소 주문 금액 미달: 보유하지 않음",
        "cap.BAD_INPUT": "유효한 양수가 아닌 입력값: 주문 없음",
        "span.day": "{value}일",
        "span.hour": "{value}시간",
        "span.minute": "{value}분",
        "span.second": "{value}초",
        "span.millisecond": "{value}밀리초",
        "stress.title": "스트레스 실행",
        "stress.cross": "교차 증거금",
        "stress.isolated": "격리 증거금",
        "stress.about": "{start}부터 {end}까지(UTC) · {interval} 봉 {bars}개 · 진입 전 자산 {equity}",
        "stress.lived": "생존: {leverages}.",
        "stress.gone": "청산: {leverages}, UTC.",
        "stress.outcome": "결과",
        "stress.outcome_note": "금액은 USDT, 시각은 UTC이며, 봉 안에서 일어난 일은 그 봉이 닫히는 시각으로 적습니다. "
        "최저 자산은 살아남은 마크 저가에서의 자산과 청산 뒤 남은 자산 가운데 가장 낮은 값입니다. 격리 증거금에서는 "
        "포지션만의 자산이며, 포지션 밖에 남겨 둔 금액은 남은 자산에 들어갑니다. 청산까지 최단 거리는 마크 저가가 "
        "청산 가격 위에 남긴 거리이며, 0 미만이면 청산한 봉이 청산 가격을 그만큼 뚫고 내려갔다는 뜻입니다. 펀딩비는 "
        "받은 금액이 양수입니다.",
        "stress.leverage": "레버리지",
        "stress.entry": "매수 가격 {price} USDT, {time} UTC.",
        "stress.became": "결말",
        "stress.notional": "명목 금액",
        "stress.lowest": "최저 자산",
        "stress.nearest": "청산까지 최단 거리",
        "stress.paid": "펀딩비",
        "stress.fees": "수수료 합계",
        "stress.fee": "청산 수수료",
        "stress.left": "남은 자산",
        "stress.gap": "체결가는 {time} UTC에 닫힌 봉에서 마크 가격과 가장 크게 벌어졌습니다({gap}).",
        "stress.survived": "생존",
        "stress.liquidated": "청산 {time}",
        "stress.ratio": "증거금 비율",
        "stress.ratio_note": "포지션을 들고 있는 동안 각 봉의 마크 저가에서 유지 증거금을 증거금 잔고로 나눈 "
        "값입니다. 100 %에서 거래소가 청산하며, 120 %를 넘는 부분은 잘라 그립니다.",
        "stress.limit": "청산",
        "stress.equity": "자산과 유지 증거금",
        "stress.equity_note": "각 봉을 마크 저가와 종가에서 그립니다. 범례의 이름을 누르면 그 선이 사라집니다.",
        "stress.balance": "자산",
        "stress.maintenance": "유지 증거금",
        "stress.price": "마크와 체결가, 청산 가격",
        "stress.price_note": "청산은 마크 가격만이 일으킵니다. 마크 저가가 점선 위에 있는 한 체결가가 점선 아래로 "
        "내려가도 청산되지 않습니다. 청산 가격은 펀딩비에 따라 움직입니다.",
        "stress.price_note_candle": "이 봉들에는 마크 가격이 없어 체결가가 대신하며, 그 저가가 청산을 일으킵니다.",
        "stress.last_low": "체결가 저가",
        "stress.last_close": "체결가 종가",
        "stress.mark_low": "마크 저가",
        "stress.mark_close": "마크 종가",
        "stress.liquidation": "청산 가격 {leverage}x",
        "stress.gone_at": "{leverage}x 청산",
        "stress.events": "청산 내역",
        "stress.events_note": "거래소가 강제로 닫은 몫입니다. 계좌가 빚을 지게 되는 가격 아래의 손실은 보험 기금이 "
        "집니다.",
        "stress.no_events": "청산된 포지션이 없습니다.",
        "stress.time": "시각(UTC)",
        "stress.quantity": "수량",
        "stress.mark": "마크",
        "stress.taken": "가격",
        "stress.cause": "처리 주체",
        "stress.cause.LIQUIDATION_ORDER": "청산 주문",
        "stress.cause.INSURANCE_FUND": "보험 기금",
        "stress.cause.DELEVERAGED": "자동 디레버리징",
        "stress.cause.SETTLED": "정산",
        "stress.funding": "펀딩비",
        "stress.funding_note": "포지션을 들고 있던 각 정산 시각의 비율 × 마크 × 수량입니다. 받은 금액이 양수이며 "
        "단위는 USDT입니다.",
        "stress.no_funding": "포지션을 보유한 채 지난 펀딩비 정산 시각이 없습니다.",
        "stress.rate": "비율",
        "stress.total": "합계",
        "stress.files": "파일",
    }
)

TEXTS: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": EN, "ko": KO})

SPANS = (
    ("day", 86_400_000_000_000),
    ("hour", 3_600_000_000_000),
    ("minute", 60_000_000_000),
    ("second", 1_000_000_000),
    ("millisecond", 1_000_000),
)

LATENCIES = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))


class Words:
    """Speak one language.

    Parameters
    ----------
    language
        ``"en"`` or ``"ko"``.

    Raises
    ------
    OperatorError
        If the language is another one.
    """

    def __init__(self, language: str) -> None:
        if language not in TEXTS:
            raise OperatorError(EN["error.language"].format(language=language))
        self.language = language
        self._texts = TEXTS[language]

    def __call__(self, key: str, **fields: object) -> str:
        """Return the text of a key with its fields filled in."""
        return self._texts[key].format(**fields)

    def known(self, kind: str, name: str) -> str:
        """Return the text of a name of some kind (reason, alarm, ...), or the name itself where there is none."""
        return self._texts.get(f"{kind}.{name}", name)

    def meaning(self, kind: str, name: str) -> str:
        """Return what a name means as a sentence begins, a dash where it is not known."""
        text = self._texts.get(f"{kind}.{name}", NONE)
        return text[0].upper() + text[1:]

    def span(self, nanoseconds: int) -> str:
        """Return a duration in its two largest units."""
        units: list[tuple[str, int]] = []
        for unit, size in SPANS:
            value, nanoseconds = divmod(nanoseconds, size)
            if value or units:
                units.append((unit, value))
        told = [self(f"span.{unit}", value=value) for unit, value in units[:2] if value]
        return " ".join(told) or self("span.millisecond", value=0)


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """Return a number with thousands separators, a dash for ``None``.

    Examples
    --------
    >>> number(1234567.891, signed=True), number(-0.001)
    ('+1,234,567.89', '0.00')
    """
    if value is None:
        return NONE
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    # Rounding may leave a sign in front of nothing.
    return text.lstrip("+-") if not text.strip("+-0.,") else text.replace("-", MINUS)


def usdt(value: float | None, signed: bool = False) -> str:
    """Return an amount with its unit; an amount of less than a cent keeps its digits.

    Examples
    --------
    >>> usdt(7700).split(), usdt(0.00042).split()
    (['7,700.00', 'USDT'], ['0.000420', 'USDT'])
    """
    tiny = value is not None and 0.0 < abs(value) < 0.01
    return NONE if value is None else f"{number(value, 6 if tiny else 2, signed)}{TIE}USDT"


def percent(share: float | None, digits: int = 2, signed: bool = False) -> str:
    """Return a share as a percentage.

    Examples
    --------
    >>> percent(0.12).split(), percent(0.0123, signed=True).split()
    (['12.00', '%'], ['+1.23', '%'])
    """
    return NONE if share is None else f"{number(share * 100.0, digits, signed)}{TIE}%"


def basis_points(value: float | None, digits: int = 2) -> str:
    """Return basis points with their unit."""
    return NONE if value is None else f"{number(value, digits)}{TIE}bps"


def price(value: float | None) -> str:
    """Return a price with about seven significant digits, zeros kept so that a column lines up.

    Examples
    --------
    >>> price(27812.3), price(0.47132)
    ('27,812.30', '0.471320')
    """
    return NONE if value is None else number(value, 7 - _whole_digits(value))


def quantity(value: float) -> str:
    """Return a quantity with at most eight decimals and no trailing zeros.

    Examples
    --------
    >>> quantity(0.0120), quantity(1500.0)
    ('0.012', '1,500')
    """
    return number(value, 8).rstrip("0").rstrip(".")


def latency(value_ns: float | None) -> str:
    """Return a latency in the largest unit that it fills.

    Examples
    --------
    >>> latency(850).split(), latency(12_345).split(), latency(100_000_000).split()
    (['850', 'ns'], ['12.3', 'µs'], ['100', 'ms'])
    """
    if value_ns is None:
        return NONE
    unit, size = next((unit, size) for unit, size in LATENCIES if value_ns >= size or unit == "ns")
    shown = value_ns / size
    digits = 0 if shown >= 100.0 or unit == "ns" else 1
    return f"{number(shown, digits).removesuffix('.0')}{TIE}{unit}"


def stamp(ts_ns: int, to_millisecond: bool = False) -> str:
    """Return a UTC time to the second, or to the millisecond.

    Examples
    --------
    >>> stamp(1_700_000_000_123_000_000, to_millisecond=True)
    '2023-11-14 22:13:20.123'
    """
    time = np.datetime64(ts_ns, "ns")
    text = np.datetime_as_string(time, unit="ms") if to_millisecond else np.datetime_as_string(time, unit="s")
    return str(text).replace("T", " ")


def _whole_digits(value: float) -> int:
    # Digits before the point, between 1 and 5, so that a price keeps two to six decimals.
    return min(5, max(1, len(str(int(abs(value))))))

"""What an operator reads, in English and in Korean, and the choice between the two.

Knows every sentence under a key and which language speaks now. Refuses to know who says it and
where it is printed. The two catalogues have the same keys and the same placeholders.
"""

from collections.abc import Mapping
from types import MappingProxyType

from autotrader.errors import OperatorError

__all__ = ["ENGLISH", "KOREAN", "LANGUAGES", "detect", "language", "say", "say_in", "set_language"]

ENGLISH = {
    # Language.
    "language.unknown": '{origin}: "{found}" is no language that autotrader speaks; use en or ko',
    # Configuration: what is wrong; what to do.
    "config.no_file": "{file}: no such file; check the path, or write one with `autotrader init`",
    "config.unreadable": "{file}: cannot be read ({reason}); name a readable TOML file",
    "config.empty": "{file}: is empty; write a configuration with `autotrader init`",
    "config.too_large": "{file}: is larger than {limit} KiB and so is no configuration; check the path",
    "config.not_utf8": "{file}:{line}: byte {byte} is not UTF-8; save the file as UTF-8",
    "config.syntax": "{place}: is not valid TOML ({detail}); correct the line, or start again with `autotrader init`",
    "config.unknown_key": "unknown key; did you mean {nearest}?",
    "config.unknown_key_far": "unknown key; delete it (`autotrader init` writes every key that exists)",
    "config.missing": "is missing; add it ({allowed})",
    "config.not_allowed": "{found} is not allowed; use: {allowed}",
    "config.not_a_table": "{found} is not a table; write [{table}] and its keys below it",
    "config.other_strategy": 'is not the table of the strategy that runs; delete it, or change name = "{name}"',
    "config.book": 'strategy {strategy} cannot trade on "{found}"; use "{needed}", or another strategy',
    "config.cluster": "{symbol} is no symbol of the run or stands in two clusters; name each symbol once at most",
    "config.leverage": "is below run.leverage, so that nothing could be opened; use {least} or more",
    "config.exit_collar": "is narrower than price_collar, which could block an exit; use {least} or more",
    "config.budget": "is smaller than one order (order_notional_usdt), so nothing would trade; use {least} or more",
    "config.lookback": "{hours} h is not a whole number of {interval} candles; use multiples of data.interval",
    # Configuration: which values are allowed.
    "rule.number": "number, {low} to {high}",
    "rule.number_in_mode": "number, {low} to {high} in mode {mode}",
    "rule.whole": "whole number, {low} to {high}",
    "rule.whole_in_mode": "whole number, {low} to {high} in mode {mode}",
    "rule.one_of": "one of {choices}",
    "rule.clusters": '{least} to {most} clusters of symbols apart by spaces, such as ["BTCUSDT ETHUSDT"]',
    "rule.symbols": '{least} to {most} different symbols in capitals, such as ["BTCUSDT"]',
    "rule.hours": "{least} to {most} whole hours, 1 to 8760, each longer than the one before",
    "rule.path": 'a path in quotes, such as "file.json"',
    "rule.paths": 'up to {most} paths, such as ["data/btcusdt.parquet"]',
    # Configuration: the comments of the template.
    "template.title": "Configuration of autotrader. Unknown keys are refused; a key that is absent takes its default.",
    "template.units": "Units end the names; shares are fractions (0.05 is 5 %); relative paths start at this file.",
    "section.run": "What is run.",
    "section.sources": "Where the facts come from: declared, never guessed.",
    "section.data": "Market data.",
    "section.strategy": "The strategy that decides; its parameters follow in a table of its name.",
    "section.strategy.quoter": "Passive quotes around the microprice, sized by an inventory budget.",
    "section.strategy.trend": "Trend following on closed candles, scaled to a volatility target.",
    "section.risk": "Limits. At an order limit is allowed, beyond it refused; at a loss limit trips.",
    "section.venue": "The simulated venue.",
    "field.run.mode": "Backtest reads files; paper trades a stream or its recording on a simulated account.",
    "field.run.symbols": "Symbols to trade.",
    "field.run.margin": "Margin type of every symbol.",
    "field.run.initial_equity_usdt": "Starting capital, USDT.",
    "field.run.leverage": "Leverage that the account sets at the exchange.",
    "field.run.seed": "Seed of everything random in the run.",
    "field.run.language": 'Language of the output; "" follows the environment.',
    "field.sources.book": "Order book: full depth (l2) or candles (candle).",
    "field.sources.mark": "Mark price: recorded stream, file, or proxy (microprice or candle; printed so).",
    "field.sources.funding": "Funding rates: recorded stream, file, or none charged.",
    "field.sources.instruments": 'Filters and leverage brackets: "shipped", or a JSON file of the same shape.',
    "field.data.paths": "Files or folders of market data; empty means that the command line names them.",
    "field.data.interval": "Candle interval, that of the files or a multiple; used when sources.book is candle.",
    "field.strategy.name": "Which strategy.",
    "field.strategy.quoter.order_notional_usdt": "Notional of one quote, USDT.",
    "field.strategy.quoter.inventory_budget_usdt": "Largest position either way, USDT.",
    "field.strategy.quoter.requote_ms": "Shortest time between two quotes of a side, ms.",
    "field.strategy.quoter.join_ticks": "How many ticks behind the touch to quote.",
    "field.strategy.quoter.min_spread_ticks": "Quote only when the spread is at least this many ticks.",
    "field.strategy.trend.lookbacks_hours": "Lookbacks of the trend, hours; their forecasts are averaged.",
    "field.strategy.trend.volatility_half_life_hours": "Half-life of the volatility estimate, hours.",
    "field.strategy.trend.target_volatility": "Target volatility of the portfolio, a year.",
    "field.strategy.trend.prior_sharpe_mean": "Stated prior: mean of the annual Sharpe ratio; zero or less: no trade.",
    "field.strategy.trend.prior_sharpe_sd": "Stated prior: standard deviation of the annual Sharpe ratio.",
    "field.strategy.trend.rebalance_band": "Trade only when the target differs by this share of the full position.",
    "field.strategy.trend.decide_every_bars": "Decide once in this many candles.",
    "field.risk.price_collar": (
        "Largest distance of an entry's price from the mark (R1), share; twice this beyond BTC and ETH."
    ),
    "field.risk.price_collar_exit": "The same for orders that only reduce (R1), share.",
    "field.risk.max_order_notional_usdt": "Largest order (R3), USDT.",
    "field.risk.max_order_equity_share": "Largest order as a share of equity times leverage (R3).",
    "field.risk.volume_share": "Largest order as a share of one minute's volume (R3).",
    "field.risk.assumed_minute_volume_usdt": "Volume of a minute until 60 s of it have been seen (R3), USDT.",
    "field.risk.max_depth_share": "Largest order as a share of the top 20 levels (R4).",
    "field.risk.max_symbol_share": "Largest position of a symbol as a share of equity (R5).",
    "field.risk.strategy_leverage": "Multiple of the symbol limit that the strategy may use (R5).",
    "field.risk.max_gross": "Largest gross exposure, multiple of equity (R6).",
    "field.risk.min_liquidation_distance": "Smallest distance to the liquidation price after a fill (R9), share.",
    "field.risk.liquidation_atr": "The same in hourly average true ranges (R9).",
    "field.risk.atr_floor": "Hourly average true range assumed until 14 hours are known (R9), share of price.",
    "field.risk.orders_per_second": "Orders a second of the account (R11); cancels have their own budget.",
    "field.risk.order_burst": "Orders at once (R11).",
    "field.risk.orders_per_minute": "Orders a minute of the account (R11).",
    "field.risk.strategy_orders_per_second": "Orders a second of the strategy (R11).",
    "field.risk.duplicate_window_s": "An equal order within this time is a duplicate (R15), s.",
    "field.risk.book_stale_s": "Oldest book on which to enter (R18), s.",
    "field.risk.mark_stale_s": "Oldest mark price on which to enter (R18), s.",
    "field.risk.candle_stale_intervals": "Oldest candle on which to enter (R18), candle intervals.",
    "field.risk.max_drawdown": "Drawdown that flattens and halts (R22); half size at 1/2, reduce-only at 3/4 (R20).",
    "field.risk.daily_loss": "Loss of a UTC day that stops entries (R21), share of equity.",
    "field.risk.max_orders_symbol": "Open orders of a symbol (R25).",
    "field.risk.max_orders_total": "Open orders of the account (R25).",
    "field.risk.max_reprices": "Re-prices of one chased order in 5 s (R2).",
    "field.risk.max_drift": "Drift of a chased order's price in a minute (R2), share.",
    "field.risk.max_net": "Largest net exposure, multiple of equity (R6).",
    "field.risk.max_cluster": "Largest exposure of one cluster of symbols, multiple of equity (R6).",
    "field.risk.clusters": "Symbols that move together and share max_cluster (R6).",
    "field.risk.max_symbol_leverage": "Largest leverage setting of a symbol on which to enter (R7).",
    "field.risk.bracket_share": "Largest position as a share of what the leverage bracket allows (R8).",
    "field.risk.liquidation_alarm": "Distance to liquidation that raises an alarm (R9), share.",
    "field.risk.liquidation_reduce": (
        "Distance to liquidation below which positions are reduced by force (R9), share."
    ),
    "field.risk.max_margin_ratio": "Maintenance margin by equity above which nothing is opened (R10), share.",
    "field.risk.margin_ratio_reduce": "The same above which positions are reduced by force (R10), share.",
    "field.risk.weight_share": "Share of the exchange's request weight that entries may use up (R12).",
    "field.risk.quality_orders": "Orders in 10 min before message-quality ratios count (R13).",
    "field.risk.quality_alarm": "Unfilled, cancelled, expired or dust ratio that raises an alarm (R13), share.",
    "field.risk.quality_stop": "The same that stops entries (R13), share.",
    "field.risk.repeated_entries": (
        "Entries of one symbol and side in 10 min; one more disables them (R14); 0: not counted."
    ),
    "field.risk.losing_trips": "Losing round trips of a symbol in an hour that disable it (R14); 0: not counted.",
    "field.risk.fat_finger": "Largest position in units of the median of the last 50 (R17).",
    "field.risk.max_unknown": "Orders of unknown outcome on the account with which entries go on (R19).",
    "field.risk.loss_rate": "Loss in 5 min that pauses entries (R23), share of equity.",
    "field.risk.loss_pause_min": "Length of that pause, min.",
    "field.risk.volatility_collars": "Move of a minute, in units of the price collar, that pauses a symbol (R24).",
    "field.risk.spread_median": "Spread in units of its median that pauses a symbol (R24).",
    "field.risk.spread_floor_bps": "Spread below which no median is exceeded (R24), bps.",
    "field.risk.volatility_pause_min": "Length of that pause, min.",
    "field.risk.protective_stop": (
        "Distance of the stop that every position gets at the exchange with its first fill, "
        "a share of the mark price; 0: none."
    ),
    "field.risk.unprotected_s": (
        "Time for which a position may lack a stop before entries are refused (R26), s; 0: no stop is asked for."
    ),
    "field.risk.funding_window_min": (
        "Time before funding in which its cost counts against the expected profit (R27), min."
    ),
    "field.risk.delist_h": "Time before a delisting from which only exits pass (R28), h.",
    "field.risk.first_minute_utc": "First minute of the UTC day in which entries pass (R29).",
    "field.risk.last_minute_utc": "Last minute of the UTC day in which entries pass (R29).",
    "field.risk.headroom": "Whether the slow layer's portfolio headroom bounds entries.",
    "field.risk.headroom_s": "Oldest headroom on which to enter, s; candle runs at least two intervals.",
    "field.risk.headroom_half_life_h": "Half-life of its covariance, h.",
    "field.risk.daily_es": "Expected shortfall of a day at 97.5 %, share of equity.",
    "field.risk.entry_sides": "Sides that entries may take (R29).",
    "field.risk.kelly_fraction": "Fraction of Kelly, for strategies that state an edge.",
    "field.risk.atr_risk": "Equity risked by one position at its stop distance, share.",
    "field.risk.atr_stop": "That stop distance, average true ranges.",
    "field.risk.liquidation_safe_atr": "Sizing keeps liquidation this many average true ranges away.",
    "field.risk.daily_var": "Value at risk of a day at 95 %, share of equity.",
    "field.venue.order_latency_ms": "From the decision to the matching engine, feed delay included, ms.",
    "field.venue.response_latency_ms": "From the matching engine to our answer, ms.",
    "field.venue.latency": "Latencies: the two above, lognormal with those medians, or the feed's own lag.",
    "field.venue.latency_sigma": "Standard deviation of the logarithm of lognormal latencies.",
    "field.venue.queue": "How far cancellations by others move an order forward in its queue.",
    "field.venue.error_share": "Share of requests that the venue refuses with -1001.",
    "field.venue.lost_share": "Share of requests whose outcome is not told; half of them are carried out.",
    "field.venue.fee_tier": "Fee tier; VIP0 pays 0.02 % maker and 0.05 % taker.",
    "field.venue.half_spread_bps": "Half of the spread that candles do not show, bps.",
    "field.venue.impact_coefficient": "Square-root market impact on candles, times daily volatility.",
    "field.venue.bar_delay_ms": "From a candle's close to the decision on it, ms.",
    # Configuration: the quality of market data.
    "section.quality": "What is suspect in market data, and what follows. Stale is what risk.*_stale_* say.",
    "field.quality.outlier_score": "A price is an outlier beyond this modified z-score over the last 100.",
    "field.quality.outlier_floor": "Least median absolute deviation that the score assumes, share of price.",
    "field.quality.spike": "A price is a spike beyond this distance from the last, share.",
    "field.quality.wide_spread": "A spread is wide beyond this share of the mid.",
    "field.quality.one_sided": "Depth is one-sided beyond this imbalance of the top five levels, share.",
    "field.quality.one_sided_s": "How long it must stay so, s.",
    "field.quality.volume_spike": "A volume is a spike beyond this multiple of the mean of the 20 before.",
    "field.quality.volume_drop": "A volume is a drop below this multiple of the mean of the 20 before.",
    "field.quality.conservative_size": "Order size in conservative mode, which is also passive only, share.",
    "field.quality.conservative_s": "How long it lasts after the last suspect datum, s; at least one bar.",
    "field.quality.clean_s": "How long a halted symbol must be clean before it enters again, s; at least one bar.",
    "field.quality.on_stale": "When a stream falls silent while others go on.",
    "field.quality.on_bad_price": "When a price cannot be true; it never enters.",
    "field.quality.on_outlier": "When a price is an outlier; discard holds it back until it is confirmed.",
    "field.quality.on_spike": "When a price is a spike; discard holds it back until it is confirmed.",
    "field.quality.on_crossed": "When a book or touch is crossed; a crossed touch never enters.",
    "field.quality.on_wide_spread": "When the spread is wide.",
    "field.quality.on_one_sided": "When depth is one-sided.",
    "field.quality.on_volume_spike": "When a volume is a spike.",
    "field.quality.on_volume_drop": "When a volume is a drop.",
    # Command line: help.
    "help.usage": "Usage",
    "help.commands": "Commands",
    "help.arguments": "Arguments",
    "help.options": "Options",
    "help.everywhere": "Everywhere",
    "help.autotrader": (
        "Trade Binance USDT-margined perpetual futures, risk first: backtest, paper trading, bit-exact replay."
        " Exit codes: 0 good, 1 the run failed, 2 bad input."
    ),
    "help.init": "Write a commented configuration.",
    "help.backtest": "Run a configuration over recorded market data.",
    "help.paper": "Paper-trade a recorded stream on a simulated account.",
    "help.replay": "Re-run a finished run from its journal and compare every order.",
    "help.report": "Write report.html of a finished run again.",
    "help.bench": "Measure latencies against their budgets.",
    "help.stress": "Hold a leveraged long through a window of history and report its margin path.",
    "help.stress_data": "Candle, mark candle and funding files, or folders of them; several may follow.",
    "help.stress_symbol": "Symbol of the position.",
    "help.stress_leverage": "Leverages, separated by commas (default: {default}).",
    "help.stress_from": "Open of the first bar, UTC, such as 2020-03-12 or 2020-03-12T08:00.",
    "help.stress_to": "Close of the last bar, UTC.",
    "help.stress_margin": "Margin of the whole account, or of the position alone (default: cross).",
    "help.stress_equity": "Equity before the entry, USDT (default: {default}).",
    "help.stress_out": "Folder of the report (default: runs/stress-SYMBOL-DATE-MARGIN).",
    "help.config": "Configuration file (TOML).",
    "help.run_dir": "Folder of a finished run.",
    "help.any_run_dir": "Folder of a run, finished or broken off.",
    "help.strategy": "Strategy of the configuration (default: trend).",
    "help.symbols": "Symbols, separated by commas (default: {default}).",
    "help.mode": "Mode of the configuration (default: backtest).",
    "help.out_file": "File to write (default: STRATEGY.toml).",
    "help.force": "Replace a file that exists.",
    "help.data": "Market data, in place of the configuration's data.paths; several may follow.",
    "help.replay_files": "Recorder files to replay; several may follow.",
    "help.speed": "As fast as possible, or at the recorded pace (default: max).",
    "help.out_dir": "Folder of the run (default: runs/RUN_ID).",
    "help.verify": "Re-run, and compare the orders and the state hash.",
    "help.lang": "Language of what you read.",
    "help.json": "One JSON object on standard output, for machines.",
    "help.help": "Show this text.",
    "help.version": "Show the version.",
    # Command line: errors.
    "cli.no_command": "a command is missing; see `autotrader --help`",
    "cli.unknown_command": '"{found}" is no command; did you mean {nearest}?',
    "cli.unknown_command_far": '"{found}" is no command; see `autotrader --help`',
    "cli.unknown_option": "{found} is no option of `{command}`; did you mean {nearest}?",
    "cli.unknown_option_far": "{found} is no option of `{command}`; see `{command} --help`",
    "cli.option_value": "{found}: a value is missing, or one was given that it does not take; see --help",
    "cli.missing": "{name} is missing; see `{command} --help`",
    "cli.extra": '"{found}" is one argument too many; see `{command} --help`',
    "cli.choice": '{option} "{found}" is not allowed; use {choices}',
    "cli.usage": "{detail}; see `{command} --help`",
    "cli.no_path": "{option} {path}: no such file or folder; check the path",
    "cli.no_data": "{file}: data.paths: names no market data; add it there, or give --data PATH",
    "cli.no_replay": "paper needs a recording: give --replay FILE; live streams are not part of this version",
    "cli.loose_files": '"{found}" follows no {option}; write {option} before the files',
    "cli.wrong_mode": '{file}: run.mode: is "{mode}"; run `autotrader {mode}`, or write mode = "{wanted}"',
    "cli.out_taken": "--out {path}: is not an empty folder; name another, so that no run is overwritten",
    "cli.exists": "{path}: exists already; name another with --out, or replace it with --force",
    "cli.cannot_write": "{path}: cannot be written ({reason}); name another with --out",
    "cli.not_a_run": "{path}: is no run folder (no summary.json in it); name the folder that a run printed",
    "cli.incomplete": "{path}: the run did not finish (INCOMPLETE stands in it); run it again",
    "cli.say_verify": "replay needs --verify: it re-runs the journal and compares every order",
    "cli.interrupted": "interrupted; a run that was going is left marked INCOMPLETE",
    "cli.failed_io": "{path}: {reason}; check the path, its permissions and the space on the disk",
    "cli.output": "the output",
    # Command line: results.
    "result.title": "{mode} · {strategy} · {symbols}",
    "result.period": "period",
    "result.final_equity": "final equity",
    "result.return": "return",
    "result.sharpe": "Sharpe ratio (annual)",
    "result.drawdown": "maximum drawdown",
    "result.fees": "fees",
    "result.funding": "funding received",
    "result.orders": "orders",
    "result.fills": "fills",
    "result.refusals": "refusals",
    "result.liquidations": "liquidations",
    "result.rate": "events per second",
    "result.events": "events",
    "result.undefined": "undefined",
    "result.journal": "journal",
    "result.order_hash": "orders",
    "result.state": "state",
    "result.summary": "summary",
    "result.report": "report",
    "result.warning": "warning: {text}",
    "result.note": "note: {text}",
    "result.next": "next:",
    "result.next_report": "open {path} in a browser",
    "result.wrote": "wrote {path}",
    "result.same": "The replay gave the same {orders} requests (orders, cancels, timers, refusals) and the same state.",
    "result.differs": "The replay differs: {difference}",
    "result.compared": "requests compared",
    "result.measure": "what",
    "result.budget": "budget",
    "result.ratio": "p99 / budget",
    # Recordings.
    "recording.empty": "{path}: the file is empty; give recorder lines, <local stamp> <message>",
    "recording.foreign": (
        "{path}: line 1 is no recorder line (<local stamp> <message>); give a recording, or candles as "
        "Parquet, CSV or zip"
    ),
    "recording.truncated": "{path}: the file ends in the middle of a line; fetch it again or cut it at a line's end",
    "recording.damaged": "{path}: the gzip data are damaged ({reason}); fetch the file again",
    "recording.unreadable": "{path}: cannot be read ({reason}); check the path and its permissions",
    "recording.no_file": "no regular file",
    "recording.long_line": "{path}: a line is longer than 16 MB; this is no recording",
    "recording.bad_line": "{path}: {reason}; remove the line or fetch the file again",
    "recording.bad_message": (
        "{path}: line {line}: its message is cut, or a number in it is none; remove the line or fetch the file again"
    ),
    "recording.order": "{path}: line {line}: it is older than the lines before it; sort the lines by their stamps",
    "recording.units": "{path}: its stamps have another unit than those of {other}; give files of one recorder",
    "recording.overlap": "{path}: it starts before the file ahead of it ends; give the day files of one recording",
    "recording.symbols": "{path}: holds {found}, the run trades {wanted}; give a recording of the run's symbols",
    "recording.no_offset": "no depth line tells the recorder's clock offset; it is taken as zero",
    # Runs.
    "run.book_needs": '{path}: sources.book is "{book}", which this file cannot give; give {needed}',
    "run.empty_folder": "{path}: there is no file in this folder; name one that holds market data",
    "run.needs_recording": "a recording of the book (recorder lines)",
    "run.needs_candles": "candles as Parquet, CSV or zip",
    "run.no_mark": (
        'sources.mark is "file", but no file gives mark prices of {symbols}; give a mark series or set "proxy"'
    ),
    "run.no_mark_stream": (
        'sources.mark is "stream", but the recording has no mark price of {symbols}; set "proxy" or give another'
    ),
    "run.no_funding": (
        'sources.funding is "file", but no file gives funding of {symbols}; give a funding file or set "none"'
    ),
    "run.no_book": (
        "the book of {symbols} was never usable: the recording has no depth snapshot that its diffs bracket; "
        "start with the day file that holds one"
    ),
    "run.nothing_read": (
        "none of the {messages} messages could be read as a market event of {symbols}; check the symbols and the files"
    ),
    "run.no_data": "{symbol}: the data hold nothing of it; it was not traded",
    "run.disk": (
        "{path}: writing the journal failed ({reason}); the run is incomplete, free some space and run it again"
    ),
    "run.refused": "{count} of {messages} messages were refused as malformed, off the price grid or of another symbol",
    "run.gaps": "{symbol}: the depth chain broke {count} times; the book was unusable until the next snapshot",
    "run.missing_bars": "{symbol}: {count} candles are missing",
    "run.off_tick": (
        "{symbol}: {count} prices are on no tick of their day; they are kept exactly, orders use the tick"
    ),
    "run.epochs": "{symbol}: orders use the filters of their day, told month by month from the files: {epochs}",
    "run.epoch": "tick {tick:.10g}, lot {lot:.10g} from {month}",
    "run.strategy_failed": "the strategy raised {error} and was disabled; its orders were cancelled",
    "run.moved": "{path}: the data file of this run is not there or has changed; put it back to verify the run",
    "run.bad_manifest": "{path}: is not the manifest of a run ({reason}); give the folder of a run",
    "run.bad_summary": "{path}: is not the summary of a run ({reason}); run it again, or restore it from a copy",
    "run.damaged_journal": "{reason}; the journal cannot be trusted, restore it from a copy",
    "run.torn_journal": "the journal's last {count} bytes belong to no complete block: the run did not end well",
    "run.unsealed_journal": "{path}: the journal has no seal at its end: its tail is lost; restore it from a copy",
    "run.other_journal": "{path}: the journal is of another run than the manifest beside it; restore both from a copy",
    "run.no_journal": "{path}: there is no journal here; give the folder of a run",
    "run.cannot_write": "{path}: cannot be written ({reason}); choose another --out",
    "run.filters_today": "orders use the filters and brackets of {date}, not those of the data's own day",
    "run.limits_today": (
        "the smallest and largest orders, percent bands and brackets are those of {date}, not of the data's own day"
    ),
    "run.mark_stream": "mark price stream",
    "run.mark_file": "mark price file, {interval}; the candle where it has none",
    "run.mark_proxy_book": "proxy: microprice of the book",
    "run.mark_proxy_candle": "proxy: candle close, its extremes for liquidation",
    "run.mark_funding": "; at funding stamps the {interval} mark series",
    "run.note_quoter": (
        "the quoter has no forecast: at the touch it earns the spread at best and pays {maker} bps a fill, "
        "so its expected edge after fees is negative; it is here to show the engine"
    ),
    "run.note_trend": (
        "prior of the trend: annual Sharpe ratio {mean} +- {sd} (stated, not estimated); lookbacks "
        "{lookbacks} h; no trading in the first {warmup} h"
    ),
    "run.note_impact": (
        "candle fills: next open, {half} bps half-spread, impact {impact} x bar volatility x square root of "
        "the share of the bar's volume"
    ),
    "run.note_parts": "{wanted} candles are gathered from {parts} candles; one with a part missing is left out",
    "run.note_latency": "order latency {order} ms, response latency {response} ms",
    "run.note_lognormal": "order and response latency lognormal, medians {order} and {response} ms, sigma {sigma}",
    "run.no_lag": (
        'venue.latency: "feed" takes the lag of recorded messages, and files of candles have none; use "constant" or '
        '"lognormal", or give a recording'
    ),
    "run.note_feed": "order and response latency follow the feed's own lag",
    "run.note_queue": "how far cancellations by others move an order forward in its queue: {queue} model",
    "run.note_margin": "isolated margin for every symbol",
    "run.note_faults": (
        "the venue refuses {errors:.1%} of the requests and leaves {lost:.1%} without an answer, as configured"
    ),
    "run.progress_read": "reading",
    "run.progress_run": "running",
    "run.progress_verify": "verifying",
    "run.progress_write": "writing the report",
    # History files.
    "history.no_file": "{path}: there is no such file; check the path of the data",
    "history.empty": "{path}: is empty; download or record the file again",
    "history.empty_member": "{path}: {member} in it is empty; download the file again",
    "history.no_rows": "{path}: has no rows; download or record the file again",
    "history.unreadable": "{path}: cannot be read ({reason}); download or record the file again",
    "history.changed": "{path}: changed while it was in use; start the run again",
    "history.foreign": (
        "{path}: is no history file ({seen}); give Parquet or CSV with symbol, ts_ms, open, high, low, close "
        "[, volume] or symbol, ts_ms, rate, or the archive's klines, markPriceKlines, fundingRate, aggTrades or trades"
    ),
    "history.seen_columns": "columns {names}",
    "history.seen_bare": "{count} columns without a header row",
    "history.seen_bytes": "not text",
    "history.seen_zip": "a zip of {count} files instead of one CSV",
    "history.name_symbol": "{path}: its name has no symbol; name it as the archive does, BTCUSDT-...",
    "history.name_interval": (
        "{path}: its name states no interval of 1s to 1d; name it as the archive does, BTCUSDT-1m-2026-01-01.csv"
    ),
    "history.index_klines": "{path}: index and premium klines are not prices that trade; leave the file out",
    "history.column_type": "{path}: column {column} holds {kind}; write it as the recordings do and try again",
    "history.long_line": "{path}: a line is longer than {limit} bytes; it is no CSV of history",
    "history.no_csv": "{path}: no CSV from row {row} on ({reason}); download the file again",
    "history.place": "{path}, row {row}",
    "history.fields": "{place}: {found} fields, not {wanted}; download the file again",
    "history.not_utf8": "{place}: is not UTF-8 text; download the file again",
    # History files: a value that cannot be true, and why.
    "history.bad_value": (
        "{place}, {symbol}, column {column}: {value} {reason}; correct that row or fetch the file again"
    ),
    "history.nothing": "nothing",
    "history.not_whole": "is no whole number of at most 18 digits",
    "history.not_stamp": "is no stamp in ms or us between 2000 and 2100",
    "history.not_price": "is no price (1e-8 or more, at most 18 digits with 8 decimals)",
    "history.not_rate": "is no funding rate (a fraction between -1 and 1)",
    "history.not_quantity": "is no quantity (zero or positive)",
    "history.not_side": "is neither true nor false",
    "history.high_below_low": "is below the bar's low",
    "history.outside_bar": "lies outside the bar's low to high",
    "history.off_tick": "is on no tick of {tick:g} (give the tick of that day)",
    "history.off_grid": "is not on the grid of {interval} bars",
    "history.twice": "is there twice",
    "history.earlier": "is earlier than the row before it",
    "history.trade_earlier": "is earlier than the trade before it",
    "history.trade_id": "does not follow the trade id before it",
    # History files: what they hold together.
    "history.klines": "klines",
    "history.mark": "mark",
    "history.funding": "funding",
    "history.trades": "trades",
    "history.overlap": "{path}: {content} of {symbol} overlap those of {other}; give each stretch of time once",
    "history.other_name": (
        "{path}: its name says {stated}, its bars are {found} apart; rename the file or fetch it again"
    ),
    "history.no_interval": "{path}: {seen} name no interval of 1s to 1d; give a longer or another file",
    "history.seen_step": "bars {interval} apart",
    "history.seen_one_bar": "one bar a symbol",
    "history.other_interval": "{path}: has {found} bars, the run reads {wanted}; give files of one interval",
    "history.no_multiple": (
        "{path}: has {found} bars, of which no {wanted} candles can be made; "
        "set data.interval to {found} or a multiple of it, or give files of shorter bars"
    ),
    "history.nothing_to_trade": (
        "no file has candles or trades of {symbols}; give files of these symbols or change the run's symbols"
    ),
    "history.chunk": "a chunk has at least 1 row, not {rows}; ask for more",
    "history.no_symbols": "{path}: has none of the run's symbols",
    "history.no_candles": "{symbol}: no file has its candles or trades",
    "history.jumps": "{symbol}: {count} bars closed more than 10 % from the one before, at most {share:+.1%} at {time}",
    "history.rounded": "{path}, {symbol}: {count} values rounded to 1e-8",
    "history.no_volume": "{path}, {symbol}: every volume is zero; is it a mark series?",
    "history.no_funding": "{symbol}: no funding; its positions neither pay nor receive any",
    "history.funding_pauses": "{symbol}: gaps of more than 8h without funding: {times}, the longest {hours:.4g}h",
    "history.no_funding_mark": "{symbol}: {count} of {total} funding stamps have no mark price in the files",
    # Instruments.
    "instruments.unreadable": "{path}: cannot read the instruments: {reason}",
    "instruments.too_large": "{path}: more than {limit:,} bytes: this is no table of instruments",
    "instruments.not_json": "{where}: not valid JSON: {reason}",
    "instruments.key_twice": "key {key!r} stands twice",
    "instruments.long_number": "a number of {digits} digits",
    "instruments.no_rows": "{where}: an object with a row for each symbol is needed (docs/data.md shows its shape)",
    "instruments.bad_symbol": "{where}: {found!r}: a symbol has 1 to 31 of the characters A-Z, 0-9 and _",
    "instruments.bad_row": "{at}: {reason}",
    "instruments.bad_date": "{at}: {field}: {found!r} is no date: write YYYY, YYYY-MM or YYYY-MM-DD",
    "instruments.bad_month": "{at}: month: {found!r} is no month: write YYYY-MM",
    "instruments.not_decimal": "{at}: {field}: {found!r} is no decimal of at most 10 digits and 8 decimals",
    "instruments.not_positive": "{at}: {field}: must be positive, not {found}",
    "instruments.not_between": "{at}: {field}: must be between {low:g} and {high:g}, not {found}",
    "instruments.max_orders": "{at}: max_orders: must be 1 to 10000",
    "instruments.too_fine": "{at}: tick, lot: one tick times one lot is finer than 1e-8 USDT",
    "instruments.no_tick": "{at}: max_price: leaves no tick above min_price",
    "instruments.no_lot": "{at}: {field}: leaves no lot above min_quantity",
    "instruments.bracket_rows": "{at}: brackets: 1 to {most} rows are needed, not {found}",
    "instruments.bracket_floor": "not contiguous: it must start at {start:g} USDT and end above that",
    "instruments.bracket_ratio": "maintenance margin ratio must be above {low:g} and below 1, not {found:g}",
    "instruments.bracket_leverage": "max_leverage must be 1 to {most}, not {found}",
    "instruments.bracket_cum": "cum must be {expected:.8f}, not {found:.8f}",
    "instruments.no_facts": (
        "{symbol}: no exchange facts are known (tick, lot, brackets): sources.instruments may name a JSON file with "
        "this symbol's row (docs/data.md shows its shape)"
    ),
    "instruments.missing": (
        "{symbol}: unknown {fields}: sources.instruments may name a JSON file with this symbol's row "
        "(docs/data.md shows its shape)"
    ),
    "instruments.fee_tier": "fee tier {name!r} does not exist: use one of {tiers}",
    "instruments.grids_apart": (
        "{symbol}: the tick of {tick:.10g} and the lot of {lot:.10g} that count every day of the files are finer "
        "together than 1e-8 USDT; run a shorter stretch of time"
    ),
    # Instruments: what a run assumes, lowers or cannot trade.
    "instruments.assumed.min_price": "{symbols}: min_price unknown, one tick assumed (no lower price exists)",
    "instruments.assumed.max_price": (
        "{symbols}: max_price unknown, {value:,} USDT assumed (the usual bound; PERCENT_PRICE binds long before it)"
    ),
    "instruments.assumed.min_quantity": (
        "{symbols}: min_quantity unknown, one lot assumed (so for every symbol whose record is complete)"
    ),
    "instruments.assumed.max_quantity": (
        "{symbols}: max_quantity unknown, {value:,} lots assumed (the smallest count among the complete records)"
    ),
    "instruments.assumed.max_market_quantity": (
        "{symbols}: max_market_quantity unknown, a tenth of max_quantity assumed "
        "(the exchange takes far less in a market order than in a limit order)"
    ),
    "instruments.assumed.min_notional": (
        "{symbols}: min_notional unknown, {value} USDT assumed (twice the largest minimum of the complete records)"
    ),
    "instruments.assumed.multiplier_up": (
        "{symbols}: multiplier_up unknown, {value:g} assumed (the narrowest recorded band)"
    ),
    "instruments.assumed.multiplier_down": (
        "{symbols}: multiplier_down unknown, {value:g} assumed (the narrowest recorded band)"
    ),
    "instruments.assumed.take_bound": (
        "{symbols}: take_bound unknown, {value:g} % from the mark assumed (the narrowest bound of the complete records)"
    ),
    "instruments.assumed.liquidation_fee": (
        "{symbols}: liquidation_fee unknown, {value:g} % assumed (the highest rate on record since 2023)"
    ),
    "instruments.assumed.max_orders": (
        "{symbols}: max_orders unknown, {value} assumed (so for every symbol on record)"
    ),
    "instruments.leverage": "{symbol}: leverage {wanted} lowered to {allowed}, the most of its first bracket",
    "instruments.cap": (
        "{symbol}: the cap of {cap:,.2f} USDT is below the exchange's minimum of {least:,.2f} USDT: it gets no orders"
    ),
    # Stress runs.
    "stress.refused": (
        "{symbol} at {leverage}x: the position cannot be opened ({reason}); use a smaller --equity or --leverage, or "
        "another --from"
    ),
    "stress.not_opened": (
        "{symbol} at {leverage}x: no position was opened; let --from and --to hold two bars or more, and --equity one "
        "order"
    ),
    "stress.disagree": "the journal's equity of {booked} USDT is not the venue's of {truth} USDT; report this",
    "stress.leverage": "--leverage {found}: {symbol} may have 1 to {most}",
    "stress.no_symbol": (
        '--symbol "{found}": the shipped table has no tick, lot and brackets of it; use one of {choices}'
    ),
    "stress.no_bars": (
        "{symbol}: fewer than two bars from {start} to {end}; check --from, --to and which dates --data holds"
    ),
    "stress.bad_leverage": '--leverage "{found}" is not allowed; use up to {most} whole numbers, such as 2,3,5,10,20',
    "stress.bad_time": '{option} "{found}" is no time; use UTC, such as 2020-03-12 or 2020-03-12T08:00',
    "stress.bad_window": "--to {end} is not after --from {start}; swap them",
    "stress.bad_equity": '--equity "{found}" is not allowed; use a number of USDT, {least} to {most}',
    "stress.note_gate": (
        "The risk gate stands aside, its forced reduction (R9, R10) too: this judges the position, not a strategy. In "
        "a real run the gate refuses a position like this or makes it smaller."
    ),
    "stress.note_entry": (
        "The whole equity is the margin of one long, bought in one order at the open after the first bar, without "
        "spread and impact. The fee and the loss against the mark are kept back, so that the notional is a little "
        "less than leverage times equity."
    ),
    "stress.note_filters": (
        "Ticks, lots, leverage brackets and fees are those of the table of {date}, not of the day that is replayed."
    ),
    "stress.note_mark": (
        "Mark: {interval} mark candles of the files. Within a bar the adverse extreme comes first: a liquidation is "
        "decided at the mark's low and bears the stamp at which its bar closes."
    ),
    "stress.note_some_marks": "For {missing} of {bars} bars the files have no mark: there the candle stands in.",
    "stress.note_no_mark": (
        "The files have no mark of this window at the interval of the bars ({interval}): the candle of the last price "
        "stands in. A wick that the exchange's mark would not have followed liquidates here."
    ),
    "stress.note_no_funding": "The files have no funding in this window: none was paid.",
    "stress.note_in_files": "whole files, also outside this window: {warning}",
    "stress.title": "STRESS · {symbol} · {margin} · {equity:,.2f} USDT · {start} - {end}",
    "stress.column.leverage": "leverage",
    "stress.column.outcome": "outcome, UTC",
    "stress.column.lowest": "lowest equity, USDT",
    "stress.column.nearest": "nearest liquidation",
    "stress.column.funding": "funding, USDT",
    "stress.column.gap": "largest mark-last gap",
    "stress.survived": "survived",
    "stress.liquidated": "liquidated {time}",
    # Views and their store.
    "store.cannot_write": "{path}: the views store cannot be used ({reason}); check the disk and the permissions",
    "store.damaged": "{path}: the views store is damaged ({reason}); make it anew with --rebuild",
    "store.foreign": "{path}: is no views store of autotrader; move it away, nothing in it was touched",
    "store.newer": (
        "{path}: has the tables of version {found}, this program knows {known}; use the newer program, or --rebuild"
    ),
    "store.other_run": "{path}: holds the views of another run; move it away, or make this run's with --rebuild",
    "store.moved": "{path}: another process has written the views meanwhile; end one of the two and start again",
    "help.views": "Show what the journal of a run tells: positions, orders, fills and more.",
    "help.view": "One of {views} (default: positions).",
    "help.last": "How many of the newest orders, fills, payments or equity samples (default: 20).",
    "help.rebuild": "Discard the stored views and rebuild them from the journal.",
    "views.bad_view": '"{found}" is no view; use {choices}',
    "views.bad_last": '--last "{found}" is no count; use a whole number of 1 or more',
    "views.progress": "reading the journal",
    "views.title": "{view}: {shown} of {total}, after {rows} journal rows; amounts in USDT, quantities in coins",
    "views.incomplete": "the run did not finish, or its journal lost its end: this is what its whole blocks tell",
    "views.nothing": "none",
    "views.positions": "positions",
    "views.orders": "orders",
    "views.fills": "fills",
    "views.payments": "payments",
    "views.equity": "equity",
    "views.quality": "execution quality",
    "views.risk": "risk",
    "views.time": "time (UTC)",
    "views.symbol": "symbol",
    "views.leg": "leg",
    "views.long": "long",
    "views.short": "short",
    "views.flat": "-",
    "views.quantity": "quantity",
    "views.entry": "entry",
    "views.price": "price",
    "views.unrealised": "unrealised",
    "views.realised": "realised",
    "views.fee": "fee",
    "views.fees": "fees",
    "views.funding": "funding",
    "views.leverage": "leverage",
    "views.margin": "margin",
    "views.cross": "cross",
    "views.isolated": "isolated {amount}",
    "views.forced": "liquidated",
    "views.side": "side",
    "views.type": "type",
    "views.filled": "filled",
    "views.average": "average",
    "views.state": "state",
    "views.code": "code",
    "views.client_id": "client id",
    "views.maker": "maker",
    "views.is_maker": "maker",
    "views.is_taker": "taker",
    "views.reduce_only": "reduce-only",
    "views.slippage": "slippage, bps",
    "views.position": "position",
    "views.kind": "kind",
    "views.amount": "amount",
    "views.asset": "coin",
    "views.rate": "rate",
    "views.wallet": "wallet",
    "views.gross": "gross",
    "views.drawdown": "drawdown",
    "views.price_age": "oldest price",
    "views.fill_rate": "fill rate",
    "views.post_only": "post-only",
    "views.cancel_ratio": "cancelled",
    "views.slippage_quantiles": "p50 / p99, bps",
    "views.time_to_fill": "time to fill p50 / p99",
    "views.rejections": "rejections",
    "views.all": "all",
    "views.topic": "topic",
    "views.name": "name",
    "views.value": "value",
    "views.last": "last",
    "views.refusal": "refusal",
    "views.alarm": "alarm",
    "views.command": "command",
    "views.size_cap": "size cap",
    "views.strategy": "strategy",
    "views.setting": "setting",
    # The exchange on loopback: signatures.
    "loopback.key_kind": 'key "{name}": kind "{found}" is unknown; write hmac, ed25519 or rsa',
    "loopback.key_pem": 'key "{name}": its text is no {kind} public key in PEM (it begins with BEGIN PUBLIC KEY)',
    # The exchange on loopback: history, proof and status.
    "loopback.history_exists": "{path}: this history is there already and is never written over; name another file",
    "loopback.history_unwritable": "{path}: the history cannot be written ({why}); check the folder and the disk",
    "loopback.history_unreadable": "{path}: the history cannot be read ({why}); check the path",
    "loopback.history_damaged": "{path}: line {line} does not fit its checksum: it was changed after it was written;"
    " nothing in this file proves anything, record a new one",
    "loopback.history_unknown": "{path}: line {line} is no record that this version knows ({why}); check it with the"
    " version that wrote it",
    "loopback.history_gap": "{path}: line {line} says that it is line {found}: lines were taken out or moved; record a"
    " new history",
    "loopback.history_no_open": "{path}: line 0 does not open a world of version {version}: this is no history of"
    " the exchange, or another version's; name another file",
    "loopback.proof.complete": "the history is whole",
    "loopback.proof.named": "every account and symbol is known",
    "loopback.proof.order_once": "an order is accepted once",
    "loopback.proof.order_rises": "order ids rise",
    "loopback.proof.client_once": "a client id has one open order",
    "loopback.proof.change_open": "only open orders change or end",
    "loopback.proof.fill_known": "every fill has its order",
    "loopback.proof.fill_open": "an order that has ended never fills",
    "loopback.proof.fill_within": "fills stay within the quantity",
    "loopback.proof.fill_limit": "no fill is worse than the limit",
    "loopback.proof.filled_whole": "filled means all of it",
    "loopback.proof.trade_rises": "trade ids rise",
    "loopback.proof.trade_sides": "a trade has two equal sides",
    "loopback.proof.algo_walk": "conditional orders take legal steps",
    "loopback.proof.algo_child": "a triggered order has its child",
    "loopback.proof.position_sums": "positions are the sum of fills",
    "loopback.proof.cost_moves": "costs follow the fills",
    "loopback.proof.wallet_adds": "wallets add up",
    "loopback.proof.coin_adds": "coin wallets add up",
    "loopback.proof.funding_due": "funding is rate times value",
    "loopback.proof.state_agrees": "checkpoints agree with the records",
    "loopback.proof.equity_adds": "margin balances add up",
    "loopback.proof.margin_kept": "nobody stays at its maintenance margin",
    "loopback.proof.money_kept": "no money appears or vanishes",
    "loopback.proof.lots_kept": "longs equal shorts",
    "loopback.proof.depth_chain": "depth updates are a chain",
    "loopback.proof.book_uncrossed": "the book is never crossed",
    "loopback.proof.book_is_orders": "the book is the open orders",
    "loopback.wrong.complete": "a history begins once and ends with the count of its records, which is {count} here",
    "loopback.wrong.named": "the record names an account, symbol, leg or side that the first line does not have",
    "loopback.wrong.order_once": "order {order} was accepted before",
    "loopback.wrong.order_rises": "order {order} comes after order {last} of the same symbol",
    "loopback.wrong.client_once": "account number {account} has an open order {client} already",
    "loopback.wrong.change_open": "account number {account} has no open order {order}",
    "loopback.wrong.fill_known": "order {order} of account number {account} was not accepted with this symbol, leg"
    " and side",
    "loopback.wrong.fill_open": "order {order} fills after its end",
    "loopback.wrong.fill_within": "order {order}: {lots} lots filled where {left} may be",
    "loopback.wrong.fill_limit": "order {order} fills at {ticks} ticks, beyond its limit of {limit}",
    "loopback.wrong.filled_whole": "order {order} is {how} with {left} lots left and {undone} said to be undone",
    "loopback.wrong.trade_rises": "trade {trade} comes after trade {last} of the same symbol",
    "loopback.wrong.trade_sides": "the sides of trade {trade} are not one buyer and one seller of the same lots at"
    " one price",
    "loopback.wrong.algo_walk": "conditional order {algo} goes from {before} to {status}",
    "loopback.wrong.algo_child": "order {child} is not the child that conditional order {algo} has at this moment",
    "loopback.wrong.position_sums": "{account} has {found} lots after it and should have {expected}",
    "loopback.wrong.cost_moves": "the cost of {account} goes from {before} to {found} e-8 USDT with {value} traded",
    "loopback.wrong.wallet_adds": "the wallet of {account} is {found} e-8 USDT and should be {expected}",
    "loopback.wrong.coin_adds": "the coin wallets of {account} are {found} and should be {expected}",
    "loopback.wrong.funding_due": "{account} is paid {found} e-8 USDT of funding and is due {expected}",
    "loopback.wrong.state_agrees": "the checkpoint says {found} of {account}, the records say {expected}",
    "loopback.wrong.equity_adds": "the margin balance of {account}, {found} e-8 USDT, is not its wallet and its"
    " legs at the mark, {expected}",
    "loopback.wrong.margin_kept": "{account} is at or below its maintenance margin ({scope}) and nothing was"
    " closed by force",
    "loopback.wrong.money_kept": "everybody together has {found} e-8 USDT and should have {expected}",
    "loopback.wrong.lots_kept": "the lots of accounts and fund do not cancel: {found} by symbol",
    "loopback.wrong.depth_chain": "{symbol}: the update follows {found} and the one before it was {expected}",
    "loopback.wrong.book_uncrossed": "{symbol}: the best bid of {bid} ticks is not below the best ask of {ask}",
    "loopback.wrong.book_is_orders": "{symbol}: {found} lots are shown at {ticks} ticks and the open orders there"
    " are {expected}",
    "loopback.report.records": "{path}: {records} records",
    "loopback.report.torn": "the last line is torn: {bytes} bytes are left out",
    "loopback.report.cut": "the history was cut: it does not end with its close",
    "loopback.report.kind": "{count} of the kind {kind}",
    "loopback.report.held": "holds, {times} times: {name}",
    "loopback.report.failed": "BROKEN, of {times} times: {name}",
    "loopback.report.idle": "not exercised: {name}",
    "loopback.report.violation": "line {line}: {name}: {sentence}",
    "loopback.report.more": "and {count} more violations",
    "loopback.report.sound": "nothing in this history contradicts it",
    "loopback.report.unsound": "this history cannot be true: {count} violations",
    "loopback.status.title": "Exchange on loopback",
    "loopback.status.mode.replay": "REPLAY",
    "loopback.status.mode.synthetic": "SYNTHETIC",
    "loopback.status.time": "Exchange time",
    "loopback.status.speed": "Speed",
    "loopback.status.done": "{share} done",
    "loopback.status.orders_open": "Open orders",
    "loopback.status.history": "History records",
    "loopback.status.no_history": "nothing is kept",
    "loopback.status.symbols": "Symbols",
    "loopback.status.accounts": "Accounts",
    "loopback.status.orders": "Recent orders",
    "loopback.status.trades": "Recent trades",
    "loopback.status.faults": "Faults in force",
    "loopback.status.sockets": "Sockets",
    "loopback.status.requests": "Requests",
    "loopback.status.empty": "None yet.",
    "loopback.status.left_out": "{count} more are not shown.",
    "loopback.status.symbol": "symbol",
    "loopback.status.status": "status",
    "loopback.status.bid": "bid",
    "loopback.status.ask": "ask",
    "loopback.status.last": "last",
    "loopback.status.mark": "mark",
    "loopback.status.index": "index",
    "loopback.status.rate": "funding rate",
    "loopback.status.next_funding": "next funding in",
    "loopback.status.update_id": "update id",
    "loopback.status.open_orders": "open orders",
    "loopback.status.positions": "positions",
    "loopback.status.account": "account",
    "loopback.status.wallet": "wallet, USDT",
    "loopback.status.equity": "equity, USDT",
    "loopback.status.margin_ratio": "margin ratio",
    "loopback.status.listen_key_age": "listen key age",
    "loopback.status.at": "time",
    "loopback.status.order": "order",
    "loopback.status.trade": "trade",
    "loopback.status.side": "side",
    "loopback.status.type": "type",
    "loopback.status.price": "price",
    "loopback.status.quantity": "quantity",
    "loopback.status.filled": "filled",
    "loopback.status.fault": "fault",
    "loopback.status.detail": "detail",
    "loopback.status.fired": "fired",
    "loopback.status.route": "route",
    "loopback.status.streams": "streams",
    "loopback.status.sent": "sent",
    "loopback.status.buffered": "buffered, bytes",
    "loopback.status.endpoint": "endpoint",
    "loopback.status.count": "count",
    "loopback.status.errors": "errors",
    "loopback.status.weight": "last weight",
    # The exchange on loopback: faults.
    "loopback.fault_place": "{file}: fault {number}",
    "loopback.fault_control": "control port: fault",
    "loopback.fault_key": "{place}: {key} is no key of {deed}; use: {allowed}",
    "loopback.fault_value": "{place}: {key} = {found} is not allowed; use: {allowed}",
    "loopback.fault_missing": "{place}: {key} is missing; add it ({allowed})",
    "loopback.fault_twice": "{place}: another fault is called {name}; give this one another name",
    "loopback.fault_text": "text of 1 to {most} characters",
    "loopback.fault_name": "1 to 64 letters, digits, dots, dashes and underscores",
    "loopback.fault_rows": "1 to 16 rows of [floor, cap, maintenance ratio, leverage], from 0 up without a gap",
    "loopback.faults_many": "{place}: the plan has {most} faults already; remove one first",
    "loopback.faults_syntax": "{file}: is not valid TOML ({detail}); correct it",
    "loopback.faults_tables": "{file}: holds {found}; a plan is [[fault]] tables and nothing else",
    # The exchange on loopback: sources.
    "loopback.replay_empty": "a replay needs a recording; name one file at least",
    "loopback.replay_label": "{name} plays a recording but is no symbol of the exchange; use one of {known}",
    # The exchange on loopback: its commands.
    "help.exchange": "Run an exchange of your own on this machine, and prove what it did.",
    "help.exchange_serve": "Serve the wire protocol of Binance USDT-M futures on 127.0.0.1 until it is stopped.",
    "help.exchange_check": "Prove from its history that an exchange kept its own rules.",
    "help.exchange_port": "Port on 127.0.0.1; 0 takes a free one (default {default}).",
    "help.exchange_replay": "Recordings that are the market, at their own pace from now on.",
    "help.exchange_synthetic": "A market of its own making, the same for the same seed (default 1).",
    "help.exchange_symbols": "Its symbols (default: those of the recordings, or the first ten of the table).",
    "help.exchange_speed": "How fast the market goes; max waits for the slowest listener only.",
    "help.exchange_accounts": "TOML file of accounts and their keys (default: one account, demo, with 10000 USDT).",
    "help.exchange_faults": "TOML file of what goes wrong, and when.",
    "help.exchange_history": "Write down what really happened, for `autotrader exchange check`.",
    "help.exchange_for": "Close after so many seconds (default: run until it is stopped).",
    "help.exchange_limits": "Weight of an address and orders of an account a minute (default: the exchange's).",
    "help.exchange_unrouted": "What sockets without a route hear: the public family, as in production, or all (demo).",
    "help.exchange_averages": "Put averages into answers to orders, as the exchange did before June 2026.",
    "help.exchange_tls": "Serve https and wss with a certificate that is made in this folder.",
    "help.exchange_hold": "Let the market wait until POST /_control/resume.",
    "help.exchange_urls": "Print what each known client must be told to find this exchange.",
    "help.exchange_history_file": "What `exchange serve --history` wrote.",
    "loopback.two_markets": "--replay and --synthetic exclude each other; choose one market",
    "loopback.number": "{option}: {found} is no whole number from {least} to {most}; correct it",
    "loopback.speed": "--speed: {found} is neither max nor a number from {least} to {most}; use 1x, 10 or max",
    "loopback.port": "port {port} of 127.0.0.1 cannot be opened ({reason}); choose another with --port",
    "loopback.opened.replay": "The exchange is open on 127.0.0.1:{port}; recordings of {symbols} are its market.",
    "loopback.opened.synthetic": "The exchange is open on 127.0.0.1:{port}; its market in {symbols} is synthetic.",
    "loopback.status_page": "Look at it: {url}",
    "loopback.certificate": "Clients must trust the certificate {path}.",
    "loopback.stop_with": "Ctrl-C closes it.",
    "loopback.closed": "The exchange is closed: {calls} calls, {refused} of them refused.",
    "loopback.written": "History: {path}, {records} records.",
    "loopback.accounts_unreadable": "{file}: cannot be read ({reason}); name a TOML file of accounts",
    "loopback.accounts_syntax": "{file}: is no file of accounts ({reason}); each [[account]] has name, api_key and "
    "api_secret",
    "loopback.accounts_count": "{file}: has no [[account]], or more than {most}; write at least one",
    "loopback.accounts_twice": "{file}: {key} of an account is empty or stands twice; give each its own",
    "loopback.accounts_key": "{file}: account {name} has no {key}; add it",
    "loopback.accounts_amount": '{file}: account {name}: {key} = "{found}" is no amount, 0 to 1000000000; correct it',
    # Reconciliation: what we believe, what the exchange says.
    "reconcile.hedge": "position mode: we believed {ours}, the exchange has {theirs} (1 is hedge mode)",
    "reconcile.multi_assets": "multi-assets mode: we believed {ours}, the exchange has {theirs}",
    "reconcile.margin": "{symbol} margin type: we believed {ours}, the exchange has {theirs} (1 is isolated)",
    "reconcile.leverage": "{symbol} leverage: we believed {ours}, the exchange has {theirs}",
    "reconcile.status": "{symbol} status: we believed {ours}, the exchange says {theirs}",
    "reconcile.grid": "{symbol} tick and lot: the run counts in {ours}, the exchange in {theirs}, which do not fit",
    "reconcile.filters": "{symbol} filters (steps, lots, notional): we had {ours}, the exchange has {theirs}",
    "reconcile.bounds": "{symbol} bounds: we had {ours}, the exchange has {theirs}",
    "reconcile.brackets": "{symbol} leverage brackets differ: we had {ours}, the exchange has {theirs}",
    "reconcile.order_missing": "{symbol} an order that we believe {ours} is in no list of the exchange ({theirs})",
    "reconcile.order_filled": "{symbol} an order has filled {ours} lots by our count, {theirs} by the exchange's",
    "reconcile.order_state": "{symbol} an order that we believe {ours} is listed as {theirs}",
    "reconcile.order_terms": "{symbol} an order is {ours} (lots @ ticks) to us, {theirs} to the exchange",
    "reconcile.algo_terms": "{symbol} a conditional order is {ours} (lots @ ticks) to us, {theirs} to the exchange",
    "reconcile.order_foreign": "{symbol} the exchange lists an order of somebody else: {theirs} (ours: {ours})",
    "reconcile.order_forgotten": "{symbol} the exchange lists an order of a run that is forgotten: {theirs} ({ours})",
    "reconcile.order_dead": "{symbol} the exchange lists an order that we believe {ours}: {theirs}",
    "reconcile.elsewhere": "{symbol} is no symbol of the run and holds {theirs} (ours: {ours})",
    "reconcile.position": "{symbol} position: we believed {ours}, the exchange has {theirs}",
    "reconcile.entry": "{symbol} entry price: we believed {ours}, the exchange has {theirs}",
    "reconcile.isolated": "{symbol} isolated margin: we believed {ours}, the exchange has {theirs}",
    "reconcile.wallet": "{symbol} wallet: we believed {ours}, the exchange has {theirs}",
    "reconcile.asset": "{symbol} is no margin coin of ours and the wallet holds {theirs} (ours: {ours})",
    "reconcile.repaired": "taken over from the exchange",
    "reconcile.asked": "asked for again; nothing is taken over until it is settled",
    "reconcile.revised": "the instrument is revised",
    "reconcile.raised": "look at the account; nothing new is opened until then",
}

KOREAN = {
    # 언어.
    "language.unknown": '{origin}: "{found}" 언어는 지원하지 않습니다. en 또는 ko를 쓰십시오',
    # 설정: 무엇이 잘못되었고 어떻게 고치는지.
    "config.no_file": "{file}: 파일이 없습니다. 경로를 확인하거나 `autotrader init`으로 새로 만드십시오",
    "config.unreadable": "{file}: 읽을 수 없습니다({reason}). 읽을 수 있는 TOML 파일을 지정하십시오",
    "config.empty": "{file}: 빈 파일입니다. `autotrader init`으로 설정을 만드십시오",
    "config.too_large": "{file}: {limit} KiB보다 커서 설정 파일이 아닙니다. 경로를 확인하십시오",
    "config.not_utf8": "{file}:{line}: 바이트 {byte} 때문에 UTF-8로 읽을 수 없습니다. UTF-8로 저장하십시오",
    "config.syntax": "{place}: TOML 문법 오류입니다({detail}). 줄을 고치거나 `autotrader init`으로 다시 만드십시오",
    "config.unknown_key": "없는 키입니다. 혹시 {nearest}입니까?",
    "config.unknown_key_far": "없는 키입니다. 지우십시오(`autotrader init`이 쓸 수 있는 키를 모두 적어 줍니다)",
    "config.missing": "값이 없습니다. 추가하십시오({allowed})",
    "config.not_allowed": "{found}: 허용되지 않는 값입니다. 허용 값: {allowed}",
    "config.not_a_table": "{found}: 테이블이 아닙니다. [{table}] 아래에 키를 적으십시오",
    "config.other_strategy": '실행할 전략의 테이블이 아닙니다. 지우거나 name = "{name}" 설정을 바꾸십시오',
    "config.book": '{strategy} 전략은 "{found}" 호가로 거래할 수 없습니다. "{needed}" 또는 다른 전략을 쓰십시오',
    "config.cluster": "{symbol}: 실행 심볼이 아니거나 두 묶음에 있습니다. run.symbols의 심볼을 한 번씩만 적으십시오",
    "config.leverage": "run.leverage보다 낮아 아무것도 진입할 수 없습니다. {least} 이상으로 정하십시오",
    "config.exit_collar": "price_collar보다 좁으면 청산 주문이 막힐 수 있습니다. {least} 이상으로 정하십시오",
    "config.budget": "주문 한 건(order_notional_usdt)보다 작아 거래가 일어나지 않습니다. {least} 이상으로 정하십시오",
    "config.lookback": "{hours}시간은 {interval} 캔들로 나누어떨어지지 않습니다. data.interval의 배수를 쓰십시오",
    # 설정: 허용 값.
    "rule.number": "숫자, {low}~{high}",
    "rule.number_in_mode": "숫자, {mode} 모드에서 {low}~{high}",
    "rule.whole": "정수, {low}~{high}",
    "rule.whole_in_mode": "정수, {mode} 모드에서 {low}~{high}",
    "rule.one_of": "{choices} 중 하나",
    "rule.clusters": '공백으로 나눈 심볼 묶음 {least}~{most}개, 예: ["BTCUSDT ETHUSDT"]',
    "rule.symbols": '서로 다른 대문자 심볼 {least}~{most}개, 예: ["BTCUSDT"]',
    "rule.hours": "정수 시간 {least}~{most}개, 각 1~8760, 작은 값부터",
    "rule.path": '따옴표로 묶은 경로, 예: "file.json"',
    "rule.paths": '경로 최대 {most}개, 예: ["data/btcusdt.parquet"]',
    # 설정: 템플릿 주석.
    "template.title": "autotrader 설정. 없는 키는 거부하고, 생략한 키에는 기본값을 씁니다.",
    "template.units": "단위는 키 이름 끝에 있습니다. 비율은 소수(0.05 = 5 %), 상대 경로는 이 파일이 기준입니다.",
    "section.run": "무엇을 실행할지 정합니다.",
    "section.sources": "데이터의 출처. 추측하지 않고 명시합니다.",
    "section.data": "시장 데이터.",
    "section.strategy": "매매를 결정하는 전략. 매개변수는 전략 이름의 테이블에 적습니다.",
    "section.strategy.quoter": "마이크로프라이스 기준의 수동적 호가 제시. 주문 크기는 재고 한도로 정합니다.",
    "section.strategy.trend": "마감된 캔들로 하는 추세 추종. 목표 변동성에 맞춰 크기를 조절합니다.",
    "section.risk": "리스크 한도. 주문 한도는 같으면 허용·넘으면 거부, 손실 한도는 닿는 즉시 발동합니다.",
    "section.venue": "모의 거래소.",
    "field.run.mode": "backtest는 파일로 검증하고, paper는 스트림이나 그 녹화본을 모의 계좌로 거래합니다.",
    "field.run.symbols": "거래할 심볼.",
    "field.run.margin": "모든 종목의 증거금 방식(교차·격리).",
    "field.run.initial_equity_usdt": "시작 자본, USDT.",
    "field.run.leverage": "거래소 계좌에 설정하는 레버리지.",
    "field.run.seed": "실행에 쓰는 모든 난수의 시드.",
    "field.run.language": '출력 언어. ""이면 환경을 따릅니다.',
    "field.sources.book": "호가: 전체 호가창(l2), 캔들(candle).",
    "field.sources.mark": "마크 가격: 녹화된 스트림, 파일, 대용값(마이크로프라이스나 캔들. 결과에 표시).",
    "field.sources.funding": "펀딩비율: 녹화된 스트림, 파일, 또는 부과하지 않음(none).",
    "field.sources.instruments": '주문 필터와 레버리지 구간: "shipped" 또는 같은 형식의 JSON 파일.',
    "field.data.paths": "시장 데이터 파일이나 폴더. 비워 두면 명령줄에서 지정합니다.",
    "field.data.interval": "캔들 주기. 파일의 주기 또는 그 배수입니다. sources.book이 candle일 때 씁니다.",
    "field.strategy.name": "사용할 전략.",
    "field.strategy.quoter.order_notional_usdt": "호가 한 건의 명목 금액, USDT.",
    "field.strategy.quoter.inventory_budget_usdt": "매수·매도 어느 쪽이든 최대 포지션, USDT.",
    "field.strategy.quoter.requote_ms": "같은 방향 호가를 다시 내기까지의 최소 간격, ms.",
    "field.strategy.quoter.join_ticks": "최우선 호가에서 몇 틱 뒤에 호가를 낼지.",
    "field.strategy.quoter.min_spread_ticks": "스프레드가 이 틱 수 이상일 때만 호가를 냅니다.",
    "field.strategy.trend.lookbacks_hours": "추세를 보는 기간, 시간. 기간별 예측을 평균합니다.",
    "field.strategy.trend.volatility_half_life_hours": "변동성 추정의 반감기, 시간.",
    "field.strategy.trend.target_volatility": "포트폴리오의 연 목표 변동성.",
    "field.strategy.trend.prior_sharpe_mean": "명시하는 사전 분포: 연 샤프 지수의 평균. 0 이하면 거래하지 않습니다.",
    "field.strategy.trend.prior_sharpe_sd": "명시하는 사전 분포: 연 샤프 지수의 표준편차.",
    "field.strategy.trend.rebalance_band": "최대 포지션의 이 비율 이상 목표와 달라져야 매매합니다.",
    "field.strategy.trend.decide_every_bars": "캔들 몇 개마다 결정할지.",
    "field.risk.price_collar": "진입 주문 가격과 마크 가격의 최대 괴리(R1), 비율. BTC·ETH 이외에는 2배.",
    "field.risk.price_collar_exit": "포지션을 줄이기만 하는 주문의 최대 괴리(R1), 비율.",
    "field.risk.max_order_notional_usdt": "주문 한 건의 최대 금액(R3), USDT.",
    "field.risk.max_order_equity_share": "주문 한 건의 최대 크기(R3), 자기자본×레버리지 대비 비율.",
    "field.risk.volume_share": "주문 한 건의 최대 크기(R3), 1분 거래대금 대비 비율.",
    "field.risk.assumed_minute_volume_usdt": "60초가 쌓이기 전까지 가정하는 1분 거래대금(R3), USDT.",
    "field.risk.max_depth_share": "주문 한 건의 최대 크기(R4), 상위 20호가 잔량 대비 비율.",
    "field.risk.max_symbol_share": "심볼별 최대 포지션(R5), 자기자본 대비 비율.",
    "field.risk.strategy_leverage": "전략이 쓸 수 있는 심볼 한도의 배수(R5).",
    "field.risk.max_gross": "총 익스포저 한도(R6), 자기자본 대비 배수.",
    "field.risk.min_liquidation_distance": "체결 후 청산가까지의 최소 거리(R9), 비율.",
    "field.risk.liquidation_atr": "청산가까지의 최소 거리(R9), 1시간 ATR 배수.",
    "field.risk.atr_floor": "1시간 봉 14개가 쌓이기 전까지 가정하는 ATR(R9), 가격 대비 비율.",
    "field.risk.orders_per_second": "계좌의 초당 주문 수(R11). 취소는 별도 한도를 씁니다.",
    "field.risk.order_burst": "한꺼번에 낼 수 있는 주문 수(R11).",
    "field.risk.orders_per_minute": "계좌의 분당 주문 수(R11).",
    "field.risk.strategy_orders_per_second": "전략의 초당 주문 수(R11).",
    "field.risk.duplicate_window_s": "이 시간 안의 같은 주문은 중복으로 봅니다(R15), 초.",
    "field.risk.book_stale_s": "진입에 쓸 수 있는 호가의 최대 나이(R18), 초.",
    "field.risk.mark_stale_s": "진입에 쓸 수 있는 마크 가격의 최대 나이(R18), 초.",
    "field.risk.candle_stale_intervals": "진입에 쓸 수 있는 캔들의 최대 나이(R18), 캔들 주기 수.",
    "field.risk.max_drawdown": "전량 청산 후 정지하는 낙폭(R22). 1/2에서 절반 크기, 3/4에서 축소 전용(R20).",
    "field.risk.daily_loss": "신규 진입을 멈추는 UTC 하루 손실(R21), 자기자본 대비 비율.",
    "field.risk.max_orders_symbol": "심볼별 미체결 주문 수(R25).",
    "field.risk.max_orders_total": "계좌 전체 미체결 주문 수(R25).",
    "field.risk.max_reprices": "추격 주문 하나의 5초 내 호가 변경 횟수 한도 (R2).",
    "field.risk.max_drift": "추격 주문 가격의 1분간 이동 한도 (R2), 비율.",
    "field.risk.max_net": "순노출 한도, 자본의 배수 (R6).",
    "field.risk.max_cluster": "한 상관 묶음의 노출 한도, 자본의 배수 (R6).",
    "field.risk.clusters": "함께 움직여 max_cluster를 공유하는 종목 묶음 (R6).",
    "field.risk.max_symbol_leverage": "진입을 허용하는 종목별 레버리지 설정 한도 (R7).",
    "field.risk.bracket_share": "레버리지 구간 한도 대비 최대 포지션 비율 (R8).",
    "field.risk.liquidation_alarm": "경보를 울리는 청산가까지의 거리 (R9), 비율.",
    "field.risk.liquidation_reduce": "강제로 포지션을 줄이기 시작하는 청산가까지의 거리 (R9), 비율.",
    "field.risk.max_margin_ratio": "이 유지증거금률을 넘으면 진입 금지 (R10), 비율.",
    "field.risk.margin_ratio_reduce": "이 유지증거금률을 넘으면 포지션 강제 축소 (R10), 비율.",
    "field.risk.weight_share": "진입 주문이 쓸 수 있는 거래소 요청 가중치 비율 (R12).",
    "field.risk.quality_orders": "주문 품질 비율을 따지기 시작하는 10분간 주문 수 (R13).",
    "field.risk.quality_alarm": "미체결·취소·만료·소액 체결 비율의 경보 기준 (R13), 비율.",
    "field.risk.quality_stop": "진입을 멈추는 같은 비율 (R13).",
    "field.risk.repeated_entries": "한 종목·한 방향의 10분간 진입 한도, 넘으면 차단 (R14). 0이면 세지 않음.",
    "field.risk.losing_trips": "한 종목을 차단하는 1시간 내 손실 왕복 거래 수 (R14). 0이면 세지 않음.",
    "field.risk.fat_finger": "최근 50건 중앙값 대비 최대 포지션 배수 (R17).",
    "field.risk.max_unknown": "진입을 계속할 수 있는 결과 미확인 주문 수 (R19).",
    "field.risk.loss_rate": "진입을 일시 중지하는 5분간 손실 (R23), 자본 대비 비율.",
    "field.risk.loss_pause_min": "그 중지 시간, 분.",
    "field.risk.volatility_collars": "종목을 일시 중지하는 1분 변동폭, 가격 제한폭의 배수 (R24).",
    "field.risk.spread_median": "종목을 일시 중지하는 스프레드, 중앙값의 배수 (R24).",
    "field.risk.spread_floor_bps": "이보다 좁은 스프레드는 중앙값과 견주지 않음 (R24), bps.",
    "field.risk.volatility_pause_min": "그 중지 시간, 분.",
    "field.risk.protective_stop": "첫 체결과 함께 거래소에 거는 보호 손절의 거리, 마크 가격 비율. 0이면 걸지 않음.",
    "field.risk.unprotected_s": "손절 주문 없이 둘 수 있는 시간, 넘으면 진입 금지 (R26), 초. 0이면 요구하지 않음.",
    "field.risk.funding_window_min": "펀딩비를 기대 수익과 견주는 정산 전 시간 (R27), 분.",
    "field.risk.delist_h": "상장 폐지 전 청산만 허용하는 시간 (R28), 시간.",
    "field.risk.first_minute_utc": "진입을 허용하는 UTC 하루의 첫 분 (R29).",
    "field.risk.last_minute_utc": "진입을 허용하는 UTC 하루의 마지막 분 (R29).",
    "field.risk.headroom": "느린 계층의 포트폴리오 여유 한도를 진입에 적용할지 여부.",
    "field.risk.headroom_s": "진입에 쓸 수 있는 가장 오래된 여유 한도, 초. 봉 실행은 최소 두 봉.",
    "field.risk.headroom_half_life_h": "여유 한도에 쓰는 공분산의 반감기, 시간.",
    "field.risk.daily_es": "하루 기대 부족액(ES) 97.5 % 한도, 자본 대비 비율.",
    "field.risk.entry_sides": "진입을 허용하는 방향 (R29).",
    "field.risk.kelly_fraction": "켈리 비중의 몇 배까지 쓸지. 기대 우위를 밝힌 전략에 적용합니다.",
    "field.risk.atr_risk": "손절 거리에서 한 포지션이 감수하는 손실, 자기자본 대비 비율.",
    "field.risk.atr_stop": "그 손절 거리, ATR 배수.",
    "field.risk.liquidation_safe_atr": "주문 크기를 정할 때 청산가와 두는 거리, ATR 배수.",
    "field.risk.daily_var": "1일 95 % VaR 한도, 자기자본 대비 비율.",
    "field.venue.order_latency_ms": "결정에서 체결 엔진까지의 지연(시세 지연 포함), ms.",
    "field.venue.response_latency_ms": "체결 엔진에서 응답까지의 지연, ms.",
    "field.venue.latency": "지연 모형: 위의 두 값, 그 값을 중앙값으로 하는 로그정규, 또는 시세 지연.",
    "field.venue.latency_sigma": "로그정규 지연의 로그 표준편차.",
    "field.venue.queue": "다른 참여자의 취소가 대기 순번을 앞당기는 정도.",
    "field.venue.error_share": "거래소가 -1001로 거부하는 요청 비율.",
    "field.venue.lost_share": "결과를 알려 주지 않는 요청 비율. 절반은 실제로 처리됨.",
    "field.venue.fee_tier": "수수료 등급. VIP0은 메이커 0.02 %, 테이커 0.05 %.",
    "field.venue.half_spread_bps": "캔들에 나타나지 않는 스프레드의 절반, bps.",
    "field.venue.impact_coefficient": "캔들 체결의 제곱근 시장 충격 계수(일 변동성에 곱함).",
    "field.venue.bar_delay_ms": "캔들 마감에서 결정까지의 시간, ms.",
    # Configuration: the quality of market data.
    "section.quality": "시장 데이터의 이상 기준과 대응. 지연 기준은 risk.*_stale_* 값을 따릅니다.",
    "field.quality.outlier_score": "최근 100개 대비 수정 z 점수가 이 값을 넘는 가격은 이상치입니다.",
    "field.quality.outlier_floor": "이 점수에서 가정하는 중앙값 절대편차의 최솟값, 가격 대비 비율.",
    "field.quality.spike": "직전 가격과 이 비율을 넘게 차이 나는 가격은 급변입니다.",
    "field.quality.wide_spread": "중간 가격 대비 이 비율을 넘는 스프레드는 과대 스프레드입니다.",
    "field.quality.one_sided": "상위 5호가 잔량 불균형이 이 비율을 넘으면 한쪽 쏠림입니다.",
    "field.quality.one_sided_s": "쏠림으로 보기까지 지속되어야 하는 시간, 초.",
    "field.quality.volume_spike": "거래량이 직전 20개 평균의 이 배수를 넘으면 급증입니다.",
    "field.quality.volume_drop": "거래량이 직전 20개 평균의 이 배수에 못 미치면 급감입니다.",
    "field.quality.conservative_size": "보수 모드의 주문 크기, 비율. 이때는 메이커 주문만 냅니다.",
    "field.quality.conservative_s": "마지막 이상 데이터 이후 보수 모드를 유지하는 시간, 초. 최소 캔들 한 개.",
    "field.quality.clean_s": "정지된 심볼이 진입을 재개하려면 이상이 없어야 하는 시간, 초. 최소 캔들 한 개.",
    "field.quality.on_stale": "다른 스트림은 들어오는데 한 스트림이 끊겼을 때.",
    "field.quality.on_bad_price": "있을 수 없는 가격일 때. 이런 가격은 항상 버립니다.",
    "field.quality.on_outlier": "이상치일 때. discard는 확인될 때까지 반영을 보류합니다.",
    "field.quality.on_spike": "급변일 때. discard는 확인될 때까지 반영을 보류합니다.",
    "field.quality.on_crossed": "호가가 역전되었을 때. 역전된 최우선 호가는 항상 버립니다.",
    "field.quality.on_wide_spread": "스프레드가 과대할 때.",
    "field.quality.on_one_sided": "호가 잔량이 한쪽으로 쏠렸을 때.",
    "field.quality.on_volume_spike": "거래량이 급증했을 때.",
    "field.quality.on_volume_drop": "거래량이 급감했을 때.",
    # 명령줄: 도움말.
    "help.usage": "사용법",
    "help.commands": "명령",
    "help.arguments": "인수",
    "help.options": "옵션",
    "help.everywhere": "공통 옵션",
    "help.autotrader": (
        "바이낸스 USDT 무기한 선물을 리스크 우선으로 자동 매매합니다: 백테스트, 모의 거래, 비트 단위 재현."
        " 종료 코드: 0 정상, 1 실행 실패, 2 잘못된 입력."
    ),
    "help.init": "주석이 달린 설정 파일을 만듭니다.",
    "help.backtest": "기록된 시장 데이터로 설정을 실행합니다.",
    "help.paper": "녹화된 스트림을 모의 계좌로 거래합니다.",
    "help.replay": "끝난 실행을 저널에서 다시 돌려 모든 주문을 대조합니다.",
    "help.report": "끝난 실행의 report.html을 다시 만듭니다.",
    "help.bench": "지연 시간을 재어 허용치와 비교합니다.",
    "help.stress": "과거 구간 동안 레버리지 롱 하나를 들고 증거금의 변화를 보고합니다.",
    "help.stress_data": "캔들, 마크 캔들, 펀딩비 파일이나 그 폴더. 여러 개를 이어 적을 수 있습니다.",
    "help.stress_symbol": "포지션의 심볼.",
    "help.stress_leverage": "쉼표로 구분한 레버리지(기본값: {default}).",
    "help.stress_from": "첫 봉이 열리는 시각(UTC). 예: 2020-03-12 또는 2020-03-12T08:00.",
    "help.stress_to": "마지막 봉이 닫히는 시각(UTC).",
    "help.stress_margin": "증거금: 계좌 전체(cross) 또는 포지션만(isolated)(기본값: cross).",
    "help.stress_equity": "진입 전 자산, USDT(기본값: {default}).",
    "help.stress_out": "보고서 폴더(기본값: runs/stress-심볼-날짜-증거금).",
    "help.config": "설정 파일(TOML).",
    "help.run_dir": "끝난 실행의 폴더.",
    "help.any_run_dir": "실행의 폴더(끝난 실행 또는 중단된 실행).",
    "help.strategy": "설정에 쓸 전략(기본값: trend).",
    "help.symbols": "쉼표로 구분한 심볼(기본값: {default}).",
    "help.mode": "설정의 모드(기본값: backtest).",
    "help.out_file": "쓸 파일(기본값: 전략이름.toml).",
    "help.force": "이미 있는 파일을 바꿔 씁니다.",
    "help.data": "설정의 data.paths 대신 쓸 시장 데이터. 여러 개를 이어 적을 수 있습니다.",
    "help.replay_files": "재생할 녹화 파일. 여러 개를 이어 적을 수 있습니다.",
    "help.speed": "최대 속도 또는 녹화 당시 속도(기본값: max).",
    "help.out_dir": "실행 폴더(기본값: runs/RUN_ID).",
    "help.verify": "다시 돌려 주문과 상태 해시를 대조합니다.",
    "help.lang": "출력 언어.",
    "help.json": "프로그램용으로 JSON 객체 하나를 표준 출력에 씁니다.",
    "help.help": "이 도움말을 보여 줍니다.",
    "help.version": "버전을 보여 줍니다.",
    # 명령줄: 오류.
    "cli.no_command": "명령이 없습니다. `autotrader --help`를 보십시오",
    "cli.unknown_command": '"{found}" 명령은 없습니다. 혹시 {nearest}입니까?',
    "cli.unknown_command_far": '"{found}" 명령은 없습니다. `autotrader --help`를 보십시오',
    "cli.unknown_option": "`{command}` 명령에 {found} 옵션은 없습니다. 혹시 {nearest}입니까?",
    "cli.unknown_option_far": "`{command}` 명령에 {found} 옵션은 없습니다. `{command} --help`를 보십시오",
    "cli.option_value": "{found} 옵션의 값이 빠졌거나, 값을 받지 않는 옵션입니다. --help를 보십시오",
    "cli.missing": "{name} 인수가 없습니다. `{command} --help`를 보십시오",
    "cli.extra": '"{found}" 인수는 필요하지 않습니다. `{command} --help`를 보십시오',
    "cli.choice": '{option} "{found}": 허용되지 않는 값입니다. {choices} 중에서 고르십시오',
    "cli.usage": "사용법 오류({detail}). `{command} --help`를 보십시오",
    "cli.no_path": "{option} {path}: 파일이나 폴더가 없습니다. 경로를 확인하십시오",
    "cli.no_data": "{file}: data.paths: 시장 데이터가 없습니다. 여기에 적거나 --data 경로를 지정하십시오",
    "cli.no_replay": (
        "paper에는 녹화 파일이 필요합니다. --replay 파일을 지정하십시오(이 버전은 실시간 스트림을 쓰지 않습니다)"
    ),
    "cli.loose_files": '"{found}" 앞에 {option} 옵션이 없습니다. 파일 앞에 {option} 옵션을 적으십시오',
    "cli.wrong_mode": (
        '{file}: run.mode: 값이 "{mode}"입니다. `autotrader {mode}` 명령으로 실행하거나 mode = "{wanted}"로 바꾸십시오'
    ),
    "cli.out_taken": "--out {path}: 빈 폴더가 아닙니다. 기존 실행을 덮어쓰지 않도록 다른 이름을 지정하십시오",
    "cli.exists": "{path}: 이미 있습니다. --out으로 다른 이름을 주거나 --force로 바꿔 쓰십시오",
    "cli.cannot_write": "{path}: 쓸 수 없습니다({reason}). --out으로 다른 경로를 지정하십시오",
    "cli.not_a_run": "{path}: 실행 폴더가 아닙니다(summary.json이 없음). 실행이 출력한 폴더를 지정하십시오",
    "cli.incomplete": "{path}: 끝나지 않은 실행입니다(INCOMPLETE 파일이 있음). 다시 실행하십시오",
    "cli.say_verify": "replay에는 --verify가 필요합니다. 저널을 다시 돌려 모든 주문을 대조합니다",
    "cli.interrupted": "중단되었습니다. 진행 중이던 실행은 INCOMPLETE 표시와 함께 남습니다",
    "cli.failed_io": "{path}: {reason}. 경로와 권한, 디스크 공간을 확인하십시오",
    "cli.output": "출력",
    # 명령줄: 결과.
    "result.title": "{mode} · {strategy} · {symbols}",
    "result.period": "기간",
    "result.final_equity": "최종 자기자본",
    "result.return": "수익률",
    "result.sharpe": "샤프 지수(연)",
    "result.drawdown": "최대 낙폭",
    "result.fees": "수수료",
    "result.funding": "받은 펀딩비",
    "result.orders": "주문",
    "result.fills": "체결",
    "result.refusals": "거부",
    "result.liquidations": "강제 청산",
    "result.rate": "초당 이벤트",
    "result.events": "이벤트",
    "result.undefined": "정의되지 않음",
    "result.journal": "저널",
    "result.order_hash": "주문",
    "result.state": "상태",
    "result.summary": "요약",
    "result.report": "보고서",
    "result.warning": "경고: {text}",
    "result.note": "참고: {text}",
    "result.next": "다음 단계:",
    "result.next_report": "브라우저로 {path} 열기",
    "result.wrote": "{path} 파일을 만들었습니다",
    "result.same": "다시 돌린 결과 요청 {orders}건(주문, 취소, 타이머, 거부)과 상태가 모두 같습니다.",
    "result.differs": "다시 돌린 결과가 다릅니다: {difference}",
    "result.compared": "대조한 요청",
    "result.measure": "항목",
    "result.budget": "허용치",
    "result.ratio": "p99 / 허용치",
    # 녹화 파일.
    "recording.empty": "{path}: 파일이 비어 있습니다. '<수신 시각> <메시지>' 형식의 녹화 파일을 지정하십시오",
    "recording.foreign": (
        "{path}: 1행이 녹화 형식('<수신 시각> <메시지>')이 아닙니다. 녹화 파일이나 Parquet·CSV·zip 캔들 "
        "파일을 지정하십시오"
    ),
    "recording.truncated": "{path}: 파일이 행 중간에서 끊겼습니다. 다시 내려받거나 행 끝에서 자르십시오",
    "recording.damaged": "{path}: gzip 데이터가 손상되었습니다({reason}). 파일을 다시 내려받으십시오",
    "recording.unreadable": "{path}: 읽을 수 없습니다({reason}). 경로와 권한을 확인하십시오",
    "recording.no_file": "일반 파일이 아님",
    "recording.long_line": "{path}: 16MB보다 긴 행이 있습니다. 녹화 파일이 아닙니다",
    "recording.bad_line": "{path}: {reason}. 해당 행을 지우거나 파일을 다시 내려받으십시오",
    "recording.bad_message": (
        "{path}: {line}행: 메시지가 끊겼거나 숫자가 올바르지 않습니다. 해당 행을 지우거나 파일을 다시 내려받으십시오"
    ),
    "recording.order": "{path}: {line}행: 앞선 행보다 오래된 행입니다. 수신 시각 순으로 정렬하십시오",
    "recording.units": "{path}: 시각 단위가 {other}와 다릅니다. 같은 녹화기의 파일을 지정하십시오",
    "recording.overlap": "{path}: 앞 파일이 끝나기 전에 시작합니다. 한 녹화의 일자별 파일을 지정하십시오",
    "recording.symbols": (
        "{path}: {found}이(가) 들어 있으나 거래 대상은 {wanted}입니다. 거래 심볼의 녹화 파일을 지정하십시오"
    ),
    "recording.no_offset": "호가 메시지가 없어 녹화기의 시계 오차를 추정할 수 없으므로 0으로 둡니다",
    # 실행.
    "run.book_needs": '{path}: sources.book이 "{book}"인데 이 파일에는 없습니다. {needed}을(를) 지정하십시오',
    "run.empty_folder": "{path}: 폴더에 파일이 없습니다. 시장 데이터가 있는 폴더를 지정하십시오",
    "run.needs_recording": "호가 녹화 파일",
    "run.needs_candles": "Parquet·CSV·zip 캔들 파일",
    "run.no_mark": (
        'sources.mark가 "file"이지만 {symbols}의 마크 가격 파일이 없습니다. 마크 가격 파일을 지정하거나 '
        '"proxy"로 바꾸십시오'
    ),
    "run.no_mark_stream": (
        'sources.mark가 "stream"이지만 녹화 파일에 {symbols}의 마크 가격이 없습니다. "proxy"로 바꾸거나 다른 파일을 '
        "지정하십시오"
    ),
    "run.no_funding": (
        'sources.funding이 "file"이지만 {symbols}의 펀딩비 파일이 없습니다. 펀딩비 파일을 지정하거나 "none"으로 '
        "바꾸십시오"
    ),
    "run.no_book": (
        "{symbols}의 호가창을 한 번도 쓸 수 없었습니다. 차분과 이어지는 호가 스냅샷이 녹화에 없습니다. "
        "스냅샷이 있는 일자 파일부터 지정하십시오"
    ),
    "run.nothing_read": (
        "메시지 {messages}건 중 {symbols}의 시장 이벤트로 읽힌 것이 없습니다. 심볼과 파일을 확인하십시오"
    ),
    "run.no_data": "{symbol}: 데이터에 없어 거래하지 않았습니다",
    "run.disk": (
        "{path}: 저널을 쓰지 못했습니다({reason}). 실행이 완료되지 않았습니다. 공간을 확보하고 다시 실행하십시오"
    ),
    "run.refused": "메시지 {messages}건 중 {count}건을 거부했습니다(형식 오류, 호가 단위 불일치, 다른 심볼)",
    "run.gaps": "{symbol}: 호가 체인이 {count}회 끊겨 다음 스냅샷까지 호가창을 쓸 수 없었습니다",
    "run.missing_bars": "{symbol}: 캔들 {count}개가 빠져 있습니다",
    "run.off_tick": (
        "{symbol}: 가격 {count}개가 당시 호가 단위에 맞지 않습니다. 값은 그대로 두고 주문만 호가 단위를 따릅니다"
    ),
    "run.epochs": "{symbol}: 주문은 파일에서 월별로 확인한 당시의 주문 규칙을 따릅니다: {epochs}",
    "run.epoch": "{month}부터 호가 단위 {tick:.10g}, 수량 단위 {lot:.10g}",
    "run.strategy_failed": "전략에서 {error} 예외가 발생하여 전략을 중지하고 주문을 취소했습니다",
    "run.moved": "{path}: 이 실행의 데이터 파일이 없거나 바뀌었습니다. 검증하려면 원래대로 되돌리십시오",
    "run.bad_manifest": "{path}: 실행 기록의 매니페스트가 아닙니다({reason}). 실행 폴더를 지정하십시오",
    "run.bad_summary": "{path}: 실행 요약이 아닙니다({reason}). 다시 실행하거나 사본에서 복원하십시오",
    "run.damaged_journal": "{reason}. 저널을 신뢰할 수 없습니다. 사본에서 복구하십시오",
    "run.torn_journal": "저널의 마지막 {count}바이트가 온전한 블록이 아닙니다. 실행이 정상적으로 끝나지 않았습니다",
    "run.unsealed_journal": "{path}: 저널 끝에 봉인이 없습니다. 뒷부분이 사라졌으니 사본에서 복구하십시오",
    "run.other_journal": "{path}: 옆에 있는 매니페스트와 다른 실행의 저널입니다. 둘 다 사본에서 복구하십시오",
    "run.no_journal": "{path}: 저널이 없습니다. 실행 폴더를 지정하십시오",
    "run.cannot_write": "{path}: 쓸 수 없습니다({reason}). --out으로 다른 폴더를 지정하십시오",
    "run.filters_today": "주문 규칙과 레버리지 구간은 데이터 당시가 아닌 {date} 기준입니다",
    "run.limits_today": "최소·최대 주문, 가격 범위, 레버리지 구간은 데이터 당시가 아닌 {date} 기준입니다",
    "run.mark_stream": "마크 가격 스트림",
    "run.mark_file": "마크 가격 파일, {interval} (없는 구간은 캔들)",
    "run.mark_proxy_book": "대용: 호가창의 마이크로프라이스",
    "run.mark_proxy_candle": "대용: 캔들 종가(청산 판정은 고가·저가)",
    "run.mark_funding": "; 펀딩비 정산 시각에는 {interval} 마크 가격",
    "run.note_quoter": (
        "이 호가 전략에는 예측이 없습니다. 최우선 호가에서 잘해야 스프레드를 벌고 체결마다 {maker} bps를 "
        "내므로 수수료 차감 후 기대 수익은 음수입니다. 엔진을 보여주기 위한 전략입니다"
    ),
    "run.note_trend": (
        "추세 전략의 사전 가정: 연 샤프 지수 {mean} ± {sd} (추정이 아닌 명시값), 관찰 기간 {lookbacks}시간, "
        "처음 {warmup}시간은 거래하지 않음"
    ),
    "run.note_impact": (
        "캔들 체결: 다음 시가, 반스프레드 {half} bps, 충격 = {impact} × 봉 변동성 × √(봉 거래량 대비 비중)"
    ),
    "run.note_parts": "{wanted} 캔들은 {parts} 캔들을 모아 만들며, 일부가 빠진 캔들은 쓰지 않습니다",
    "run.note_latency": "주문 지연 {order} ms, 응답 지연 {response} ms",
    "run.note_lognormal": "주문·응답 지연은 로그 정규 분포(중앙값 {order}, {response} ms, 시그마 {sigma})",
    "run.no_lag": (
        'venue.latency: "feed"는 녹화 메시지의 지연을 쓰는데 캔들 파일에는 지연이 없습니다. "constant"나 "lognormal"을 '
        "쓰거나 녹화 파일을 주십시오"
    ),
    "run.note_feed": "주문·응답 지연은 시세 자체의 지연을 따릅니다",
    "run.note_queue": "다른 참여자의 취소가 주문을 앞당기는 정도: {queue} 모형",
    "run.note_margin": "모든 심볼에 격리 증거금 적용",
    "run.note_faults": "설정에 따라 모의 거래소가 요청의 {errors:.1%}를 거부하고 {lost:.1%}에 응답하지 않습니다",
    "run.progress_read": "읽는 중",
    "run.progress_run": "실행 중",
    "run.progress_verify": "검증 중",
    "run.progress_write": "보고서 작성 중",
    # 과거 데이터 파일.
    "history.no_file": "{path}: 파일이 없습니다. 데이터 경로를 확인하십시오",
    "history.empty": "{path}: 빈 파일입니다. 다시 내려받거나 녹화하십시오",
    "history.empty_member": "{path}: 압축 파일 안의 {member} 파일이 비어 있습니다. 다시 내려받으십시오",
    "history.no_rows": "{path}: 데이터 행이 없습니다. 다시 내려받거나 녹화하십시오",
    "history.unreadable": "{path}: 읽을 수 없습니다({reason}). 다시 내려받거나 녹화하십시오",
    "history.changed": "{path}: 사용하는 도중에 파일이 바뀌었습니다. 처음부터 다시 실행하십시오",
    "history.foreign": (
        "{path}: 과거 데이터 파일이 아닙니다({seen}). symbol, ts_ms, open, high, low, close[, volume] 또는 "
        "symbol, ts_ms, rate 열이 있는 Parquet·CSV 파일이나 거래소 아카이브의 klines, markPriceKlines, fundingRate, "
        "aggTrades, trades 파일을 지정하십시오"
    ),
    "history.seen_columns": "열: {names}",
    "history.seen_bare": "머리글 행 없이 열 {count}개",
    "history.seen_bytes": "텍스트가 아님",
    "history.seen_zip": "zip 안에 CSV 하나가 아니라 파일 {count}개",
    "history.name_symbol": "{path}: 파일 이름에 심볼이 없습니다. 아카이브처럼 BTCUSDT-... 형식으로 이름을 붙이십시오",
    "history.name_interval": (
        "{path}: 파일 이름에 1s~1d의 주기가 없습니다. 아카이브처럼 BTCUSDT-1m-2026-01-01.csv 형식으로 이름을 붙이십시오"
    ),
    "history.index_klines": "{path}: 지수 가격과 프리미엄 캔들은 체결되는 가격이 아닙니다. 이 파일은 빼십시오",
    "history.column_type": "{path}: {column} 열의 자료형이 {kind}입니다. 녹화 파일과 같은 자료형으로 저장하십시오",
    "history.long_line": "{path}: {limit}바이트보다 긴 행이 있습니다. 과거 데이터 CSV가 아닙니다",
    "history.no_csv": "{path}: {row}행부터 CSV로 읽을 수 없습니다({reason}). 파일을 다시 내려받으십시오",
    "history.place": "{path}, {row}행",
    "history.fields": "{place}: 필드가 {wanted}개가 아니라 {found}개입니다. 파일을 다시 내려받으십시오",
    "history.not_utf8": "{place}: UTF-8 텍스트가 아닙니다. 파일을 다시 내려받으십시오",
    # 과거 데이터 파일: 성립할 수 없는 값과 그 이유.
    "history.bad_value": (
        "{place}, {symbol}, {column} 열의 값 {value}: {reason}. 해당 행을 고치거나 파일을 다시 내려받으십시오"
    ),
    "history.nothing": "없음",
    "history.not_whole": "18자리 이하의 정수가 아닙니다",
    "history.not_stamp": "2000년~2100년의 시각(ms 또는 us)이 아닙니다",
    "history.not_price": "가격으로 쓸 수 없습니다(1e-8 이상, 소수 8자리를 포함하여 18자리 이하)",
    "history.not_rate": "펀딩비율로 쓸 수 없습니다(-1과 1 사이의 소수)",
    "history.not_quantity": "수량으로 쓸 수 없습니다(0 이상)",
    "history.not_side": "true나 false가 아닙니다",
    "history.high_below_low": "해당 캔들의 저가보다 낮습니다",
    "history.outside_bar": "해당 캔들의 저가~고가 범위를 벗어났습니다",
    "history.off_tick": "호가 단위 {tick:g}에 맞지 않습니다(그날의 호가 단위를 지정하십시오)",
    "history.off_grid": "{interval} 캔들의 시작 시각이 아닙니다",
    "history.twice": "두 번 나옵니다",
    "history.earlier": "바로 앞 행보다 이릅니다",
    "history.trade_earlier": "바로 앞 체결보다 이릅니다",
    "history.trade_id": "바로 앞 체결 ID보다 크지 않습니다",
    # 과거 데이터 파일: 파일 전체의 내용.
    "history.klines": "캔들",
    "history.mark": "마크 가격",
    "history.funding": "펀딩비율",
    "history.trades": "체결",
    "history.overlap": (
        "{path}: {symbol} {content} 데이터의 기간이 {other} 파일과 겹칩니다. 같은 기간은 한 번만 지정하십시오"
    ),
    "history.other_name": (
        "{path}: 파일 이름의 주기는 {stated}인데 실제 캔들 간격은 {found}입니다. 이름을 고치거나 파일을 다시 "
        "내려받으십시오"
    ),
    "history.no_interval": (
        "{path}: {seen} 데이터로는 1s~1d의 주기를 알 수 없습니다. 더 긴 파일이나 다른 파일을 지정하십시오"
    ),
    "history.seen_step": "{interval} 간격의 캔들",
    "history.seen_one_bar": "심볼당 캔들 하나뿐인",
    "history.other_interval": (
        "{path}: {found} 캔들이 들어 있으나 이 실행은 {wanted} 캔들을 씁니다. 주기가 같은 파일을 지정하십시오"
    ),
    "history.no_multiple": (
        "{path}: {found} 캔들로는 {wanted} 캔들을 만들 수 없습니다. "
        "data.interval을 {found} 또는 그 배수로 바꾸거나 더 짧은 주기의 파일을 지정하십시오"
    ),
    "history.nothing_to_trade": (
        "어느 파일에도 {symbols}의 캔들이나 체결이 없습니다. 해당 심볼의 파일을 지정하거나 거래 심볼을 바꾸십시오"
    ),
    "history.chunk": "한 번에 읽는 행은 1개 이상이어야 합니다(현재 {rows}개). 더 큰 수를 지정하십시오",
    "history.no_symbols": "{path}: 거래할 심볼이 하나도 없습니다",
    "history.no_candles": "{symbol}: 캔들이나 체결이 든 파일이 없습니다",
    "history.jumps": "{symbol}: 직전 종가와 10% 넘게 차이 난 캔들이 {count}개입니다(최대 {share:+.1%}, {time})",
    "history.rounded": "{path}, {symbol}: 값 {count}개를 1e-8 단위로 반올림했습니다",
    "history.no_volume": "{path}, {symbol}: 거래량이 모두 0입니다. 마크 가격 파일이 아닌지 확인하십시오",
    "history.no_funding": "{symbol}: 펀딩비 데이터가 없어 포지션에 펀딩비가 발생하지 않습니다",
    "history.funding_pauses": "{symbol}: 펀딩비가 8시간 넘게 빈 구간이 {times}회 있습니다(최장 {hours:.4g}시간)",
    "history.no_funding_mark": "{symbol}: 펀딩비 정산 시각 {total}개 중 {count}개는 파일에 마크 가격이 없습니다",
    # 거래소 규칙.
    "instruments.unreadable": "{path}: 거래소 규칙 파일을 읽을 수 없습니다({reason})",
    "instruments.too_large": "{path}: {limit:,}바이트보다 큽니다. 거래소 규칙 파일이 아닙니다",
    "instruments.not_json": "{where}: 올바른 JSON이 아닙니다({reason})",
    "instruments.key_twice": "{key!r} 키가 두 번 나옵니다",
    "instruments.long_number": "{digits}자리 숫자가 있습니다",
    "instruments.no_rows": "{where}: 심볼마다 행이 하나씩 있는 JSON 객체여야 합니다(형식은 docs/data.md 참고)",
    "instruments.bad_symbol": "{where}: {found!r}: 심볼은 A-Z, 0-9, _ 문자로 된 1~31자여야 합니다",
    "instruments.bad_row": "{at}: 형식이 올바르지 않습니다({reason})",
    "instruments.bad_date": "{at}: {field}: {found!r}: 날짜가 아닙니다. YYYY, YYYY-MM, YYYY-MM-DD 중 하나로 적으십시오",
    "instruments.bad_month": "{at}: month: {found!r}: 월이 아닙니다. YYYY-MM으로 적으십시오",
    "instruments.not_decimal": "{at}: {field}: {found!r}: 정수부 10자리, 소수부 8자리 이하의 수가 아닙니다",
    "instruments.not_positive": "{at}: {field}: 0보다 커야 합니다(현재 {found})",
    "instruments.not_between": "{at}: {field}: {low:g}보다 크고 {high:g}보다 작아야 합니다(현재 {found})",
    "instruments.max_orders": "{at}: max_orders: 1~10000이어야 합니다",
    "instruments.too_fine": "{at}: tick, lot: 1틱과 1랏의 곱이 1e-8 USDT보다 작습니다",
    "instruments.no_tick": "{at}: max_price: min_price 이상인 호가가 하나도 남지 않습니다",
    "instruments.no_lot": "{at}: {field}: min_quantity 이상인 수량이 하나도 남지 않습니다",
    "instruments.bracket_rows": "{at}: brackets: 레버리지 구간은 1~{most}개여야 합니다(현재 {found}개)",
    "instruments.bracket_floor": "앞 구간과 이어지지 않습니다. 하한은 {start:g} USDT, 상한은 그보다 커야 합니다",
    "instruments.bracket_ratio": "유지증거금률은 {low:g}보다 크고 1보다 작아야 합니다(현재 {found:g})",
    "instruments.bracket_leverage": "max_leverage는 1~{most}이어야 합니다(현재 {found})",
    "instruments.bracket_cum": "cum은 {expected:.8f}이어야 합니다(현재 {found:.8f})",
    "instruments.no_facts": (
        "{symbol}: 거래소 규칙(tick, lot, brackets)을 알 수 없습니다. 이 심볼의 행이 든 JSON 파일을 "
        "sources.instruments에 지정하십시오(형식은 docs/data.md 참고)"
    ),
    "instruments.missing": (
        "{symbol}: {fields} 값을 알 수 없습니다. 이 심볼의 행이 든 JSON 파일을 sources.instruments에 "
        "지정하십시오(형식은 docs/data.md 참고)"
    ),
    "instruments.fee_tier": "{name!r}: 없는 수수료 등급입니다. 다음 중에서 고르십시오: {tiers}",
    "instruments.grids_apart": (
        "{symbol}: 전체 기간을 하나의 단위로 세려면 호가 단위 {tick:.10g}, 수량 단위 {lot:.10g}이 필요하지만 둘의 곱이 "
        "1e-8 USDT보다 작습니다. 더 짧은 기간으로 나누어 실행하십시오"
    ),
    # 거래소 규칙: 가정한 값, 낮춘 값, 거래할 수 없는 심볼.
    "instruments.assumed.min_price": "{symbols}: min_price 미확인, 1틱 적용 (이보다 낮은 가격은 존재하지 않음)",
    "instruments.assumed.max_price": (
        "{symbols}: max_price 미확인, {value:,} USDT 적용 "
        "(통상적인 상한이며, 실제로는 PERCENT_PRICE 제한이 먼저 적용됨)"
    ),
    "instruments.assumed.min_quantity": (
        "{symbols}: min_quantity 미확인, 1랏 적용 (기록이 완전한 모든 심볼에서 동일함)"
    ),
    "instruments.assumed.max_quantity": (
        "{symbols}: max_quantity 미확인, {value:,}랏 적용 (기록이 완전한 심볼 가운데 가장 작은 값)"
    ),
    "instruments.assumed.max_market_quantity": (
        "{symbols}: max_market_quantity 미확인, max_quantity의 10분의 1 적용 "
        "(거래소의 시장가 주문 한도는 지정가 주문보다 훨씬 작음)"
    ),
    "instruments.assumed.min_notional": (
        "{symbols}: min_notional 미확인, {value} USDT 적용 (기록이 완전한 심볼의 최대 최소주문금액의 두 배)"
    ),
    "instruments.assumed.multiplier_up": (
        "{symbols}: multiplier_up 미확인, {value:g} 적용 (기록된 가격 제한폭 중 가장 좁은 값)"
    ),
    "instruments.assumed.multiplier_down": (
        "{symbols}: multiplier_down 미확인, {value:g} 적용 (기록된 가격 제한폭 중 가장 좁은 값)"
    ),
    "instruments.assumed.take_bound": (
        "{symbols}: take_bound 미확인, 마크 가격 기준 {value:g} % 적용 (기록이 완전한 심볼 가운데 가장 좁은 한도)"
    ),
    "instruments.assumed.liquidation_fee": (
        "{symbols}: liquidation_fee 미확인, {value:g} % 적용 (2023년 이후 기록 중 가장 높은 청산 수수료율)"
    ),
    "instruments.assumed.max_orders": "{symbols}: max_orders 미확인, {value}건 적용 (기록된 모든 심볼에서 동일함)",
    "instruments.leverage": "{symbol}: 레버리지 {wanted}배를 첫 번째 구간의 상한 {allowed}배로 낮춤",
    "instruments.cap": (
        "{symbol}: 포지션 한도 {cap:,.2f} USDT가 거래소 최소 주문금액 {least:,.2f} USDT보다 작아 주문을 내지 않습니다"
    ),
    # 스트레스 실행.
    "stress.refused": (
        "{symbol} {leverage}배: 포지션을 열 수 없습니다({reason}). --equity나 --leverage를 줄이거나 --from을 바꾸십시오"
    ),
    "stress.not_opened": (
        "{symbol} {leverage}배: 포지션이 열리지 않았습니다. --from과 --to 사이에 봉이 두 개 이상 있고 --equity가 최소 "
        "주문 금액을 넘어야 합니다"
    ),
    "stress.disagree": "저널의 자산 {booked} USDT가 거래소 계좌의 {truth} USDT와 다릅니다. 이 결함을 신고해 주십시오",
    "stress.leverage": "--leverage {found}: {symbol}의 레버리지는 1에서 {most}까지입니다",
    "stress.no_symbol": (
        '--symbol "{found}": 내장된 표에 이 심볼의 틱, 랏, 레버리지 구간이 없습니다. 다음 중 하나를 쓰십시오: {choices}'
    ),
    "stress.no_bars": (
        "{symbol}: {start}부터 {end}까지 봉이 두 개보다 적습니다. --from과 --to, --data에 담긴 날짜를 확인하십시오"
    ),
    "stress.bad_leverage": '--leverage "{found}": 허용되지 않는 값입니다. 2,3,5,10,20처럼 정수를 최대 {most}개 '
    "쓰십시오",
    "stress.bad_time": '{option} "{found}": 시각이 아닙니다. 2020-03-12 또는 2020-03-12T08:00처럼 UTC로 쓰십시오',
    "stress.bad_window": "--to {end} 시각이 --from {start} 이후가 아닙니다. 두 값을 바꾸십시오",
    "stress.bad_equity": '--equity "{found}": 허용되지 않는 값입니다. {least}에서 {most} 사이의 USDT 금액을 쓰십시오',
    "stress.note_gate": (
        "리스크 게이트는 강제 축소(R9, R10)를 포함해 개입하지 않습니다. 전략이 아니라 포지션을 시험하는 실행이며, "
        "실제 실행에서는 게이트가 이런 포지션을 거부하거나 줄입니다."
    ),
    "stress.note_entry": (
        "자산 전부를 증거금으로 삼아 첫 봉 다음 봉의 시가에 롱 하나를 주문 한 건으로 삽니다. 스프레드와 시장 충격은 "
        "없습니다. 수수료와 마크 가격 대비 손실만큼은 남겨 두므로 명목 금액은 자산에 레버리지를 곱한 값보다 조금 "
        "작습니다."
    ),
    "stress.note_filters": ("틱, 랏, 레버리지 구간, 수수료는 재생하는 날의 값이 아니라 {date} 표의 값입니다."),
    "stress.note_mark": (
        "마크 가격: 파일의 {interval} 마크 캔들. 봉 안에서는 불리한 극값이 먼저 옵니다. 청산은 마크 저가에서 판정하고 "
        "그 봉이 닫히는 시각으로 적습니다."
    ),
    "stress.note_some_marks": "봉 {bars}개 가운데 {missing}개는 파일에 마크 가격이 없어 체결가 캔들로 대신했습니다.",
    "stress.note_no_mark": (
        "이 구간에는 봉과 같은 간격({interval})의 마크 가격이 파일에 없어 체결가 캔들로 대신했습니다. 거래소의 마크 "
        "가격이 따라가지 않았을 꼬리에도 여기서는 청산됩니다."
    ),
    "stress.note_no_funding": "이 구간의 펀딩비가 파일에 없어 펀딩비를 정산하지 않았습니다.",
    "stress.note_in_files": "파일 전체 기준(이 구간 밖 포함): {warning}",
    "stress.title": "스트레스 · {symbol} · {margin} · {equity:,.2f} USDT · {start} - {end}",
    "stress.column.leverage": "레버리지",
    "stress.column.outcome": "결과(UTC)",
    "stress.column.lowest": "최저 자산, USDT",
    "stress.column.nearest": "청산까지 최단 거리",
    "stress.column.funding": "펀딩비, USDT",
    "stress.column.gap": "마크·체결가 최대 차이",
    "stress.survived": "생존",
    "stress.liquidated": "청산 {time}",
    # 조회 화면과 그 저장소.
    "store.cannot_write": "{path}: 조회 저장소를 사용할 수 없습니다({reason}). 디스크와 폴더 권한을 확인하십시오",
    "store.damaged": "{path}: 조회 저장소가 손상되었습니다({reason}). --rebuild로 다시 만드십시오",
    "store.foreign": "{path}: autotrader의 조회 저장소가 아닙니다. 파일을 옮기십시오. 내용은 건드리지 않았습니다",
    "store.newer": (
        "{path}: 테이블 버전은 {found}, 이 프로그램은 {known}까지 압니다. 새 버전을 쓰거나 --rebuild로 다시 만드십시오"
    ),
    "store.other_run": "{path}: 다른 실행의 조회 저장소입니다. 파일을 옮기거나 --rebuild로 이 실행의 것을 만드십시오",
    "store.moved": "{path}: 그사이 다른 프로세스가 조회 저장소에 기록했습니다. 둘 중 하나를 끝내고 다시 시작하십시오",
    "help.views": "실행의 저널에 기록된 포지션, 주문, 체결 등을 보여 줍니다.",
    "help.view": "{views} 중 하나(기본값: positions).",
    "help.last": "주문, 체결, 입출금, 자산 기록을 최근 것부터 몇 건 보일지(기본값: 20).",
    "help.rebuild": "저장된 조회 내용을 버리고 저널에서 다시 만듭니다.",
    "views.bad_view": '"{found}"이라는 조회는 없습니다. 다음 중 하나를 쓰십시오: {choices}',
    "views.bad_last": '--last "{found}"은(는) 개수가 아닙니다. 1 이상의 정수를 쓰십시오',
    "views.progress": "저널을 읽는 중",
    "views.title": "{view}: 전체 {total}건 중 {shown}건(저널 {rows}행 기준). 금액은 USDT, 수량은 코인 단위입니다",
    "views.incomplete": "실행이 끝나지 않았거나 저널의 끝이 유실되었습니다. 온전한 블록까지의 내용입니다",
    "views.nothing": "없음",
    "views.positions": "포지션",
    "views.orders": "주문",
    "views.fills": "체결",
    "views.payments": "입출금·펀딩비",
    "views.equity": "자산",
    "views.quality": "체결 품질",
    "views.risk": "리스크",
    "views.time": "시각(UTC)",
    "views.symbol": "심볼",
    "views.leg": "방향",
    "views.long": "롱",
    "views.short": "숏",
    "views.flat": "-",
    "views.quantity": "수량",
    "views.entry": "평균 진입가",
    "views.price": "가격",
    "views.unrealised": "미실현 손익",
    "views.realised": "실현 손익",
    "views.fee": "수수료",
    "views.fees": "수수료",
    "views.funding": "펀딩비",
    "views.leverage": "레버리지",
    "views.margin": "증거금",
    "views.cross": "교차",
    "views.isolated": "격리 {amount}",
    "views.forced": "강제 청산",
    "views.side": "매매",
    "views.type": "유형",
    "views.filled": "체결량",
    "views.average": "평균 체결가",
    "views.state": "상태",
    "views.code": "코드",
    "views.client_id": "주문 ID",
    "views.maker": "메이커",
    "views.is_maker": "메이커",
    "views.is_taker": "테이커",
    "views.reduce_only": "축소 전용",
    "views.slippage": "슬리피지(bps)",
    "views.position": "보유량",
    "views.kind": "구분",
    "views.amount": "금액",
    "views.asset": "코인",
    "views.rate": "비율",
    "views.wallet": "지갑 잔고",
    "views.gross": "총 노출",
    "views.drawdown": "낙폭",
    "views.price_age": "가장 오래된 가격",
    "views.fill_rate": "체결률",
    "views.post_only": "포스트 온리",
    "views.cancel_ratio": "취소율",
    "views.slippage_quantiles": "슬리피지 p50 / p99(bps)",
    "views.time_to_fill": "체결 시간 p50 / p99",
    "views.rejections": "거부",
    "views.all": "전체",
    "views.topic": "구분",
    "views.name": "항목",
    "views.value": "값",
    "views.last": "최근",
    "views.refusal": "주문 거절",
    "views.alarm": "경보",
    "views.command": "명령",
    "views.size_cap": "수량 상한",
    "views.strategy": "전략",
    "views.setting": "설정",
    # The exchange on loopback: signatures.
    "loopback.key_kind": '키 "{name}": "{found}"은(는) 알 수 없는 종류입니다. hmac, ed25519, rsa 중 하나를 쓰십시오',
    "loopback.key_pem": '키 "{name}": PEM 형식({kind})의 공개 키가 아닙니다. BEGIN PUBLIC KEY로 시작해야 합니다',
    # The exchange on loopback: history, proof and status.
    "loopback.history_exists": "{path}: 이 기록 파일이 이미 있으며 덮어쓰지 않습니다. 다른 파일 이름을 지정하세요",
    "loopback.history_unwritable": "{path}: 기록을 쓸 수 없습니다({why}). 폴더와 디스크를 확인하세요",
    "loopback.history_unreadable": "{path}: 기록을 읽을 수 없습니다({why}). 경로를 확인하세요",
    "loopback.history_damaged": "{path}: {line}번 줄이 체크섬과 맞지 않습니다. 쓴 뒤에 바뀌었습니다."
    " 이 파일은 아무것도 증명하지 못하니 새로 기록하세요",
    "loopback.history_unknown": "{path}: {line}번 줄은 이 버전이 모르는 기록입니다({why})."
    " 이 파일을 쓴 버전으로 확인하세요",
    "loopback.history_gap": "{path}: {line}번 줄에 {found}번이라고 적혀 있습니다."
    " 줄이 빠졌거나 옮겨졌습니다. 새로 기록하세요",
    "loopback.history_no_open": "{path}: 0번 줄이 버전 {version}의 시작 기록이 아닙니다. 거래소 기록이 아니거나"
    " 다른 버전의 파일입니다. 다른 파일을 지정하세요",
    "loopback.proof.complete": "기록이 온전함",
    "loopback.proof.named": "모든 계정과 심볼이 알려져 있음",
    "loopback.proof.order_once": "주문은 한 번만 접수됨",
    "loopback.proof.order_rises": "주문 번호가 증가함",
    "loopback.proof.client_once": "클라이언트 ID 하나에 미체결 주문 하나",
    "loopback.proof.change_open": "미체결 주문만 정정되거나 끝남",
    "loopback.proof.fill_known": "모든 체결에 주문이 있음",
    "loopback.proof.fill_open": "끝난 주문은 체결되지 않음",
    "loopback.proof.fill_within": "체결량이 주문 수량을 넘지 않음",
    "loopback.proof.fill_limit": "지정가보다 나쁜 체결이 없음",
    "loopback.proof.filled_whole": "전량 체결일 때만 FILLED",
    "loopback.proof.trade_rises": "체결 번호가 증가함",
    "loopback.proof.trade_sides": "거래의 양쪽이 같음",
    "loopback.proof.algo_walk": "조건부 주문의 상태 변화가 규칙에 맞음",
    "loopback.proof.algo_child": "발동된 주문에 자식 주문이 있음",
    "loopback.proof.position_sums": "포지션이 체결의 합과 같음",
    "loopback.proof.cost_moves": "취득 원가가 체결을 따름",
    "loopback.proof.wallet_adds": "지갑 잔고의 합이 맞음",
    "loopback.proof.coin_adds": "코인 지갑의 합이 맞음",
    "loopback.proof.funding_due": "펀딩비가 비율과 가치의 곱과 같음",
    "loopback.proof.state_agrees": "체크포인트가 기록과 일치함",
    "loopback.proof.equity_adds": "마진 잔고의 합이 맞음",
    "loopback.proof.margin_kept": "유지 증거금 이하로 머무는 계정이 없음",
    "loopback.proof.money_kept": "돈이 생기거나 사라지지 않음",
    "loopback.proof.lots_kept": "롱과 숏이 같음",
    "loopback.proof.depth_chain": "호가 갱신이 이어짐",
    "loopback.proof.book_uncrossed": "호가창이 교차하지 않음",
    "loopback.proof.book_is_orders": "호가창이 미체결 주문과 같음",
    "loopback.wrong.complete": "기록은 한 번 시작하고 기록 수로 끝나야 하며 여기서는 {count}건입니다",
    "loopback.wrong.named": "기록에 첫 줄에 없는 계정, 심볼, 레그 또는 방향이 있습니다",
    "loopback.wrong.order_once": "주문 {order}은(는) 이미 접수되었습니다",
    "loopback.wrong.order_rises": "주문 {order}이(가) 같은 심볼의 주문 {last} 뒤에 옵니다",
    "loopback.wrong.client_once": "{account}번 계정에 미체결 주문 {client}이(가) 이미 있습니다",
    "loopback.wrong.change_open": "{account}번 계정에 미체결 주문 {order}이(가) 없습니다",
    "loopback.wrong.fill_known": "{account}번 계정의 주문 {order}은(는) 이 심볼, 레그, 방향으로 접수되지 않았습니다",
    "loopback.wrong.fill_open": "주문 {order}이(가) 끝난 뒤에 체결됩니다",
    "loopback.wrong.fill_within": "주문 {order}: {left}랏까지인데 {lots}랏이 체결되었습니다",
    "loopback.wrong.fill_limit": "주문 {order}이(가) 지정가 {limit}틱을 넘어 {ticks}틱에 체결됩니다",
    "loopback.wrong.filled_whole": "주문 {order}의 상태는 {how}인데 {left}랏이 남았고 미체결은 {undone}랏이라고"
    " 적혀 있습니다",
    "loopback.wrong.trade_rises": "체결 {trade}이(가) 같은 심볼의 체결 {last} 뒤에 옵니다",
    "loopback.wrong.trade_sides": "체결 {trade}의 양쪽이 같은 가격, 같은 수량의 매수자 하나와 매도자 하나가 아닙니다",
    "loopback.wrong.algo_walk": "조건부 주문 {algo}이(가) {before}에서 {status}(으)로 바뀝니다",
    "loopback.wrong.algo_child": "주문 {child}은(는) 이 시점에 조건부 주문 {algo}의 자식이 아닙니다",
    "loopback.wrong.position_sums": "{account}의 포지션이 {found}랏인데 {expected}랏이어야 합니다",
    "loopback.wrong.cost_moves": "{account}의 원가가 {value} 거래에 {before}에서 {found}(으)로 바뀝니다(1e-8 USDT)",
    "loopback.wrong.wallet_adds": "{account}의 지갑이 {found}인데 {expected}이어야 합니다(1e-8 USDT)",
    "loopback.wrong.coin_adds": "{account}의 코인 지갑이 {found}인데 {expected}이어야 합니다",
    "loopback.wrong.funding_due": "{account}의 펀딩비가 {found}인데 {expected}이어야 합니다(1e-8 USDT)",
    "loopback.wrong.state_agrees": "{account}에 대해 체크포인트는 {found}, 기록은 {expected}라고 합니다",
    "loopback.wrong.equity_adds": "{account}의 마진 잔고 {found}이(가) 지갑과 마크 평가액의 합 {expected}와(과)"
    " 다릅니다(1e-8 USDT)",
    "loopback.wrong.margin_kept": "{account}이(가) 유지 증거금 이하({scope})인데 강제 청산이 없었습니다",
    "loopback.wrong.money_kept": "모두의 합이 {found}인데 {expected}이어야 합니다(1e-8 USDT)",
    "loopback.wrong.lots_kept": "계정과 보험기금의 랏이 상쇄되지 않습니다(심볼별 {found})",
    "loopback.wrong.depth_chain": "{symbol}: 갱신이 {found} 다음이라는데 직전은 {expected}입니다",
    "loopback.wrong.book_uncrossed": "{symbol}: 매수 호가 {bid}틱이 매도 호가 {ask}틱보다 낮지 않습니다",
    "loopback.wrong.book_is_orders": "{symbol}: {ticks}틱에 {found}랏이 보이는데 미체결 주문은 {expected}랏입니다",
    "loopback.report.records": "{path}: 기록 {records}건",
    "loopback.report.torn": "마지막 줄이 잘려 {bytes}바이트를 제외했습니다",
    "loopback.report.cut": "기록이 중간에 끊겼습니다. 종료 기록이 없습니다",
    "loopback.report.kind": "{kind} 기록 {count}건",
    "loopback.report.held": "{times}회 확인, 이상 없음: {name}",
    "loopback.report.failed": "{times}회 확인, 위반 있음: {name}",
    "loopback.report.idle": "확인할 일이 없었음: {name}",
    "loopback.report.violation": "{line}번 줄: {name}: {sentence}",
    "loopback.report.more": "그 밖의 위반 {count}건",
    "loopback.report.sound": "이 기록에 모순이 없습니다",
    "loopback.report.unsound": "이 기록은 참일 수 없습니다. 위반 {count}건",
    "loopback.status.title": "루프백 거래소",
    "loopback.status.mode.replay": "재생",
    "loopback.status.mode.synthetic": "합성",
    "loopback.status.time": "거래소 시각",
    "loopback.status.speed": "속도",
    "loopback.status.done": "{share} 진행",
    "loopback.status.orders_open": "미체결 주문",
    "loopback.status.history": "기록 건수",
    "loopback.status.no_history": "기록하지 않음",
    "loopback.status.symbols": "심볼",
    "loopback.status.accounts": "계정",
    "loopback.status.orders": "최근 주문",
    "loopback.status.trades": "최근 체결",
    "loopback.status.faults": "적용 중인 장애",
    "loopback.status.sockets": "소켓",
    "loopback.status.requests": "요청",
    "loopback.status.empty": "아직 없습니다.",
    "loopback.status.left_out": "{count}건은 표시하지 않았습니다.",
    "loopback.status.symbol": "심볼",
    "loopback.status.status": "상태",
    "loopback.status.bid": "매수 호가",
    "loopback.status.ask": "매도 호가",
    "loopback.status.last": "최근가",
    "loopback.status.mark": "마크 가격",
    "loopback.status.index": "지수 가격",
    "loopback.status.rate": "펀딩비율",
    "loopback.status.next_funding": "다음 펀딩까지",
    "loopback.status.update_id": "갱신 번호",
    "loopback.status.open_orders": "미체결 주문",
    "loopback.status.positions": "포지션",
    "loopback.status.account": "계정",
    "loopback.status.wallet": "지갑(USDT)",
    "loopback.status.equity": "자산(USDT)",
    "loopback.status.margin_ratio": "마진 비율",
    "loopback.status.listen_key_age": "리슨 키 나이",
    "loopback.status.at": "시각",
    "loopback.status.order": "주문",
    "loopback.status.trade": "체결",
    "loopback.status.side": "방향",
    "loopback.status.type": "유형",
    "loopback.status.price": "가격",
    "loopback.status.quantity": "수량",
    "loopback.status.filled": "체결량",
    "loopback.status.fault": "장애",
    "loopback.status.detail": "내용",
    "loopback.status.fired": "발생",
    "loopback.status.route": "경로",
    "loopback.status.streams": "스트림",
    "loopback.status.sent": "보낸 메시지",
    "loopback.status.buffered": "대기(바이트)",
    "loopback.status.endpoint": "엔드포인트",
    "loopback.status.count": "횟수",
    "loopback.status.errors": "오류",
    "loopback.status.weight": "최근 가중치",
    # 로컬 거래소: 장애.
    "loopback.fault_place": "{file}: {number}번째 fault",
    "loopback.fault_control": "제어 포트: fault",
    "loopback.fault_key": "{place}: {key} 키는 {deed}에 쓸 수 없습니다. 쓸 수 있는 키: {allowed}",
    "loopback.fault_value": "{place}: {key} = {found} 값은 허용되지 않습니다. 허용 값: {allowed}",
    "loopback.fault_missing": "{place}: {key} 값이 없습니다. 추가하십시오({allowed})",
    "loopback.fault_twice": "{place}: {name} 이름의 fault가 이미 있습니다. 다른 이름을 쓰십시오",
    "loopback.fault_text": "1~{most}자의 글",
    "loopback.fault_name": "영문자, 숫자, 점, 붙임표, 밑줄 1~64자",
    "loopback.fault_rows": "[하한, 상한, 유지증거금률, 레버리지] 1~16행, 0부터 빈틈없이",
    "loopback.faults_many": "{place}: fault가 이미 {most}개입니다. 먼저 하나를 지우십시오",
    "loopback.faults_syntax": "{file}: TOML 문법 오류입니다({detail}). 고치십시오",
    "loopback.faults_tables": "{file}: {found} 항목이 있습니다. [[fault]] 테이블만 적으십시오",
    # 로컬 거래소: 시장.
    "loopback.replay_empty": "재생할 녹화 파일이 없습니다. 하나 이상 지정하십시오",
    "loopback.replay_label": "{name}: 거래소에 없는 심볼입니다. 다음 중 하나를 쓰십시오: {known}",
    # The exchange on loopback: its commands.
    "help.exchange": "이 컴퓨터에서 자체 거래소를 실행하고, 그 거래소가 한 일을 검증합니다.",
    "help.exchange_serve": "Binance USDT-M 선물의 통신 규약을 127.0.0.1에서 멈출 때까지 제공합니다.",
    "help.exchange_check": "거래소가 스스로의 규칙을 지켰는지 이력으로 검증합니다.",
    "help.exchange_port": "127.0.0.1의 포트, 0은 빈 포트 (기본값 {default}).",
    "help.exchange_replay": "시장이 될 녹화 파일, 지금부터 녹화된 속도로 재생합니다.",
    "help.exchange_synthetic": "자체 생성 시장, 같은 시드는 같은 시장 (기본값 1).",
    "help.exchange_symbols": "심볼 (기본값: 녹화의 심볼, 또는 표의 처음 열 개).",
    "help.exchange_speed": "시장의 속도, max는 가장 느린 수신자만 기다립니다.",
    "help.exchange_accounts": "계정과 키의 TOML 파일 (기본값: 10000 USDT를 가진 demo 계정 하나).",
    "help.exchange_faults": "무엇이 언제 잘못되는지 적은 TOML 파일.",
    "help.exchange_history": "실제로 일어난 일을 기록합니다, `autotrader exchange check`용.",
    "help.exchange_for": "이만큼의 초 뒤에 닫습니다 (기본값: 멈출 때까지 실행).",
    "help.exchange_limits": "주소의 분당 가중치와 계정의 분당 주문 수 (기본값: 거래소와 같음).",
    "help.exchange_unrouted": "경로 없는 소켓이 듣는 것: 실거래처럼 공개 스트림만, 또는 데모처럼 모두.",
    "help.exchange_averages": "2026년 6월 이전처럼 주문 응답에 평균 가격을 넣습니다.",
    "help.exchange_tls": "이 폴더에 만드는 인증서로 https와 wss를 제공합니다.",
    "help.exchange_hold": "POST /_control/resume 까지 시장을 멈춰 둡니다.",
    "help.exchange_urls": "알려진 각 클라이언트가 이 거래소를 찾기 위한 설정을 출력합니다.",
    "help.exchange_history_file": "`exchange serve --history`가 쓴 파일.",
    "loopback.two_markets": "--replay와 --synthetic은 함께 쓸 수 없습니다. 시장을 하나만 고르십시오",
    "loopback.number": "{option}: {found}은(는) {least}에서 {most}까지의 정수가 아닙니다. 고치십시오",
    "loopback.speed": "--speed: {found}은(는) max도 {least}에서 {most}까지의 수도 아닙니다. 1x, 10 또는 max를 쓰십시오",
    "loopback.port": "127.0.0.1의 포트 {port}을(를) 열 수 없습니다 ({reason}). --port로 다른 포트를 고르십시오",
    "loopback.opened.replay": "거래소가 127.0.0.1:{port}에 열렸습니다. {symbols} 녹화가 시장입니다.",
    "loopback.opened.synthetic": "거래소가 127.0.0.1:{port}에 열렸습니다. {symbols} 시장은 자체 생성입니다.",
    "loopback.status_page": "상태 보기: {url}",
    "loopback.certificate": "클라이언트는 인증서 {path}을(를) 신뢰해야 합니다.",
    "loopback.stop_with": "Ctrl-C로 닫습니다.",
    "loopback.closed": "거래소가 닫혔습니다: 호출 {calls}건, 그중 거절 {refused}건.",
    "loopback.written": "이력: {path}, 기록 {records}건.",
    "loopback.accounts_unreadable": "{file}: 읽을 수 없습니다 ({reason}). 계정의 TOML 파일을 지정하십시오",
    "loopback.accounts_syntax": "{file}: 계정 파일이 아닙니다 ({reason}). "
    "각 [[account]]에는 name, api_key, api_secret이 있습니다",
    "loopback.accounts_count": "{file}: [[account]]가 없거나 {most}개를 넘습니다. 하나 이상 쓰십시오",
    "loopback.accounts_twice": "{file}: 계정의 {key}이(가) 비었거나 두 번 나옵니다. 각각 다르게 쓰십시오",
    "loopback.accounts_key": "{file}: 계정 {name}에 {key}이(가) 없습니다. 추가하십시오",
    "loopback.accounts_amount": '{file}: 계정 {name}: {key} = "{found}"은(는) 금액(0~1000000000)이 아닙니다. '
    "고치십시오",
    # 대조: 우리가 아는 것과 거래소가 말하는 것.
    "reconcile.hedge": "포지션 모드: 우리 기록 {ours}, 거래소 {theirs} (1은 헤지 모드)",
    "reconcile.multi_assets": "다중 자산 모드: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.margin": "{symbol} 마진 유형: 우리 기록 {ours}, 거래소 {theirs} (1은 격리)",
    "reconcile.leverage": "{symbol} 레버리지: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.status": "{symbol} 거래 상태: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.grid": "{symbol} 틱과 랏: 실행 단위 {ours}, 거래소 단위 {theirs}, 서로 맞지 않습니다",
    "reconcile.filters": "{symbol} 필터(단위, 랏, 명목): 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.bounds": "{symbol} 한도: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.brackets": "{symbol} 레버리지 구간이 다릅니다: 우리 기록 {ours}개, 거래소 {theirs}개",
    "reconcile.order_missing": "{symbol} 우리 기록이 {ours}인 주문이 거래소의 어느 목록에도 없습니다({theirs})",
    "reconcile.order_filled": "{symbol} 주문의 체결 랏: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.order_state": "{symbol} 우리 기록이 {ours}인 주문이 거래소에는 {theirs}로 있습니다",
    "reconcile.order_terms": "{symbol} 주문 조건(랏 @ 틱): 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.algo_terms": "{symbol} 조건부 주문 조건(랏 @ 틱): 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.order_foreign": "{symbol} 거래소에 다른 사람의 주문이 있습니다: {theirs} (우리 기록: {ours})",
    "reconcile.order_forgotten": "{symbol} 거래소에 기록이 없는 이전 실행의 주문이 있습니다: {theirs} ({ours})",
    "reconcile.order_dead": "{symbol} 우리 기록이 {ours}인 주문이 거래소에 살아 있습니다: {theirs}",
    "reconcile.elsewhere": "{symbol}: 실행 대상이 아닌 심볼인데 {theirs}을(를) 보유합니다(우리 기록: {ours})",
    "reconcile.position": "{symbol} 포지션: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.entry": "{symbol} 진입 가격: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.isolated": "{symbol} 격리 마진: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.wallet": "{symbol} 지갑: 우리 기록 {ours}, 거래소 {theirs}",
    "reconcile.asset": "{symbol}: 다루지 않는 증거금 자산인데 지갑에 {theirs}이(가) 있습니다(우리 기록: {ours})",
    "reconcile.repaired": "거래소의 값을 받아들였습니다",
    "reconcile.asked": "거래소에 다시 묻습니다. 확인될 때까지 아무것도 받아들이지 않습니다",
    "reconcile.revised": "종목 정보를 고칩니다",
    "reconcile.raised": "계정을 확인하십시오. 그때까지 새로 열지 않습니다",
}

LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": ENGLISH, "ko": KOREAN})

_current = "en"


def set_language(name: str) -> None:
    """Choose the language of everything said from now on.

    Parameters
    ----------
    name : str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    OperatorError
        Another name was given.
    """
    global _current
    _current = _known(name, "language")


def language() -> str:
    """Return the language that speaks now: ``"en"`` or ``"ko"``."""
    return _current


def detect(flag: str | None, configured: str, environment: Mapping[str, str]) -> str:
    """Find the language that an operator wants.

    Parameters
    ----------
    flag : str or None
        What ``--lang`` said; None if it was not given.
    configured : str
        What the configuration says; empty if it says nothing or is not read yet.
    environment : mapping
        The process environment: ``AUTOTRADER_LANG`` stands above the configuration, the
        locale (``LC_ALL``, else ``LC_MESSAGES``, else ``LANG``) below it.

    Returns
    -------
    str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    OperatorError
        The first of them that says something names another language.
    """
    if flag is not None:
        return _known(flag, "--lang")
    if environment.get("AUTOTRADER_LANG"):
        return _known(environment["AUTOTRADER_LANG"], "AUTOTRADER_LANG")
    if configured:
        return _known(configured, "run.language")
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "ko" if locale.startswith("ko") else "en"


def say(key: str, /, **fields: object) -> str:
    """Return the sentence of a key in the current language.

    Parameters
    ----------
    key : str
        A key of the catalogues.
    **fields : object
        The values of the sentence's placeholders.

    Returns
    -------
    str
        The sentence, without a newline of its own.

    Raises
    ------
    KeyError
        The catalogue has no such key, or a placeholder got no value: a fault of ours.
    """
    return say_in(_current, key, **fields)


def say_in(speech: str, key: str, /, **fields: object) -> str:
    """Return the sentence of a key in a given language: ``"en"`` or ``"ko"``; else as `say`."""
    return LANGUAGES[speech][key].format(**fields)


def _known(name: str, origin: str) -> str:
    if name not in LANGUAGES:
        raise OperatorError(say("language.unknown", origin=origin, found=name))
    return name

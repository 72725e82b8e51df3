import dataclasses
import hashlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from builders import spec
from hypothesis import given
from hypothesis import strategies as st
from test_quality import SETTINGS

from autotrader import config as configuration
from autotrader import errors
from autotrader.config import CEILINGS, as_dict, from_dict, load, sha256, template
from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH, set_language
from autotrader.research import replay
from autotrader.research.replay import Plan
from core_ext.quality import Quality, Verdict
from core_ext.types import Instruments

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


POLICY_FIELDS = [item for item in dataclasses.fields(configuration.Quality) if item.name.startswith("on_")]


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "run.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(OperatorError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def edited(key: str, value: str, strategy: str = "trend", mode: str = "backtest") -> tuple[str, int]:
    """The template with one value replaced, and the line on which it stands."""
    lines = template(strategy, SYMBOLS, "en", mode).split("\n")
    line = next(place for place, text in enumerate(lines) if text.startswith(f"{key} = "))
    lines[line] = f"{key} = {value}"
    return "\n".join(lines), line + 1


@pytest.mark.parametrize("strategy", ["trend", "quoter"])
@pytest.mark.parametrize("mode", list(CEILINGS))
@pytest.mark.parametrize("spoken", ["en", "ko"])
def test_what_init_writes_loads_and_is_what_an_empty_table_means(tmp_path, strategy, mode, spoken):
    config = load(written(tmp_path, template(strategy, SYMBOLS, spoken, mode)))
    bare = {"run": {"mode": mode, "symbols": SYMBOLS, "language": spoken}, "strategy": {"name": strategy}}
    assert config == from_dict({**bare, "sources": as_dict(config)["sources"]})
    assert config.run.symbols == ("BTCUSDT", "ETHUSDT")
    assert config.run.initial_equity_usdt == 7700.0


def test_the_template_explains_every_key_and_the_catalogue_explains_no_other():
    keys = set()
    for strategy in ("trend", "quoter"):
        tables = tomllib.loads(template(strategy, SYMBOLS, "en", "live"))
        parameters = tables["strategy"].pop(strategy)
        keys |= {f"field.{table}.{key}" for table in tables for key in tables[table]}
        keys |= {f"field.strategy.{strategy}.{key}" for key in parameters}
    assert keys == {key for key in ENGLISH if key.startswith("field.")}


def test_defaults_are_those_of_the_design():
    risk = from_dict(tomllib.loads(template("trend", SYMBOLS, "en"))).risk
    assert (risk.price_collar, risk.price_collar_exit, risk.max_order_notional_usdt) == (0.02, 0.05, 5000.0)
    assert (risk.max_symbol_share, risk.max_gross, risk.min_liquidation_distance) == (0.20, 3.0, 0.15)
    assert (risk.orders_per_second, risk.order_burst, risk.orders_per_minute) == (10, 20, 300)
    assert (risk.max_drawdown, risk.daily_loss, risk.kelly_fraction, risk.daily_var) == (0.12, 0.03, 0.25, 0.02)


def test_the_defaults_of_data_quality_are_those_of_the_design():
    quality = from_dict(tomllib.loads(template("trend", SYMBOLS, "en"))).quality
    assert (quality.outlier_score, quality.spike, quality.wide_spread, quality.one_sided) == (5.0, 0.10, 0.05, 0.9)
    assert (quality.volume_spike, quality.volume_drop) == (100.0, 0.01)


def test_every_verdict_of_the_core_has_a_policy_that_the_core_knows():
    quality = from_dict(tomllib.loads(template("quoter", SYMBOLS, "en"))).quality
    assert list(quality.policies) == [verdict.name for verdict in Verdict]
    for name, policy in ((item.name, choice) for item in POLICY_FIELDS for choice in get_args(item.type)):
        Quality(Instruments([spec()]), SETTINGS, dataclasses.replace(quality, **{name: policy}).policies)


@pytest.mark.parametrize("key", ["on_stale", "on_volume_drop", "on_wide_spread"])
def test_what_is_no_price_cannot_be_discarded(tmp_path, key):
    text, line = edited(key, '"discard"')
    path = written(tmp_path, text)
    assert refusal(path).startswith(f'{path}:{line}: quality.{key}: "discard" is not allowed; use: one of')


def test_a_default_above_the_ceiling_of_the_mode_becomes_the_ceiling():
    paper = from_dict(tomllib.loads(template("quoter", SYMBOLS, "en", "paper")))
    assert (paper.run.leverage, paper.risk.max_gross, paper.risk.daily_var) == (2, 2.0, 0.05)
    assert paper.risk.max_drawdown == 0.12
    assert type(paper.risk.max_gross) is float and type(paper.run.leverage) is int


@pytest.mark.parametrize(
    ("mode", "leverage", "var", "drawdown", "profile"),
    [
        ("paper", 2, 0.05, 0.20, "production"),
        ("testnet", 3, 0.03, 0.15, "demo"),
        ("live", 10, 0.02, 0.12, "production"),
    ],
)
def test_a_mode_that_reaches_an_exchange_has_the_ceilings_and_the_first_stage_of_the_design(
    mode, leverage, var, drawdown, profile
):
    ceilings = CEILINGS[mode]
    assert (ceilings["run.leverage"], ceilings["risk.daily_var"]) == (leverage, var)
    assert ceilings["risk.max_drawdown"] == drawdown
    live = from_dict(tomllib.loads(template("quoter", SYMBOLS, "en", mode))).live
    assert live == configuration.Live(profile=profile, size_multiplier={"live": 0.1}.get(mode, 1.0))
    assert (live.keys, live.rehearsal, live.hot, live.hot_core) == ("environment", False, False, -1)


def reaching(tmp_path, mode, **live):
    text = template("quoter", SYMBOLS, "en", mode).partition("\n[live]")[0]
    lines = [f"{key} = {json.dumps(value)}" for key, value in live.items()]
    return written(tmp_path, "\n".join([text, "[live]", *lines]))


@pytest.mark.parametrize("profile", ["production", "demo", "testnet", "loopback"])
@pytest.mark.parametrize(
    ("mode", "allowed"),
    [
        ("paper", {"production", "demo", "testnet", "loopback"}),
        ("testnet", {"demo", "testnet", "loopback"}),
        ("live", {"production"}),
    ],
)
def test_a_mode_reaches_the_exchanges_that_are_its_own_and_no_other(tmp_path, mode, profile, allowed):
    path = reaching(tmp_path, mode, profile=profile, port=4567)
    if profile in allowed:
        assert load(path).live.profile == profile
    else:
        key = "rehearsal" if profile == "loopback" else "profile"
        assert f"live.{key}: mode {mode}" in refusal(path)


def test_live_is_rehearsed_on_loopback_and_nowhere_else(tmp_path):
    assert load(reaching(tmp_path, "live", profile="loopback", port=4567, rehearsal=True)).live.rehearsal
    assert "live.rehearsal: mode live" in refusal(reaching(tmp_path, "live", rehearsal=True))


@pytest.mark.parametrize(
    ("mode", "values", "wrong"),
    [
        ("testnet", {"profile": "loopback"}, "live.port: is needed"),
        ("live", {"keys": "file"}, 'live.key_file: is needed by keys = "file"'),
        ("live", {"keys": "age", "identity_file": "me.txt"}, 'live.key_file: is needed by keys = "age"'),
        ("live", {"rehearsal": "yes"}, 'live.rehearsal: "yes" is not allowed; use: true or false'),
        ("live", {"rehearsal": 1}, "live.rehearsal: 1 is not allowed; use: true or false"),
        ("live", {"state_dir": ""}, 'live.state_dir: "" is not allowed'),
        ("paper", {"hot": 1}, "live.hot: 1 is not allowed; use: true or false"),
        ("paper", {"hot_core": -2}, "live.hot_core: -2 is not allowed"),
        ("live", {"size_multiplier": 0}, "live.size_multiplier: 0 is not allowed; use: number, 0.001 to 1"),
        ("live", {"size_multiplier": 1.01}, "live.size_multiplier: 1.01 is not allowed"),
        ("live", {"key_file": 3}, 'live.key_file: 3 is not allowed; use: a path in quotes, or ""'),
        ("live", {"port": 65_536}, "live.port: 65536 is not allowed"),
        ("live", {"api_secret": "x"}, "live.api_secret: unknown key"),
    ],
)
def test_what_is_wrong_about_an_exchange_is_refused_by_name(tmp_path, mode, values, wrong):
    assert wrong in refusal(reaching(tmp_path, mode, **values))


def test_a_backtest_reaches_no_exchange(tmp_path):
    assert load(written(tmp_path, template("trend", SYMBOLS, "en"))).live is None
    path = written(tmp_path, template("trend", SYMBOLS, "en") + "\n[live]\n")
    assert "live: mode backtest reaches no exchange; delete the table" in refusal(path)


@pytest.mark.parametrize("mode", ["testnet", "live"])
def test_at_an_exchange_only_what_is_margined_in_usdt_is_traded(tmp_path, mode):
    path = written(tmp_path, template("trend", SYMBOLS, "en", mode).replace('"ETHUSDT"', '"ETHBTC"'))
    assert f"run.symbols: ETHBTC is no perpetual margined in USDT, and mode {mode}" in refusal(path)


def test_clusters_name_symbols_of_the_run_once(tmp_path):
    def with_clusters(text):
        return written(tmp_path, edited("clusters", text)[0])

    assert load(with_clusters('["BTCUSDT ETHUSDT"]')).risk.clusters == ("BTCUSDT ETHUSDT",)
    for wrong in ('["BTCUSDT DOGEUSDT"]', '["BTCUSDT ETHUSDT", "ETHUSDT BNBUSDT"]', '["BTCUSDT"]'):
        assert "risk.clusters" in refusal(with_clusters(wrong))


@pytest.mark.parametrize("mode", list(CEILINGS))
@pytest.mark.parametrize("key", list(CEILINGS["backtest"]))
def test_at_the_ceiling_of_the_mode_is_allowed_and_beyond_it_is_refused_by_name(tmp_path, mode, key):
    name, ceiling = key.split(".")[1], CEILINGS[mode][key]
    text = edited(name, repr(ceiling), mode=mode)[0].replace("max_symbol_leverage = 5", "max_symbol_leverage = 10")
    load(written(tmp_path, text))
    beyond = ceiling + 1 if isinstance(ceiling, int) else ceiling + 0.0001
    text, line = edited(name, repr(beyond), mode=mode)
    path = written(tmp_path, text)
    assert re.match(rf"{path}:{line}: {key}: .*{ceiling:g} in mode {mode}$", refusal(path))


@pytest.mark.parametrize(
    ("key", "value", "strategy", "place", "wrong"),
    [
        ("leverage", "100", "trend", "run.leverage", "100 is not allowed; use: whole number, 1 to 10 in mode backtest"),
        ("leverage", "0", "trend", "run.leverage", "0 is not allowed; use: whole number, 1 to 10"),
        ("leverage", "3.0", "trend", "run.leverage", "3.0 is not allowed; use: whole number"),
        ("leverage", "true", "trend", "run.leverage", "true is not allowed"),
        ("leverage", '"3"', "trend", "run.leverage", '"3" is not allowed'),
        ("leverage", "0x" + "f" * 6000, "trend", "run.leverage", "0xffff"),
        ("seed", "-1", "trend", "run.seed", "-1 is not allowed"),
        ("initial_equity_usdt", "nan", "trend", "run.initial_equity_usdt", "nan is not allowed"),
        ("initial_equity_usdt", "inf", "trend", "run.initial_equity_usdt", "inf is not allowed"),
        ("initial_equity_usdt", "1e999", "trend", "run.initial_equity_usdt", "inf is not allowed"),
        ("initial_equity_usdt", "9" * 400, "trend", "run.initial_equity_usdt", "is not allowed; use: number, 1 to"),
        ("initial_equity_usdt", "1979-05-27", "trend", "run.initial_equity_usdt", "1979-05-27 is not allowed"),
        (
            "mode",
            '"demo"',
            "trend",
            "run.mode",
            '"demo" is not allowed; use: one of "backtest", "paper", "testnet", "live"',
        ),
        ("symbols", "[]", "trend", "run.symbols", "[] is not allowed; use: 1 to 25"),
        ("symbols", '["btcusdt"]', "trend", "run.symbols", '"btcusdt" is not allowed'),
        ("symbols", '["BTCUSDT\\n"]', "trend", "run.symbols", "is not allowed"),
        (
            "symbols",
            '["BTCUSDT", "BTCUSDT"]',
            "trend",
            "run.symbols",
            '"BTCUSDT" is not allowed; use: 1 to 25 different',
        ),
        ("symbols", '"BTCUSDT"', "trend", "run.symbols", '"BTCUSDT" is not allowed'),
        ("symbols", str([f"S{n}" for n in range(26)]), "trend", "run.symbols", "is not allowed"),
        ("paths", '[""]', "trend", "data.paths", '"" is not allowed'),
        ("instruments", "''", "trend", "sources.instruments", '"" is not allowed'),
        ("interval", '"7m"', "trend", "data.interval", '"7m" is not allowed; use: one of "1m", "3m"'),
        ("fee_tier", '"VIP10"', "trend", "venue.fee_tier", '"VIP10" is not allowed'),
        ("lookbacks_hours", "[72, 24]", "trend", "strategy.trend.lookbacks_hours", "24 is not allowed"),
        ("lookbacks_hours", "[24.0]", "trend", "strategy.trend.lookbacks_hours", "24.0 is not allowed"),
        ("lookbacks_hours", "[true]", "trend", "strategy.trend.lookbacks_hours", "true is not allowed"),
        (
            "kelly_fraction",
            "0.2501",
            "trend",
            "risk.kelly_fraction",
            "0.2501 is not allowed; use: number, 0.01 to 0.25",
        ),
        ("book", '"l2"', "trend", "sources.book", 'strategy trend cannot trade on "l2"; use "candle"'),
        ("book", '"candle"', "quoter", "sources.book", 'strategy quoter cannot trade on "candle"; use "l2"'),
        ("price_collar_exit", "0.01", "trend", "risk.price_collar_exit", "narrower than price_collar"),
        ("inventory_budget_usdt", "100", "quoter", "strategy.quoter.inventory_budget_usdt", "use 120.0 or more"),
        ("interval", '"1d"\n[x', "trend", "", "is not valid TOML"),
    ],
)
def test_a_wrong_value_is_refused_with_file_line_key_reason_and_remedy(tmp_path, key, value, strategy, place, wrong):
    text, line = edited(key, value, strategy)
    path = written(tmp_path, text)
    said = refusal(path)
    line += value.count("\n")
    assert said.startswith(f"{path}:{line}: {place}")
    assert wrong in said
    assert len(said) < len(str(path)) + 300


def test_lookbacks_must_be_whole_candles(tmp_path):
    text, line = edited("lookbacks_hours", "[24, 30]")
    path = written(tmp_path, text.replace('interval = "1h"', 'interval = "12h"'))
    assert refusal(path).startswith(f"{path}:{line}: strategy.trend.lookbacks_hours: 30 h is not a whole number of 12h")


@pytest.mark.parametrize(
    ("old", "new", "place", "nearest"),
    [
        ("leverage = 3", "levrage = 3", "run.levrage", "did you mean run.leverage?"),
        ("max_gross = 3.0", "leverage = 3", "risk.leverage", "did you mean run.leverage?"),
        ("[venue]", "[vennue]", "vennue", "did you mean venue?"),
        (
            "target_volatility",
            "target_vol",
            "strategy.trend.target_vol",
            "did you mean strategy.trend.target_volatility?",
        ),
        ("[strategy.trend]", "[strategy.trendy]", "strategy.trendy", "did you mean strategy.trend?"),
        ("seed = 1", "xyzzy = 1", "run.xyzzy", "delete it"),
        ("# What is run.", "price_collar = 0.02", "price_collar", "did you mean risk.price_collar?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path, old, new, place, nearest):
    text = template("trend", SYMBOLS, "en")
    assert old in text
    line = text[: text.index(old)].count("\n") + 1
    path = written(tmp_path, text.replace(old, new, 1))
    assert refusal(path).startswith(f"{path}:{line}: {place}: unknown key; {nearest}")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('run = {mode = "paper",\n', ":1: is not valid TOML"),
        ('run.mode = "paper"\nrun.symbols = [\n  "BTCUSDT",\n  "eth",\n]\n', ':2: run.symbols: "eth"'),
        ('run = {mode = "paper", symbols = ["A"]}\n', ":1: run.symbols: "),
        ('["run"]\n"mode" = "paper"\r\n\n\'symbols\' = 3', ":4: run.symbols: 3"),
        ('[run]\nmode = "paper"\n', ":1: run.symbols: is missing; add it (1 to 25"),
        ('[run]\nmode = "paper"\nsymbols = ["AB"]\n', ": sources.book: is missing; add it (one of"),
        ("[risk]\n", ": run.mode: is missing; add it"),
        ("[[run]]\n", ":1: run: [{...}] is not a table; write [run]"),
        ('x = """\n[run]\nmode = "fake"\n"""\n[run]\nmode = 1', ":1: x: unknown key"),
    ],
)
def test_the_line_is_right_however_the_toml_is_laid_out(tmp_path, text, start):
    path = written(tmp_path, text)
    assert refusal(path).startswith(f"{path}{start}")


def test_the_table_of_another_strategy_is_refused(tmp_path):
    path = written(tmp_path, template("trend", SYMBOLS, "en") + "\n[strategy.quoter]\njoin_ticks = 1\n")
    assert (
        'strategy.quoter: is not the table of the strategy that runs; delete it, or change name = "trend"'
        in refusal(path)
    )


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (b"", ": is empty; write a configuration with `autotrader init`"),
        (b"\n \n", ": is empty;"),
        (b"\xef\xbb\xbf", ": is empty;"),
        (b'[run]\nmode = "\xff"', ":2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"[run]\nmode = \n", ":2: is not valid TOML ("),
        (b'[run]\nmode = "a', ":2: is not valid TOML ("),
        (b'[run]\nmode = "\x00"', ":2: is not valid TOML ("),
        (b"[run]\nmode = 1\nmode = 2", ":3: is not valid TOML ("),
        (b"[run]\nseed = " + b"9" * 5000, ": is not valid TOML ("),
        (b"PK\x03\x04\x14\x00\x00", ":1: is not valid TOML ("),
        (b"x = " + b"[" * 20_000, ": is not valid TOML ("),
        (b"# no end\n" * 10_000, ": is larger than 64 KiB and so is no configuration"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(tmp_path, raw, wrong):
    path = written(tmp_path, raw)
    assert refusal(path).startswith(f"{path}{wrong}")


def test_a_missing_file_a_folder_and_an_impossible_name_are_refused(tmp_path):
    missing = tmp_path / "none.toml"
    assert refusal(missing) == f"{missing}: no such file; check the path, or write one with `autotrader init`"
    assert refusal(tmp_path).startswith(f"{tmp_path}: cannot be read (")
    with pytest.raises(OperatorError, match="cannot be read"):
        load(Path("a\0b"))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
def test_a_file_without_end_is_refused_and_not_read_whole():
    assert "larger than 64 KiB" in refusal(Path("/dev/zero"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = written(tmp_path, "x = 1")
    path.chmod(0)
    assert "cannot be read" in refusal(path)


def test_a_byte_order_mark_is_accepted(tmp_path):
    text = template("trend", SYMBOLS, "en")
    assert load(written(tmp_path, b"\xef\xbb\xbf" + text.encode())) == load(written(tmp_path, text))


def test_a_foreign_toml_with_a_long_statement_is_refused_without_a_line(tmp_path):
    path = written(tmp_path, "[metadata]\nfiles = [\n" + '  "x",\n' * 3000 + "]\n[run]\nmode = 1\n")
    assert refusal(path).startswith(f"{path}: metadata: unknown key")


def test_errors_are_korean_when_korean_is_spoken(tmp_path):
    set_language("ko")
    text, line = edited("leverage", "100")
    path = written(tmp_path, text)
    assert (
        refusal(path)
        == f"{path}:{line}: run.leverage: 100: 허용되지 않는 값입니다. 허용 값: 정수, backtest 모드에서 1~10"
    )


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("momentum", SYMBOLS, "en"), 'init: strategy.name: "momentum" is not allowed'),
        (("trend", ["btc"], "en"), 'init: run.symbols: "btc" is not allowed'),
        (("trend", [], "en"), "init: run.symbols: [] is not allowed"),
        (("trend", SYMBOLS, "fr"), 'init: run.language: "fr" is not allowed'),
        (("trend", SYMBOLS, "en", "demo"), 'init: run.mode: "demo" is not allowed'),
    ],
)
def test_a_template_of_something_unknown_is_refused(arguments, wrong):
    with pytest.raises(OperatorError) as caught:
        template(*arguments)
    assert str(caught.value).startswith(wrong)


@pytest.mark.parametrize("strategy", ["trend", "quoter"])
@pytest.mark.parametrize("mode", list(CEILINGS))
def test_a_configuration_survives_json(strategy, mode):
    config = from_dict(tomllib.loads(template(strategy, SYMBOLS, "en", mode)))
    tables = as_dict(config)
    assert json.loads(json.dumps(tables)) == tables
    assert list(tables["strategy"]) == ["name", strategy]
    assert from_dict(tables) == config


def test_the_hash_is_that_of_canonical_json_and_ignores_folder_order_and_comments(tmp_path):
    text = template("trend", SYMBOLS, "en")
    config = load(written(tmp_path, text))
    canonical = json.dumps(as_dict(config), sort_keys=True, separators=(",", ":"))
    assert sha256(config) == hashlib.sha256(canonical.encode("ascii")).hexdigest()
    bare = "\n".join(reversed([block for block in re.sub("(?m)^#.*\n", "", text).split("\n\n") if block.strip()]))
    (tmp_path / "elsewhere").mkdir()
    assert sha256(load(written(tmp_path / "elsewhere", bare))) == sha256(config)


def test_every_value_counts_in_the_hash():
    tables = tomllib.loads(template("trend", SYMBOLS, "en"))
    before = sha256(from_dict(tables))
    tables["venue"]["bar_delay_ms"] += 1
    assert sha256(from_dict(tables)) != before


def test_relative_paths_start_at_the_configuration(tmp_path):
    config = load(written(tmp_path, edited("paths", '["data/a.parquet", "/abs/b.gz"]')[0]))
    assert [config.resolve(name) for name in config.data.paths] == [tmp_path / "data/a.parquet", Path("/abs/b.gz")]


def test_the_candle_interval_is_known_in_nanoseconds():
    tables = tomllib.loads(template("trend", SYMBOLS, "en"))
    assert from_dict(tables).data.interval_ns == 3_600_000_000_000
    tables["data"]["interval"] = "1d"
    assert from_dict(tables).data.interval_ns == 86_400_000_000_000


def test_a_loaded_configuration_cannot_be_changed():
    config = from_dict(tomllib.loads(template("trend", SYMBOLS, "en")))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.run.leverage = 100
    with pytest.raises(TypeError):
        CEILINGS["backtest"] = {}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["run", "sources", "data", "strategy", "risk", "quality", "venue"]),
    st.text(max_size=10),
    st.data(),
    VALUES,
)
def test_any_value_under_any_key_is_accepted_or_refused_in_one_line(section, stray, data, value):
    tables = tomllib.loads(template("trend", SYMBOLS, "en"))
    key = data.draw(st.sampled_from([*tables[section], stray]))
    tables[section][key] = value
    try:
        config = from_dict(tables)
    except OperatorError as refused:
        assert f"{section}.{key}" in str(refused) or "sources.book" in str(refused)
    else:
        assert from_dict(as_dict(config)) == config


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_by_an_operator_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("noise") / "noise.toml"
    path.write_bytes(raw)
    with pytest.raises(OperatorError):
        load(path)


def test_errors_name_the_guilty_and_keep_the_code_of_the_venue():
    refused = errors.VenueError("margin is insufficient", -2019)
    assert (str(refused), refused.code) == ("margin is insufficient (-2019)", -2019)
    assert (str(errors.VenueError("went silent")), errors.VenueError("went silent").code) == ("went silent", None)
    for kind in (OperatorError, errors.VenueError, errors.StateError):
        assert issubclass(kind, errors.AutotraderError) and kind.__doc__.startswith("Blame ")


def test_the_way_to_an_exchange_decides_no_run():
    def fingerprint(**live):
        tables = tomllib.loads(template("quoter", SYMBOLS, "en", "paper"))
        tables["live"] |= live
        return Plan(from_dict(tables), tables, [], [], [], {}).fingerprint()

    assert fingerprint() == fingerprint(profile="loopback", port=4567, state_dir="elsewhere")


def test_the_share_of_every_size_decides_a_run_and_scales_what_is_asked_for(monkeypatch):
    def plan(share, name="quoter"):
        tables = tomllib.loads(template(name, SYMBOLS, "en", "live"))
        tables["live"]["size_multiplier"] = share
        return Plan(from_dict(tables), tables, [], [], [], {})

    assert len({plan(share).fingerprint() for share in (0.1, 0.5, 1.0)}) == 3
    assert replay.strategy(plan(0.3, "trend").config).parameters.share == 0.3
    monkeypatch.setattr(replay, "Quoter", lambda **given: (given["order_e8"], given["budget_e8"]))
    assert replay.strategy(plan(1.0).config) == (120 * 10**8, 600 * 10**8)
    assert replay.strategy(plan(0.1).config) == (12 * 10**8, 60 * 10**8)


def test_a_position_is_protected_at_the_venue_where_orders_leave_or_rehearse_that():
    stops = {
        mode: from_dict(tomllib.loads(template("quoter", SYMBOLS, "en", mode))).risk.protective_stop
        for mode in ("backtest", "paper", "testnet", "live")
    }
    assert stops == {"backtest": 0.0, "paper": 0.05, "testnet": 0.05, "live": 0.05}

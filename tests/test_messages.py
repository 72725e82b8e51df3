import re
from pathlib import Path
from string import Formatter

import pytest

from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH, KOREAN, detect, language, say, say_in, set_language


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def test_both_catalogues_have_the_same_keys_in_the_same_order():
    assert list(ENGLISH) == list(KOREAN)


@pytest.mark.parametrize("key", ENGLISH)
def test_a_sentence_has_the_same_placeholders_in_both_languages(key):
    assert placeholders(ENGLISH[key]) == placeholders(KOREAN[key])
    assert "" not in placeholders(ENGLISH[key])


@pytest.mark.parametrize("key", ENGLISH)
def test_a_sentence_with_words_in_english_is_written_in_hangul_in_korean(key):
    words = re.sub(r"\{.*?\}", "", ENGLISH[key])
    assert not re.search("[A-Za-z]", words) or re.search("[가-힣]", KOREAN[key])


def test_every_sentence_is_one_line_without_space_around_it():
    for sentence in (*ENGLISH.values(), *KOREAN.values()):
        assert sentence == sentence.strip() and "\n" not in sentence and sentence


def test_every_key_that_the_package_says_is_in_the_catalogue(root: Path):
    said = re.compile(r"""(?<![.\w])say(?:_in)?\(\s*(?:\w+,\s*)?"([^"]+)\"""")
    sources = [file.read_text("utf-8") for file in (root / "autotrader").rglob("*.py")]
    speakers = [source for source in sources if "from autotrader.messages import" in source]
    found = {key for source in speakers for key in said.findall(source)}
    assert {"config.unknown_key", "cli.no_command"} <= found
    assert found <= set(ENGLISH)


def test_say_speaks_the_language_that_was_set():
    set_language("ko")
    assert language() == "ko"
    assert say("result.return") == "수익률" == say_in("ko", "result.return")
    set_language("en")
    assert say("result.return") == "return"


def test_a_key_or_placeholder_that_does_not_exist_is_a_fault_of_ours():
    with pytest.raises(KeyError):
        say("no.such.key")
    with pytest.raises(KeyError):
        say("result.wrote")


def test_another_language_is_refused_and_the_current_one_stays():
    set_language("ko")
    with pytest.raises(OperatorError, match=r'"fr".*en.*ko'):
        set_language("fr")
    assert language() == "ko"


@pytest.mark.parametrize(
    ("flag", "configured", "environment", "spoken"),
    [
        ("en", "ko", {"AUTOTRADER_LANG": "ko", "LANG": "ko_KR.UTF-8"}, "en"),
        (None, "en", {"AUTOTRADER_LANG": "ko", "LANG": "C"}, "ko"),
        (None, "ko", {"AUTOTRADER_LANG": "", "LANG": "C"}, "ko"),
        (None, "en", {"LANG": "ko_KR.UTF-8"}, "en"),
        (None, "", {"LANG": "ko_KR.UTF-8"}, "ko"),
        (None, "", {"LC_ALL": "ko_KR.UTF-8", "LANG": "en_US.UTF-8"}, "ko"),
        (None, "", {"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        (None, "", {"LC_ALL": "", "LC_MESSAGES": "ko", "LANG": "C"}, "ko"),
        (None, "", {}, "en"),
    ],
)
def test_flag_then_environment_then_configuration_then_locale(flag, configured, environment, spoken):
    assert detect(flag, configured, environment) == spoken


@pytest.mark.parametrize(
    ("flag", "configured", "environment", "origin"),
    [
        ("", "", {}, "--lang"),
        (None, "", {"AUTOTRADER_LANG": "KO"}, "AUTOTRADER_LANG"),
        (None, "jp", {}, "run.language"),
    ],
)
def test_an_unknown_language_is_refused_with_the_place_that_named_it(flag, configured, environment, origin):
    with pytest.raises(OperatorError, match=f"^{origin}: "):
        detect(flag, configured, environment)

"""The audit: a journal that is what the run wrote passes; one that was changed anywhere does not, its row named."""

import hashlib
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders import RECORDING, configuration, row

from autotrader.adapters.storage.anchors import Anchor, Anchors, audit, copies, copy_name, read_anchors
from autotrader.cli import main
from autotrader.errors import OperatorError
from autotrader.messages import ENGLISH
from core_ext.journal import HEADER, JournalWriter
from core_ext.types import Kind

FINGERPRINT = hashlib.sha256(b"plan").hexdigest()
BLOCKS = (3, 2, 4)  # rows of each block: the first begins with RUN, the last ends with SEAL
ROW = 64
AT = "2026-01-02T03:04:05.000006+00:00"


class Small:
    """A journal of three small blocks, anchored after the first and at its end, with a copy in a second place."""

    def __init__(self, place: Path):
        self.journal, self.anchors = place / "run/j.seg", place / "run/anchors.jsonl"
        self.second = place / "second" / copy_name(FINGERPRINT, AT)
        ticks = iter(range(100))
        anchors = Anchors(self.anchors, self.second, now=lambda: f"2026-01-02T03:04:{next(ticks):02}.000000+00:00")
        writer = JournalWriter(str(self.journal), anchors)
        run = np.frombuffer(bytes.fromhex(FINGERPRINT), "<i8").tolist()
        rows = [row(Kind.RUN, **dict(zip("abcd", run, strict=True)))]
        rows += [row(Kind.TIMER, at, a=at) for at in range(1, sum(BLOCKS) - 1)] + [row(Kind.SEAL, 99)]
        first = 0
        for at, count in enumerate(BLOCKS):
            writer.add(np.concatenate(rows[first : first + count]))
            writer.flush()
            first += count
            if at == 0:
                writer.tell_anchor()
        writer.close()

    def audit(self, complete: bool = True, second: bool = False):
        seconds = copies(self.second.parent, FINGERPRINT) if second else None
        return audit(self.journal, self.anchors, FINGERPRINT, complete, seconds)


@pytest.fixture
def small(tmp_path) -> Small:
    return Small(tmp_path)


def ends() -> list[int]:
    return np.cumsum([HEADER.size + ROW * count for count in BLOCKS]).tolist()


def first_row(byte: int) -> int:
    """Return the first row of the block that a byte of the journal is in."""
    block = sum(byte >= end for end in ends())
    return sum(BLOCKS[:block])


def chained(bodies: list[bytes]) -> bytes:
    """Return a journal that checks by itself, of these blocks of rows."""
    out, chain, first = b"", bytes(32), 0
    for body in bodies:
        chain = hashlib.sha256(chain + body).digest()
        fields = (0x314A5441, len(body) // ROW, first, zlib.crc32(body), chain)
        out += HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0))) + body
        first += len(body) // ROW
    return out


def bodies(small: Small) -> list[bytes]:
    text, found, start = small.journal.read_bytes(), [], 0
    for end in ends():
        found.append(text[start + HEADER.size : end])
        start = end
    return found


# --- what the run wrote


def test_a_journal_that_was_not_touched_passes(small):
    found = small.audit(second=True)
    assert found.holds and (found.rows, found.blocks, found.torn) == (sum(BLOCKS), len(BLOCKS), 0)
    assert (found.anchors, found.anchored) == (3, sum(BLOCKS))
    assert found.chain == read_anchors(small.anchors)[-1].chain.hex()


def test_the_blocks_that_the_tests_make_are_the_writers(small):
    assert chained(bodies(small)) == small.journal.read_bytes()


def test_the_first_anchor_says_when_the_run_began_and_the_last_vouches_for_every_row(small):
    first, *_, last = read_anchors(small.anchors)
    assert first == Anchor(0, bytes(32), "2026-01-02T03:04:00.000000+00:00") and last.rows == sum(BLOCKS)
    assert small.second.read_bytes() == small.anchors.read_bytes()


def test_a_second_place_that_is_away_is_counted_and_ends_nothing(tmp_path):
    anchors = Anchors(tmp_path / "a", tmp_path / "second/a")
    shutil.rmtree(tmp_path / "second")
    anchors(5, bytes(32))
    assert anchors.missed == 1 and read_anchors(tmp_path / "a")[-1].rows == 5


def test_anchors_are_never_written_over(tmp_path):
    Anchors(tmp_path / "a")
    with pytest.raises(OperatorError, match="cannot be written"):
        Anchors(tmp_path / "a")


# --- every byte, every end, every order


def test_a_flipped_bit_anywhere_is_found_and_the_first_bad_row_named(small):
    whole = small.journal.read_bytes()
    for byte in range(len(whole)):
        for bit in (0, 7):
            changed = bytearray(whole)
            changed[byte] ^= 1 << bit
            small.journal.write_bytes(changed)
            finding = small.audit().finding
            assert finding is not None and finding.row == first_row(byte), (byte, bit)


def test_a_journal_cut_anywhere_is_found(small):
    whole = small.journal.read_bytes()
    for length in range(len(whole)):
        small.journal.write_bytes(whole[:length])
        for complete in (True, False):
            finding = small.audit(complete).finding
            assert finding is not None and finding.row == first_row(length), (length, complete)


def test_bytes_behind_the_end_are_found(small):
    whole = small.journal.read_bytes()
    for more in (b"\0", b"x" * 63, whole[: ends()[0]]):
        small.journal.write_bytes(whole + more)
        assert small.audit().finding.row == sum(BLOCKS)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 0, 1), (0, 2), (1, 2)])
def test_blocks_that_changed_places_came_twice_or_are_gone_are_found(small, order):
    whole, starts = small.journal.read_bytes(), [0, *ends()]
    small.journal.write_bytes(b"".join(whole[starts[at] : starts[at + 1]] for at in order))
    wrong = next(place for place, at in enumerate(order) if place != at)
    assert small.audit().finding.row == sum(BLOCKS[:wrong])


# --- whoever makes the chain anew


@pytest.mark.parametrize(("block", "vouched"), [(0, 0), (1, BLOCKS[0]), (2, BLOCKS[0])])
def test_a_changed_row_under_a_new_chain_is_told_from_the_anchors(small, block, vouched):
    parts = bodies(small)
    parts[block] = parts[block][: ROW - 1] + b"\x01" + parts[block][ROW:]
    small.journal.write_bytes(chained(parts))
    finding = small.audit().finding
    assert (finding.what, finding.row) == ("forged", vouched)


def test_rows_taken_out_under_a_new_chain_are_told_from_the_anchors(small):
    one, two, three = bodies(small)
    small.journal.write_bytes(chained([one, two[ROW:], three]))
    assert small.audit().finding.what in ("forged", "truncated")
    assert small.audit().finding.row >= BLOCKS[0]
    small.journal.write_bytes(chained([one, two + three]))  # the same rows in other blocks
    assert not small.audit().holds


def test_a_tail_cut_from_journal_and_anchors_alike_is_told_from_the_second_place(small):
    small.journal.write_bytes(small.journal.read_bytes()[: ends()[0]])
    kept = small.anchors.read_bytes().splitlines(keepends=True)[:2]
    small.anchors.write_bytes(b"".join(kept))
    assert small.audit(complete=False).holds  # a run that broke off looks like this
    finding = small.audit(complete=False, second=True).finding
    assert finding.what == "copy" and f"{sum(BLOCKS)} rows" in finding.detail


def test_a_second_place_without_a_copy_vouches_for_nothing(small):
    small.second.unlink()
    assert small.audit(second=True).finding.what == "copy"


def test_a_copy_that_missed_anchors_still_agrees(small):
    lines = small.second.read_bytes().splitlines(keepends=True)
    small.second.write_bytes(lines[0] + lines[2])
    assert small.audit(second=True).holds


def test_rows_that_follow_the_seal_or_the_last_anchor_are_found(small):
    small.journal.write_bytes(chained([*bodies(small), row(Kind.TIMER, 100).tobytes()]))
    assert (small.audit().finding.what, small.audit().finding.row) == ("after_seal", sum(BLOCKS))
    one, two, three = bodies(small)
    small.journal.write_bytes(chained([one, two, three]))
    lines = small.anchors.read_bytes().splitlines(keepends=True)
    small.anchors.write_bytes(lines[0] + lines[1])
    assert (small.audit().finding.what, small.audit().finding.row) == ("after_anchor", BLOCKS[0])


def test_the_journal_of_another_run_is_found(small):
    found = audit(small.journal, small.anchors, "00" * 32, True)
    assert (found.finding.what, found.finding.row) == ("other", 0)


# --- the anchors themselves


def test_a_flipped_bit_in_the_anchors_is_found(small):
    whole = small.anchors.read_bytes()
    for byte in range(len(whole)):
        changed = bytearray(whole)
        changed[byte] ^= 1
        small.anchors.write_bytes(changed)
        assert not small.audit(second=True).holds, whole[: byte + 1]


def test_missing_anchors_are_a_finding_and_a_half_written_last_one_only_of_a_run_that_ended(small):
    whole = small.anchors.read_bytes()
    small.anchors.write_bytes(whole[:-5])
    assert small.audit(complete=True).finding.what == "anchors"
    small.journal.write_bytes(small.journal.read_bytes()[: ends()[0]])
    assert small.audit(complete=False).holds
    small.anchors.unlink()
    assert small.audit(complete=False).finding.what == "missing"


# --- the command


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("audit")
    config = configuration(place / "q.toml", "quoter")
    text = config.read_text().replace('anchor_dir = ""', 'anchor_dir = "second"')
    config.write_text(text)
    assert main(["paper", str(config), "--replay", str(RECORDING), "--out", str(place / "run"), "--json"]) == 0
    return place


@pytest.fixture
def place(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "p")
    return tmp_path / "p"


def verdict(capsys, *arguments: str) -> dict:
    code = main(["audit", "verify", *arguments, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == code
    return answer


def test_the_command_says_that_a_run_holds_here_and_in_the_second_place(capsys, place):
    run, second = str(place / "run"), str(place / "second")
    answer = verdict(capsys, run, "--anchors", second)
    (found,) = answer["runs"]
    assert answer["exit_code"] == 0 and found["ok"] and found["rows"] == found["anchored"] > 100
    summary = json.loads((place / "run/summary.json").read_text())
    manifest = json.loads((place / "run/journal/manifest.json").read_text())
    assert len(copies(place / "second", manifest["fingerprint"])) == 1 and "audit" in manifest["config"]
    assert not [text for text in summary["warnings"] if "second place" in text]


def test_the_command_names_the_row_in_the_operators_language_and_ends_with_1(capsys, place):
    journal = place / "run/journal/000000.seg"
    changed = bytearray(journal.read_bytes())
    changed[-1] ^= 1
    journal.write_bytes(changed)
    (found,) = verdict(capsys, str(place / "run"))["runs"]
    assert not found["ok"] and found["finding"]["what"] == "header_or_rows"
    assert main(["audit", "verify", str(place / "run")]) == 1
    english = capsys.readouterr().out
    assert ENGLISH["audit.broken"].format(run=place / "run") in english and f"row {found['finding']['row']}" in english
    assert main(["audit", "verify", str(place / "run"), "--lang", "ko"]) == 1
    assert "그대로가 아닙니다" in capsys.readouterr().out


def test_one_bad_run_among_good_ones_ends_with_1(capsys, place):
    shutil.copytree(place / "run", place / "bad")
    (place / "bad/journal/anchors.jsonl").unlink()
    answer = verdict(capsys, str(place / "run"), str(place / "bad"))
    assert [one["ok"] for one in answer["runs"]] == [True, False] and answer["exit_code"] == 1


def test_a_second_place_that_is_not_there_is_bad_input(capsys, place):
    assert main(["audit", "verify", str(place / "run"), "--anchors", str(place / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_second_place_that_cannot_be_written_is_bad_input_and_leaves_nothing(capsys, tmp_path):
    (tmp_path / "file").write_text("no folder")
    config = configuration(tmp_path / "q.toml", "quoter")
    config.write_text(config.read_text().replace('anchor_dir = ""', 'anchor_dir = "file/second"'))
    assert main(["paper", str(config), "--replay", str(RECORDING), "--out", str(tmp_path / "run")]) == 2
    assert "anchor_dir" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_changed_manifest_is_a_finding(capsys, place):
    manifest = place / "run/journal/manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": 1', '"seed": 2'))
    (found,) = verdict(capsys, str(place / "run"))["runs"]
    assert found["finding"]["what"] == "manifest"


def test_what_is_no_run_is_bad_input(capsys, tmp_path):
    assert main(["audit", "verify", str(tmp_path)]) == 2
    assert main(["audit", "verify"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_where_the_anchors_go_decides_nothing_of_a_run(finished):
    manifest = json.loads((finished / "run/journal/manifest.json").read_text())
    assert manifest["config"]["audit"] == {"anchor_dir": str(finished / "second")}
    from autotrader.adapters.storage.run_folder import RunFolder
    from autotrader.run.wiring import plan_of

    plan = plan_of(RunFolder(finished / "run"))
    values = {name: dict(fields) for name, fields in plan.config_values.items()}
    values["audit"]["anchor_dir"] = "elsewhere"
    object.__setattr__(plan, "config_values", values)
    assert plan.fingerprint().hex() == manifest["fingerprint"]

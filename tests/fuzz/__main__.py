"""Run many blocks of hostile input and say in one line what they reached: ``python -P -m fuzz --inputs 1000000``."""

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import core_ext
from fuzz.readers import Counts, Disagreement, missing, read_block
from fuzz.seeds import seeds

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "build/fuzz"
BLOCK = 10_000


def one_block(seed: int, number: int, inputs: int, data: Path | None) -> Counts:
    """Feed one block, in a folder that is gone when it ends well."""
    folder = PLACE / str(number)
    folder.mkdir(parents=True)
    counts = read_block(seed, number, inputs, folder, data)
    shutil.rmtree(folder)
    return counts


def fuzz(seed: int, blocks: list[int], workers: int, data: Path | None) -> Counts:
    """Feed blocks in several processes; return how many inputs had which verdict."""
    counts: Counts = Counter()
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(one_block, seed, number, BLOCK, data): number for number in blocks}
        for done in as_completed(running):
            try:
                counts += done.result()
            except BrokenProcessPool:
                inputs = "\n".join(f"{path}: {path.read_bytes()[:4000]!r}" for path in sorted(PLACE.glob("*/last")))
                sys.exit(f"fuzz: a process ended (seed {seed}); these were open, by block:\n{inputs}")
            except Disagreement as difference:
                pool.shutdown(cancel_futures=True)
                sys.exit(f"fuzz: seed {seed}, block {running[done]}: {difference}")
    return counts


def table(counts: Counts) -> str:
    """Return the verdicts of the messages, by kind of the seed."""
    verdicts = ["OK fast", "OK", "IGNORED", "MALFORMED", "UNKNOWN_SYMBOL", "OFF_GRID"]
    kinds = sorted({kind for reader, kind, _ in counts if reader == "messages"})
    lines = [f"{'':16}" + "".join(f"{verdict:>15}" for verdict in verdicts)]
    lines += [f"{kind:16}" + "".join(f"{counts['messages', kind, v]:>15,}" for v in verdicts) for kind in kinds]
    return "\n".join(lines)


def summary(counts: Counts) -> str:
    """Return one line of totals."""
    by: Counter[str] = Counter()
    for (reader, _, verdict), count in counts.items():
        by[f"{reader} {verdict.removesuffix(' fast')}"] += count
    return f"{counts.total():,} inputs: " + ", ".join(f"{name} {count:,}" for name, count in sorted(by.items()))


def build() -> str:
    """Return which core is fuzzed, by where it lies: what the caller meant to set says little."""
    place = Path(core_ext.__file__).parent.relative_to(ROOT)
    sanitizer = " with AddressSanitizer" if os.environ.get("AUTOTRADER_ASAN") else ""
    return f"{place}{sanitizer if place.parts[0] == 'build' else ''}"


def main() -> None:
    """Run what the arguments ask for."""
    options = argparse.ArgumentParser(description="Feed hostile input to the readers of the core.")
    options.add_argument("--inputs", type=int, default=BLOCK, help=f"rounded up to whole blocks of {BLOCK:,}")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--block", type=int, help="only this block of the seed")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--data", type=Path, default=ROOT / "../shared/data", help="recordings to start from, too")
    given = options.parse_args()
    data = given.data.resolve() if given.data.is_dir() else None
    blocks = [given.block] if given.block is not None else list(range(-(-given.inputs // BLOCK)))
    shutil.rmtree(PLACE, ignore_errors=True)
    started = time.monotonic()
    counts = fuzz(given.seed, blocks, given.workers, data)
    seconds = time.monotonic() - started
    print(table(counts))
    print(
        f"{summary(counts)}; seed {given.seed}, {len(seeds(data))} messages to start from, "
        f"{'recordings too' if data else 'no recordings'}; {build()}, {given.workers} workers, {seconds:.0f} s"
    )
    if gaps := missing(counts):
        sys.exit(f"fuzz: never reached: {', '.join(gaps)}")


if __name__ == "__main__":
    main()

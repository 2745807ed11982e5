"""Measure claims again: ``python claims/run.py [--tune] [--long] [NAME ...]``; finished parts of comparisons are kept.

Without names the short claims are measured, with ``--long`` the long ones. What a claim needs of another one comes
first where it is not there yet.

Each claim's command runs with ``--out runs/claims/NAME``; the files that prove it go to ``results/NAME`` together with
``claim.json``: the command, how long it took, on what machine, with which versions. Then the page is written.

With ``--tune`` the arms of a comparison are tuned first; without it they get the values that were chosen before and are
kept in ``results/NAME/tuning.json``. Claims about UFT's published files need ``DATA``, the folder of the files, in the
environment; without it they are left out.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path

from claim import Claim
from measuring import write_measured
from page import write_page
from real_data import write_checks
from table import CLAIMS

ROOT = Path(__file__).parent.parent
FACTS = "claim.json"
TUNE, LONG = "--tune", "--long"


def measure(claim: Claim, tune: bool) -> None:
    """Run the claim's command and keep its evidence."""
    out = ROOT / "runs" / "claims" / claim.name
    if claim.page not in ("comparison", "measured"):
        shutil.rmtree(out, ignore_errors=True)
    line = " ".join(part for part in (claim.command, claim.tune if tune else chosen(claim)) if part)
    began = time.monotonic()
    carry_out(claim, line, out)
    keep(claim, line, out, time.monotonic() - began)


def carry_out(claim: Claim, line: str, out: Path) -> None:
    """Run a claim's command with ``out`` as its folder, and look at what it made.

    Args:
        claim: which.
        line: its command with what was tuned; ``posttrain``, or a script of this folder.
        out: where it writes.
    """
    program, *words = map(os.path.expandvars, shlex.split(line))
    beside = Path(sys.executable).with_name(program)
    subprocess.run(
        [str(beside), *words, "--out", str(out)], check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if claim.page == "real_data":
        write_checks(out)
    if claim.measures:
        write_measured(claim, out)


def chosen(claim: Claim) -> str:
    """The options that give every arm the values that were chosen for it."""
    if not claim.tune:
        return ""
    path = ROOT / "results" / claim.name / "tuning.json"
    if not path.exists():
        sys.exit(f"{claim.name} has never been tuned: python claims/run.py --tune {claim.name}")
    rows = [row for row in json.loads(path.read_text())["rows"] if row["chosen"]]
    return " ".join(f"--set {row['method']}:{row['setting']}={row['value']}" for row in rows)


def keep(claim: Claim, line: str, out: Path, seconds: float) -> None:
    """Copy the evidence and write down how it came about."""
    evidence = ROOT / "results" / claim.name
    evidence.mkdir(parents=True, exist_ok=True)
    for name in claim.kept:
        if (out / name).exists():
            shutil.copy(out / name, evidence / name)
    facts = {
        "command": f"{line} --out runs/claims/{claim.name}",
        "seconds": round(seconds),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("posttrain", "torch", "transformers")},
    }
    for folder in (evidence, out):
        (folder / FACTS).write_text(json.dumps(facts, indent=2) + "\n")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def in_order(wanted: Collection[str], there: Collection[str]) -> list[Claim]:
    """The claims to measure, in the order of the table.

    Args:
        wanted: their names.
        there: names of claims whose files are there; another claim that needs them does not bring them with it.
    """
    names = set(wanted)
    for claim in reversed(CLAIMS):
        names |= set(claim.needs) - set(there) if claim.name in names else set()
    return [claim for claim in CLAIMS if claim.name in names]


def named(words: Sequence[str]) -> list[str]:
    """The claims that a command line asks for, options apart."""
    names = [word for word in words if word not in (TUNE, LONG)]
    unknown = set(names) - {claim.name for claim in CLAIMS}
    if unknown:
        sys.exit(f"unknown claim {sorted(unknown)[0]!r}; known: {', '.join(claim.name for claim in CLAIMS)}")
    length = "long" if LONG in words else "short"
    return names or [claim.name for claim in CLAIMS if claim.length == length]


def main() -> None:
    """Measure the claims named on the command line, or all short or all long ones."""
    there = [claim.name for claim in CLAIMS if (ROOT / "runs" / "claims" / claim.name / FACTS).is_file()]
    for claim in in_order(named(sys.argv[1:]), there):
        if claim.published_files and "DATA" not in os.environ:
            sys.stderr.write(f"{claim.name} is left out: set DATA to the folder of UFT's published files\n")
            continue
        measure(claim, tune=TUNE in sys.argv)
    write_page()


if __name__ == "__main__":
    main()

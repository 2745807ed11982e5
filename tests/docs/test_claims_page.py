"""The claims page is what the stored evidence gives, and nothing else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_page_is_generated_from_the_evidence() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "claims" / "page.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_stored_result_belongs_to_a_claim() -> None:
    sys.path.insert(0, str(ROOT / "claims"))
    from table import CLAIMS

    stored = {path.name for path in (ROOT / "results").glob("*") if path.is_dir()}
    assert stored <= {claim.name for claim in CLAIMS}

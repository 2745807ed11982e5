"""The claims page shows a candidate that diverged as what it is."""

import json
import sys

from fixtures.documentation import ROOT


def test_a_diverged_candidate_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "claims"), *sys.path])
    from page import tuning

    row = {"method": "sft", "setting": "learning_rate", "value": "1e35", "chosen": False, "accuracy": None}
    (tmp_path / "tuning.json").write_text(json.dumps({"rows": [row]}))
    assert "- sft, learning_rate: 1e35: diverged" in tuning(tmp_path)

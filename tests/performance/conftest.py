"""The benchmarks stand beside the package, not in it."""

import sys

from fixtures.documentation import ROOT

sys.path.insert(0, str(ROOT))

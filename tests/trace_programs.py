"""Programs for the tests of ``synclint trace``: a torch that is quick to import, and a back end that it tells.

The user's own ``sitecustomize``, which synclint must run, puts that back end in the place of the real ones.
"""

from __future__ import annotations

import os
from pathlib import Path

TORCH = """\
__version__ = "0.0"


class Waits:
    recorder = None

    def item(self):
        from synclint.finding import Direction

        if self.recorder is not None:
            self.recorder.record("aten::_local_scalar_dense", "scalar-read", Direction.D2H)

    def refuse(self):
        self.backend.not_simulated["aten::absent"] += 1


device = Waits()
item = device.item
refuse = device.refuse
"""

SITECUSTOMIZE = """\
import os
from collections import Counter


class Told:
    name = "told"

    def __init__(self, options):
        self.options = options
        self.not_simulated = Counter()

    def start(self, recorder):
        import torch

        torch.device.backend = self
        torch.device.recorder = recorder

    def stop(self):
        import torch

        torch.device.recorder = None
        self.not_simulated = Counter()


def load_backend(name, options):
    if name == "cuda":
        raise tracer.BackendError("there is no GPU")
    return Told(options)


if "SYNCLINT_TRACE" in os.environ:
    from synclint.runtime import tracer

    tracer.load_backend = load_backend
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Writes both beside ``folder``; the environment in which a program finds them, and no installed synclint."""
    site = folder.parent / "site"
    (site / "torch").mkdir(parents=True, exist_ok=True)
    (site / "torch" / "__init__.py").write_text(TORCH)
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCLINT", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(site), **more}

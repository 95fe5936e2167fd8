"""The simulated half of a run on a GPU: the same torch, in a process that sees no GPU."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from synclint.runtime.evidence.records import EvidenceError, read

if TYPE_CHECKING:
    from synclint.runtime.evidence.records import Evidence


class SimulatedHalf:
    """Starts the process, which has ``seconds``; :meth:`join` waits for it and adds what it saw."""

    def __init__(self, seconds: float, every: int = 1) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="synclint-evidence-")
        self._file = Path(self._folder.name) / "simulated.json"
        command = [sys.executable, "-m", "synclint.runtime.evidence", str(self._file), "--backend=simulated"]
        command += ["--stages=rows,samples", f"--seconds={max(1.0, seconds):.0f}", f"--every={every}"]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def join(self, evidence: Evidence, seconds: float) -> str:
        """Add the columns of the simulated device to rows and samples; what went wrong, or an empty text."""
        try:
            _, errors = self._process.communicate(timeout=max(5.0, seconds))
            if self._process.returncode != 0:
                last = errors.decode(errors="replace").strip().rpartition("\n")[2]
                return f"the simulated half ended with {self._process.returncode}: {last}"
            return self._add(evidence)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return self._add(evidence) or "the simulated half was cut off"
        finally:
            self._folder.cleanup()

    def _add(self, evidence: Evidence) -> str:
        try:
            half = read(self._file)
        except (OSError, EvidenceError) as error:
            return f"the simulated half has left nothing: {error}"
        rows = {row.id: row for row in half.rows}
        for at, row in enumerate(evidence.rows):
            twin = rows.get(row.id)
            if twin is not None and twin.sha256 == row.sha256:
                evidence.rows[at] = dataclasses.replace(row, seen=row.seen | twin.seen)
        for key, columns in half.samples.items():
            evidence.samples.setdefault(key, {}).update(columns)
        return ""

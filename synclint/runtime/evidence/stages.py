"""The stages of a run, in order: each takes its share of the time, writes what it has, and says what it left out."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import torch

from synclint.runtime.cuda.sleep import OracleError
from synclint.runtime.evidence import device, oracles, overheads, samples
from synclint.runtime.evidence.child import SimulatedHalf
from synclint.runtime.evidence.controls import controls
from synclint.runtime.evidence.own_tests import run_own_tests
from synclint.runtime.evidence.records import Evidence, EvidenceError, Row, Stage, read
from synclint.runtime.evidence.snippets import Snippet, all_snippets, digest
from synclint.runtime.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from synclint.runtime.event import Event
    from synclint.runtime.evidence.oracles import Oracle

STAGES = ("controls", "rows", "samples", "runtime")
_UNTIL = {"controls": 0.15, "rows": 0.55, "samples": 0.85, "runtime": 1.0}
"""The share of the time that is over when a stage must end; what one leaves, the next ones have."""
_FIELDS = {"rows": ("rows",), "samples": ("samples",), "runtime": ("overheads", "tests")}
_COMMAND = "python -m synclint.runtime.evidence"
_WARM_UPS = 2


class Aborted(RuntimeError):
    """A control failed: nothing that follows would prove anything. What there is has been written."""


class Run:
    """One run of at most ``seconds``, written to ``path`` as it goes. ``measure`` returns what was found.

    With ``update``, the stages that are not asked for stay as they are in the file. Raises EvidenceError where that was
    taken on another device or with other versions. Of the operators, every so-manieth is sampled.
    """

    def __init__(
        self,
        path: Path,
        *,
        cuda: bool,
        seconds: float,
        stages: tuple[str, ...] = STAGES,
        update: bool = False,
        every: int = 1,
    ) -> None:
        self._path = path
        self._cuda = cuda
        self._seconds = seconds
        self._stages = stages
        self._every = every
        self._began = time.monotonic()
        self._snippets = all_snippets()
        self._not_run: list[str] = []
        self._reason = ""
        self.evidence = Evidence(
            backend="cuda" if cuda else "simulated",
            device=device.name(cuda=cuda),
            versions=device.versions(cuda=cuda),
            command=f"{_COMMAND} {path.name} --stages={','.join(stages)} --seconds={seconds:g} --every={every}",
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            snippets=digest(self._snippets),
        )
        if update:
            self._keep(read(path))

    def measure(self) -> Evidence:
        """Raises Aborted when a control fails, BackendError when the back end does not run here."""
        with ExitStack() as entered:
            if self._cuda:
                self._measure_gpu()
            else:
                trace = entered.enter_context(Tracer("simulated", roots=()))
                self._measure_simulated(trace.events)
        return self.evidence

    def _keep(self, before: Evidence) -> None:
        now = self.evidence
        for name in ("backend", "device", "versions"):
            if getattr(before, name) != getattr(now, name):
                raise EvidenceError(f"{self._path}: {name}: {getattr(before, name)}, and here {getattr(now, name)}")
        now.command = f"{before.command}; {now.command}"
        now.stages = [stage for stage in before.stages if stage.name not in ("controls", *self._stages)]
        for stage in now.stages:
            for name in _FIELDS[stage.name]:
                setattr(now, name, getattr(before, name))

    def _measure_gpu(self) -> None:
        asked = self._gpu_oracles()
        with self._stage("rows") as over:
            if over is not None:
                self._run_rows(over, asked)
        with self._stage("samples") as over:
            if over is not None:
                half = SimulatedHalf(self._left("samples"), self._every)
                self._run_samples(over, lambda on: [samples.TraceCounter(on), samples.DebugModeCounter(on)])
                self._reason = half.join(self.evidence, self._left("samples")) or self._reason
        with self._stage("runtime") as over:
            if over is not None:
                self.evidence.overheads = overheads.measure(over)
                self.evidence.tests, self._reason = run_own_tests(self._left("runtime"))

    def _gpu_oracles(self) -> list[Oracle]:
        with self._stage("controls"):
            try:
                behaviour = oracles.BehaviourOracle()
            except OracleError as error:
                raise Aborted(str(error)) from error
            self.evidence.cycles_per_second = behaviour.cycles_per_second
            asked: list[Oracle] = [oracles.TraceOracle(), oracles.DebugModeOracle()]
            asked += [oracles.ProfilerOracle(), behaviour]
            self._control(asked)
        return asked

    def _measure_simulated(self, events: list[Event]) -> None:
        asked: list[Oracle] = [oracles.SimulatedOracle(events)]
        with self._stage("controls"):
            self._control(asked)
        with self._stage("rows") as over:
            if over is not None:
                self._run_rows(over, asked)
        with self._stage("samples") as over:
            if over is not None:
                self._run_samples(over, lambda entered: [samples.SimulatedCounter(events)])

    def _control(self, asked: list[Oracle]) -> None:
        self.evidence.controls = controls(asked)
        for control in self.evidence.controls:
            if not control.answered:
                function = "a read of one number" if control.expected else "an addition on the device"
                said = control.seen.reason or ", ".join(control.seen.events) or "nothing"
                raise Aborted(f"the oracle {control.oracle!r} fails its control, {function}: it saw {said}")

    def _run_rows(self, over: Callable[[], bool], asked: list[Oracle]) -> None:
        release = self.evidence.torch
        written = time.monotonic()
        for snippet in self._snippets:
            if over():
                self._not_run.append(snippet.id)
                self._reason = "no time was left"
                continue
            expected = snippet.expected if snippet.holds(release) else "unknown"
            self.evidence.rows.append(run_row(snippet, expected, asked))
            if time.monotonic() - written > 10:
                self.evidence.write(self._path)
                written = time.monotonic()

    def _run_samples(self, over: Callable[[], bool], counters: Callable[[ExitStack], list[samples.Counter]]) -> None:
        try:
            operators = samples.operators()[:: self._every]
        except ImportError as error:  # torch's own test data needs packages that torch does not
            self._reason = f"torch's samples cannot be imported: {error}"
            return
        for key, operator, dtype in operators:
            if over():
                self._not_run.append(f"samples:{key}")
                self._reason = "no time was left"
                continue
            try:
                self.evidence.samples[key] = samples.run(operator, dtype, counters)
            except Exception as error:  # what torch's own samples need may be missing: that operator is left out
                self._not_run.append(f"samples:{key}: {_short(error)}")

    @contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[], bool] | None]:
        """Gives a function that says whether the time of the stage is over, or None where the stage is not wanted;
        the controls always are."""
        if name not in ("controls", *self._stages):
            yield None
            return
        self._not_run, self._reason = [], ""
        began = time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            yield lambda: self._left(name) <= 0
        except Aborted as error:
            self._reason = str(error)
            raise
        finally:
            took = time.monotonic() - began
            self.evidence.stages.append(Stage(name, round(took, 3), tuple(self._not_run), self._reason))
            self.evidence.write(self._path)
            print(f"{name}: {took:.1f} s, {len(self._not_run)} not run {self._reason}", file=sys.stderr, flush=True)

    def _left(self, stage: str) -> float:
        """Seconds until a stage must end."""
        return self._began + self._seconds * _UNTIL[stage] - time.monotonic()


def run_row(snippet: Snippet, expected: str, asked: list[Oracle]) -> Row:
    """One snippet under all oracles, warm. What it raises is an entry, not an error."""
    seen = {}
    error, value = "", None
    space: dict[str, Any] = {"__name__": "example", "torch": torch}
    torch.manual_seed(0)
    try:
        function = snippet.prepare(space)
        for _ in range(_WARM_UPS):
            function()
        for oracle in asked:
            seen[oracle.name] = oracle.see(function, snippet.passed_over)
        if snippet.value:
            value = eval(snippet.value, space)
    except Exception as raised:
        error = _short(raised)
    return Row(snippet.id, snippet.origin, expected, snippet.sha256, {str(k): v for k, v in seen.items()}, error, value)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

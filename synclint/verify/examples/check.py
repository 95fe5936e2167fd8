"""The rules' own examples, executed: what each states must happen on the back end at hand, before and after the fix."""

from __future__ import annotations

import ast
import os
import sys
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import torch

from synclint.finding import Applicability
from synclint.runtime.tracer import Tracer
from synclint.verify.examples.compare import difference
from synclint.verify.examples.host_costs import host_costs
from synclint.verify.examples.variations import VARY, variations, vary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from synclint.lint.rule import Invalid, Rule, Valid
    from synclint.runtime.trace import Trace
    from synclint.runtime.tracer import BackendName

_SEEN_BY_TRACER = ("sync", "pageable", "race")


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one example, ``name`` such as ``SYN201 invalid 3``; without ``failures`` it keeps its word.

    ``runs`` counts the inputs that it ran with. ``before`` and ``after`` count the events of the kind that it states,
    with its own inputs; ``after`` is None where there is no fix.
    """

    name: str
    event: str
    failures: tuple[str, ...]
    runs: int
    before: int
    after: int | None = None


def check_rules(rules: Sequence[Rule], backend: BackendName = "auto") -> Iterator[Checked]:
    """Execute every example of the rules, in order. Raises BackendError where the back end cannot run."""
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        Tracer(backend, roots=(folder,), pageable=True, races=True) as trace,
    ):
        bench = _Bench(trace, os.path.realpath(folder), races=trace.backend == "simulated")
        for rule in rules:
            for at, invalid in enumerate(rule.INVALID):
                yield bench.invalid(f"{rule.code} invalid {at}", invalid)
            for at, valid in enumerate(rule.VALID):
                yield bench.valid(f"{rule.code} valid {at}", valid)


@dataclass(slots=True)
class _Execution:
    """One execution: the value or the error, the events in the example's own lines, and the lines that ran."""

    value: Any = None
    error: Exception | None = None
    events: Counter[tuple[str, int]] = field(default_factory=Counter)
    ran: set[int] = field(default_factory=set)

    def count(self, kind: str) -> int:
        return sum(count for (one, _), count in self.events.items() if one == kind)

    def lines(self, kind: str) -> set[int]:
        return {line for one, line in self.events if one == kind}

    def said(self) -> str:
        return ", ".join(f"{count} x {kind} in line {line}" for (kind, line), count in sorted(self.events.items()))


class _Bench:
    """Where examples run, with a tracer around it."""

    def __init__(self, trace: Trace, folder: str, *, races: bool) -> None:
        self._trace = trace
        self._races = races
        self._folder = folder
        self._files = 0

    def valid(self, name: str, example: Valid) -> Checked:
        ran = self._execute(example.code, example.run, example.event)
        failures = []
        if ran.error is not None:
            failures.append(f"raises {ran.error!r}")
        elif example.event == "none":
            failures += [f"nothing should happen, but there is {ran.said()}"] if ran.events else []
        elif not ran.count(example.event):
            failures.append(f"there should be an event of kind {example.event}; there is {ran.said() or 'none'}")
        return Checked(name, example.event, tuple(failures), 1, ran.count(example.event))

    def invalid(self, name: str, example: Invalid) -> Checked:
        before = self._execute(example.code, example.run, example.event)
        failures = self._as_stated(example, before)
        if example.fixed is None:
            return Checked(name, example.event, tuple(failures), 1, before.count(example.event))
        after = self._execute(example.fixed, example.run, example.event)
        failures += self._fixed(example, before, after)
        others = [*variations(example.run)] if example.level is Applicability.SAFE else []
        for run in others:
            failures += [f"with {run}: {said}" for said in self._promise(example, run)]
        return Checked(
            name,
            example.event,
            tuple(failures),
            1 + len(others),
            before.count(example.event),
            after.count(example.event),
        )

    def _as_stated(self, example: Invalid, ran: _Execution) -> list[str]:
        if ran.error is not None:
            return [f"raises {ran.error!r}"]
        if example.event == "none":
            return [f"nothing should happen, but there is {ran.said()}"] if ran.events else []
        statements = _statements(example.code)
        failures = []
        for line in sorted(set(example.at or example.lines)):
            statement = statements[line]
            if ran.ran.isdisjoint(statement):
                continue  # not on the way that these inputs take
            if ran.lines(example.event).isdisjoint(statement):
                failures.append(f"line {line}: no event of kind {example.event}; there is {ran.said() or 'none'}")
        if not ran.count(example.event):
            failures.append(f"no event of kind {example.event}")
        return failures

    def _fixed(self, example: Invalid, before: _Execution, after: _Execution) -> list[str]:
        assert example.fixed is not None
        if after.error is not None:
            return [f"fixed: raises {after.error!r}"]
        failures = []
        changed = _changed(example.code, example.fixed)
        left = sum(count for (kind, line), count in after.events.items() if kind == example.event and line in changed)
        if example.event != "none" and left != example.left:
            failures.append(f"fixed: {left} events of kind {example.event} where it should leave {example.left}")
        if example.event != "none" and after.count(example.event) >= before.count(example.event):
            failures.append(f"fixed: as many events as before: {after.said()}")
        opened = after.count("race") > before.count("race")
        if opened and not example.race:
            failures.append(f"fixed: opens a race: {after.said()}")
        if example.race:
            return failures if opened or not self._races else [*failures, "fixed: opens no race"]
        said = difference(before.value, after.value, exactly=example.level is Applicability.SAFE)
        return [*failures, f"fixed: the result differs: {said}"] if said else failures

    def _promise(self, example: Invalid, run: str) -> list[str]:
        """What a safe fix promises, with other inputs."""
        assert example.fixed is not None
        before = self._execute(example.code, run, example.event)
        after = self._execute(example.fixed, run, example.event)
        if before.error is not None:
            return [] if after.error is not None else [f"{before.error!r} is no longer raised"]
        if after.error is not None:
            return [f"fixed: raises {after.error!r}"]
        failures = [
            f"fixed: {after.count(kind)} events of kind {kind}, {before.count(kind)} before"
            for kind in _SEEN_BY_TRACER
            if after.count(kind) > before.count(kind)
        ]
        said = difference(before.value, after.value, exactly=True)
        return [*failures, f"fixed: the result differs: {said}"] if said else failures

    def _execute(self, code: str, run: str, event: str) -> _Execution:
        self._files += 1
        path = os.path.join(self._folder, f"example_{self._files}.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(code)
        torch.manual_seed(0)
        result = _Execution()
        space: dict[str, Any] = {"__name__": "example", "__file__": path, "torch": torch, VARY: vary}
        begin = len(self._trace.events)
        with (
            host_costs(path) if event == "host-cost" else nullcontext(Counter[int]()) as costs,
            _lines(path, result.ran),
        ):
            try:
                exec(compile(code, path, "exec", dont_inherit=True), space)
                result.value = eval(compile(run, "<run>", "eval", dont_inherit=True), space)
            except Exception as error:
                result.error = error.with_traceback(None)
        for one in self._trace.events[begin:]:
            if one.user is not None and one.user.path == path:
                result.events[one.kind, one.user.line] += one.count
        del self._trace.events[begin:]
        result.events.update({("host-cost", line): count for line, count in costs.items()})
        return result


@contextmanager
def _lines(path: str, ran: set[int]) -> Iterator[None]:
    """Adds the lines of the file that run inside."""

    def inside(frame: FrameType, event: str, argument: object) -> Any:
        ran.add(frame.f_lineno)
        return inside

    def called(frame: FrameType, event: str, argument: object) -> Any:
        return inside(frame, event, argument) if frame.f_code.co_filename == path else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(before)


def _statements(code: str) -> dict[int, range]:
    """By line, the lines of the innermost statement around it; of a compound one, its header."""
    found: dict[int, range] = {}
    for node in ast.walk(ast.parse(code)):  # outer statements first
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if isinstance(body, list) else node.end_lineno or node.lineno
            found.update(dict.fromkeys(range(node.lineno, end + 1), range(node.lineno, end + 1)))
    return found


def _changed(before: str, after: str) -> set[int]:
    """The lines of the statements of ``after`` that are not in ``before``."""
    matcher = SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    blocks = [range(start + 1, end + 1) for tag, _, _, start, end in matcher.get_opcodes() if tag != "equal"]
    new = {line for block in blocks for line in block}
    return {line for statement in _statements(after).values() if not new.isdisjoint(statement) for line in statement}

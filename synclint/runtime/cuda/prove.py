"""The behavioural oracle for named lines: it judges them where the user's program executes them.

A statement is executed twice as it is, the second time on an idle device, to see how long it takes by itself. From its
third execution on it runs while the device sleeps on the current stream, until it was judged often enough.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synclint.runtime.cuda.sleep import WARM_UPS, CudaDevice, SleepOracle
from synclint.runtime.execution import Hook, HookError, hook
from synclint.runtime.frames import real_path
from synclint.runtime.proof import NOT_EXECUTED, Proof
from synclint.runtime.statements import Statement, statements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from synclint.runtime.cuda.sleep import Begun, Device

ENOUGH = 3
"""How many answers a statement is judged by."""
_TRIES = 10
"""How many runs may give no answer before a statement is given up."""


@dataclass(slots=True)
class _Case:
    """What is known of a statement so far; ``own`` is how long it takes while the device is idle, in seconds."""

    lines: list[int] = field(default_factory=list)
    executions: int = 0
    own: float | None = None
    host: list[float] = field(default_factory=list)
    waited: int = 0
    failed: int = 0
    reason: str = ""

    @property
    def closed(self) -> bool:
        return len(self.host) >= ENOUGH or self.failed >= _TRIES


class Prover:
    """Judges the statements in some lines, by (path, line), between :meth:`start` and :meth:`stop`.

    ``tell`` gets the proof of each line once: as soon as it is judged, else when all ends. ``unwatched`` is entered
    around what the oracle itself does with the device. Where the oracle fails, or one of its controls, nothing is
    proved and each proof says why; the program goes on.
    """

    def __init__(
        self,
        lines: Iterable[tuple[str, int]],
        tell: Callable[[Proof], None],
        *,
        device: Device | None = None,
        unwatched: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._tell = tell
        self._device = device or CudaDevice()
        self._unwatched = unwatched
        self._oracle: SleepOracle | None = None
        self._broken = ""
        self._cases: dict[Statement, _Case] = {}
        self._without: list[Proof] = []
        self._under_way: tuple[Statement, Begun, bool] | None = None
        """The statement, and whether it was only resumed."""
        self._judging = threading.Lock()
        """Held while a statement runs under judgement: one at a time, since the device is one for all threads."""
        self._hook: Hook | None = None
        for path, line in lines:
            self._name(real_path(path), line)

    def start(self) -> None:
        """Where another tracer holds the hook, nothing is proved, and each proof says why."""
        watched = hook(self._cases, self)
        try:
            watched.start()
        except HookError as error:
            self._broken = str(error)
        else:
            self._hook = watched

    def stop(self) -> None:
        """Undo the hook, and tell what is not told yet."""
        if self._hook is not None:
            self._hook.stop()
            self._hook = None
        for proof in self._without:
            self._tell(proof)
        for statement, case in self._cases.items():
            if not case.closed:
                self._tell_of(statement)

    def after_fork(self) -> None:
        """In a forked child: nothing of this process is under judgement, whatever another thread of its parent did."""
        self._judging = threading.Lock()
        self._under_way = None

    # ------------------------------------------------------------------ told by the hook

    def enters(self, statement: Statement, *, resumed: bool) -> bool:
        case = self._cases[statement]
        case.executions += not resumed
        if case.closed or self._broken or case.executions < WARM_UPS:
            return False
        if not self._judging.acquire(blocking=False):
            case.reason = "it ran only while another named line was judged"
            return False
        begun = self._safely(lambda: self._begin(case))
        if begun is None:
            self._judging.release()
            return False
        self._under_way = (statement, begun, resumed)
        return True

    def leaves(self) -> bool:
        if self._under_way is None:  # it began before a fork
            return False
        (statement, begun, resumed), self._under_way = self._under_way, None
        case = self._cases[statement]
        try:
            self._safely(lambda: self._end(case, begun, resumed=resumed))
        finally:
            self._judging.release()
        if case.closed:
            self._tell_of(statement)
        return case.closed

    # ------------------------------------------------------------------ asking the device

    def _begin(self, case: _Case) -> Begun | None:
        reason = self._device.obstacle()
        if reason:
            case.reason = reason
            return None
        if self._oracle is None:
            oracle = SleepOracle(self._device)
            oracle.check(self._device.waits, self._device.returns)
            self._oracle = oracle
        return self._oracle.begin(asleep=case.own is not None and case.executions > WARM_UPS)

    def _end(self, case: _Case, begun: Begun, *, resumed: bool) -> None:
        assert self._oracle is not None
        if begun.over is None:
            case.own = max(case.own or 0.0, self._oracle.passed(begun))
            return
        verdict = self._oracle.end(begun, case.own or 0.0)
        if verdict.waits is None:
            case.failed += 1
            case.reason = verdict.reason
        elif verdict.waits or not resumed:  # that the rest of a statement does not wait says little
            case.host += verdict.host
            case.waited += verdict.waits

    def _safely(self, ask: Callable[[], Begun | None]) -> Begun | None:
        """The program must not see an error of the oracle; what it has broken itself, it finds out without help."""
        try:
            with self._unwatched():
                return ask()
        except Exception as error:
            self._broken = str(error).strip().partition("\n")[0] or type(error).__name__
            return None

    # ------------------------------------------------------------------ what is proved

    def _name(self, path: str, line: int) -> None:
        try:
            with open(path, "rb") as file:
                found = statements_of(file.read(), path)
        except (OSError, SyntaxError, ValueError) as error:
            self._without.append(Proof(path, line, None, reason=f"the file cannot be read: {error}"))
            return
        statement = next((one for one in found if one.first <= line <= one.last), None)
        if statement is None:
            self._without.append(Proof(path, line, None, reason="there is no statement in this line"))
        else:
            self._cases.setdefault(statement, _Case()).lines.append(line)

    def _tell_of(self, statement: Statement) -> None:
        case = self._cases[statement]
        for line in case.lines:
            self._tell(self._proof(statement.path, line, case))

    def _proof(self, path: str, line: int, case: _Case) -> Proof:
        if case.host:
            assert self._oracle is not None
            return Proof(path, line, case.waited > 0, tuple(case.host), self._oracle.seconds, case.waited)
        reason = self._broken or case.reason
        if not case.executions and not self._broken:
            reason = NOT_EXECUTED
        elif not reason:
            times = "once" if case.executions == 1 else f"{case.executions} times"
            reason = f"it was executed {times}; it is judged from the third time on"
        return Proof(path, line, None, reason=reason)

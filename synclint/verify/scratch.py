"""Runs the user's command in a copy of the project, again and again, and never in the project itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synclint.runtime.launch import launch
from synclint.verify import outcomes
from synclint.verify.project import Run
from synclint.verify.tree import copy_project, is_environment, write_texts

if TYPE_CHECKING:
    from synclint.runtime.event import Event, Frame
    from synclint.runtime.proof import Proof
    from synclint.runtime.trace import Trace
    from synclint.runtime.tracer import BackendName


OUTPUT = "output.txt"
"""The file in a scratch folder that keeps what the last run of the command printed."""


_ENDING = frozenset(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


class ScratchError(RuntimeError):
    """The command cannot be run in a copy of the project; the message says why."""


@dataclass(slots=True)
class Scratch:
    """A command, ready to run in copies of ``root`` below ``folder`` (a new, empty one).

    ``cwd`` is where the user would run it, at or below ``root``. ``output`` keeps what the last run printed.
    """

    root: Path
    folder: Path
    cwd: Path
    command: Sequence[str]
    backend: BackendName = "auto"
    timeout: float | None = None

    def __post_init__(self) -> None:
        self.root, self.cwd, self.folder = self.root.resolve(), self.cwd.resolve(), self.folder.resolve()
        copy_project(self.root, self._pristine)

    @property
    def _pristine(self) -> Path:
        return self.folder / "pristine"

    @property
    def _tree(self) -> Path:
        """Always the same place, since results may depend on it."""
        return self.folder / "tree" / self.root.name

    @property
    def output(self) -> Path:
        return self.folder / OUTPUT

    def __call__(self, texts: Mapping[str, bytes]) -> Run:
        """Run the command in a fresh copy in which the files ``texts`` (by path relative to the root) are as given.

        Raises ScratchError when the back end cannot run, the time is over, or what ran was not the copy;
        KeyboardInterrupt when this process was told to end meanwhile.
        """
        told, status, trace = self._run(texts, races=True, pageable=True, stall_times=True, lines=True)
        self._check(trace)
        ran = {self._relative(path): frozenset(lines) for path, lines in trace.ran.items() if self._is_copy(path)}
        events = [self._seen_from_root(event) for event in trace.events]
        return Run(status, outcomes.read(told), events, ran if trace.knows_lines else None)

    def prove(self, texts: Mapping[str, bytes], lines: Sequence[tuple[str, int]]) -> list[Proof]:
        """Run it likewise, and let the behavioural oracle judge lines of the copy meanwhile."""
        places = [(self._tree / path, line) for path, line in lines]
        _, _, trace = self._run(texts, lines=False, prove=places)
        return [replace(proof, path=self._relative(proof.path)) for proof in trace.proofs]

    def needs_gpu(self) -> None:
        """Run on a GPU from now on. Raises ScratchError where there is none, without running the command."""
        self.backend = "cuda"
        program, traces = ["-c", "import torch"], self.folder / "traces"
        done = launch(program, out=traces, cwd=self.folder, backend="cuda", output=subprocess.DEVNULL)
        if done.failures:
            raise ScratchError("; ".join(done.failures))

    def _run(self, texts: Mapping[str, bytes], **options: Any) -> tuple[Path, int, Trace]:
        """The file of the outcomes, the exit status, and the trace."""
        shutil.rmtree(self._tree, ignore_errors=True)
        shutil.copytree(self._pristine, self._tree, symlinks=True)
        write_texts(self._tree, texts)
        told = self.folder / "outcomes.jsonl"
        told.unlink(missing_ok=True)
        with self.output.open("wb") as output:
            done = launch(
                [self._moved(word) for word in self.command],
                out=self.folder / "traces",
                cwd=self._tree / self.cwd.relative_to(self.root),
                backend=self.backend,
                roots=[self._tree, self.root],
                env=self._environment(told),
                timeout=self.timeout,
                output=output,
                relocate=(self.root, self._tree),
                **options,
            )
        if not _ENDING.isdisjoint(done.signals):
            raise KeyboardInterrupt  # the command got it in our place; it must not be run again
        if done.failures:
            raise ScratchError("; ".join(done.failures))
        if done.timed_out:
            raise ScratchError(f"the command did not end within {self.timeout:g} s")
        trace = done.trace()
        for path in done.traces:
            path.unlink()
        return told, done.status, trace

    def _moved(self, word: str) -> str:
        """A word of the command that names a place in the project, as the same place in the copy.

        What the copy leaves out, such as an environment inside the project, stays where it is.
        """
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if not value:
            return word
        folder, name = os.path.split(self.cwd / value)  # a link itself is meant, not where it leads
        place = Path(os.path.realpath(folder), name)
        if not place.is_relative_to(self.root):
            return word
        target = self._tree / place.relative_to(self.root)
        if os.path.exists(place) and not os.path.lexists(target):
            return f"{option}{equals}{place}"
        return f"{option}{equals}{target}" if os.path.isabs(value) else word

    def _environment(self, told: Path) -> dict[str, str]:
        environment = dict(os.environ)
        environment[outcomes.VARIABLE] = str(told)
        environment["PWD"] = str(self._tree / self.cwd.relative_to(self.root))
        environment["PYTEST_ADDOPTS"] = f"{environment.get('PYTEST_ADDOPTS', '')} -p {outcomes.PLUGIN}".strip()
        return environment

    def _check(self, trace: Trace) -> None:
        original = [path for path in trace.ran if not self._is_copy(path) and not self._is_installed(path)]
        if original:
            raise ScratchError(
                f"the command runs {original[0]}, not the copy of it in which fixes are tried: "
                "is the project installed in a way that cannot be redirected?"
            )

    def _is_copy(self, path: str) -> bool:
        return path.startswith(str(self._tree) + os.sep)

    def _is_installed(self, path: str) -> bool:
        """Whether a file of the project is a program of an environment inside it."""
        below = Path(path).relative_to(self.root).parents
        return any(is_environment(str(self.root / folder)) for folder in list(below)[:-1])

    def _relative(self, path: str) -> str:
        return Path(path).relative_to(self._tree).as_posix()

    def _seen_from_root(self, event: Event) -> Event:
        def seen(frame: Frame | None) -> Frame | None:
            return frame._replace(path=self._relative(frame.path)) if frame and self._is_copy(frame.path) else frame

        return replace(event, user=seen(event.user), project=seen(event.project))

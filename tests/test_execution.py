"""Statements that are watched while they run. What the program says is ``say(...)``; entering and leaving are ``<`` and
``>``, so ``< work >`` is a statement during which the program said "work"; ``<~`` is one that goes on.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from synclint.runtime.execution import HookError, hook
from synclint.runtime.statements import Statement, statements_of


class Said:
    """A listener; ``last`` is how many executions it wants to see."""

    def __init__(self, last: int = 100) -> None:
        self.words: list[str] = []
        self.last = last
        self.seen = 0

    def enters(self, statement: Statement, *, resumed: bool) -> bool:
        if self.seen >= self.last:
            return False
        self.words.append("<~" if resumed else "<")
        return True

    def leaves(self) -> bool:
        self.words.append(">")
        self.seen += 1
        return self.seen >= self.last

    def say(self, word: object = "work") -> Any:
        self.words.append(str(word))
        return word

    def __str__(self) -> str:
        return " ".join(self.words)


def run(folder: Path, program: str, *, said: Said | None = None, path: str = "program.py") -> str:
    """What is said while the program's ``main()`` runs; its statements that hold ``#!`` are watched."""
    said = said or Said()
    file = folder / path
    program = dedent(program)
    file.write_text(program)
    named = [line for line, text in enumerate(program.splitlines(), 1) if "#!" in text]
    statements = [
        one for one in statements_of(program.encode(), str(file)) if set(named) & set(range(one.first, one.last + 1))
    ]
    names: dict[str, Any] = {"say": said.say}
    exec(compile(program, str(file), "exec"), names)
    watched = hook(statements, said)
    watched.start()
    try:
        names["main"]()
    finally:
        watched.stop()
    assert sys.gettrace() is None
    return str(said)


# ---------------------------------------------------------------------- which lines are a statement


def spans(program: str) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in statements_of(dedent(program).encode(), "p.py")]


def test_a_simple_statement_has_all_its_lines() -> None:
    assert spans("a = f(\n  1,\n)\nb = 1\n") == [(1, 3), (4, 4)]


def test_a_compound_statement_is_its_header() -> None:
    program = """\
        @g(
          1)
        def f(
            a=2,
        ):
            while (a
                   and b):
                a = 1
            else:
                pass
            try:
                with a, \\
                        b:
                    pass
            except (A,
                    B):
                pass
        """
    assert spans(program) == [(1, 4), (6, 7), (8, 8), (10, 10), (11, 11), (12, 13), (14, 14), (15, 16), (17, 17)]


def test_statements_that_share_a_line_are_one() -> None:
    assert spans("a; b\nif a: b(\n  1)\nc\n") == [(1, 1), (2, 3), (4, 4)]


# ---------------------------------------------------------------------- when it runs


CASES: dict[str, tuple[str, str]] = {
    "one line": ("def main():\n    say(1)\n    say(2)  #!\n    say(3)\n", "1 < 2 > 3"),
    "the last line of a function": ("def f():\n    say()  #!\n\ndef main():\n    f()\n    say(2)\n", "< work > 2"),
    "two in a row": ("def main():\n    say(1)  #!\n    say(2)  #!\n", "< 1 > < 2 >"),
    "several lines": (
        "def main():\n    x = max(\n        say(1),\n        say(2),  #!\n        *[say(i)\n"
        "          for i in (3, 4)],\n"
        "    )\n    say(5)\n",
        "< 1 2 3 4 > 5",
    ),
    "several lines in a loop": (
        "def main():\n    while True:\n        if max(say(1),  #!\n               say(2)): break\n",
        "< 1 2 >",
    ),
    "the only line of a loop": ("def main():\n    for i in range(3):\n        say(i)  #!\n", "< 0 > < 1 > < 2 >"),
    "the only line of an endless loop": (
        "def main():\n    it = iter([1, 2, 0])\n    try:\n        while True:\n            1 / say(next(it))  #!\n"
        "    except ZeroDivisionError: pass\n",
        "< 1 > < 2 > < 0 >",
    ),
    "the only condition in an endless loop": (
        "def main():\n    it = iter([0, 0, 1])\n    while True:\n        if say(next(it)):  #!\n            break\n",
        "< 0 > < 0 > < 1 >",
    ),
    "a condition of several lines in an endless loop": (
        "def main():\n    it = iter([0, 0, 1])\n    while True:\n        if (say(next(it))\n"
        "                and say('and')):  #!\n            break\n",
        "< 0 > < 0 > < 1 and >",
    ),
    "several lines in an endless loop": (
        "def main():\n    it = iter([1, 2, 0])\n    try:\n        while True:\n            max(1 / say(next(it)),  #!\n"
        "                [0 for _ in range(3)][0],\n                0)\n    except ZeroDivisionError: pass\n",
        "< 1 > < 2 > < 0 >",
    ),
    "a header of a loop": (
        "def g():\n    for i in range(2):\n        say('g')\n        yield i\n\n"
        "def main():\n    for i in g():  #!\n        say(i)\n",
        "< g > 0 < g > 1 < >",
    ),
    "a condition of a loop": (
        "def main():\n    i = 0\n    while say(i) < 2:  #!\n        i += 1\n        say('b')\n",
        "< 0 > b < 1 > b < 2 >",
    ),
    "a with statement": (
        "from contextlib import contextmanager\n\n@contextmanager\ndef c():\n    say('in')\n    yield\n"
        "    say('out')\n\n"
        "def main():\n    with c():  #!\n        say()\n    say('end')\n",
        "< in > work < out > end",
    ),
    "an exception that is caught": (
        "def main():\n    try:\n        say(1) / 0  #!\n    except ZeroDivisionError:\n        say(2)\n",
        "< 1 > 2",
    ),
    "an exception that leaves": (
        "def f():\n    say(1) / 0  #!\n\n"
        "def main():\n    try:\n        f()\n    except ZeroDivisionError:\n        say(2)\n",
        "< 1 > 2",
    ),
    "calls, recursion included": (
        "def f(n):\n    say(n) and f(n - 1)  #!\n    say('e')\n\ndef main():\n    f(2)\n",
        "< 2 1 0 e e > e",
    ),
    "a line of which a part runs later": (
        "def main():\n    f = lambda: say('l')  #!\n    f()\n    say(2)\n",
        "< > < l > 2",
    ),
    "calls of a function of one line": (
        "def f(n): say(n) and f(n - 1)  #!\n\ndef main():\n    f(1)\n    f(0)\n    say('e')\n",
        "< 1 0 > < 0 > e",
    ),
    "calls of a function of which the header is named": (
        "def main():\n    def f(\n        a=say(1),  #!\n    ):\n        say(2)\n    f()\n    f()\n",
        "< 1 > 2 2",
    ),
    "a lambda in a loop": (
        "def main():\n    f = lambda: say('l')  #!\n    for _ in range(3): f()\n    say(2)\n",
        "< > < l > < l > < l > 2",
    ),
    "a generator expression": (
        "def main():\n    g = (say(i) for i in range(2))  #!\n    next(g)\n    say('b')\n    next(g)\n    say('b')\n",
        "< > < 0 > b < 1 > b",
    ),
    "a generator expression of several lines": (
        "def main():\n    g = (\n        say(i)\n        for i in range(2)  #!\n    )\n    for _ in g: say('b')\n",
        "< > < 0 > b < 1 > b < >",
    ),
    "a statement of several lines that is suspended in the middle": (
        "def g():\n    say('a')\n    x = (say(1),  #!\n         (yield),\n         say(2),\n"
        "         say(3))\n    say('b')\n\n"
        "def main():\n    for x in g():\n        say('m')\n",
        "a < 1 > m <~ 2 3 > b",
    ),
    "a generator": (
        "def g():\n    say('a')\n    yield say(1)  #!\n    say('b')\n\n"
        "def main():\n    for x in g():\n        say('m')\n",
        "a < 1 > m <~ > b",
    ),
    "a statement that is suspended in the middle": (
        "def g():\n    say('a')\n    x = say(1), (yield), say(2)  #!\n    say('b')\n\n"
        "def main():\n    for x in g():\n        say('m')\n",
        "a < 1 > m <~ 2 > b",
    ),
    "a coroutine": (
        "import asyncio\n\nasync def g():\n    say('g')\n    await asyncio.sleep(0)\n    say('h')\n\n"
        "async def o():\n    say('o')\n\nasync def f():\n    say('f')\n    await g()  #!\n    say('e')\n\n"
        "async def both():\n    await asyncio.gather(f(), o())\n\ndef main():\n    asyncio.run(both())\n",
        "f < g > o <~ h > e",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_statement_is_watched_from_its_beginning_to_its_end(case: str, tmp_path: Path) -> None:
    program, expected = CASES[case]
    assert run(tmp_path, program) == expected


def test_threads_are_watched_each_by_itself(tmp_path: Path) -> None:
    program = """\
        import threading
        from concurrent.futures import ThreadPoolExecutor
        def f(turn, after):
            turn.wait(10)
            after.set(); say(); turn.clear()  #!
        def main():
            a, b, end = (threading.Event() for _ in range(3))
            threads = [threading.Thread(target=f, args=pair) for pair in ((a, b), (b, end))]
            for thread in threads: thread.start()
            a.set()
            for thread in threads: thread.join()
        """
    words = run(tmp_path, program).split()
    assert (words.count("<"), words.count(">"), words.count("work")) == (2, 2, 2)


def test_other_files_are_not_watched(tmp_path: Path) -> None:
    said = Said()
    watched = hook([Statement(str(tmp_path / "program.py"), 1, 1)], said)
    watched.start()
    try:
        exec(compile("say()", str(tmp_path / "other.py"), "exec"), {"say": said.say})
        assert str(said) == "work"
        exec(compile("say()", str(tmp_path / "program.py"), "exec"), {"say": said.say})
        assert str(said) == "work < work >"
    finally:
        watched.stop()


def test_a_statement_is_let_go_when_enough_is_known(tmp_path: Path) -> None:
    program = "def main():\n    for i in range(5):\n        say(i)  #!\n"
    assert run(tmp_path, program, said=Said(last=2)) == "< 0 > < 1 > 2 3 4"


def test_what_runs_already_is_watched(tmp_path: Path) -> None:
    """As the module is that imports torch."""
    file = tmp_path / "program.py"
    program = "start()\nfor i in range(2):\n    say(i)\nstop()\nsay(3)\n"
    said = Said()
    watched = hook([Statement(str(file), 3, 3)], said)
    exec(compile(program, str(file), "exec"), {"say": said.say, "start": watched.start, "stop": watched.stop})
    assert str(said) == "< 0 > < 1 > 3"


def test_the_program_ends_as_it_would(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        run(tmp_path, "def main():\n    raise KeyError('mine')  #!\n")
    assert sys.gettrace() is None
    assert threading.gettrace() is None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring is nobody's alone")
def test_another_tracer_is_left_alone(tmp_path: Path) -> None:
    def other(frame: object, event: str, argument: object) -> None:
        return None

    sys.settrace(other)
    try:
        with pytest.raises(HookError, match="another tracer"):
            hook([Statement(str(tmp_path / "p.py"), 1, 1)], Said()).start()
        assert sys.gettrace() is other
    finally:
        sys.settrace(None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_ids_of_tools_are_given_back(tmp_path: Path) -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined]
    for tool in (3, 4):
        monitoring.use_tool_id(tool, "other")
    try:
        with pytest.raises(HookError, match="hold all ids"):
            hook([Statement(str(tmp_path / "p.py"), 1, 1)], Said()).start()
    finally:
        for tool in (3, 4):
            monitoring.free_tool_id(tool)
    run(tmp_path, "def main():\n    say()  #!\n")
    assert [monitoring.get_tool(tool) for tool in (3, 4)] == [None, None]
    assert not any(monitoring.get_events(tool) for tool in (3, 4) if monitoring.get_tool(tool))

"""Running a command under the tracer: which processes are traced, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import pytest
from trace_programs import environment

import synclint
from synclint.runtime.launch import Launched, LaunchError, launch, words_of
from synclint.runtime.trace import Trace, read

WAITS = "import torch\n\n\ndef main():\n    torch.item()\n    torch.item()\n\n\nmain()\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def run(project: Path, program: str, *arguments: str, **options: object) -> Launched:
    (project / "main.py").write_text(program)
    if "env" not in options:
        options["env"] = environment(project)
    return launch(["main.py", *arguments], cwd=project, out=project.parent / "out", **options)


def lines(trace: Trace) -> dict[tuple[str, int], int]:
    return {(Path(one.frame.path).name, one.frame.line): one.count for one in trace.events if one.frame}


# ---------------------------------------------------------------------- one process


def test_the_lines_that_wait_are_found_and_the_status_is_the_commands(project: Path) -> None:
    done = run(project, WAITS + "raise SystemExit(5)\n")
    assert done.status == 5
    trace = done.trace()
    assert lines(trace) == {("main.py", 5): 1, ("main.py", 6): 1}
    assert trace.backend == "told"
    (process,) = trace.processes
    assert process["argv"][1] == "main.py"
    assert process["torch"] == "0.0"


def test_the_project_is_the_working_directory_unless_told_otherwise(project: Path) -> None:
    done = run(project, WAITS)
    assert done.trace().events[0].project is not None
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    assert run(project, WAITS, roots=[elsewhere]).trace().events[0].project is None


def test_installed_packages_below_the_project_are_not_the_projects(project: Path) -> None:
    packages = project / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "library.py").write_text("import torch\n\n\ndef f():\n    torch.item()\n")
    program = f"import sys\nsys.path.append({str(packages)!r})\nimport torch, library\nlibrary.f()\n"
    (event,) = run(project, program).trace().events
    assert event.user is not None
    assert event.project is not None
    assert (Path(event.user.path).name, Path(event.project.path).name) == ("library.py", "main.py")


def test_a_program_without_torch_is_left_alone(project: Path) -> None:
    program = "import sys\nassert not [name for name in sys.modules if name.startswith('synclint')]\n"
    env = environment(project)
    (project.parent / "site" / "sitecustomize.py").unlink()
    done = run(project, program, env=env)
    assert (done.status, done.traces) == (0, ())


def test_the_program_sees_its_own_path_and_customization(project: Path) -> None:
    program = (
        "import os, sys, sitecustomize\n"
        "assert 'synclint' not in ' '.join(sys.path), sys.path\n"
        "assert hasattr(sitecustomize, 'load_backend')\n"
        "import torch\n"
        "assert torch.__spec__.loader.get_source('torch').startswith('__version__')\n"
    )
    assert run(project, program).status == 0


def test_the_users_interpreter_needs_no_synclint(project: Path) -> None:
    venv.create(project.parent / "env", symlinks=True)
    python = project.parent / "env" / "bin" / "python"
    (project / "main.py").write_text(WAITS + "import synclint\nprint(synclint.__file__)\n")
    with (project.parent / "said").open("w+b") as said:
        done = launch(
            [str(python), "main.py"], cwd=project, out=project.parent / "out", env=environment(project), output=said
        )
    assert (done.status, len(done.traces)) == (0, 1)
    assert done.trace().processes[0]["argv"][0] == str(python)
    assert (project.parent / "said").read_text().strip() == synclint.__file__


def test_without_a_customization_of_the_users_nothing_is_missed(project: Path) -> None:
    env = environment(project)
    (project.parent / "site" / "sitecustomize.py").unlink()
    done = run(project, "import sys\nassert 'sitecustomize' in sys.modules\n", env=env)
    assert done.status == 0


def test_torch_that_fails_to_import_fails_as_it_would(project: Path) -> None:
    env = environment(project)
    (project.parent / "site" / "torch" / "__init__.py").write_text("raise ImportError('no libcuda')\n")
    program = (
        "for attempt in range(2):\n    try:\n        import torch\n    except ImportError as error:\n"
        "        assert str(error) == 'no libcuda'\n    else:\n        raise AssertionError\n"
    )
    done = run(project, program, env=env)
    assert (done.status, done.traces) == (0, ())


def test_a_back_end_that_cannot_run_ends_the_program_with_2(project: Path) -> None:
    program = "print('before')\ntry:\n    import torch\nexcept BaseException:\n    pass\nprint('after')\n"
    with (project.parent / "said").open("w+b") as said:
        done = run(project, program, backend="cuda", output=said)
    assert (done.status, done.failures, done.traces) == (2, ("there is no GPU",), ())
    assert (project.parent / "said").read_text() == "before\nsynclint: error: there is no GPU\n"


def test_a_back_end_that_cannot_be_imported_says_so(project: Path) -> None:
    env = environment(project)
    with (project.parent / "site" / "sitecustomize.py").open("a") as file:
        file.write("    tracer.load_backend = lambda *_: __import__('no_such_module')\n")
    done = run(project, "import torch\nprint('after')\n", env=env)
    assert done.status == 2
    assert done.failures[0].endswith("No module named 'no_such_module'")


def test_operators_that_are_not_simulated_travel_in_the_trace(project: Path) -> None:
    trace = run(project, "import torch\ntorch.refuse()\ntorch.item()\ntorch.refuse()\n").trace()
    assert trace.not_simulated == {"aten::absent": 2}


# ---------------------------------------------------------------------- several processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_has_a_file_of_its_own_even_if_it_leaves_at_once(project: Path) -> None:
    program = (
        "import os, torch\n"
        "torch.item()\n"
        "for work in (lambda: None, torch.item, torch.item):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        work()\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "torch.item()\n"
    )
    done = run(project, program)
    assert [lines(read(path)) for path in done.traces] == [
        {("main.py", 2): 1, ("main.py", 9): 1},
        {("main.py", 6): 1},
        {("main.py", 6): 1},
    ]
    pids = [(process["pid"], process["parent"]) for process in done.trace().processes]
    assert pids[1][1] == pids[2][1] == pids[0][0]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(project: Path, method: str) -> None:
    program = (
        "import multiprocessing, torch\n"
        "def work(n):\n"
        "    for _ in range(n):\n"
        "        torch.item()\n"
        "    torch.refuse()\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    started = [context.Process(target=work, args=(n,)) for n in (1, 2)]\n"
        "    for one in started: one.start()\n"
        "    for one in started: one.join()\n"
    )
    trace = run(project, program).trace()
    assert lines(trace) == {("main.py", 4): 3}
    assert trace.not_simulated == {"aten::absent": 2}


def test_python_processes_of_the_program(project: Path) -> None:
    program = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import torch; torch.item()'], check=True)\n"
    )
    (event,) = run(project, program).trace().events
    assert event.frame is not None
    assert event.frame.path == "<string>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_while_another_thread_writes_does_not_hang(project: Path) -> None:
    program = (
        "import os, threading, torch\n"
        "done = threading.Event()\n"
        "def busy():\n"
        "    while not done.is_set(): torch.item()\n"
        "thread = threading.Thread(target=busy)\n"
        "thread.start()\n"
        "for _ in range(20):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        torch.item()\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "done.set()\n"
        "thread.join()\n"
    )
    done = run(project, program, timeout=60)
    assert not done.timed_out
    assert lines(done.trace())["main.py", 10] == 20


# ---------------------------------------------------------------------- the end of a command


def test_a_command_that_takes_too_long_is_ended_with_its_children(project: Path) -> None:
    program = (
        "import subprocess, sys, torch\n"
        "torch.item()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with (project.parent / "said").open("w+b") as said:
        done = run(project, program, timeout=1.5, output=said)
    assert (done.timed_out, done.status) == (True, 128 + signal.SIGTERM)
    assert lines(done.trace()) == {("main.py", 2): 1}
    pid = int((project.parent / "said").read_text())
    for _ in range(100):
        if not _alive(pid):
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on_and_leave_a_trace(project: Path, number: signal.Signals) -> None:
    program = (
        "import signal, sys, time, torch\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "torch.item()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    torch.item()\n    sys.exit(8)\n"
    )
    before = signal.getsignal(number)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), number))
    timer.start()
    done = run(project, program)
    timer.join()
    assert done.status == (8 if number == signal.SIGINT else 7)
    assert lines(done.trace())["main.py", 3] == 1
    assert signal.getsignal(number) is before


# ---------------------------------------------------------------------- commands


def test_scripts_and_modules_are_run_by_python(tmp_path: Path) -> None:
    assert words_of(["train.py", "-x"], {})[1:] == ["train.py", "-x"]
    assert words_of(["-m", "pytest"], {}) == [sys.executable, "-m", "pytest"]
    assert words_of(["no-such-program", "-x"], os.environ) == ["no-such-program", "-x"]
    (tmp_path / "pytest").touch(mode=0o755)
    assert words_of(["pytest"], {"PATH": str(tmp_path)}) == [str(Path(sys.executable).parent / "pytest")]


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="no-such-program: cannot be run: No such file"):
        launch(["no-such-program"], out=tmp_path)
    with pytest.raises(LaunchError, match="no command"):
        launch([], out=tmp_path)


def test_pytest_is_traced(project: Path) -> None:
    (project / "test_a.py").write_text("import torch\n\n\ndef test_a():\n    torch.item()\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = launch(words, cwd=project, out=project.parent / "out", env=environment(project), output=subprocess.DEVNULL)
    assert (done.status, lines(done.trace())) == (0, {("test_a.py", 5): 1})


def test_workers_of_xdist_are_traced(project: Path) -> None:
    pytest.importorskip("xdist")
    (project / "test_a.py").write_text("import torch\n\n\ndef test_a():\n    torch.item()\n")
    (project / "test_b.py").write_text("import torch\n\n\ndef test_b():\n    torch.item()\n")
    words = [sys.executable, "-m", "pytest", "-q", "-n2", "-p", "no:cacheprovider"]
    done = launch(words, cwd=project, out=project.parent / "out", env=environment(project), output=subprocess.DEVNULL)
    assert (done.status, lines(done.trace())) == (0, {("test_a.py", 5): 1, ("test_b.py", 5): 1})


# ---------------------------------------------------------------------- executed lines


def test_executed_lines_are_recorded_on_request(project: Path) -> None:
    program = "import torch\nif torch:\n    def f(x):\n        return 1\n    def g():\n        return 2\n    f(3)\n"
    trace = run(project, program, lines=True).trace()
    ((path, ran),) = trace.ran.items()
    assert Path(path).name == "main.py"
    assert ran == {2, 3, 4, 5, 7}
    assert trace.knows_lines


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sys.monitoring is nobody's alone")
def test_a_taken_over_trace_function_is_told(project: Path) -> None:
    program = "import sys, torch\nsys.settrace(lambda *_: None)\n"
    assert not run(project, program, lines=True).trace().knows_lines


def test_lines_are_not_recorded_when_not_asked_for(project: Path) -> None:
    trace = run(project, WAITS, lines=False).trace()
    assert (trace.ran, trace.knows_lines) == ({}, False)

"""The pytest plugin, in sessions of its own, on the simulated device."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

LIBRARY = """
import torch

def total(n):
    return torch.ones(n, device="cuda").sum().item()

def length(n):
    return torch.ones(n, device="cuda").shape[0]
"""


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(library=LIBRARY)
    return pytester


def run(session: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return session.runpytest_subprocess("-p", "synclint.pytest", *arguments)


def test_without_options_it_does_nothing(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import sys

        def test_torch_is_not_imported():
            assert "torch" not in sys.modules
        """
    )
    result = run(session, "--strict-markers")
    result.assert_outcomes(passed=1)
    assert "host waits" not in result.stdout.str()


def test_the_marker_fails_a_test_that_waits(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import pytest, library

        @pytest.mark.no_sync
        def test_waits():
            library.total(3)

        @pytest.mark.no_sync
        def test_does_not_wait():
            library.length(3)

        @pytest.mark.no_sync
        def test_catches_it():
            try:
                library.total(3)
            except RuntimeError:
                pass

        @pytest.mark.no_sync
        def test_is_allowed_to():
            from synclint.runtime import allow_sync
            with allow_sync("the answer"):
                assert library.total(3) == 3
        """
    )
    result = run(session, "--sync-backend=simulated", "-rA")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*library.py:4: aten::_local_scalar_dense (scalar-read)*SYN201*"])


def test_the_marker_works_without_a_session_of_tracing(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import pytest

        @pytest.mark.no_sync
        def test_waits():
            import library
            library.total(3)
        """
    )
    run(session).assert_outcomes(failed=1)


def test_copies_in_name_only_are_forbidden_on_request(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import pytest, torch

        def copy():
            torch.ones(3).to("cuda", non_blocking=True)

        @pytest.mark.no_sync
        def test_fine():
            copy()

        @pytest.mark.no_sync(pageable=True)
        def test_not_fine():
            copy()
        """
    )
    run(session, "--sync-backend=simulated").assert_outcomes(passed=1, failed=1)


def test_the_fixture_lists_events(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import library

        def test_events(sync_events):
            assert len(sync_events) == 0
            library.length(3)
            assert not sync_events
            library.total(3)
            (event,) = sync_events
            assert event.cause == "scalar-read"
            assert event.frame.path.endswith("library.py")

        def test_begins_anew(sync_events):
            assert list(sync_events) == []
        """
    )
    run(session, "--sync-backend=simulated").assert_outcomes(passed=2)
    run(session).assert_outcomes(passed=2)


WAITING = """
    import library, torch

    def test_reads_its_own_result():
        assert torch.ones(3, device="cuda").sum().item() == 3

    def test_waits_in_the_library():
        assert library.total(3) == 3
        assert library.total(4) == 4

    def test_does_not():
        assert library.length(3) == 3
    """


def test_checking_lists_what_tests_wait_for(session: pytest.Pytester) -> None:
    session.makepyfile(WAITING)
    result = run(session, "--sync-check=warn", "--sync-backend=simulated")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*= host waits =*",
            "*::test_waits_in_the_library: 2 waits",
            "    2 x *library.py:4: aten::_local_scalar_dense (scalar-read)*",
        ]
    )
    assert "test_reads_its_own_result: " not in result.stdout.str()


def test_checking_fails_tests_that_wait(session: pytest.Pytester) -> None:
    session.makepyfile(WAITING)
    run(session, "--sync-check=error", "--sync-backend=simulated").assert_outcomes(passed=2, failed=1)


def test_a_test_is_known_by_its_real_path(session: pytest.Pytester) -> None:
    session.makepyfile(WAITING)
    link = session.path.with_name("link")
    link.symlink_to(session.path)
    file = next(session.path.glob("test_*.py"))
    result = run(session, "--sync-check=error", "--sync-backend=simulated", str(link / file.name))
    result.assert_outcomes(passed=2, failed=1)


def test_a_doctest_may_read_results_and_the_file_that_it_stands_in_may_not_wait(session: pytest.Pytester) -> None:
    session.makepyfile(
        documented="""
        import torch

        def ones(n):
            '''
            >>> ones(3).sum().item()
            3.0
            '''
            return torch.ones(n, device="cuda")

        def total(n):
            '''
            >>> total(3)
            3.0
            '''
            return ones(n).sum().item()
        """
    )
    result = run(session, "--doctest-modules", "documented.py", "--sync-check=error", "--sync-backend=simulated")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["documented.py::documented.total: 1 wait"])


def test_nothing_is_listed_where_no_test_is_run(session: pytest.Pytester) -> None:
    session.makepyfile(WAITING)
    result = run(session, "--collect-only", "--sync-check=warn", "--sync-backend=simulated")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*host waits*")


def test_an_installed_plugin_may_be_named_on_the_command_line_too(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path(__file__).parent.parent / "pyproject.toml"
    (name,) = re.findall(r'pytest11\]\n"?([\w.]+)"? = "synclint\.pytest"', project.read_text(encoding="utf-8"))
    installed = session.path / "site" / "synclint_plugin-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: synclint-plugin\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = synclint.pytest\n")
    monkeypatch.setenv("PYTHONPATH", str(installed.parent), prepend=os.pathsep)
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    session.makepyfile(WAITING)
    options = ("--sync-check=warn", "--sync-backend=simulated")
    run(session, *options).assert_outcomes(passed=3)
    session.runpytest_subprocess(*options).assert_outcomes(passed=3)


def test_the_list_is_whole_with_xdist(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xdist")
    session.makepyfile(WAITING)
    result = run(session, "-p", "xdist.plugin", "-n2", "--sync-check=warn", "--sync-backend=simulated")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*::test_waits_in_the_library: 2 waits"])


def test_conftest_files_already_see_the_device(session: pytest.Pytester) -> None:
    session.makeconftest("import torch\nAVAILABLE = torch.cuda.is_available()")
    session.makepyfile("from conftest import AVAILABLE\ndef test_available(): assert AVAILABLE")
    run(session, "--sync-backend=simulated").assert_outcomes(passed=1)


def test_tests_of_torch_s_own_debug_mode_run_as_they_are(session: pytest.Pytester) -> None:
    session.makepyfile(
        """
        import pytest, torch, warnings

        @pytest.fixture
        def strict():
            torch.cuda.set_sync_debug_mode("error")
            yield
            torch.cuda.set_sync_debug_mode("default")

        def test_raises(strict):
            x = torch.ones(3, device="cuda")
            x + x
            with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
                x.sum().item()

        def test_warns():
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
                    torch.ones(3, device="cuda").cpu()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        """
    )
    run(session, "--sync-backend=simulated").assert_outcomes(passed=2)


def test_a_back_end_that_cannot_run_is_a_usage_error(session: pytest.Pytester) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = run(session, "--sync-backend=cuda")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*synclint: *"])

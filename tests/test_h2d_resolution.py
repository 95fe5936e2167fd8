"""Which helper fixes call: the configured one, the project's own, or synclint.h2d, and what each promises."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from synclint.config import Settings
from synclint.finding import Applicability
from synclint.lint import h2d
from synclint.lint.h2d import Helper, Resolution, is_inside_helper, resolve
from synclint.lint.import_cycles import imports_back
from synclint.source import Source

KINDS: tuple[h2d.DataKind, ...] = ("list", "tuple", "scalar", "ndarray", "tensor")

# The four signatures that vLLM's function has had (0.8 to 0.20, 0.21, 0.24, 0.30), with bodies like theirs.
REQUIRED_PIN = """
    import torch
    def async_tensor_h2d(data: list, dtype: torch.dtype, target_device: str | torch.device, pin_memory: bool):
        t = torch.tensor(data, dtype=dtype, pin_memory=pin_memory, device="cpu")
        return t.to(device=target_device, non_blocking=True)
    """
DEFAULT_PIN = """
    import torch
    def async_tensor_h2d(data: list, dtype: torch.dtype, device: "str | torch.device", pin_memory: bool = PIN):
        "Send."
        t = torch.tensor(data, dtype=dtype, pin_memory=pin_memory, device="cpu")
        return t.to(device=device, non_blocking=True)
    """
ANY_DATA = """
    import numpy as np
    import torch
    def async_tensor_h2d(data: list | np.ndarray | torch.Tensor, device: str, dtype: torch.dtype | None = None):
        if isinstance(data, np.ndarray):
            data = torch.from_numpy(data)
        if isinstance(data, torch.Tensor):
            t = data.pin_memory() if PIN else data
        else:
            t = torch.tensor(data, dtype=dtype, pin_memory=PIN, device="cpu")
        assert t.is_cpu
        return t.to(device=device, dtype=dtype, non_blocking=True)
    """
BUILT = 'torch.tensor(data, dtype=dtype, pin_memory=PIN, device="cpu")'
WITH_OUT = """
    import numpy as np
    import torch
    from typing import Optional, Union
    def async_tensor_h2d(
        data: Union[list, np.ndarray, torch.Tensor],
        device: Optional[torch.device] = None,
        dtype: Optional[torch.dtype] = None,
        out: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        if dtype is None and out is not None:
            dtype = out.dtype
        if isinstance(data, np.ndarray):
            data = torch.from_numpy(data)
        if isinstance(data, torch.Tensor):
            t = data
        else:
            t = torch.tensor(data, dtype=dtype, pin_memory=PIN, device="cpu")
        if out is not None:
            return out.copy_(t, non_blocking=True)
        assert device is not None
        return t.to(device=device, dtype=dtype, non_blocking=True)
    """
OURS = h2d.OWN_FILE.read_text()
SHIM = "def async_tensor_h2d(data, device, dtype=None): return torch.tensor(data, dtype=dtype)\n"
CALLER = "pkg/model.py"


def project(root: Path, files: dict[str, str], source: str = CALLER, **settings: Any) -> Resolution:
    """What ``source`` may call in a project of these files; packages are made of all folders but src."""
    for name, text in {source: "import torch\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        folder = path.parent
        while folder != root and folder.name not in ("src", "plain"):
            (folder / "__init__.py").touch()
            folder = folder.parent
    h2d._definitions.cache_clear()
    h2d._parsed.cache_clear()
    return resolve(Source.read(root / source), Settings(root=root, **settings))


def helper_of(resolution: Resolution) -> Helper:
    assert resolution.helper is not None, resolution.hint
    return resolution.helper


def level(helper: Helper, kind: h2d.DataKind = "list") -> Applicability:
    return helper.promise(kind)[0]


# ---------------------------------------------------------------------- the project's own


@pytest.mark.parametrize(
    ("code", "calls", "takes", "exact"),
    [
        (REQUIRED_PIN, ["dtype=d, target_device=g, pin_memory=True", None, None, None], {"list"}, set()),
        (DEFAULT_PIN, ["dtype=d, device=g", None, None, None], {"list"}, {"list"}),
        (ANY_DATA, ["device=g, dtype=d", "device=g", None, None], {"list", "ndarray", "tensor"}, {"list"}),
        (WITH_OUT, ["device=g, dtype=d", "device=g", "out=o", None], {"list", "ndarray", "tensor"}, {"list"}),
        (OURS, ["dtype=d, device=g", "device=g", "out=o", ""], set(KINDS), set(KINDS)),
    ],
    ids=["required pin_memory", "default pin_memory", "any data", "with out", "ours"],
)
def test_the_signature_says_how_to_call(
    code: str, calls: list[str | None], takes: set[str], exact: set[str], tmp_path: Path
) -> None:
    helper = helper_of(project(tmp_path, {"pkg/utils/tensors.py": code}))
    assert (helper.module, helper.name, helper.here) == ("pkg.utils.tensors", "async_tensor_h2d", False)
    written = [
        helper.call("x", "d", "g", None),
        helper.call("x", None, "g", None),
        helper.call("x", None, None, "o"),
        helper.call("x", None, None, None),
    ]
    spelled = [
        None if rest is None else f"async_tensor_h2d({', '.join(['x', *filter(None, [rest])])})" for rest in calls
    ]
    assert written == spelled
    assert {kind for kind in KINDS if helper.accepts(kind)} == takes
    assert {kind for kind in KINDS if level(helper, kind) is Applicability.SAFE} == exact
    assert all(helper.promise(kind)[1] for kind in KINDS if kind not in exact)
    assert (helper.promise("list", into_out=True)[0] is Applicability.SAFE) == (code is OURS)


def test_written_calls_bind_to_the_real_signature(tmp_path: Path) -> None:
    from synclint.h2d import async_tensor_h2d

    helper = helper_of(project(tmp_path, {}))
    for arguments in (("d", "g", None), (None, "g", None), (None, None, "o"), ("d", None, None), (None, None, None)):
        text = helper.call("x", *arguments)
        assert text is not None
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        inspect.signature(async_tensor_h2d).bind(*call.args, **{str(each.arg): each.value for each in call.keywords})
    assert helper.call("x", "d", None, "o") is None
    assert helper.call("x", None, "g", "o") is None


def test_the_call_uses_the_name_of_the_file_and_keeps_the_arguments_whole(tmp_path: Path) -> None:
    helper = helper_of(project(tmp_path, {}))
    assert helper.call("[a, *b]", None, "self.device", function="h2d_") == "h2d_([a, *b], device=self.device)"
    assert helper.call("a := [1]", None, "d := dev()") == "async_tensor_h2d((a := [1]), device=(d := dev()))"


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (("", ""), True),
        (("pin_memory=PIN, ", ""), False),
        (("pin_memory=PIN", "pin_memory=False"), False),
        (('device="cpu"', "device=device"), False),
        (("torch.tensor(data", "torch.tensor(list(data)"), False),
        (("torch.tensor(data, dtype=dtype", "torch.as_tensor(data, dtype=dtype"), False),
        (("torch.tensor(data, dtype=dtype", "torch.tensor(data, dtype=torch.int32"), False),
        (("non_blocking=True", "non_blocking=False"), False),
        (("return t.to", "return t.view(-1).to"), False),
        (("return t.to", "return other.to"), False),
        (("t = torch.tensor", "device = t = torch.tensor"), False),
        (("assert t.is_cpu", f"data = {BUILT}\n        if isinstance(data, torch.Tensor): return 1"), False),
        (("dtype=dtype, non_blocking", "dtype=torch.int64, non_blocking"), False),
        (("isinstance(data, np.ndarray)", "isinstance(data, (np.ndarray, list))"), False),
        (("isinstance(data, np.ndarray)", "isinstance(data, (np.ndarray, torch.Tensor))"), True),
        (("isinstance(data, np.ndarray)", "len(data) > 9"), False),
        (("assert t.is_cpu", "t = t + 1"), False),
        (("assert t.is_cpu", "t.add_(1)"), False),
        (("assert t.is_cpu", "if not t.is_cpu: raise ValueError"), False),
        (("    def async", "    @cache\n    def async"), False),
    ],
)
def test_a_list_is_exact_only_where_the_body_shows_it(change: tuple[str, str], kept: bool, tmp_path: Path) -> None:
    assert change[0] in ANY_DATA
    helper = helper_of(project(tmp_path, {"pkg/tensors.py": ANY_DATA.replace(*change)}))
    assert (level(helper) is Applicability.SAFE) is kept


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def async_tensor_h2d(data, device, group): pass", "required parameter"),
        ("def async_tensor_h2d(data): pass", "required parameter"),
        ("def async_tensor_h2d(*, data, device): pass", "required parameter"),
        ("async def async_tensor_h2d(data, device): pass", "coroutine"),
    ],
)
def test_what_cannot_be_called_is_passed_over_with_a_hint(code: str, why: str, tmp_path: Path) -> None:
    resolution = project(tmp_path, {"pkg/tensors.py": code})
    assert helper_of(resolution).module == "synclint.h2d"
    assert why in resolution.hint


def test_optional_parameters_of_its_own_do_no_harm(tmp_path: Path) -> None:
    code = "def async_tensor_h2d(data, device, /, dtype=None, *, stream=None, out=None): pass"
    helper = helper_of(project(tmp_path, {"pkg/tensors.py": code}))
    assert helper.call("x", "d", "g") == "async_tensor_h2d(x, g, dtype=d)"
    assert helper.call("x", None, None, "o") is None
    assert [helper.accepts(kind) for kind in KINDS] == [None] * 5
    code = "def async_tensor_h2d(data, dtype=None, device=None, /): pass"
    helper = helper_of(project(tmp_path, {"pkg/tensors.py": code}))
    assert helper.call("x", "d", "g") == "async_tensor_h2d(x, d, g)"
    assert helper.call("x", None, "g") is None


@pytest.mark.parametrize("name", ["pkg/model.py", "plain/script.py"])
def test_in_the_file_of_the_helper_no_import_is_needed(name: str, tmp_path: Path) -> None:
    helper = helper_of(project(tmp_path, {name: ANY_DATA}, source=name))
    assert helper.here
    assert level(helper) is Applicability.SAFE


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("pkg/tensors.py", "pkg.tensors"),
        ("pkg/tensors/__init__.py", "pkg.tensors"),
        ("src/pkg/deep/tensors.py", "pkg.deep.tensors"),
        ("tensors.py", "tensors"),
        ("libs/one/src/pkg/tensors.py", "pkg.tensors"),
    ],
)
def test_the_dotted_name_follows_the_packages(path: str, module: str, tmp_path: Path) -> None:
    assert helper_of(project(tmp_path, {path: ANY_DATA})).module == module


def test_a_root_inside_the_package_gives_the_full_name(tmp_path: Path) -> None:
    project(tmp_path, {"pkg/sub/tensors.py": ANY_DATA, "pkg/sub/model.py": ""})
    h2d._definitions.cache_clear()
    settings = Settings(root=tmp_path / "pkg" / "sub")
    helper = helper_of(resolve(Source.read(tmp_path / "pkg/sub/model.py"), settings))
    assert helper.module == "pkg.sub.tensors"


def test_a_project_within_the_project_starts_its_own_names(tmp_path: Path) -> None:
    files = {"plain/pkg/tensors.py": ANY_DATA, "plain/pyproject.toml": ""}
    assert helper_of(project(tmp_path, files)).module == "pkg.tensors"


def test_a_folder_that_is_no_package_leaves_the_import_unclear(tmp_path: Path) -> None:
    resolution = project(tmp_path, {"plain/tensors.py": ANY_DATA})
    assert helper_of(resolution).module == "synclint.h2d"
    assert "h2d-helper" in resolution.hint


@pytest.mark.parametrize(
    "files",
    [
        {"pkg/tensors.py": ANY_DATA, "pkg/cpu/shim.py": SHIM},
        {"pkg/tensors.py": f"if cpu:\n    {SHIM}else:\n    {SHIM}"},
        {
            "pkg/tensors.py": f"try:\n    from fast import async_tensor_h2d\nexcept ImportError:\n    {SHIM}",
            "pkg/b.py": SHIM,
        },
    ],
    ids=["a shim beside it", "two branches", "three"],
)
def test_several_definitions_are_ambiguous(files: dict[str, str], tmp_path: Path) -> None:
    resolution = project(tmp_path, files)
    assert resolution.helper is None
    assert 'h2d-helper = "pkg' in resolution.hint
    assert '"pkg.tensors:async_tensor_h2d"' in resolution.hint


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("tests/tensors.py", SHIM),
        (".venv/lib/tensors.py", SHIM),
        ("build/lib/pkg/tensors.py", SHIM),
        ("pkg/other.py", f"class A:\n    {SHIM}"),
        ("pkg/other.py", f"def outer():\n    {SHIM}"),
        ("pkg/other.py", "def async_tensor_h2d_twice(data): pass"),
        ("pkg/other.py", "def async_tensor_h2d(:"),
    ],
)
def test_what_is_not_a_definition_of_the_project(path: str, code: str, tmp_path: Path) -> None:
    assert helper_of(project(tmp_path, {path: code})).module == "synclint.h2d"
    assert helper_of(project(tmp_path, {"pkg/tensors.py": ANY_DATA})).module == "pkg.tensors"


def test_tests_may_call_their_own(tmp_path: Path) -> None:
    assert helper_of(project(tmp_path, {"tests/tensors.py": SHIM}, source="tests/test_a.py")).module == "tests.tensors"


# ---------------------------------------------------------------------- circular imports


@pytest.mark.parametrize(
    ("files", "importer"),
    [
        ({"pkg/tensors.py": ANY_DATA}, ""),
        ({"pkg/tensors.py": "from pkg.model import f\n" + dedent(ANY_DATA)}, "pkg.tensors"),
        ({"pkg/tensors.py": "from . import model\n" + dedent(ANY_DATA)}, "pkg.tensors"),
        ({"pkg/tensors.py": "import pkg.a\n" + dedent(ANY_DATA), "pkg/a.py": "from .model import f"}, "pkg.a"),
        ({"pkg/sub/tensors.py": ANY_DATA, "pkg/sub/__init__.py": "import pkg.model"}, "pkg.sub"),
        ({"pkg/tensors.py": "try:\n    import pkg.model\nexcept E: pass\n" + dedent(ANY_DATA)}, "pkg.tensors"),
        ({"pkg/tensors.py": "if TYPE_CHECKING:\n    import pkg.model\n" + dedent(ANY_DATA)}, ""),
        ({"pkg/tensors.py": "def f():\n    import pkg.model\n" + dedent(ANY_DATA)}, ""),
        ({"pkg/tensors.py": "import pkg.a\n" + dedent(ANY_DATA), "pkg/a.py": "import pkg.tensors"}, ""),
    ],
)
def test_an_import_that_may_be_circular_is_unsafe(files: dict[str, str], importer: str, tmp_path: Path) -> None:
    helper = helper_of(project(tmp_path, files))
    found, reason = helper.promise("list")
    assert found is (Applicability.UNSAFE if importer else Applicability.SAFE)
    assert reason == (
        f"importing {helper.module} here may be circular: {importer} imports this module" if importer else ""
    )


def test_following_imports_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, {f"pkg/m{number}.py": f"import pkg.m{number + 1}" for number in range(9)})
    assert imports_back("pkg.m0", tmp_path, tmp_path / "pkg/m8.py") == "pkg.m7"
    assert imports_back("pkg.m0", tmp_path, tmp_path / CALLER) == ""
    monkeypatch.setattr("synclint.lint.import_cycles._MOST_FILES", 5)
    assert imports_back("pkg.m1", tmp_path, tmp_path / CALLER) == "pkg.m1"


# ---------------------------------------------------------------------- configured, and synclint's own


def test_without_any_other_it_is_synclints_own(tmp_path: Path) -> None:
    unsafe = helper_of(project(tmp_path, {}))
    assert unsafe.dotted == "synclint.h2d.async_tensor_h2d"
    assert unsafe.promise("tensor")[0] is Applicability.UNSAFE
    assert "run-time dependency" in unsafe.promise("tensor")[1]
    for settings in (
        {"dependencies": frozenset({"torch", "synclint"})},
        {"h2d_helper": "synclint.h2d:async_tensor_h2d"},
    ):
        safe = helper_of(project(tmp_path, {}, **settings))
        assert safe == replace(unsafe, doubt="")
        assert all(level(safe, kind) is Applicability.SAFE for kind in KINDS)


@pytest.mark.parametrize("path", ["pkg/tensors.py", "src/pkg/tensors.py", "pkg/tensors/__init__.py"])
def test_the_configured_helper_is_read_in_the_project(path: str, tmp_path: Path) -> None:
    files = {path: ANY_DATA.replace("async_tensor_h2d", "send"), "pkg/shim.py": SHIM, "pkg/other.py": SHIM}
    helper = helper_of(project(tmp_path, files, h2d_helper="pkg.tensors:send"))
    assert (helper.dotted, helper.call("x", None, "g")) == ("pkg.tensors.send", "send(x, device=g)")
    assert [level(helper, kind).value for kind in ("list", "tensor")] == ["safe", "unsafe"]


def test_the_configured_helper_is_found_in_a_project_within_the_project(tmp_path: Path) -> None:
    files = {"plain/pkg/tensors.py": ANY_DATA, "plain/pyproject.toml": "", "pkg/tensors_cpu.py": SHIM}
    helper = helper_of(project(tmp_path, files, h2d_helper="pkg.tensors:async_tensor_h2d"))
    assert level(helper) is Applicability.SAFE


def test_a_configured_copy_of_ours_is_safe_whatever_its_layout(tmp_path: Path) -> None:
    copy = "# Ours.\n" + ast.unparse(ast.parse(OURS)).replace("Copy host data to a device", "Copy")
    assert "Copy host data" not in copy
    helper = helper_of(project(tmp_path, {"pkg/h2d.py": copy}, h2d_helper="pkg.h2d:async_tensor_h2d"))
    assert (helper.module, helper.ours) == ("pkg.h2d", True)
    assert all(level(helper, kind) is Applicability.SAFE for kind in KINDS)
    changed = copy.replace("non_blocking=True", "non_blocking=False")
    helper = helper_of(project(tmp_path, {"pkg/h2d.py": changed}, h2d_helper="pkg.h2d:async_tensor_h2d"))
    assert level(helper) is Applicability.UNSAFE


@pytest.mark.parametrize(
    ("files", "setting"),
    [({}, "company.tensors:send"), ({"pkg/tensors.py": "from company.tensors import send"}, "pkg.tensors:send")],
    ids=["installed", "imported from elsewhere"],
)
def test_a_configured_helper_out_of_sight_is_taken_for_ours_and_unsafe(
    files: dict[str, str], setting: str, tmp_path: Path
) -> None:
    helper = helper_of(project(tmp_path, files, h2d_helper=setting))
    assert f"{helper.module}:{helper.name}" == setting
    assert helper.call("x", "d", "g") == "send(x, dtype=d, device=g)"
    assert helper.promise("list")[0] is Applicability.UNSAFE
    assert "assumed" in helper.promise("list")[1]


@pytest.mark.parametrize(("inside", "found"), [("pkg/__init__.py", True), ("other.py", False)])
def test_a_configured_module_beside_the_root_counts_if_the_root_is_a_package(
    inside: str, found: bool, tmp_path: Path
) -> None:
    project(tmp_path, {"pkg/tensors.py": ANY_DATA.replace("async_tensor_h2d", "send"), inside: ""})
    if not found:
        (tmp_path / "pkg" / "__init__.py").unlink()
    settings = Settings(root=tmp_path / "pkg", h2d_helper="pkg.tensors:send")
    helper = helper_of(resolve(Source.read(tmp_path / CALLER), settings))
    assert (level(helper) is Applicability.SAFE) is found


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("x = 1", "defines no function send"),
        ("def send(data, group): pass", "required parameter"),
        ("def send(:", "cannot be parsed"),
    ],
)
def test_a_configured_helper_that_is_not_there_is_a_hint(code: str, hint: str, tmp_path: Path) -> None:
    resolution = project(tmp_path, {"pkg/tensors.py": code}, h2d_helper="pkg.tensors:send")
    assert resolution.helper is None
    assert hint in resolution.hint


# ---------------------------------------------------------------------- code of the helper itself


@pytest.mark.parametrize(
    ("code", "qualname", "inside"),
    [
        (ANY_DATA, "async_tensor_h2d", True),
        (ANY_DATA, "other", False),
        (ANY_DATA, "", False),
        ("def async_tensor_h2d(): return a()\ndef a(): return b()\ndef b(): pass\ndef c(): pass", "b", True),
        ("def async_tensor_h2d(): return a()\ndef a(): return b()\ndef b(): pass\ndef c(): pass", "c", False),
        ("def async_tensor_h2d():\n    def inner(): pass", "async_tensor_h2d.inner", True),
        (OURS, "_blocking", True),
        (OURS, "_copy_into", True),
        ("def other(): async_tensor_h2d(1)", "async_tensor_h2d", False),
    ],
)
def test_code_inside_a_helper_is_recognised(code: str, qualname: str, inside: bool) -> None:
    assert is_inside_helper(qualname, Source("a.py", dedent(code).encode())) is inside


def test_a_configured_helper_of_another_name_is_recognised_in_its_file(tmp_path: Path) -> None:
    files = {CALLER: ANY_DATA.replace("async_tensor_h2d", "send")}
    helper = helper_of(project(tmp_path, files, h2d_helper="pkg.model:send"))
    source = Source.read(tmp_path / CALLER)
    assert helper.here
    assert is_inside_helper("send", source, helper)
    assert not is_inside_helper("send", source)
    assert not is_inside_helper("send", source, replace(helper, here=False))


def test_the_project_is_searched_once(tmp_path: Path) -> None:
    first = project(tmp_path, {"pkg/tensors.py": ANY_DATA})
    (tmp_path / "pkg" / "late.py").write_text(SHIM)
    assert resolve(Source.read(tmp_path / CALLER), Settings(root=tmp_path)) == first

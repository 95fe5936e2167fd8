"""Which ``async_tensor_h2d`` a fix may call, how, and what may be promised of it.

In this order: the configured ``h2d-helper``; the one function of that name in the project; :mod:`synclint.h2d`.
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from synclint.finding import Applicability
from synclint.index.names import dotted_name
from synclint.lint.import_cycles import imports_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from synclint.config import Settings
    from synclint.source import Source

DataKind = Literal["list", "tuple", "scalar", "ndarray", "tensor"]

NAME = "async_tensor_h2d"
OWN_MODULE = "synclint.h2d"
OWN_FILE = Path(__file__).parent.parent / "h2d.py"

_ALL_KINDS: frozenset[DataKind] = frozenset({"list", "tuple", "scalar", "ndarray", "tensor"})
_PYTHON_KINDS: frozenset[DataKind] = frozenset({"list", "tuple", "scalar"})
_ROLES = {
    "dtype": "dtype",
    "device": "device",
    "target_device": "device",
    "out": "out",
    "pin_memory": "pin_memory",
}
_ANNOTATIONS: dict[str, frozenset[DataKind]] = {
    "list": frozenset({"list"}),
    "List": frozenset({"list"}),
    "tuple": frozenset({"tuple"}),
    "Tuple": frozenset({"tuple"}),
    "Sequence": frozenset({"list", "tuple"}),
    "Iterable": frozenset({"list", "tuple"}),
    "ndarray": frozenset({"ndarray"}),
    "NDArray": frozenset({"ndarray"}),
    "Tensor": frozenset({"tensor"}),
    "bool": frozenset({"scalar"}),
    "int": frozenset({"scalar"}),
    "float": frozenset({"scalar"}),
    "complex": frozenset({"scalar"}),
    "Number": frozenset({"scalar"}),
    "None": frozenset(),
    "ArrayLike": _ALL_KINDS - {"tensor"},
    "Any": _ALL_KINDS,
    "object": _ALL_KINDS,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a helper after the data; ``keyword`` says that it may be given by name."""

    name: str
    required: bool
    keyword: bool = True


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that copies host data to the device without waiting.

    ``here`` says that it stands in the very file that is fixed, and needs no import. ``takes`` are the kinds of
    data that its annotation admits, None where it says nothing. ``exact`` are the kinds for which it surely gives what
    the blocking form gives; ``doubt`` is why no call of it can be safe, empty if there is no such reason. ``ours``: it
    is that of :mod:`synclint.h2d`, a copy of it, or taken for one.
    """

    module: str
    name: str
    parameters: tuple[Parameter, ...]
    here: bool = False
    takes: frozenset[DataKind] | None = None
    exact: frozenset[DataKind] = _ALL_KINDS
    doubt: str = ""
    ours: bool = False

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def signature(self) -> str:
        """The call in outline, for messages: ``async_tensor_h2d(data, dtype, device=...)``."""
        names = [parameter.name if parameter.required else f"{parameter.name}=..." for parameter in self.parameters]
        return f"{self.name}({', '.join(['data', *names])})"

    def accepts(self, kind: DataKind) -> bool | None:
        """Whether the helper takes data of that kind; None if its annotation does not say."""
        return None if self.takes is None else kind in self.takes

    def promise(self, kind: DataKind, *, into_out: bool = False) -> tuple[Applicability, str]:
        """The best level of a fix that passes such data to the helper, and the reason where it is not safe.

        ``into_out`` says that the call has an ``out``.
        """
        if self.doubt:
            return Applicability.UNSAFE, self.doubt
        if kind not in self.exact or (into_out and not self.ours):
            return (
                Applicability.UNSAFE,
                f"{self.dotted} may not give what the blocking form gives for a {kind}: strides, dtype conversion, "
                "aliasing and a source that is rewritten at once are up to it",
            )
        return Applicability.SAFE, ""

    def call(
        self, data: str, dtype: str | None, device: str | None, out: str | None = None, *, function: str | None = None
    ) -> str | None:
        """The text of a call, by the helper's own signature; None if it cannot be called so.

        The arguments are source text, None where the call leaves them out; ``out`` goes with neither ``dtype`` nor
        ``device``, and without these the default device is meant. ``function`` is what the file calls the helper.
        """
        given = {"dtype": dtype, "device": device, "out": out}
        if out is None:
            if device is None and not self.ours:
                return None
        elif dtype is not None or device is not None:
            return None
        arguments = [_argument(data)]
        positional = True
        for parameter in self.parameters:
            role = _ROLES.get(parameter.name)
            text = given.pop(role, None) if role is not None else None
            if text is None and parameter.required and role == "pin_memory":
                text = "True"
            if text is None:
                if parameter.required:
                    return None
                positional = False
            elif parameter.keyword:
                arguments.append(f"{parameter.name}={_argument(text)}")
            elif positional:
                arguments.append(_argument(text))
            else:
                return None
        if any(text is not None for text in given.values()):
            return None
        return f"{function or self.name}({', '.join(arguments)})"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The helper that fixes in a file may call, or None, and then ``hint`` says what the user can do."""

    helper: Helper | None
    hint: str = ""


def resolve(source: Source, settings: Settings) -> Resolution:
    """The helper for fixes in ``source``. Reads files of the project, once per process."""
    file = Path(os.path.abspath(source.path))
    root = Path(os.path.abspath(settings.root))
    if settings.h2d_helper is not None:
        return _configured(settings.h2d_helper, file, root)
    found = _definitions(root)
    if not _is_side_folder(file, root):
        found = tuple(each for each in found if not _is_side_folder(each.path, root))
    if len(found) > 1:
        names = " or ".join(sorted({f'"{each.module or each.path.name}:{NAME}"' for each in found}))
        return Resolution(None, f"the project defines {NAME} more than once; choose one with h2d-helper = {names}")
    hint = ""
    for definition in found:
        helper = _helper(definition, file)
        if helper is not None:
            return Resolution(helper)
        hint = f"{definition.path.name} defines {NAME}, but it cannot be called from here: {_obstacle(definition)}"
    doubt = "it makes synclint a run-time dependency: add it to the project's dependencies, or let `synclint helper` "
    doubt += "write the function into the project"
    return Resolution(_own_helper("" if "synclint" in settings.dependencies else doubt), hint)


def is_inside_helper(qualname: str, source: Source, helper: Helper | None = None) -> bool:
    """Whether a scope is the code of a helper, which must not be made to call itself.

    ``qualname`` is dotted, as in ``Scope.qualname``; ``helper`` is the resolved one, which may have another name. The
    functions of its module that a helper uses belong to it.
    """
    names = {NAME, helper.name} if helper is not None and helper.here else {NAME}
    return any(
        f"def {name}".encode() in source.data and qualname.partition(".")[0] in _helper_functions(source.tree, name)
        for name in names
    )


# ---------------------------------------------------------------------- the three places


@dataclass(frozen=True, slots=True)
class _Definition:
    """A helper's definition in a file. ``module`` is empty where it cannot be told how the file is imported."""

    path: Path
    module: str
    import_root: Path
    function: ast.FunctionDef | ast.AsyncFunctionDef
    tree: ast.Module


def _configured(setting: str, file: Path, root: Path) -> Resolution:
    module, _, name = setting.partition(":")
    if (module, name) == (OWN_MODULE, NAME):
        return Resolution(_own_helper(""))
    path, import_root = _module_file(module, name, root)
    if path is None:
        own = _own_helper(f"{setting} is not in the project: that it does what {OWN_MODULE} does is assumed")
        return Resolution(_replaced(own, module, name))
    functions, tree = _functions(path, name)
    if tree is None:
        return Resolution(None, f"h2d-helper = {setting!r}: {path} cannot be parsed")
    if not functions:
        if name in _imported_names(tree):
            own = _own_helper(f"{module} imports {name} from elsewhere: that it does what {OWN_MODULE} does is assumed")
            return Resolution(_replaced(own, module, name))
        return Resolution(None, f"h2d-helper = {setting!r}: {path} defines no function {name}")
    definition = _Definition(path, module, import_root, functions[-1], tree)
    helper = _helper(definition, file)
    if helper is None:
        return Resolution(None, f"h2d-helper = {setting!r} cannot be called: {_obstacle(definition)}")
    return Resolution(helper)


def _own_helper(doubt: str) -> Helper:
    functions, tree = _functions(OWN_FILE, NAME)
    assert tree is not None
    read = _read_signature(functions[0])
    assert read is not None
    return Helper(OWN_MODULE, NAME, read[1], takes=_kinds(read[0]), doubt=doubt, ours=True)


def _replaced(own: Helper, module: str, name: str) -> Helper:
    return Helper(module, name, own.parameters, takes=own.takes, doubt=own.doubt, ours=True)


def _helper(definition: _Definition, file: Path) -> Helper | None:
    read = _read_signature(definition.function)
    here = os.path.realpath(definition.path) == os.path.realpath(file)
    if read is None or not (definition.module or here) or isinstance(definition.function, ast.AsyncFunctionDef):
        return None
    data, parameters = read
    takes = _kinds(data)
    ours = is_ours(definition.tree)
    exact = _ALL_KINDS if ours else frozenset[DataKind]()
    if not ours and _builds_as_torch_does(definition.function, data.arg, parameters):
        exact = _PYTHON_KINDS if takes is None else _PYTHON_KINDS & takes
    doubt = ""
    if any(parameter.required and _ROLES[parameter.name] == "pin_memory" for parameter in parameters):
        doubt = f"{definition.function.name} with pin_memory=True raises where memory cannot be pinned (WSL, for one)"
    elif not here and (importer := imports_back(definition.module, definition.import_root, file)):
        doubt = f"importing {definition.module} here may be circular: {importer} imports this module"
    name = definition.function.name
    return Helper(definition.module, name, parameters, here, takes, exact, doubt, ours=ours)


def _obstacle(definition: _Definition) -> str:
    if isinstance(definition.function, ast.AsyncFunctionDef):
        return "it is a coroutine"
    if _read_signature(definition.function) is None:
        return "it has a required parameter that is neither dtype, device, out nor pin_memory"
    return f"how {definition.path.name} is imported is unclear; say it with h2d-helper"


# ---------------------------------------------------------------------- reading a definition


def _functions(path: Path, name: str) -> tuple[list[ast.FunctionDef | ast.AsyncFunctionDef], ast.Module | None]:
    """The functions of that name at the top level of a file, also under ``if`` and ``try``."""
    tree = _parsed(path)
    if tree is None:
        return [], None
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    pending: list[ast.AST] = [*reversed(tree.body)]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.name == name:
                found.append(node)
        elif isinstance(node, (ast.stmt, ast.ExceptHandler)) and not isinstance(node, ast.ClassDef):
            pending += reversed(list(ast.iter_child_nodes(node)))
    return found, tree


@lru_cache(maxsize=16)
def _parsed(path: Path) -> ast.Module | None:
    from synclint.source import Source, SourceError

    try:
        return Source.read(path).tree
    except SourceError:
        return None


def _imported_names(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def _read_signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[ast.arg, tuple[Parameter, ...]] | None:
    """The parameter for the data, and the others; None if a fix cannot supply what the function requires."""
    arguments = function.args
    ordered = [*arguments.posonlyargs, *arguments.args]
    if not ordered:
        return None
    first_default = len(ordered) - len(arguments.defaults)
    parameters = [
        Parameter(each.arg, place < first_default, place >= len(arguments.posonlyargs))
        for place, each in enumerate(ordered)
    ]
    parameters += [
        Parameter(each.arg, default is None)
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if any(each.required and each.name not in _ROLES for each in parameters[1:]):
        return None
    if not any(_ROLES.get(each.name) in ("device", "out") for each in parameters[1:]):
        return None
    return ordered[0], tuple(each for each in parameters[1:] if each.name in _ROLES)


def _kinds(data: ast.arg) -> frozenset[DataKind] | None:
    """The kinds of data that an annotation admits; None if there is none, or it has a part that is not known."""
    annotation: ast.expr | None = data.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return None
    if annotation is None:
        return None
    found: frozenset[DataKind] = frozenset()
    for part in _union(annotation):
        name = "None" if isinstance(part, ast.Constant) and part.value is None else dotted_name(part) or ""
        kinds = _ANNOTATIONS.get(name.rpartition(".")[2])
        if kinds is None:
            return None
        found |= kinds
    return found


def _union(annotation: ast.expr) -> Iterator[ast.expr]:
    """The members of ``A | B``, ``Union[A, B]`` and ``Optional[A]``, without their parameters."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _union(annotation.left)
        yield from _union(annotation.right)
    elif isinstance(annotation, ast.Subscript):
        if (dotted_name(annotation.value) or "").rpartition(".")[2] in ("Union", "Optional"):
            inside = annotation.slice
            for part in inside.elts if isinstance(inside, ast.Tuple) else [inside]:
                yield from _union(part)
        else:
            yield annotation.value
    else:
        yield annotation


def _helper_functions(tree: ast.Module, name: str) -> set[str]:
    """The helper and the functions of its module that it uses."""
    defined = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    found = {name}
    pending = [name]
    while pending:
        function = defined.get(pending.pop())
        if function is not None:
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} & defined.keys()
            pending += used - found
            found |= used
    return found


# ---------------------------------------------------------------------- what a helper promises


def is_ours(tree: ast.Module) -> bool:
    """Whether a module holds the functions of :mod:`synclint.h2d`, whatever their comments and layout."""
    own = _parsed(OWN_FILE)
    # Dumping a large module takes long; its functions' names tell most apart.
    return own is not None and _by_name(own).keys() == _by_name(tree).keys() and _code(own) == _code(tree)


def _by_name(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def _code(tree: ast.Module) -> dict[str, str]:
    found = {}
    for name, node in _by_name(tree).items():
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        found[name] = "\n".join(ast.dump(part) for part in [node.args, *node.decorator_list, *body])
    return found


def _builds_as_torch_does(
    function: ast.FunctionDef | ast.AsyncFunctionDef, data: str, parameters: tuple[Parameter, ...]
) -> bool:
    """Whether the function, given Python data, surely is ``torch.tensor(data, ...)`` pinned and sent without waiting.

    Follows the one path through the body that such data takes, and gives up at anything else.
    """
    names = {_ROLES[parameter.name]: parameter.name for parameter in parameters}
    built: set[str] = set()
    statements = list(reversed(function.body))
    if function.decorator_list:
        return False
    while statements:
        statement = statements.pop()
        if isinstance(statement, ast.If):
            taken = _holds_for_python_data(statement.test, data, names.get("out", ""))
            if taken is None:
                return False
            statements += reversed(statement.body if taken else statement.orelse)
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if not (len(statement.targets) == 1 and isinstance(target, ast.Name)):
                return False
            if not _is_pinned_tensor(statement.value, data, names) or target.id in (data, *names.values()):
                return False
            built.add(target.id)
        elif isinstance(statement, ast.Return):
            return statement.value is not None and _is_sent(statement.value, built, data, names)
        elif not isinstance(statement, ast.Assert) and not (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            return False
    return False


def _holds_for_python_data(test: ast.expr, data: str, out: str) -> bool | None:
    """What a condition is for a list or number, without ``out``; None if that is not plain."""
    text = ast.unparse(test)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _holds_for_python_data(test.operand, data, out)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        parts = [_holds_for_python_data(part, data, out) for part in test.values]
        return False if False in parts else None if None in parts else True
    if out and text in (f"{out} is not None", f"{out} is None"):
        return text.endswith("is None")
    if re.fullmatch(rf"isinstance\({data}, \(?(?:[\w.]*\b(?:ndarray|Tensor)(?:, )?)+\)?\)", text):
        return False
    return None


def _is_pinned_tensor(node: ast.expr, data: str, names: dict[str, str]) -> bool:
    """``torch.tensor(data, dtype=dtype, pin_memory=..., device="cpu")``."""
    if not (isinstance(node, ast.Call) and dotted_name(node.func) == "torch.tensor"):
        return False
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    wanted = {"dtype": names.get("dtype"), "device": "'cpu'", "pin_memory": given.get("pin_memory")}
    if names.get("dtype") is None:
        del wanted["dtype"]
    return [ast.unparse(each) for each in node.args] == [data] and given == wanted and given["pin_memory"] != "False"


def _is_sent(node: ast.expr, built: set[str], data: str, names: dict[str, str]) -> bool:
    """``built.to(device=device, dtype=dtype, non_blocking=True)``."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "to"):
        return False
    receiver = node.func.value
    if not (isinstance(receiver, ast.Name) and receiver.id in built) and not _is_pinned_tensor(receiver, data, names):
        return False
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    given |= dict(zip(("device", "dtype"), map(ast.unparse, node.args), strict=False))
    if given.get("dtype") == names.get("dtype"):
        given.pop("dtype", None)
    return given == {"device": names.get("device"), "non_blocking": "True"}


# ---------------------------------------------------------------------- finding definitions

_MOST_ENTRIES = 50_000
_SKIPPED = frozenset({"build", "dist", "node_modules", "site-packages", "venv", "_build", "buck-out"})
_SIDE_FOLDERS = frozenset({"test", "tests", "testing", "example", "examples", "benchmark", "benchmarks", "docs"})
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@lru_cache(maxsize=16)
def _definitions(root: Path) -> tuple[_Definition, ...]:
    """All definitions of the name at the top level of the project's files."""
    found: list[_Definition] = []
    needle = f"def {NAME}".encode()
    for path in _python_files(str(root)):
        try:
            with open(path, "rb") as file:
                present = needle in file.read()
        except OSError:
            continue
        if present:
            functions, tree = _functions(Path(path), NAME)
            if tree is not None:
                module, import_root = module_name(Path(path), root)
                found += [_Definition(Path(path), module, import_root, function, tree) for function in functions]
    return tuple(sorted(found, key=lambda each: (str(each.path), each.function.lineno)))


def _python_files(root: str) -> Iterator[str]:
    folders = [root]
    remaining = _MOST_ENTRIES
    while folders:
        entries = _entries(folders.pop())
        remaining -= len(entries)
        if remaining < 0:
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith((".", "__")) and entry.name not in _SKIPPED:
                    folders.append(entry.path)
            elif entry.name.endswith(".py"):
                yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_side_folder(path: Path, root: Path) -> bool:
    """Whether a file is one of the tests, examples and the like, which the project itself does not import."""
    try:
        inside = path.relative_to(root)
    except ValueError:
        return False
    return not _SIDE_FOLDERS.isdisjoint(inside.parts[:-1])


def module_name(path: Path, root: Path) -> tuple[str, Path]:
    """The dotted name that a file is imported under and the folder that it starts from; empty if that is unclear."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    is_start = folder == root or folder.name == "src" or any((folder / name).is_file() for name in _PROJECT_FILES)
    if not is_start and root.is_relative_to(folder):  # the root lies inside a package
        is_start = True
    parts = path.relative_to(folder).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if not is_start or not parts or not all(part.isidentifier() for part in parts):
        return "", folder
    return ".".join(parts), folder


def _module_file(module: str, name: str, root: Path) -> tuple[Path | None, Path]:
    """The file of a helper's module in the project, and the folder that its name starts from."""
    relative = Path(*module.split("."))
    folders = [root, root / "src", *([root.parent] if (root / "__init__.py").is_file() else [])]
    for folder in folders:
        for path in (folder / relative.with_suffix(".py"), folder / relative / "__init__.py"):
            if path.is_file():
                return path, folder
    for definition in _definitions(root) if name == NAME else ():
        if definition.module == module:
            return definition.path, definition.import_root
    return None, root


def _argument(text: str) -> str:
    """Text of an expression as an argument of a call."""
    return f"({text})" if ":=" in text and not text.startswith("(") else text

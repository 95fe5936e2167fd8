"""Orderings that a wait may be holding up.

Whoever removes a wait removes a barrier: it may be the only thing that makes an earlier asynchronous copy readable, a
pinned buffer reusable, or a timing true. Evidence of such orderings is looked for in the function, its callers and
its class, and in what these call: within the module, by name. Names are matched generously: a reason too many makes a
fix unsafe, a reason too few makes it wrong.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from synclint.index.names import dotted_name, imported_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from synclint.flow.site import FunctionNode

_CONSEQUENCE = {
    "copy": "copies to the host asynchronously; the wait removed here may be what makes that copy readable",
    "pinned": "keeps pinned memory for reuse; the wait removed here may be what lets the host rewrite it",
    "stream": "works with another stream or an event; the wait removed here may be what orders the two",
    "timing": "takes the time on the host; without the wait removed here it may no longer cover the device's work",
    "capture": "has to do with CUDA graph capture, where a wait raises and an asynchronous copy is replayed",
    "compile": "has to do with compiling or tracing, where other code runs than stands here",
    "query": "asks whether it is being compiled or traced; there other code may run than stands here",
    "debug": "sets the sync debug mode: the program itself counts waits",
}

# A module without any of this has no reasons, and its tree is not walked.
_ANY_EVIDENCE = re.compile(
    rb"non_?blocking|pin_memory|[Pp]inned|[Ss]tream|[Ee]vent|evt|elapsed_time|\btime\b|timeit|benchmark|testing|"
    rb"(?i:cuda_?graph)|capture|graphed|graph_pool|\bgraphs?\b|[Cc]ompil|\bjit\b|export|custom_op|dynamo|inductor|"
    rb"library|onnx|\bfx\b|tracing|sync_debug_mode|async|copy_to_|d2h|\.(?:copy_|to)\((?s:.{0,200}?)\bTrue\b"
)

_CLOCKS = frozenset(
    f"time.{clock}{unit}"
    for clock in ("time", "perf_counter", "monotonic", "process_time", "thread_time")
    for unit in ("", "_ns")
)
_TIMER_MODULES = ("timeit.", "torch.utils.benchmark.", "triton.testing.")
_COMPILER = re.compile(r"torch\.(?:compile|compiler|jit|export|library|onnx|fx|_dynamo|_inductor|_export)(?:\.|$)")
_GRAPH = re.compile(r"(?:^|\.)(?:cuda|xpu|accelerator)\.(?:graphs?|Graph)$")
_STREAM = re.compile(
    r"^torch(?:\.\w+)*\.(?:Stream|Event|stream|set_stream)$"
    r"|(?:cuda|xpu|npu|hpu|mtia|accelerator|platform|device_mod|device_module)\.(?:Stream|Event|stream|set_stream)$"
)

_COMPILER_NAME = re.compile(r"torch_?compile|(?:^|_)custom_op$")
_COMPILER_QUERY = re.compile(r"^is_(?:\w+_)?(?:compiling|tracing|scripting|exporting)$|^is_in_onnx_export$")
_CAPTURE_NAME = re.compile(
    r"cuda_?graph|^(?:make_graphed_callables|capture_begin|graph_pool_handle|is_current_stream_capturing)$",
    re.IGNORECASE,
)
_STREAM_NAME = re.compile(
    r"^(?:wait_stream|record_stream|wait_event|record_event|ExternalStream|StreamContext)$"
    r"|(?:^|_)(?:copy|side|aux|auxiliary|comm|cuda|gpu|h2d|d2h|transfer|compute|offload|prefetch|second|"
    r"secondary|main|alt|other)_?streams?(?:_|$)",
    re.IGNORECASE,
)
_EVENT_NAME = re.compile(r"event|evt", re.IGNORECASE)
_PINNED_NAME = re.compile(
    r"^(?!_?(?:is|are|uses?|has|should|enable|can|not|non|un)_)(?:\w*_)?pinned(?:_|$)", re.IGNORECASE
)
_MODEL_NAME = re.compile(r"(?:^|_)(?:model|module|net|network|unet|transformer|vae)$")
_LOADER_NAME = re.compile(r"loader|dataset|datamodule|sampler", re.IGNORECASE)
_HOST_NAME = re.compile(r"(?:^|_)(?:cpu|host|np|numpy|pinned)(?:_|\d*$)|^cpu|^pin_memory$", re.IGNORECASE)
_DEVICE_NAME = re.compile(r"(?:^|_)(?:gpu|cuda|device|dev)(?:_|\d*$)", re.IGNORECASE)
_ASYNC_HOST_NAME = re.compile(
    r"(?:async|non_?blocking)\w*_(?:cpu|host|np|numpy|d2h)(?:_|$)|(?:^|_)(?:cpu|host|d2h)_\w*(?:async|non_?blocking)"
    r"|^copy_to_(?:cpu|host)$"
)

_BUFFER_METHODS = frozenset({"copy_to_gpu", "copy_to_device", "copy_to_cuda", "copy_to_uva"})
_STORING_METHODS = frozenset(
    {"append", "appendleft", "extend", "insert", "add", "put", "setdefault", "register_buffer"}
)
# Methods that run without being named once an object of their class exists.
_IMPLICIT_METHODS = ("__init__", "__new__", "__post_init__", "__call__", "forward", "__enter__", "__exit__")

_Loops = tuple[ast.AST, ...]
_Item = TypeVar("_Item")


class Barriers:
    """What one module says about orderings: made once per module, asked per function.

    ``data`` is the module's text, which spares walking the tree of most modules.
    """

    def __init__(self, module: ast.Module, data: bytes | None = None) -> None:
        self._module = module if data is None or _ANY_EVIDENCE.search(data) else None
        self._units: _Units | None = None
        self._answers: dict[_Unit, tuple[str, ...]] = {}

    def around(self, function: FunctionNode | None, owner: ast.ClassDef | None) -> tuple[str, ...]:
        """Reasons, in words and with line numbers, why a wait in ``function`` may hold up an ordering.

        ``function`` is None for code of the class body ``owner``, or of the module where that is None too. There is at
        most one sentence for each kind of reason; it names the nearest place.
        """
        if self._module is None:
            return ()
        if self._units is None:
            self._units = _Units(self._module)
        unit = self._units.of(function or owner)
        if unit not in self._answers:
            self._answers[unit] = tuple(_sentences(unit, self._units.evidence(unit)))
        return self._answers[unit]


def barriers(module: ast.Module, function: FunctionNode | None, owner: ast.ClassDef | None) -> tuple[str, ...]:
    """``Barriers(module).around(function, owner)``, for a single question."""
    return Barriers(module).around(function, owner)


@dataclass(eq=False, slots=True)
class _Unit:
    """A function with all that is nested in it, a class body, the assignment of a global, or the module's own code.

    ``evidence`` holds (kind, line). ``mentions`` are bare names, ``self.name``, and ``.name`` of anything else.
    """

    name: str = ""
    owner: str = ""
    evidence: set[tuple[str, int]] = field(default_factory=set)
    mentions: set[str] = field(default_factory=set)


def _sentences(unit: _Unit, evidence: set[tuple[str, int, _Unit]]) -> Iterator[str]:
    for kind, consequence in _CONSEQUENCE.items():
        places = [(other is not unit, line, other.name) for found, line, other in evidence if found == kind]
        if places:
            elsewhere, line, name = min(places)
            yield f"line {line}{f' (in {name})' if elsewhere and name else ''} {consequence}"


def _closure(start: Iterable[_Item], step: Callable[[_Item], Iterable[_Item]]) -> set[_Item]:
    found = set(start)
    pending = list(found)
    while pending:
        new = set(step(pending.pop())) - found
        found |= new
        pending += new
    return found


# ---------------------------------------------------------------------- who mentions whom


class _Units:
    """The units of a module, and which of them belong together."""

    def __init__(self, module: ast.Module) -> None:
        self.top = _Unit()
        self.at: dict[tuple[int, int], _Unit] = {}
        self.named: dict[str, list[_Unit]] = {}  # functions and globals
        self.methods: dict[str, dict[str, list[_Unit]]] = {}  # by class, then by name; "" is the class body
        self.bases: dict[str, set[str]] = {}
        self.imports = _imports(module)
        for statement in _top_level(module):
            self._index(statement)
        bodies = [unit for methods in self.methods.values() for units in methods.values() for unit in units]
        self.callees = {
            unit: self._mentioned(unit)
            for unit in [self.top, *bodies, *(unit for units in self.named.values() for unit in units)]
        }
        self.callers: dict[_Unit, set[_Unit]] = {}
        for unit, callees in self.callees.items():
            for callee in callees:
                self.callers.setdefault(callee, set()).add(unit)

    def of(self, node: FunctionNode | ast.ClassDef | None) -> _Unit:
        return self.top if node is None else self.at.get((node.lineno, node.col_offset), self.top)

    def evidence(self, unit: _Unit) -> set[tuple[str, int, _Unit]]:
        """What the unit, its class, their callers, and the callees of all these say: (kind, line, where)."""
        above = _closure([unit], self._callers_and_makers)
        beside = _closure([*above, *self._class_units(unit.owner)], self._callers_and_makers)
        below = _closure(beside, lambda each: self.callees[each])
        return {
            (kind, line, each)
            for each in beside | below
            for kind, line in each.evidence
            if kind != "query" or each in above  # whoever is called from there is compiled too, siblings need not be
        }

    def _class_units(self, name: str) -> list[_Unit]:
        """All that belongs to a class, and to its bases in this module."""
        return [
            unit
            for each in (_closure([name], self._bases) if name else ())
            for units in self.methods.get(each, {}).values()
            for unit in units
        ]

    def _bases(self, name: str) -> set[str]:
        return self.bases.get(name, set())

    def _subclasses(self, name: str) -> list[str]:
        return [sub for sub, bases in self.bases.items() if name in bases]

    def _callers_and_makers(self, unit: _Unit) -> set[_Unit]:
        callers = set(self.callers.get(unit, ()))
        for caller in list(callers):
            # A method that makes an object of this class does so for the other methods of its own class.
            if unit.owner and caller.owner not in ("", unit.owner) and unit.owner in caller.mentions:
                callers.update(self._class_units(caller.owner))
        return callers

    def _mentioned(self, unit: _Unit) -> set[_Unit]:
        found: set[_Unit] = set()
        for mention in unit.mentions:
            kind, dot, name = mention.rpartition(".")
            if not dot:
                found.update(self.named.get(name, ()))
                for method in _IMPLICIT_METHODS:
                    found.update(self.methods.get(name, {}).get(method, ()))
            elif kind and unit.owner:
                family = _closure([unit.owner], self._bases) | _closure([unit.owner], self._subclasses)
                for each in family:
                    found.update(self.methods.get(each, {}).get(name, ()))
            else:
                for methods in self.methods.values():
                    found.update(methods.get(name, ()))
        found.discard(unit)
        return found

    # ------------------------------------------------------------------ reading

    def _index(self, statement: ast.AST) -> None:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            unit = _Unit(statement.name)
            self.named.setdefault(statement.name, []).append(unit)
            self._read(unit, [statement])
        elif isinstance(statement, ast.ClassDef):
            self._index_class(statement, "")
        else:
            unit = _Unit()
            self._read(unit, [statement], shared=True)
            self.top.evidence |= unit.evidence
            self.top.mentions |= unit.mentions
            for name in _assigned_names(statement):
                self.named.setdefault(name, []).append(unit)

    def _index_class(self, definition: ast.ClassDef, outer: str) -> None:
        name = definition.name
        qualname = f"{outer}{name}"
        written = [dotted_name(base) for base in definition.bases]
        self.bases.setdefault(name, set()).update(base.rpartition(".")[2] for base in written if base)
        methods = self.methods.setdefault(name, {})
        body = _Unit(qualname, name)
        methods.setdefault("", []).append(body)
        own: list[ast.AST] = [*definition.decorator_list, *definition.bases, *definition.keywords]
        for statement in definition.body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                unit = _Unit(f"{qualname}.{statement.name}", name)
                methods.setdefault(statement.name, []).append(unit)
                self._read(unit, [statement])
            elif isinstance(statement, ast.ClassDef):
                self._index_class(statement, f"{qualname}.")
            else:
                own.append(statement)
        self._read(body, own, shared=True)
        self.at[definition.lineno, definition.col_offset] = body

    def _read(self, unit: _Unit, nodes: list[ast.AST], *, shared: bool = False) -> None:
        _Reader(unit, self.imports, self.at, shared).read(nodes)


def _imports(module: ast.Module) -> dict[str, str]:
    """What each imported name means, wherever in the module the import stands."""
    found: dict[str, str] = {}
    pending: list[ast.AST] = [module]
    while pending:
        for name, value in ast.iter_fields(pending.pop()):
            if name in ("body", "orelse", "finalbody", "handlers", "cases") and isinstance(value, list):
                for statement in value:
                    if isinstance(statement, (ast.Import, ast.ImportFrom)):
                        found.update(imported_names(statement))
                    else:
                        pending.append(statement)
    return found


def _top_level(module: ast.Module) -> Iterator[ast.AST]:
    """The statements of a module, also those in its ``if`` and ``try``."""
    pending: list[ast.AST] = [*reversed(module.body)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If):
            yield node.test
            pending += reversed([*node.body, *node.orelse])
        elif isinstance(node, (ast.Try, ast.ExceptHandler)) or type(node).__name__ == "TryStar":
            pending += reversed(list(ast.iter_child_nodes(node)))
        else:
            yield node


def _assigned_names(statement: ast.AST) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


# ---------------------------------------------------------------------- evidence


class _Reader:
    """Collects the evidence and the mentions of one unit.

    ``shared`` says that what the code assigns outlives it: the module's own code, and class bodies.
    """

    def __init__(self, unit: _Unit, imports: dict[str, str], at: dict[tuple[int, int], _Unit], shared: bool) -> None:
        self.unit = unit
        self.imports = imports
        self.at = at
        self.shared = shared
        self.globals: set[str] = set()
        self.assigned: set[str] = set()
        self.pinned_locals: dict[str, tuple[int, _Loops]] = {}
        self.pinned_names: list[tuple[str, int]] = []
        self.uses: dict[str, list[_Loops]] = {}
        self.writes: dict[str, int] = {}
        # (node, whether what it makes is kept, the loops around it)
        self.pending: list[tuple[ast.AST, bool, _Loops]] = []

    def read(self, nodes: list[ast.AST]) -> None:
        pending = self.pending
        pending += [(node, False, ()) for node in nodes]
        while pending:
            node, kept, loops = pending.pop()
            if isinstance(node, ast.Call):
                self._call(node, kept, loops)
            elif isinstance(node, ast.Attribute):
                self._attribute(node, kept, loops)
            elif isinstance(node, ast.Name):
                self._name(node, loops)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
                self._assignment(node, loops)
            else:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    self.at[node.lineno, node.col_offset] = self.unit
                    self._identifier(node.name, node.lineno)
                elif isinstance(node, ast.arg):
                    self._identifier(node.arg, node.lineno)
                elif isinstance(node, ast.Global):
                    self.globals.update(node.names)
                elif isinstance(node, ast.Subscript):
                    if isinstance(node.ctx, ast.Store):
                        self._write(node.value)
                elif isinstance(node, (ast.Return, ast.Yield)):
                    kept = True
                elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
                    loops = (*loops, node)
                # In the order of the source, since a ``global`` comes before the assignments it is about.
                pending += reversed([(child, kept, loops) for child in _children(node)])
        self._judge_pinned_locals()

    def _found(self, kind: str, line: int) -> None:
        self.unit.evidence.add((kind, line))

    def _attribute(self, node: ast.Attribute, kept: bool, loops: _Loops, *, called: bool = False) -> None:
        mentions = self.unit.mentions
        written = dotted_name(node)
        if written is None:
            base = node.value
            of_super = isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super"
            mentions.add(f"self.{node.attr}" if of_super else f".{node.attr}")
            self.pending.append((base, kept, loops))
            parts = [node.attr]
        else:
            root, *parts = written.split(".")
            self.uses.setdefault(root, []).append(loops)
            mentions.add(root)
            mentions.add(f"self.{parts[0]}" if root in ("self", "cls") and len(parts) == 1 else f".{parts[-1]}")
            self._qualified(".".join([self.imports.get(root, root), *parts]), node.lineno)
            if _PINNED_NAME.search(root):
                self.pinned_names.append((root, node.lineno))
        if called and _PINNED_NAME.search(parts[-1]):
            parts.pop()  # makes pinned memory, rather than being some
        for part in parts:
            self._identifier(part, node.lineno)

    def _name(self, node: ast.Name, loops: _Loops) -> None:
        name = node.id
        if isinstance(node.ctx, ast.Store):
            self.assigned.add(name)
        else:
            self.unit.mentions.add(name)
            self.uses.setdefault(name, []).append(loops)
        if name in self.imports:
            self._qualified(self.imports[name], node.lineno)
        if _PINNED_NAME.search(name):
            self.pinned_names.append((name, node.lineno))
        else:
            self._identifier(name, node.lineno)

    def _qualified(self, name: str, line: int) -> None:
        """Judge a dotted name, its import resolved."""
        kind = _kind_of_qualified(name)
        if kind:
            self._found(kind, line)

    def _identifier(self, name: str, line: int) -> None:
        kind = _kind_of_identifier(name)
        if kind:
            self._found(kind, line)

    def _call(self, node: ast.Call, kept: bool, loops: _Loops) -> None:
        function = node.func
        name = _called(node)
        receiver = function.value if isinstance(function, ast.Attribute) else None
        if _copies_to_host(node, name, receiver):
            self._found("copy", node.lineno)
        if name in _BUFFER_METHODS or (kept and _makes_pinned(node)):
            self._found("pinned", node.lineno)
        if receiver is not None:
            held = next(_spine(receiver), "")
            if name in ("record", "synchronize") and _EVENT_NAME.search(held):
                self._found("stream", node.lineno)
            if name == "compile" and _MODEL_NAME.search(held):
                self._found("compile", node.lineno)
            if name == "numpy" or (name.endswith("_") and not name.endswith("__")):
                self._write(receiver)
        # What .to() and .cuda() return is a copy of their receiver, what copy_() returns is its receiver.
        if isinstance(function, ast.Attribute):
            self._attribute(function, kept and name not in ("to", "cuda"), loops, called=True)
        elif isinstance(function, ast.Name) and _PINNED_NAME.search(name):
            self.unit.mentions.add(name)
        else:
            self.pending.append((function, False, loops))
        keeps = (kept or name in _STORING_METHODS) and name not in ("to", "cuda", "copy_")
        self.pending += [(argument, keeps, loops) for argument in node.args]
        self.pending += [(keyword.value, keeps, loops) for keyword in node.keywords]

    def _assignment(self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr, loops: _Loops) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        self.pending += [(target, False, loops) for target in targets]
        if isinstance(node, ast.AnnAssign):
            self.pending.append((node.annotation, False, loops))
        if node.value is None:
            return
        names = [target.id for target in targets if isinstance(target, ast.Name) and target.id not in self.globals]
        local = not self.shared and len(names) == len(targets)
        self.pending.append((node.value, not local, loops))
        if local and _gives_pinned(node.value):
            self.pinned_locals |= dict.fromkeys(names, (node.lineno, loops))

    def _write(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            self.writes[target.id] = self.writes.get(target.id, 0) + 1

    def _judge_pinned_locals(self) -> None:
        for name, (line, loops) in self.pinned_locals.items():
            in_loop = any(len(use) > len(loops) and use[: len(loops)] == loops for use in self.uses.get(name, ()))
            if in_loop or self.writes.get(name, 0) > 1:
                self._found("pinned", line)
        for name, line in self.pinned_names:
            if self.shared or name in self.globals or name not in self.assigned:
                self._found("pinned", line)


def _children(node: ast.AST) -> list[ast.AST]:
    """The child nodes that can say something: constants, and what has no fields (contexts, operators), cannot."""
    return [
        child
        for value in node.__dict__.values()
        for child in (value if isinstance(value, list) else (value,))
        if isinstance(child, ast.AST) and child._fields and not isinstance(child, ast.Constant)
    ]


@lru_cache(maxsize=65536)
def _kind_of_qualified(name: str) -> str:
    if name in _CLOCKS or name.startswith(_TIMER_MODULES):
        return "timing"
    if _COMPILER.match(name):
        return "" if _COMPILER_QUERY.search(name.rpartition(".")[2]) else "compile"
    if _GRAPH.search(name):
        return "capture"
    return "stream" if _STREAM.search(name) else ""


@lru_cache(maxsize=65536)
def _kind_of_identifier(name: str) -> str:
    if name == "set_sync_debug_mode":
        return "debug"
    if name == "elapsed_time":
        return "timing"
    if _COMPILER_QUERY.search(name):
        return "query"
    for kind, pattern in (
        ("capture", _CAPTURE_NAME),
        ("stream", _STREAM_NAME),
        ("compile", _COMPILER_NAME),
        ("pinned", _PINNED_NAME),
    ):
        if pattern.search(name):
            return kind
    return ""


def _called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _spine(node: ast.expr) -> Iterator[str]:
    """The identifiers that an expression is built on, the outermost first: ``a.b[0].c()`` gives c, b, a."""
    while True:
        if isinstance(node, ast.Attribute):
            yield node.attr
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            if isinstance(node, ast.Name):
                yield node.id
            return


def _side(node: ast.expr | None) -> str:
    """``host`` or ``device`` where an expression names a device or says where it lives, else empty."""
    if isinstance(node, ast.Constant):
        return "host" if isinstance(node.value, str) and node.value.startswith("cpu") else ""
    if (
        isinstance(node, ast.Call)
        and _called(node) == "device"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        return _side(node.args[0])
    for name in _spine(node) if node is not None else ():
        if _HOST_NAME.search(name) or name == "from_numpy":
            return "host"
        if _DEVICE_NAME.search(name):
            return "device"
    return ""


def _is_off(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value


def _is_asynchronous_flag(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is True
    return any("block" in name or "async" in name for name in _spine(node))


def _copies_to_host(call: ast.Call, name: str, receiver: ast.expr | None) -> bool:
    """Whether a call may be an asynchronous copy from the device to the host."""
    if _ASYNC_HOST_NAME.search(name):
        return True
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    asynchronous = "non_blocking" in keywords and not _is_off(keywords["non_blocking"])
    if not asynchronous and not (name in ("to", "copy_") and any(map(_is_asynchronous_flag, call.args[1:]))):
        return False
    if name == "copy_":
        source = call.args[0] if call.args else keywords.get("src")
        destination = _side(receiver)
        return destination != "device" and not (_side(source) == "host" and destination != "host")
    targets = [*call.args, *keywords.values()]
    return name == "cpu" or any(_side(target) == "host" for target in targets)


def _makes_pinned(call: ast.Call) -> bool:
    name = _called(call)
    if name == "pin_memory" or _PINNED_NAME.search(name):
        return True
    return not _LOADER_NAME.search(name) and any(
        keyword.arg == "pin_memory" and not _is_off(keyword.value) for keyword in call.keywords
    )


def _gives_pinned(node: ast.expr) -> bool:
    """Whether an expression may be pinned memory made in it, or a view of that."""
    if isinstance(node, ast.IfExp):
        return _gives_pinned(node.body) or _gives_pinned(node.orelse)
    if isinstance(node, (ast.Tuple, ast.List)):
        return any(map(_gives_pinned, node.elts))
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Call):
            if _makes_pinned(node):
                return True
            if _called(node) in ("to", "cuda"):
                return False
            node = node.func
        else:
            node = node.value
    return False

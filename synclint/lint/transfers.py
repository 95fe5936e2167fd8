"""Copies from host to device: how a call spells one, and the two ways to make it wait no longer.

For the rules about such copies. Nothing here knows a rule's code or words its message.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.finding import Applicability
from synclint.flow.values import Dtype, Place, Value
from synclint.index.names import dotted_name
from synclint.lint.h2d import is_inside_helper

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import libcst as cst

    from synclint.finding import Edit, Fix
    from synclint.flow.site import Site
    from synclint.lint.context import Context
    from synclint.lint.h2d import DataKind

LINE_LENGTH = 88
"""A call at the end of a line is broken over lines if it would end beyond."""

MAYBE_NOT_CUDA = "the device may not be CUDA, and on MPS a copy with `non_blocking=True` can arrive corrupted"
MAYBE_NO_TENSOR = "the receiver may not be a tensor"

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "to": ("device", "dtype", "non_blocking", "copy"),
    "cuda": ("device", "non_blocking", "memory_format"),
    "copy_": ("other", "non_blocking"),
    "type_as": ("other",),
}
_LIKE_OTHER = ("other", "non_blocking", "copy")
_CATEGORIES = {
    "bool": Dtype.BOOL,
    "float": Dtype.FLOAT,
    "double": Dtype.FLOAT,
    "half": Dtype.FLOAT,
    "bfloat": Dtype.FLOAT,
    "int": Dtype.INT,
    "uint": Dtype.INT,
    "long": Dtype.INT,
    "short": Dtype.INT,
    "complex": Dtype.COMPLEX,
    "cfloat": Dtype.COMPLEX,
    "cdouble": Dtype.COMPLEX,
    "chalf": Dtype.COMPLEX,
}
_FACTORIES = frozenset(
    """arange cat concat concatenate empty empty_strided eye full hstack linspace logspace normal ones rand randint
    randn randperm stack tensor vstack zeros LongTensor IntTensor FloatTensor DoubleTensor HalfTensor
    BoolTensor""".split()
)
_METADATA = frozenset("shape dtype device ndim layout requires_grad is_cuda is_sparse itemsize nbytes".split())
_READING_METHODS = frozenset(
    """to cuda size dim numel stride element_size is_pinned is_contiguous is_floating_point item tolist clone sum
    max min any all mean argmax nonzero eq ne lt gt le ge""".split()
)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A call of ``.to``, ``.cuda``, ``.type_as`` or ``.copy_``.

    ``source`` is what is copied, ``destination`` the receiver of ``.copy_``. ``device``, ``dtype`` and ``other``
    (a tensor whose device and dtype are taken) are what the call is given. ``extra`` names the arguments that only the
    method itself understands (``copy``, ``memory_format``). ``ambiguous``: ``device`` may be such a tensor, too.
    """

    call: ast.Call
    method: str
    source: ast.expr
    destination: ast.expr | None = None
    device: ast.expr | None = None
    dtype: ast.expr | None = None
    other: ast.expr | None = None
    extra: tuple[str, ...] = ()
    ambiguous: bool = False


def read(site: Site) -> Transfer | None:
    """The copy at a site, or None where its arguments cannot be told (``*args``, an unbound method)."""
    call = site.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    method = call.func.attr
    receiver = call.func.value
    unbound = (dotted_name(receiver) or "").rpartition(".")[2] in ("Tensor", "Parameter")
    if site.arguments.get("self") is not receiver or unbound or method not in _PARAMETERS:
        return None
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    names = _PARAMETERS[method]
    ambiguous = False
    if method == "to" and call.args:
        if len(call.args) > 1 and _is_boolean(call.args[1]):
            names = _LIKE_OTHER
        else:
            ambiguous = not _names_device(call.args[0])
    if len(call.args) > len(names):
        return None
    given = dict(zip(names, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if method == "copy_":
        source = given.get("other")
        return None if source is None else Transfer(call, method, source, receiver)
    return Transfer(
        call,
        method,
        receiver,
        device=given.get("device"),
        dtype=None if _is_none(given.get("dtype")) else given.get("dtype"),
        other=given.get("other"),
        extra=tuple(name for name in ("copy", "memory_format") if name in given),
        ambiguous=ambiguous,
    )


def is_pure(node: ast.expr) -> bool:
    """Whether evaluating an expression sooner or later, as far as its text goes, makes no difference."""
    return not any(
        isinstance(part, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr))
        or (isinstance(part, ast.Call) and not (dotted_name(part.func) or "").startswith(("torch.", "np.", "numpy.")))
        for part in ast.walk(node)
    )


def dtype_name(context: Context, node: ast.expr) -> str:
    """``int64`` for an expression that is ``torch.int64``, whatever torch is called; empty for any other."""
    written = dotted_name(node)
    owner, _, name = (context.flow.external(written) if written is not None else "").rpartition(".")
    return name if owner == "torch" else ""


# ---------------------------------------------------------------------- the flag


def flag_edit(context: Context, transfer: Transfer) -> Edit | None:
    """The edit that makes the call pass ``non_blocking=True``; None where it cannot be made."""
    import libcst as cst

    node = context.node
    if not isinstance(node, cst.Call) or transfer.method == "type_as":
        return None
    written = _written_flag(transfer)
    if written is not None:
        return context.statement.replace(written, "True") if _is_boolean(written) else None
    arguments = with_keyword(node, "non_blocking", "True")
    return context.statement.replace(transfer.call, node.with_changes(args=arguments))


def _written_flag(transfer: Transfer) -> ast.expr | None:
    """The expression that is passed for ``non_blocking``, if there is one."""
    for keyword in transfer.call.keywords:
        if keyword.arg == "non_blocking":
            return keyword.value
    names = _LIKE_OTHER if transfer.other is not None else _PARAMETERS[transfer.method]
    position = names.index("non_blocking")
    arguments = transfer.call.args
    if transfer.method == "cuda" and arguments and _is_boolean(arguments[0]):
        return None  # `.cuda(False)` raises
    return arguments[position] if position < len(arguments) else None


def with_keyword(node: cst.Call, name: str, value: str) -> list[cst.Arg]:
    """The arguments of a call and one more, laid out as they are."""
    import libcst as cst

    tight = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    new = cst.Arg(cst.parse_expression(value), keyword=cst.Name(name), equal=tight)
    if not node.args:
        return [new]
    *others, last = node.args
    space = gap(node)
    if isinstance(last.comma, cst.Comma):
        new = new.with_changes(comma=last.comma)
    else:
        new = new.with_changes(whitespace_after_arg=last.whitespace_after_arg)
        last = last.with_changes(whitespace_after_arg=cst.SimpleWhitespace(""))
    return [*others, last.with_changes(comma=cst.Comma(whitespace_after=space)), new]


def gap(node: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """What stands between two arguments of the call: a blank, or a line break where each has its own line."""
    import libcst as cst

    gaps = [argument.comma.whitespace_after for argument in node.args[:-1] if isinstance(argument.comma, cst.Comma)]
    own_line = node.whitespace_before_args
    if gaps and not isinstance(gaps[-1], cst.SimpleWhitespace):
        own_line = gaps[-1]
    elif gaps or isinstance(own_line, cst.SimpleWhitespace):
        return cst.SimpleWhitespace(" ")
    assert isinstance(own_line, cst.ParenthesizedWhitespace)
    return own_line.with_changes(first_line=cst.TrailingWhitespace(newline=own_line.first_line.newline), empty_lines=[])


def flag_doubts(context: Context, transfer: Transfer, source: Value, target: Value) -> list[str]:
    """Why adding the flag to a copy out of pinned memory might change what the program computes."""
    doubts = []
    if not context.surely_tensor(source) or (transfer.destination is not None and not context.surely_tensor(target)):
        doubts.append(MAYBE_NO_TENSOR)
    if not context.surely_on_cuda(target):
        doubts.append(MAYBE_NOT_CUDA)
    if source.pinned is not True or source.place is not Place.CPU or source.confidence < 3:
        doubts.append("that the source is pinned is a guess; from pageable memory the copy may still stall")
    elif source.dense is not True:
        doubts.append("the source may have gaps between its elements; such a copy goes through pageable memory")
    rewritten = may_be_rewritten(context, transfer.source, source)
    if rewritten:
        doubts.append(rewritten)
    conversion = _conversion_doubt(context, transfer, source, target)
    if conversion:
        doubts.append(conversion)
    return doubts


def _conversion_doubt(context: Context, transfer: Transfer, source: Value, target: Value) -> str:
    """Why the device might convert otherwise than the host, which does it while it waits."""
    if transfer.destination is not None:
        category = target.dtype
        if category is Dtype.FLOAT and not _makes_common_dtype(context, transfer.destination):
            category = None
    elif transfer.dtype is not None:
        category = _category(dtype_name(context, transfer.dtype))
    elif transfer.other is None and not transfer.ambiguous:
        return ""
    else:
        category = None
    if category is None:
        return "the dtype may change in the same call, which the flag moves from the host to the device"
    if category is Dtype.INT and source.dtype not in (Dtype.INT, Dtype.BOOL):
        return "a conversion to int of NaN, infinity or values out of range differs between host and device"
    return ""


def _category(name: str) -> Dtype | None:
    """The category of a dtype by its name; None for one that is not known, or too narrow to agree about (fp8)."""
    if name.startswith(("float8", "float4")):
        return None
    return _CATEGORIES.get(name.rstrip("0123456789"))


def _makes_common_dtype(context: Context, destination: ast.expr) -> bool:
    """Whether the tensor that is copied into surely has none of the narrow float dtypes: it is made here."""
    root = _memory_of(destination)
    function = context.site.scope.node
    if isinstance(root, ast.Name) and isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        root = _made_once(function, root.id) or root
    if not isinstance(root, ast.Call) or not dotted_name(root.func):
        return False
    if not context.flow.external(dotted_name(root.func) or "").startswith("torch."):
        return False
    given = [keyword.value for keyword in root.keywords if keyword.arg in ("dtype", None)]
    return all(_category(dtype_name(context, value)) is Dtype.FLOAT for value in given)


def flag_fix(context: Context, transfer: Transfer, source: Value, target: Value) -> Fix | None:
    """The fix that passes ``non_blocking=True``, for a source that is pinned as far as is known."""
    return context.fix(
        "add `non_blocking=True`: out of pinned memory the copy is only queued",
        [flag_edit(context, transfer)],
        unsafe=flag_doubts(context, transfer, source, target),
    )


def pageable_flag_fix(context: Context, transfer: Transfer, source: Value, target: Value) -> Fix | None:
    """The flag on a source that is not known to be pinned, which leaves the driver's stall.

    Never where the device may be the host: a copy in the other direction would become a race. Nor in the code of a
    helper, which knows what it does.
    """
    if is_inside_helper(context.site.scope.qualname, context.source, context.h2d().helper):
        return None
    if not target.place.on_accelerator or source.place is not Place.CPU or "memory_format" in transfer.extra:
        return None
    doubts = ["the source is pageable memory: the copy may still stall while the driver stages it"]
    if not context.surely_on_cuda(target):
        doubts.append(MAYBE_NOT_CUDA)
    if not context.surely_tensor(source):
        doubts.append(MAYBE_NO_TENSOR)
    message = "add `non_blocking=True`: PyTorch waits no longer, but the copy out of pageable memory may still stall"
    return context.fix(message, [flag_edit(context, transfer)], unsafe=doubts)


# ---------------------------------------------------------------------- whether the host writes to the source


def may_be_rewritten(context: Context, source: ast.expr, value: Value) -> str:
    """Why the host may write to pinned memory while a copy out of it is under way; empty if it surely does not."""
    root = _memory_of(source)
    text = context.text(root) if len(context.text(root)) < 40 else "the source"
    doubt = f"the host may write to `{text}` again while the copy is under way"
    if not value.fresh:
        return doubt
    if isinstance(root, ast.Call):
        return "" if _makes_memory(context, root) else doubt
    function = context.site.scope.node
    if not isinstance(root, ast.Name) or not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return doubt
    made = _made_once(function, root.id)
    if made is None or not isinstance(_memory_of(made), ast.Call) or not _makes_memory(context, _memory_of(made)):
        return doubt
    return "" if _only_read_after(function, root, context.site.node) else doubt


def _made_once(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.expr | None:
    """The expression that is assigned to a local, if there is one assignment and it has one target."""
    stores = [use for use in _uses(function, name) if isinstance(use.node.ctx, ast.Store)]
    made = stores[0].parent if len(stores) == 1 else None
    if isinstance(made, ast.Assign) and len(made.targets) == 1:
        return made.value
    return made.value if isinstance(made, ast.AnnAssign) else None


def _memory_of(node: ast.expr) -> ast.expr:
    """The expression whose memory ``node`` is, or is a view of."""
    while True:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _returns_view(node.func):
            node = node.func.value
        elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT", "data"):
            node = node.value
        else:
            return node


def _returns_view(function: ast.Attribute) -> bool:
    return function.attr in ("pin_memory", "contiguous", "view", "reshape", "flatten", "squeeze", "unsqueeze", "detach")


def _makes_memory(context: Context, node: ast.expr) -> bool:
    """Whether a call makes memory of its own. ``x.pin_memory()`` may not: it gives ``x`` itself when that is pinned."""
    written = dotted_name(node.func) if isinstance(node, ast.Call) else None
    owner, _, name = context.flow.external(written or "").rpartition(".")
    return owner == "torch" and name.removesuffix("_like") in _FACTORIES


def _only_read_after(function: ast.FunctionDef | ast.AsyncFunctionDef, source: ast.Name, copy: ast.expr) -> bool:
    """Whether a local is made once, and from the copy on (in time, not only in the text) only read."""
    name = source.id
    uses = list(_uses(function, name))
    stores = [use for use in uses if isinstance(use.node.ctx, ast.Store)]
    if len(stores) != 1 or any(use.nested for use in uses):
        return False
    if any(isinstance(part, (ast.Global, ast.Nonlocal)) and name in part.names for part in ast.walk(function)):
        return False
    bound = stores[0]
    at = next((use for use in uses if use.node is source), None)
    if at is None or at.loops != bound.loops:
        return False
    for use in uses:
        if use is bound or use is at or _reads(use):
            continue
        written = _writes_in_place(use)
        if not written or _position(use.node) > _position(copy) or use.loops[: len(at.loops)] != at.loops:
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Use:
    node: ast.Name
    parents: tuple[ast.AST, ...]
    loops: tuple[ast.AST, ...]
    nested: bool

    @property
    def parent(self) -> ast.AST:
        return self.parents[-1]


def _uses(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[_Use]:
    pending: list[tuple[ast.AST, tuple[ast.AST, ...], tuple[ast.AST, ...], bool]] = [(function, (), (), False)]
    while pending:
        node, parents, loops, nested = pending.pop()
        if isinstance(node, ast.Name) and node.id == name:
            yield _Use(node, parents, loops, nested)
        inner = (*loops, node) if isinstance(node, _LOOPS) else loops
        nested = nested or (isinstance(node, _NESTED) and node is not function)
        pending += [(child, (*parents, node), inner, nested) for child in ast.iter_child_nodes(node)]


def _reads(use: _Use) -> bool:
    """Whether a use neither writes to the tensor nor hands it, or a view of it, to anybody."""
    parent = use.parent
    if isinstance(parent, ast.Attribute):
        if parent.attr in _METADATA:
            return True
        grandparent = use.parents[-2]
        return isinstance(grandparent, ast.Call) and grandparent.func is parent and parent.attr in _READING_METHODS
    if isinstance(parent, (ast.BinOp, ast.Compare)):
        return True
    if isinstance(parent, ast.Call) and use.node in parent.args:
        function = parent.func
        if isinstance(function, ast.Attribute) and function.attr == "copy_":
            return True
        return dotted_name(function) == "len"
    return False


def _writes_in_place(use: _Use) -> bool:
    """``x[...] = value`` and ``x.method_(...)`` as statements of their own: written to, but not handed out."""
    parent = use.parent
    if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store) and parent.value is use.node:
        return isinstance(use.parents[-2], (ast.Assign, ast.AugAssign))
    if isinstance(parent, ast.Attribute) and parent.attr.endswith("_") and not parent.attr.endswith("__"):
        return isinstance(use.parents[-2], ast.Call) and isinstance(use.parents[-3], ast.Expr)
    return False


def _position(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


# ---------------------------------------------------------------------- the helper


@dataclass(frozen=True, slots=True)
class HelperCall:
    """What ``async_tensor_h2d`` is to be given, in source text save for the data itself.

    ``kind`` is None where it is not known. ``suffix`` is text that goes right after the data (``.detach()``).
    ``order`` is the doubt about evaluating the arguments in the helper's order.
    """

    data: ast.expr
    kind: DataKind | None
    dtype: str | None = None
    device: str | None = None
    out: str | None = None
    suffix: str = ""
    order: str = ""


def through_helper(
    context: Context,
    replaced: ast.expr,
    call: HelperCall,
    message: str,
    *,
    target: Value,
    source: Value | None = None,
    unsafe: Sequence[str] = (),
) -> Fix | None:
    """The fix that puts a call of the helper in the place of ``replaced``; None if the helper cannot be called so.

    ``message`` has ``{}`` for the helper's name. ``target`` is the device, ``source`` the tensor that is sent, where it
    is one. ``unsafe`` is what the rule itself doubts, empty strings left out.
    """
    helper = context.h2d().helper
    if helper is None or is_inside_helper(context.site.scope.qualname, context.source, helper):
        return None
    if helper.accepts(call.kind or "tensor") is False:
        return None
    doubts = [doubt for doubt in unsafe if doubt]
    name, imports = (helper.name, ()) if helper.here else context.name_for(helper.module, helper.name)
    data = context.text(call.data)
    text = helper.call(data + call.suffix, call.dtype, call.device, call.out, function=name)
    if text is None:
        return None
    level, reason = helper.promise(call.kind or "tensor", into_out=call.out is not None)
    if not helper.ours:
        if not context.surely_on_cuda(target):
            doubts.append(f"the device may not be CUDA, and {helper.dotted} copies with `non_blocking=True`")
        if target.optional:
            doubts.append("the device may be None")
        if source is not None and not (source.place is Place.CPU and source.confidence >= 3):
            doubts.append(f"the source may be on the device already, and {helper.dotted} may refuse that")
    if level is not Applicability.SAFE:
        doubts.append(reason)
    edits = _renamed(context, replaced, name, text)
    if edits is None:
        edits = _around(context, replaced, call.data, text)
        doubts += [call.order] if call.order else []
    return context.fix(message.format(name), [*edits, *imports], unsafe=doubts)


def _renamed(context: Context, replaced: ast.expr, name: str, text: str) -> list[Edit | None] | None:
    """The edit that calls the helper instead, where it takes just what the call passes already; else None."""
    if not isinstance(replaced, ast.Call):
        return None
    new = ast.parse(text, mode="eval").body
    if not isinstance(new, ast.Call) or _arguments(new) != _arguments(replaced):
        return None
    function = context.text(replaced.func)
    written = name + context.text(replaced)[len(function) :]
    whole = context.statement.replace(replaced, written)
    start, end = context.source.span(replaced.func)
    if whole is None or start != context.source.span(replaced)[0]:
        return None
    return [context.statement.edit(start, end, name)]


def _arguments(call: ast.Call) -> tuple[list[str], dict[str | None, str]]:
    return [ast.dump(each) for each in call.args], {each.arg: ast.dump(each.value) for each in call.keywords}


def _around(context: Context, replaced: ast.expr, kept: ast.expr, text: str) -> list[Edit | None]:
    """The edits that replace an expression by ``text``, a call that begins with ``kept``, which is not touched.

    So the comments in ``kept`` stay, and what other fixes do to it. A line that becomes too long is broken.
    """
    statement, source = context.statement, context.source
    start, end = source.span(replaced)
    low, high = source.span(kept)
    before, repeated = text[: text.index("(") + 1], context.text(kept)
    after = text[len(before) + len(repeated) :]
    if not start <= low <= high <= end or not text.startswith(repeated, len(before)):
        return [statement.replace(replaced, text)]
    line, column = source.position(start)
    last, after_it = source.position(end)
    ends_line = not source.line_text(last)[after_it - 1 :].strip()
    if ends_line and "\n" not in text and column - 1 + len(text) > LINE_LENGTH:
        blanks = re.match(r"[ \t]*", source.line_text(line))
        indent = blanks.group() if blanks is not None else ""
        before, after = f"{before}\n{indent}    ", f"{after[:-1]}\n{indent})"
    whole = statement.replace(replaced, f"{before}{repeated}{after}")
    if whole is None or whole != statement.edit(start, end, f"{before}{repeated}{after}"):
        return [whole]
    return [edit for edit in (statement.edit(start, low, before), statement.edit(high, end, after)) if _changes(edit)]


def _changes(edit: Edit) -> bool:
    return edit.start != edit.end or bool(edit.text)


def helper_hint(context: Context) -> str:
    """What to tell the user where no call of the helper can be offered."""
    resolution = context.h2d()
    if resolution.helper is None:
        return resolution.hint
    return f"send the data with `{resolution.helper.signature}`, or out of pinned memory with `non_blocking=True`"


def order_doubt(before: Sequence[ast.expr], after: Sequence[ast.expr]) -> str:
    """Why evaluating the same expressions in another order may make a difference."""
    if list(before) == list(after) or sum(not is_pure(part) for part in before) == 0:
        return ""
    if sum(not (is_pure(part) or isinstance(part, (ast.Name, ast.Constant))) for part in before) < 2 and all(
        isinstance(part, (ast.Name, ast.Constant)) for part in before if is_pure(part)
    ):
        return ""
    return "its arguments are evaluated in another order"


def device_and_dtype(context: Context, transfer: Transfer) -> tuple[str | None, str | None, str] | None:
    """Device and dtype to give to the helper, as text, and a doubt; None where they cannot be told."""
    device, dtype = transfer.device, transfer.dtype
    doubt = ""
    if transfer.ambiguous or transfer.extra:
        return None
    if transfer.other is not None:
        if dotted_name(transfer.other) is None:
            return None
        other = context.text(transfer.other)
        return f"{other}.device", f"{other}.dtype", ""
    if transfer.method == "cuda":
        if device is None or _is_none(device):
            return '"cuda"', None, ""
        if isinstance(device, ast.Constant) and isinstance(device.value, int):
            return None if isinstance(device.value, bool) else (f'"cuda:{device.value}"', None, "")
        if not isinstance(device, ast.Constant):
            doubt = "`.cuda(None)` means the current device, which the helper does not know"
    if device is None or _is_none(device):
        return None
    text = context.text(dtype) if dtype is not None else None
    return context.text(device), text, doubt


def order_of(transfer: Transfer) -> str:
    """Why it may matter that the helper's dtype is evaluated before its device."""
    if transfer.device is None or transfer.dtype is None:
        return ""
    written = [transfer.source, transfer.device, transfer.dtype]
    return order_doubt(written, [transfer.source, transfer.dtype, transfer.device])


# ---------------------------------------------------------------------- small matters of syntax


def _is_boolean(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _names_device(node: ast.expr) -> bool:
    """Whether an expression says by itself that it is a device, and not a tensor."""
    if isinstance(node, (ast.Constant, ast.JoinedStr)):
        return True
    if isinstance(node, ast.IfExp):
        return _names_device(node.body) and _names_device(node.orelse)
    if isinstance(node, ast.Call):
        return "device" in (dotted_name(node.func) or "").rpartition(".")[2]
    name: str = node.attr if isinstance(node, ast.Attribute) else dotted_name(node) or ""
    return "device" in name or name == "dev"

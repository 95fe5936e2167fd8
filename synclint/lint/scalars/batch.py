"""Several reads of one tensor in one basic block become one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synclint.finding import Confidence
from synclint.flow.values import Kind, Value
from synclint.index.names import imported_names
from synclint.lint.imports import LINE_LENGTH, free_name
from synclint.lint.scalars.bindings import bindings_of
from synclint.lint.scalars.effects import Effects, effects
from synclint.lint.scalars.layout import FUNCTION, always_evaluated, evaluated, layout_of
from synclint.lint.scalars.reads import ScalarRead, dtype_doubts, element_of, read_of
from synclint.lint.scalars.values import values_of

if TYPE_CHECKING:
    from synclint.finding import Edit, Fix
    from synclint.flow.site import FunctionNode, Site
    from synclint.lint.context import Context
    from synclint.lint.scalars.layout import Block

SMALL = 64
"""Elements that one ``tolist()`` boxes in less time than it takes to read two of them one by one."""

_NAME_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Batch:
    """Reads of elements of one tensor that always happen together.

    ``text`` is the tensor as written. ``whole`` says that all of it can be read at once: its length is known, and
    small. ``fix`` is the same for every read, None where there is none.
    """

    text: str
    reads: tuple[ScalarRead, ...]
    whole: bool
    fix: Fix | None


@dataclass(frozen=True, slots=True)
class _Element:
    """One read with the tensor, its index, and the place of its statement in the block."""

    read: ScalarRead
    site: Site
    base: ast.expr
    index: ast.expr
    place: int


def batch_of(context: Context, *, stacked: bool) -> Batch | None:
    """The batch that a site's read belongs to, None when it stands alone.

    ``stacked``: also read a few elements of a tensor of unknown length through ``torch.stack``, which pays where a read
    waits, not where it only converts.
    """
    site = context.site
    function = site.scope.node
    read = read_of(site)
    found = None if read is None else element_of(read.operand)
    if found is None or not isinstance(function, FUNCTION):
        return None
    layout = layout_of(context)
    position = layout.positions.get(site.statement)
    if position is None:
        return None
    key = (id(position.block), ast.dump(found[0]), site.fact.id)
    runs = layout.memo.get(key)
    if runs is None:
        block = _Block(context, position.block, function)
        elements = block.elements(found[0], site.fact.id)
        runs = [block.batch(run, stacked) for run in block.runs(elements)] if len(elements) > 1 else []
        layout.memo[key] = runs
    return next((run for run in runs if any(each.node is site.node for each in run.reads)), None)


class _Block:
    """A block of statements, and what its function says about the tensors read in it."""

    def __init__(self, context: Context, block: Block, function: FunctionNode) -> None:
        self.context = context
        self.block = block
        self.positions = layout_of(context).positions
        self.bindings = bindings_of(context, function)
        self.values = values_of(context)

    def elements(self, base: ast.expr, fact: str) -> list[_Element]:
        """The reads of elements of one tensor that always happen when the block runs, in the order of the text."""
        wanted = ast.dump(base)
        found = []
        for site in self.context.sites:
            position = self.positions.get(site.statement)
            if position is None or position.block is not self.block or site.fact.id != fact:
                continue
            read = read_of(site)
            element = None if read is None else element_of(read.operand)
            if read is None or element is None or ast.dump(element[0]) != wanted:
                continue
            if self._is_plain(element[1], wanted) and always_evaluated(site.statement, site.node):
                found.append(_Element(read, site, *element, position.index))
        return sorted(found, key=lambda each: (each.place, each.site.node.lineno, each.site.node.col_offset))

    def _is_plain(self, index: ast.expr, base: str) -> bool:
        """Whether an index can be evaluated earlier: arithmetic of names, numbers and the tensor's own length."""
        allowed = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)
        for node in ast.walk(index):
            if isinstance(node, ast.Call):
                own = getattr(node.func, "id", "") == "len" and [ast.dump(each) for each in node.args] == [base]
                if not own or self.bindings.is_shadowed("len"):
                    return False
            elif not isinstance(node, (*allowed, ast.Attribute)):
                return False
        return True

    def runs(self, elements: Sequence[_Element]) -> list[list[_Element]]:
        """The reads cut where something may leave the block, binds a name anew or writes to the tensor."""
        runs: list[list[_Element]] = []
        for element in elements:
            if runs and not self._parted(runs[-1], element):
                runs[-1].append(element)
            else:
                runs.append([element])
        return [run for run in runs if len(run) > 1]

    def _parted(self, run: list[_Element], element: _Element) -> bool:
        between = self.block[run[0].place : element.place]
        if any(hasattr(statement, "body") or isinstance(statement, ast.Match) for statement in between):
            return True
        return self._effects([*run, element]).surely

    def _effects(self, run: Sequence[_Element]) -> Effects:
        """What happens from the start of the first reading statement to the last read."""
        roots: list[ast.AST] = [*self.block[run[0].place : run[-1].place]]
        last = self.block[run[-1].place]
        after = _after(last, [each.read.node for each in run if each.place == run[-1].place])
        roots += evaluated(last) or () if hasattr(last, "body") else [last]
        return effects(roots, after, run[0].base, [each.index for each in run], self.bindings, self.values)

    # ------------------------------------------------------------------ the fix

    def batch(self, run: Sequence[_Element], stacked: bool) -> Batch:
        text = ast.unparse(run[0].base)
        tensor = self.values.get(run[0].base)
        length = tensor.length if tensor is not None and tensor.kind is Kind.TENSOR and tensor.rank == 1 else None
        whole = length is not None and length <= SMALL
        fix = self._fix(run, tensor, whole) if whole or stacked else None
        return Batch(text, tuple(each.read for each in run), whole, fix)

    def _fix(self, run: Sequence[_Element], tensor: Value | None, whole: bool) -> Fix | None:
        context = self.context
        first = context.statement_of(run[0].site.statement)
        if tensor is None or tensor.kind is not Kind.TENSOR or tensor.rank not in (1, None):
            return None
        if not first.can_insert_before or self.bindings.outer & self._names(run):
            return None
        text = context.text(run[0].base)
        indices = {ast.dump(each.index): each.index for each in run}
        doubts = self._doubts(run, tensor)
        imports: tuple[Edit, ...] = ()
        values = free_name(f"{_last(run[0].base)}_values", self.bindings.names)
        written = {key: f"{values}[{context.text(index)}]" for key, index in indices.items()}
        line = f"{values} = {text}.tolist()"
        if not whole:
            stack, imports = self._stack() if len(indices) > 1 else ("", ())
            doubts += self._doubts_of_stack(run, stack, imports)
            elements = [f"{text}[{context.text(index)}]" for index in indices.values()]
            read = f"{stack}(({', '.join(elements)})).tolist()" if stack else f"{elements[0]}.item()"
            written = self._names_of_elements(run[0].base, indices)
            line = f"{', '.join(written.values())} = {read}"
            if stack and len(first.indent + line) > LINE_LENGTH:
                written = {key: f"{values}[{place}]" for place, key in enumerate(indices)}
                line = f"{values} = {read}"
        if "\n" in line or "\r" in line:
            return None
        edits: list[Edit | None] = [*imports, first.insert_before(line)]
        for each in run:
            new = each.read.converted(written[ast.dump(each.index)], tensor.dtype)
            edits.append(context.statement_of(each.site.statement).replace(each.read.node, new))
        found = self._effects(run)
        return context.fix(
            f"read {_amount(len(indices), whole)} of `{ast.unparse(run[0].base)}` at once",
            edits,
            unsafe=[*doubts, *found.perhaps],
            removes_wait=run[0].site.fact.event == "sync" and found.calls,
        )

    def _stack(self) -> tuple[str, tuple[Edit, ...]]:
        """How to write ``torch.stack`` here, and the edits that import it.

        A file that imports torch only if it is there has it where it has tensors.
        """
        flow = self.context.flow
        at_run_time = set(_imported_at_run_time(flow.tree.body)) | flow.record.bound
        for name, dotted in flow.record.imports.items():
            if dotted == "torch" and name in at_run_time and not self.bindings.values(name):
                return f"{name}.stack", ()
        return self.context.name_for("torch", "stack")

    def _doubts_of_stack(self, run: Sequence[_Element], stack: str, imports: tuple[Edit, ...]) -> list[str]:
        """Why reading some elements of a tensor ahead may differ from reading each in its place."""
        doubts = []
        body = self.context.flow.tree.body
        always = [each for each in body if isinstance(each, (ast.Import, ast.ImportFrom))]
        modules = [module.partition(".")[0] for each in always for _, module in imported_names(each)]
        if imports and "torch" not in modules:
            doubts.append("the file does without torch as it stands, and would not any more")
        if stack and re.search(rb"float8|uint(?:16|32|64)", self.context.source.data):
            doubts.append("the dtype may be one that `torch.stack` does not take")
        around = self.positions[run[0].site.statement].around
        if run[0].place != run[-1].place and any(map(self._may_go_on, around)):
            doubts.append("in the `try` or `with` around it, an index out of range is noticed before the first read")
        return doubts

    def _may_go_on(self, statement: ast.stmt) -> bool:
        """Whether the function may go on after an error in a compound statement, or look at what was done till then."""
        if isinstance(statement, ast.With):
            managers = [item.context_expr for item in statement.items]
            called = [manager.func if isinstance(manager, ast.Call) else manager for manager in managers]
            return not all((self.bindings.imported(each) or "").startswith("torch.") for each in called)
        return isinstance(statement, ast.AsyncWith) or type(statement).__name__ in ("Try", "TryStar")

    def _doubts(self, run: Sequence[_Element], tensor: Value) -> list[str]:
        """Why the values, or the errors, may differ."""
        text = ast.unparse(run[0].base)
        doubts = []
        if tensor.certainty is not Confidence.CERTAIN or tensor.optional:
            doubts.append(f"that `{text}` is a tensor is likely, not certain")
        if tensor.rank is None:
            doubts.append(f"`{text}` may have more than one dimension")
        unsure = next((each.index for each in run if not self.bindings.surely_int(each.index)), None)
        if unsure is not None:
            doubts.append(f"the index `{ast.unparse(unsure)}` is not known to be an int")
        return doubts + dtype_doubts(text, [each.read for each in run], tensor.dtype, self.context.source.data)

    def _names(self, run: Sequence[_Element]) -> set[str]:
        return {node.id for each in run for node in ast.walk(each.read.operand) if isinstance(node, ast.Name)}

    def _names_of_elements(self, base: ast.expr, indices: Mapping[str, ast.expr]) -> dict[str, str]:
        """Names for elements: ``t_0``, ``t_last``, ``t_i``, ``t_i_plus_1``."""
        taken = set(self.bindings.names)
        names: dict[str, str] = {}
        for key, index in indices.items():
            names[key] = free_name(f"{_last(base)}_{_in_words(index)}", taken)
            taken.add(names[key])
        return names


def _after(statement: ast.stmt, reads: Sequence[ast.expr]) -> set[ast.AST]:
    """The nodes of a statement that do their work when all of its reads are done: what is made of their values."""
    after: set[ast.AST] = set()
    node: ast.AST | None = statement
    while node is not None and node not in reads:
        after.add(node)
        node = next((child for child in ast.iter_child_nodes(node) if {*ast.walk(child)}.issuperset(reads)), None)
    value = getattr(statement, "value", None)
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and (value in after or value in reads):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        after.update(node for target in targets for node in ast.walk(target))
    return after


def _imported_at_run_time(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The names that the imports of a module bind, save those for type checkers."""
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from (name for name, _ in imported_names(statement))
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _imported_at_run_time(statement.orelse)
        elif not isinstance(statement, (*FUNCTION, ast.ClassDef)):
            for name in ("body", "orelse", "finalbody"):
                yield from _imported_at_run_time(getattr(statement, name, ()))
            for handler in getattr(statement, "handlers", ()):
                yield from _imported_at_run_time(handler.body)


def _amount(count: int, whole: bool) -> str:
    return "all elements" if whole else "one element" if count == 1 else f"{count} elements"


def _last(base: ast.expr) -> str:
    return base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else "tensor"


def _in_words(index: ast.expr) -> str:
    text = ast.unparse(index)
    if text == "-1":
        return "last"
    for sign, word in (("-", "_minus_"), ("+", "_plus_")):
        text = text.replace(sign, word)
    words = re.sub(r"_{2,}", "_", re.sub(r"\W+", "_", text)).strip("_")
    return words if words and len(words) <= _NAME_LIMIT else "element"

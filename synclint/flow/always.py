"""What runs whenever a function is called with a tensor for one of its parameters, errors aside."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synclint.index.build import FUNCTION
from synclint.index.names import dotted_name

if TYPE_CHECKING:
    from synclint.flow.site import FunctionNode

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_OWN_SCOPE = (*FUNCTION, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_NO_TENSORS = frozenset(("int", "float", "bool", "str", "complex", "list", "tuple", "dict", "set", "bytes", "ndarray"))


def always_runs(function: FunctionNode, statement: ast.stmt, node: ast.expr, parameter: str) -> bool:
    """Whether a call of ``function`` with a tensor as ``parameter`` comes to ``node``, which ``statement`` evaluates
    itself. A loop is taken to run at least once; a generator, to be gone through."""
    return _comes_to(function.body, statement, parameter) and _evaluates(statement, node, parameter)


def _comes_to(body: Sequence[ast.stmt], statement: ast.stmt, parameter: str) -> bool:
    for each in body:
        if each is statement:
            return True
        if each.lineno <= statement.lineno <= (each.end_lineno or each.lineno) and not isinstance(each, _OWN_SCOPE):
            return any(_comes_to(block, statement, parameter) for block in _certain_blocks(each, parameter))
        if _may_leave(each, parameter):
            return False
    return False


def _certain_blocks(node: ast.stmt, parameter: str) -> list[list[ast.stmt]]:
    """The blocks of a statement that are entered whenever it is reached."""
    if isinstance(node, ast.If):
        outcome = _outcome(node.test, parameter)
        return [] if outcome is None else [node.body if outcome else node.orelse]
    if isinstance(node, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)):
        return [node.body]
    if isinstance(node, ast.Try):
        return [node.body, node.finalbody]
    return []


def _may_leave(node: ast.AST, parameter: str, *, in_loop: bool = False) -> bool:
    """Whether a statement may be the last one that runs of the block that it is in."""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, (ast.Break, ast.Continue)):
        return not in_loop
    if isinstance(node, _OWN_SCOPE):
        return False
    outcome = _outcome(node.test, parameter) if isinstance(node, ast.If) else None
    blocks = _BLOCKS if outcome is None else ("body",) if outcome else ("orelse",)
    inner = in_loop or isinstance(node, _LOOPS)
    return any(_may_leave(each, parameter, in_loop=inner) for block in blocks for each in getattr(node, block, ()))


def _evaluates(parent: ast.AST, node: ast.expr, parameter: str) -> bool:
    """Whether ``node`` is evaluated whenever ``parent`` is."""
    if parent is node:
        return True
    parts: list[ast.AST] = [part for part in ast.iter_child_nodes(parent) if not isinstance(part, ast.stmt)]
    if isinstance(parent, ast.BoolOp):
        wanted, parts = isinstance(parent.op, ast.And), []
        for value in parent.values:
            parts.append(value)
            if _outcome(value, parameter) is not wanted:
                break
    elif isinstance(parent, ast.IfExp):
        outcome = _outcome(parent.test, parameter)
        parts = [parent.test] if outcome is None else [parent.test, parent.body if outcome else parent.orelse]
    elif isinstance(parent, ast.Lambda) or (isinstance(parent, ast.comprehension) and parent.ifs):
        return False
    elif isinstance(parent, _COMPREHENSIONS) and (
        isinstance(parent, ast.GeneratorExp) or any(generator.ifs for generator in parent.generators)
    ):
        parts = [parent.generators[0].iter]
    return any(_evaluates(part, node, parameter) for part in parts)


def _outcome(test: ast.expr, parameter: str) -> bool | None:
    """What a condition comes to where the parameter is a tensor; None where that does not decide."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _outcome(test.operand, parameter)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        outcomes = [_outcome(value, parameter) for value in test.values]
        decisive = isinstance(test.op, ast.Or)
        if decisive in outcomes:
            return decisive
        return None if None in outcomes else not decisive
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.comparators[0], ast.Constant):
        return _compared(test.left, test.ops[0], test.comparators[0].value, parameter)
    if isinstance(test, ast.Call) and test.args and dotted_name(test.args[0]) == parameter:
        return _asked(test, (dotted_name(test.func) or "").rpartition(".")[2])
    return True if dotted_name(test) == f"{parameter}.is_cuda" else None


def _compared(left: ast.expr, operator: ast.cmpop, right: object, parameter: str) -> bool | None:
    """``x is not None``, ``x.device.type != "cpu"``."""
    negative = isinstance(operator, (ast.IsNot, ast.NotEq))
    if not negative and not isinstance(operator, (ast.Is, ast.Eq)):
        return None
    if right is None and dotted_name(left) == parameter:
        return negative
    if dotted_name(left) == f"{parameter}.device.type" and right in ("cpu", "cuda"):
        return (right == "cuda") is not negative
    return None


def _asked(test: ast.Call, name: str) -> bool | None:
    """``isinstance(x, Tensor)``, ``torch.is_tensor(x)``."""
    if name == "is_tensor":
        return True
    if name != "isinstance" or len(test.args) != 2:
        return None
    classes = test.args[1].elts if isinstance(test.args[1], ast.Tuple) else [test.args[1]]
    names = [(dotted_name(one) or "").rpartition(".")[2] for one in classes]
    if "Tensor" in names:
        return True
    return False if all(one in _NO_TENSORS for one in names) else None

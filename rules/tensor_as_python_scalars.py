"""SYN701 tensor-as-python-scalars: a CPU tensor that is only used one Python number at a time."""

from __future__ import annotations

from synclint.lint import Applicability, Context, Invalid, Report, Rule, Site, Valid


class TensorAsPythonScalars(Rule):
    """
    ## What it does

    Reports elements of a CPU tensor that are read as Python numbers, where one conversion would do for all of
    them: a `functools.cached_property` whose tensor is only ever read so, several reads of one short tensor
    that always happen together, and reads of one element in each round of a loop. A single `.item()` is not
    reported.

    ## Why it waits

    It does not: nothing is on the device. But `int(t[i])` goes through the dispatcher twice (`aten::select`,
    `aten::_local_scalar_dense`) and makes a tensor for one number: about 1 µs, where indexing a list takes 0.03
    µs. On the path of every step that is time in which the host feeds no kernels. If the tensor moves to the
    device one day, each of the reads waits (SYN201).

    ## Example

    ## Use instead

    ## Fix safety

    *Cached property*: `.tolist()` is put after what it returns, its annotation becomes `list[...]`, and each
    reader drops `.item()`, and `int()`, `float()` or `bool()` where the dtype makes it empty. It is rewritten
    only when everything that the file does with an attribute of that name is understood: reads of one element,
    elements as bounds of slices and ranges, `len()`, tests for None, locals that hold it. An assignment to it,
    a second definition, or any other use (the tensor itself is needed) means that there is no fix. An empty
    list raises IndexError where an empty tensor did, and `[end - 1]` with `end == 0` takes the last element of
    either.

    Safe when the name is private (`_kept`), every use is `self._kept` in the class or one derived from it, and
    all this is proven: what is returned is a new tensor of one dimension, of dtype bool, int or float (int
    where elements are bounds), and each index is an int. Unsafe, with the reason given: a public name, which
    code in other files may read as a tensor; uses through other objects; `getattr`, `__dict__`, pickling or the
    name in a string anywhere in the file; `del`; and what is not proven. Readers in other files are not seen: a
    private name is taken at its word.

    *Several reads together*: one `.tolist()` before the statement with the first of them, when the tensor is
    known to have at most 64 elements (a longer one takes more time to convert than its reads). The conditions
    are those of SYN201. No `torch.stack` here: on the CPU it costs more than the reads that it saves.

    Neither fix changes when the host waits for anything.

    ## When it is fine

    Away from what runs for every step or request, and where most elements of a long tensor are never read.

    ## Evidence

    Fact `scalar-read-host`: probed, not yet measured on a GPU (it takes none). Times: CPU build of torch 2.13,
    one thread.
    """

    code = "SYN701"
    name = "tensor-as-python-scalars"
    facts = frozenset({"scalar-read-host"})

    INVALID = (
        Invalid(
            code="""
            from functools import cached_property

            import torch

            class Placeholder:
                def __init__(self, is_kept: list[bool]):
                    self._is_kept = torch.tensor(is_kept, dtype=torch.bool)

                @cached_property
                def _kept(self) -> torch.Tensor:
                    return self._is_kept.cumsum(0)

                def kept_before(self, end: int) -> int:
                    return int(self._kept[end - 1])
            """,
            fixed="""
            from functools import cached_property

            import torch

            class Placeholder:
                def __init__(self, is_kept: list[bool]):
                    self._is_kept = torch.tensor(is_kept, dtype=torch.bool)

                @cached_property
                def _kept(self) -> list[int]:
                    return self._is_kept.cumsum(0).tolist()

                def kept_before(self, end: int) -> int:
                    return self._kept[end - 1]
            """,
            level=Applicability.SAFE,
            lines=(14,),
            event="host-cost",
            run="[Placeholder([True, False, True]).kept_before(end) for end in range(4)]",
        ),
        Invalid(
            code="""
            from functools import cached_property
            from typing import Optional

            import torch

            class Placeholder:
                def __init__(self, is_kept: Optional[list[bool]], length: int):
                    self.length = length
                    self.is_kept = None if is_kept is None else torch.tensor(is_kept, dtype=torch.bool)

                @cached_property
                def kept(self) -> Optional[torch.Tensor]:
                    if self.is_kept is None:
                        return None
                    return self.is_kept.cumsum(dim=0)  # up to and including each place

                def total(self) -> int:
                    if self.kept is None:
                        return self.length
                    return self.kept[-1].item()

                def between(self, start: int, end: int) -> tuple[float, int]:
                    kept = self.kept
                    if kept is None:
                        return float(start), end
                    before = float(kept[start - 1]) if start > 0 else 0.0
                    return before, int(kept[end - 1])
            """,
            fixed="""
            from functools import cached_property
            from typing import Optional

            import torch

            class Placeholder:
                def __init__(self, is_kept: Optional[list[bool]], length: int):
                    self.length = length
                    self.is_kept = None if is_kept is None else torch.tensor(is_kept, dtype=torch.bool)

                @cached_property
                def kept(self) -> Optional[list[int]]:
                    if self.is_kept is None:
                        return None
                    return self.is_kept.cumsum(dim=0).tolist()  # up to and including each place

                def total(self) -> int:
                    if self.kept is None:
                        return self.length
                    return self.kept[-1]

                def between(self, start: int, end: int) -> tuple[float, int]:
                    kept = self.kept
                    if kept is None:
                        return float(start), end
                    before = float(kept[start - 1]) if start > 0 else 0.0
                    return before, kept[end - 1]
            """,
            level=Applicability.UNSAFE,
            lines=(20, 26, 27),
            event="host-cost",
            run="[(p.total(), p.between(1, 2)) for p in (Placeholder([True, True], 2), Placeholder(None, 2))]",
            note="unsafe: the name is public, so that other files may read it as a tensor",
        ),
        Invalid(
            code="""
            from functools import cached_property

            import torch

            class Ragged:
                def __init__(self, values: list[int], lengths: list[int]):
                    self._values = values
                    self._lengths = torch.tensor(lengths, dtype=torch.int64)

                @cached_property
                def _ends(self):
                    return self._lengths.cumsum(0)

                def row(self, i: int) -> list[int]:
                    return self._values[self._ends[i - 1] if i else 0 : self._ends[i]]

                def total(self) -> float:
                    return float(self._ends[len(self._ends) - 1])
            """,
            fixed="""
            from functools import cached_property

            import torch

            class Ragged:
                def __init__(self, values: list[int], lengths: list[int]):
                    self._values = values
                    self._lengths = torch.tensor(lengths, dtype=torch.int64)

                @cached_property
                def _ends(self):
                    return self._lengths.cumsum(0).tolist()

                def row(self, i: int) -> list[int]:
                    return self._values[self._ends[i - 1] if i else 0 : self._ends[i]]

                def total(self) -> float:
                    return float(self._ends[len(self._ends) - 1])
            """,
            level=Applicability.SAFE,
            lines=(18,),
            event="host-cost",
            run="Ragged([5, 6, 7], [1, 2]).row(1), Ragged([5, 6, 7], [1, 2]).total()",
            note="elements as bounds of a slice; a conversion that changes the type stays",
        ),
        Invalid(
            code="""
            import torch

            def area(scale: int):
                size = torch.tensor([4, 6]) * scale
                grid = torch.tensor([2, 3])
                return int(grid[0]) * int(grid[1]), int(size[0])
            """,
            fixed="""
            import torch

            def area(scale: int):
                size = torch.tensor([4, 6]) * scale
                grid = torch.tensor([2, 3])
                grid_values = grid.tolist()
                return grid_values[0] * grid_values[1], int(size[0])
            """,
            level=Applicability.SAFE,
            lines=(6, 6),
            left=1,
            event="host-cost",
            run="area(2)",
            note="several reads of one short tensor",
        ),
        Invalid(
            code="""
            import torch

            def pairs(n: int):
                starts = torch.arange(n + 1)
                found = []
                for i in range(n):
                    found.append((int(starts[i]), i))
                return found, [start.item() for start in starts]
            """,
            lines=(7, 8),
            event="host-cost",
            run="pairs(3)",
            note="one element in each round: in words, as `.tolist()` belongs before the loop",
        ),
    )

    VALID = (
        Valid(
            code="""
            import torch

            def total(n: int):
                return torch.arange(n).sum().item(), int(torch.arange(n)[-1])
            """,
            run="total(4)",
            event="host-cost",
            note="single reads",
        ),
        Valid(
            code="""
            import torch

            def ends(n: int, late: bool):
                steps = torch.arange(n)
                if late:
                    return int(steps[0])
                return int(steps[-1])
            """,
            run="ends(4, False)",
            event="host-cost",
            note="reads on different branches",
        ),
        Valid(
            code="""
            from functools import cached_property

            import torch

            class Placeholder:
                def __init__(self, is_kept: list[bool]):
                    self._is_kept = torch.tensor(is_kept, dtype=torch.bool)

                @cached_property
                def _kept(self) -> torch.Tensor:
                    return self._is_kept.cumsum(0)

                def total(self) -> int:
                    return int(self._kept[-1])

                def shifted(self) -> torch.Tensor:
                    return self._kept - 1
            """,
            run="Placeholder([True, False]).total()",
            event="host-cost",
            note="the tensor itself is needed, too",
        ),
        Valid(
            code="""
            import torch

            def relative(lengths: list[int]):
                starts = torch.tensor(lengths).cumsum(0)
                for i in range(len(lengths)):
                    offset = starts[i].item()
                    starts[i:] -= offset
                return starts
            """,
            run="relative([1, 2])",
            event="host-cost",
            note="the loop writes to the tensor",
        ),
    )

    def judge(self, site: Site, context: Context) -> Report | None:
        from synclint.lint.scalars import batch_of, cached_fix, read_in_loop, read_of

        read = read_of(site)
        if read is None:
            return None
        fix = cached_fix(context)
        if fix is not None:
            message = f"{read.spelling} converts one element of a cached tensor that is only read as Python numbers"
            return Report(message, "Cache a list: convert all elements once, where they are computed.", fix)
        batch = batch_of(context, stacked=False)
        if batch is not None and batch.whole:
            message = (
                f"{read.spelling} converts one of {len(batch.reads)} elements of `{batch.text}` that are read together"
            )
            return Report(message, f"Convert `{batch.text}` once with `.tolist()` and index the list.", batch.fix)
        tensor = read_in_loop(context, read)
        if tensor is not None:
            message = f"{read.spelling} converts one element of the CPU tensor `{tensor}` in each round of the loop"
            return Report(message, f"Convert `{tensor}` once before the loop with `.tolist()` and loop over the list.")
        return None

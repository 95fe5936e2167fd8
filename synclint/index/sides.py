"""Tests, benchmarks, examples and the like: they use the code of a project, but not as it is used."""

from __future__ import annotations

import re
from functools import lru_cache

_SIDE_FILE = re.compile(
    r"(?:^|/)(?:tests?|testing|test_utils)(?:/|_|\.)|(?:^|/)conftest\.py$|_tests?\.py$"
    r"|^(?:benchmarks?|docs?|examples?|scripts?|tools?|tutorials?)/"
)
_SIDE_FOLDER = re.compile(r"(?:tests?|testing|benchmarks?|docs?|examples?|scripts?|tools?|tutorials?)(?=/)")


def counts_for(caller: str, path: str) -> bool:
    """Whether what the file ``caller`` does with the code of ``path`` is how that code is used."""
    if not is_side_file(caller):
        return True
    return is_side_file(path) and top_folder(caller) == top_folder(path)


def top_folder(path: str) -> str:
    return path.partition("/")[0]


def side_folder(path: str) -> str:
    """The folder at the root of a project that holds tests, examples or the like and the file; empty if none does."""
    found = _SIDE_FOLDER.match(path)
    return "" if found is None else found[0]


@lru_cache(maxsize=65536)
def is_side_file(path: str) -> bool:
    """Tests, benchmarks, examples and the like, by their path in the project: they do not use code as it is used."""
    return _SIDE_FILE.search(path) is not None

"""Which file an import means: the dotted names of a project's files."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def module_name(path: str, files: Collection[str]) -> str:
    """The dotted name under which the file is imported: its path below the folder that holds its outermost package.

    ``path`` and ``files``, all files of the project, are relative to its root and have slashes.
    """
    parts = path.rpartition(".")[0].split("/")
    start = len(parts) - 1
    while start > 0 and "/".join((*parts[:start], "__init__.py")) in files:
        start -= 1
    below = parts[start:]
    if below[-1] == "__init__" and len(below) > 1:
        below.pop()
    return ".".join(below)


class Packages:
    """The files of a project by the names under which they may be imported."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.files = frozenset(paths)
        self._paths: dict[str, list[str]] = {}
        self.tops: set[str] = set()
        for path in sorted(self.files):
            name = module_name(path, self.files)
            self._add(name, path)
            # A folder without an ``__init__.py`` may be a package all the same, from the root or from a source folder.
            folders = path.split("/")[: -1 - name.count(".") - path.endswith("/__init__.py")]
            for folder in reversed(folders):
                name = f"{folder}.{name}"
                self._add(name, path)

    def _add(self, name: str, path: str) -> None:
        self._paths.setdefault(name, []).append(path)
        self.tops.add(name.partition(".")[0])

    def find(self, name: str, near: str) -> str | None:
        """The file of the module ``name`` as the file ``near`` imports it; None if it is not of the project."""
        if name.startswith("."):
            return self._relative(name, near)
        found = self._paths.get(name)
        if found is None:
            return None
        return found[0] if len(found) == 1 else max(found, key=lambda path: _shared(path, near))

    def _relative(self, name: str, near: str) -> str | None:
        """The file of a module that is named by leading dots: of a folder that has no ``__init__.py``."""
        folders = near.split("/")[:-1]
        path = name.lstrip(".")
        up = len(name) - len(path) - 1
        if up > len(folders):
            return None
        start = "/".join([*folders[: len(folders) - up], *path.split(".")])
        return next((file for file in (f"{start}.py", f"{start}/__init__.py") if file in self.files), None)


def _shared(path: str, other: str) -> int:
    """How many folders two paths share."""
    count = 0
    for one, two in zip(path.split("/")[:-1], other.split("/")[:-1], strict=False):
        if one != two:
            break
        count += 1
    return count

"""Run by Python when a process of a traced command starts: it waits until torch has been imported, then traces.

This folder is first on ``PYTHONPATH`` there. Only what every interpreter has loaded anyway is imported, ``synclint``
itself where torch is; a process that never imports torch is left as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(os.path.dirname(_FOLDER))


class _Synclint:
    """Finds the package ``synclint`` that traces, wherever it is installed, and nothing beside it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "synclint":
            return None
        file = os.path.join(_PACKAGE, "__init__.py")
        return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[_PACKAGE])


class _Torch:
    """Finds nothing itself; when another finder has found torch, starts the tracer as soon as torch is executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "torch":
            return None
        finders = iter(sys.meta_path[sys.meta_path.index(self) + 1 :])
        found = (finder.find_spec(name, path, target) for finder in finders if hasattr(finder, "find_spec"))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None or not hasattr(spec.loader, "exec_module") or spec.loader is None:
            return spec
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                _begin()

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _begin() -> None:
    from synclint.runtime.child import begin

    begin()


def _user_customization() -> None:
    """Run the ``sitecustomize`` that this one stands before; afterwards ``sys.path`` is as without synclint."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _FOLDER]
    own = sys.modules.pop("sitecustomize", None)
    importlib.invalidate_caches()
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


def _relocate(original: str, copy: str) -> None:
    """Import from a copy what would be imported from a folder: entries of ``sys.path``, and editable installs.

    Places that the copy does not have, such as an environment inside the folder, stay as they are.
    """

    def moved(place: str) -> str:
        real = os.path.realpath(place)
        if real != original and not real.startswith(original + os.sep):
            return place
        target = copy + real[len(original) :]
        return target if os.path.exists(target) else place

    sys.path[:] = [moved(entry) if entry else entry for entry in sys.path]
    for name, module in list(sys.modules.items()):
        mapping = getattr(module, "MAPPING", None)  # of setuptools' finders, by package
        if name.startswith("__editable__") and isinstance(mapping, dict):
            mapping.update({package: moved(place) for package, place in mapping.items()})


if "SYNCLINT_TRACE" in os.environ and sys.version_info >= (3, 10):
    sys.meta_path.insert(0, _Synclint)
    if "torch" in sys.modules:
        _begin()
    else:
        sys.meta_path.insert(0, _Torch())
_user_customization()
if "SYNCLINT_RELOCATE" in os.environ:
    _relocate(*os.environ["SYNCLINT_RELOCATE"].split(os.pathsep))

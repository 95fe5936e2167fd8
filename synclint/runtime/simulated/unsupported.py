"""Why a build of torch cannot be simulated on."""

from __future__ import annotations


class Unsupported(Exception):
    """What this torch lacks, as the end of a sentence: "simulated CUDA is not available on torch X because ..."."""

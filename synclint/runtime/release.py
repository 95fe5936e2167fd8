"""Which torch is installed."""

from __future__ import annotations


def torch_release() -> tuple[int, int]:
    """Its release as facts count them: (major, minor)."""
    import torch

    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)

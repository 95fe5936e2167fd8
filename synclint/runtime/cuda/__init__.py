"""The back end for a real GPU.

What each module sees: ``callbacks`` every wait that torch makes itself, just before it; ``explicit`` the waits that
code asks for; ``copies`` copies that are asynchronous in name only; ``debug_mode`` torch's own warning, just after the
wait; ``profiler`` how long the host stood, and the waits of allocator and libraries; ``sleep`` whether a function
returns while the device is busy, and ``prove`` asks that of named lines. None of them sees all.
"""

from synclint.runtime.cuda.backend import CudaBackend

__all__ = ["CudaBackend"]

"""synclint finds the lines of PyTorch code that make the host wait for the GPU, and fixes them."""

__version__ = "0.1.0"

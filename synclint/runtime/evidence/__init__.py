"""What GPUs (and the simulated device) did, measured by one command and kept as a file.

``python -m synclint.runtime.evidence OUT`` writes such a file in at most eight minutes. ``records`` says what is in it,
``hold`` compares it with the table of facts.
"""

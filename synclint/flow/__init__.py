"""Device inference: where each value lives, by abstract interpretation of the ``ast``."""

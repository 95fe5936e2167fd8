"""Proof that fixes hold: a project's own command, or the rules' own examples, before and after them."""

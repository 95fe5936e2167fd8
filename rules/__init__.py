"""The rules: one file, one class each."""

"""Applying fixes: edits put together, files written, linting repeated until nothing changes."""

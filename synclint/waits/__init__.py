"""What traces say of source lines, and of what the linter found there."""

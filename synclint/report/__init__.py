"""What users see: one module per output format. All of them are pure functions from findings to text."""

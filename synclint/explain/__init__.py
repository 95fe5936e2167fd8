"""What synclint believes about single lines, and why it reports them or does not."""

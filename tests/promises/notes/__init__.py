"""Two small servers that keep notes, which are resources that change: one on each SDK."""

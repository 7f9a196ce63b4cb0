"""Where a run runs: one small protocol between flow and home, and the homes."""

"""One command prints every figure with its peer's beside it: ``make bench``."""

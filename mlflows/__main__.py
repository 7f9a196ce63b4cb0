"""``python -m mlflows`` is ``mlflows``."""

import sys

from mlflows.cli import main

if __name__ == "__main__":
    sys.exit(main())

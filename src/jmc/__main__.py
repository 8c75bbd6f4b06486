"""`python -m jmc` is the command `jmc`."""

import sys

from jmc.cli import main

sys.exit(main())

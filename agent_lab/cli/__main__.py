"""`python -m agent_lab.cli …` is `jupyter agent-lab …`."""

import sys

from agent_lab.cli import main

sys.exit(main())

"""Run the command as ``python -m autotrader.cli``; knows nothing else."""

import sys

from autotrader.cli import main

sys.exit(main())

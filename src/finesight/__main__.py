# SPDX-License-Identifier: Apache-2.0
"""`python -m finesight`: the command line."""

import sys

from finesight.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m acme_manager` is the server."""

import sys

from acme_manager.cli.server import main

sys.exit(main())

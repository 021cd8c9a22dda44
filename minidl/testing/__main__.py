"""`python -m minidl.testing`: the gradient ledger."""

import sys

from minidl.testing.ledger import main

sys.exit(main())

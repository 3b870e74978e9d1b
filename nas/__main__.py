"""``python -m nas`` is the command ``hwnas``."""

from nas.cli import main

raise SystemExit(main())

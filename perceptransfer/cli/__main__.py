"""``python -m perceptransfer.cli``."""

from perceptransfer.cli import main

raise SystemExit(main())

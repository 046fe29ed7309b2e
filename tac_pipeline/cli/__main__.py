"""`python -m tac_pipeline.cli` is `tac`."""

from tac_pipeline.cli import main

main()

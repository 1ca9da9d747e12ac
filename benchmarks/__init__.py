"""Every way to run one recurrent training step, side by side: same numbers first, then the clock."""

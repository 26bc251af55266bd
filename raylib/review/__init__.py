"""`raylib review`: a person judges decisions of a run, and the answers become figures and better thresholds."""

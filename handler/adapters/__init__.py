"""The ports' implementations; SDK errors are classified here and nowhere else."""

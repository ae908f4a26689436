"""Studies: a grid of training runs, each evaluated at several temperatures, in one table."""

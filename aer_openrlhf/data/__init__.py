"""Data for `aer-train`: what `aer-data` makes, and prompts rendered as training renders them."""

"""The suites as tasks of lm-eval, and finished stores as one of its models."""

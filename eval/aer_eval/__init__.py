"""Evaluation of language models on mathematical problems: pass@k from a durable store of samples."""

__version__ = "0.1.0"

"""AER (Adaptive Entropy Regularization, arXiv 2510.10959) on unforked OpenRLHF.

Importing the package imports neither torch nor OpenRLHF: Ray starts many processes that need only a part of it.
"""

__version__ = "0.1.0"

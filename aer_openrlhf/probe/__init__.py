"""`aer-entropy`: the initial entropy of models on datasets, measured as AER's anchor measures it."""

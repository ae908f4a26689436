"""Entropy methods as pure tensors: no OpenRLHF, Ray or DeepSpeed import here. One method, one file."""

"""OpenRLHF, DeepSpeed and vLLM on a machine without CUDA."""

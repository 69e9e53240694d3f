"""Containerized matrix CI for PyTorch and Hugging Face packages."""

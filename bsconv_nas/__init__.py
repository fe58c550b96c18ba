"""Search convolutional networks of Blueprint Separable Convolutions for a compute budget."""

__version__ = "0.1.0"

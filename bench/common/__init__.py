"""What the benchmark programs written in Python share: the results' format, the machine's description."""

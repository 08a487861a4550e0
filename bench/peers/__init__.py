"""The engine beside its peers: the same traffic on the same machine in one run."""

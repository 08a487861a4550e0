"""The regression gate: measure the ratios again (measure), compare them with bench/baseline.json (judge)."""

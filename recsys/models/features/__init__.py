"""Models of ids and features: regressions, factorization machines, DeepFM."""

"""Networks of `recsys` as a good user of PyTorch writes them; the benchmarks alone import them.

A class has the name and the parameters' names of ours, and an objective's `begin` and `loss`.
"""

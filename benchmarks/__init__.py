"""Speed and accuracy claims, each of which a command reruns: `python -m benchmarks [NAME ...]`."""

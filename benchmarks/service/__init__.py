"""What `python -m benchmarks serving` measures: real processes on real sockets, every answer compared with the model's.

Each module measures some rows; `measures.ROWS` lists them all.
"""

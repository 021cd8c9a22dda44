"""Finding one's errors: the first NaN and its line, what the graph looks like, where the time goes."""

from minidl.debug.anomaly import detect_anomaly
from minidl.debug.drawing import GraphView, graph
from minidl.debug.profiling import Profile, profile

__all__ = ["GraphView", "Profile", "detect_anomaly", "graph", "profile"]

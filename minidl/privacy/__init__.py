"""Learning that does not depend on any one example: gradients that are clipped and noisy, and what that is worth.

What is guaranteed holds for real numbers. Floating-point noise leaves traces of what it was added to (Mironov 2012, "On
significance of the least significant bits for differential privacy"); nothing is done about that here.
"""

from minidl.privacy.accounting import (
    ORDERS,
    epsilon,
    epsilon_of_rdp,
    gaussian_delta,
    gaussian_epsilon,
    noise_for,
    rdp,
)
from minidl.privacy.clipping import add_noise, clipped_backward

__all__ = ["ORDERS", "add_noise", "clipped_backward", "epsilon", "epsilon_of_rdp", "gaussian_delta", "gaussian_epsilon",
           "noise_for", "rdp"]

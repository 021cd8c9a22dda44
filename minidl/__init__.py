"""A small deep-learning engine on NumPy and Numba: derivatives of any order, each one proved."""

from minidl import runtime  # first: it sets what has to stand in the environment before NumPy loads
from minidl.tensor import Tensor, tensor
from minidl.engine import (fused, grad, hessian, hvp, is_grad_enabled, jacobian, jvp, keeps, no_grad, primitive,
                           record, value_and_grad, vjp)
from minidl.errors import GradientError, MissingExtraError, ShapeError
from minidl.rowgrad import RowGrad

"""Optimizers, schedules and averages, with the names, defaults and order of operations of `torch.optim`."""

from minidl.optim import lr_scheduler, swa_utils
from minidl.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from minidl.optim.adaptive import Adadelta, Adagrad, RMSprop
from minidl.optim.base import Optimizer
from minidl.optim.lion import Lion
from minidl.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "Optimizer", "RAdam", "RMSprop",
           "lr_scheduler", "swa_utils"]

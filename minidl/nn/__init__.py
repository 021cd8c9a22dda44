"""Modules, with the names, parameters and initialisation of `torch.nn`."""

from minidl.nn import functional, init, utils
from minidl.nn.activation import ELU, GELU, SELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from minidl.nn.init import manual_seed
from minidl.nn.layers import Dropout, Embedding, EmbeddingBag, Identity, Linear, ModuleList, Sequential
from minidl.nn.loss import (
                            BCELoss,
                            BCEWithLogitsLoss,
                            BPRLoss,
                            CrossEntropyLoss,
                            HingeLoss,
                            HuberLoss,
                            KLDivLoss,
                            L1Loss,
                            MSELoss,
                            NLLLoss,
                            SmoothL1Loss,
)
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "BPRLoss", "CrossEntropyLoss", "Dropout", "ELU", "Embedding",
    "EmbeddingBag", "GELU", "HingeLoss", "HuberLoss", "Identity", "KLDivLoss", "L1Loss", "LeakyReLU", "Linear",
    "LogSoftmax", "MSELoss", "Module", "ModuleList", "NLLLoss", "Parameter", "ReLU", "SELU", "Sequential",
    "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "functional", "init", "manual_seed",
    "utils",
]

"""Modules, with the names, parameters and initialisation of `torch.nn`."""

from minidl.nn import functional, init, utils
from minidl.nn.activation import ELU, GELU, SELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from minidl.nn.conv import Conv1d, Conv2d, ConvTranspose2d, Fold, Unfold
from minidl.nn.init import manual_seed
from minidl.nn.layers import Dropout, Embedding, EmbeddingBag, Identity, Linear, ModuleList, Sequential
from minidl.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    BPRLoss,
    CosineEmbeddingLoss,
    CosineSimilarity,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MarginRankingLoss,
    MSELoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    MultinomialLoss,
    NLLLoss,
    PairwiseDistance,
    PoissonNLLLoss,
    SampledSoftmaxLoss,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.nn.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    Flatten,
    MaxPool1d,
    MaxPool2d,
)
from minidl.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d",
    "BCELoss", "BCEWithLogitsLoss", "BPRLoss", "Conv1d", "Conv2d", "ConvTranspose2d", "CosineEmbeddingLoss",
    "CosineSimilarity", "CrossEntropyLoss", "Dropout", "ELU", "Embedding", "EmbeddingBag", "Flatten", "Fold", "GELU",
    "GRU", "GRUCell", "GaussianNLLLoss", "HingeEmbeddingLoss", "HingeLoss", "HuberLoss", "Identity", "KLDivLoss",
    "L1Loss", "LSTM", "LSTMCell", "LeakyReLU", "Linear", "LogSoftmax", "MSELoss", "MarginRankingLoss", "MaxPool1d",
    "MaxPool2d", "Module", "ModuleList", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "MultinomialLoss", "NLLLoss",
    "PairwiseDistance", "Parameter", "PoissonNLLLoss", "RNN", "RNNCell", "ReLU", "SELU", "SampledSoftmaxLoss",
    "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "SoftMarginLoss", "Softmax", "Softplus", "Tanh",
    "TripletMarginLoss", "Unfold", "functional", "init", "manual_seed", "utils",
]

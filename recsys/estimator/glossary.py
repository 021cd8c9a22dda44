"""What each hyper-parameter means, in all models alike: one word, one meaning, one type."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GLOSSARY", "Word"]


class Word(NamedTuple):
    """A hyper-parameter: its type, beside which None may stand for "taken from the data" or "none", and its meaning."""

    type: str
    means: str


GLOSSARY: dict[str, Word] = {
    "activation": Word("str", "the function that hidden layers end with"),
    "alpha": Word("float", "confidence that a unit of value adds"),
    "anneal": Word("int", "epochs over which beta rises"),
    "asymmetry": Word("float", "1/2 is the cosine; other exponents divide more by one of the two sizes"),
    "batch_size": Word("int", "examples of a step of training"),
    "beta": Word("float", "weight of the divergence"),
    "biased": Word("bool", "whether there are a mean and biases"),
    "by": Word("str", "what items are ordered by"),
    "cg_steps": Word("int", "steps of conjugate gradients in half an epoch"),
    "channels": Word("int", "filters of every convolution"),
    "decay": Word("float", "weight of an event relative to the one after it"),
    "dense": Word("int", "width of a dense layer behind convolutions"),
    "dimensions": Word("int", "length of the vectors of a kernel"),
    "dropout": Word("float", "share of numbers that training leaves out"),
    "encoder": Word("Any", "from the vectors of a history to states, by name or as a function that makes it"),
    "epochs": Word("int", "passes over the data"),
    "factors": Word("int", "length of the vectors of users and items"),
    "fields": Word("tuple[str, ...]", "what of the description of items is read"),
    "filters": Word("tuple[int, ...]", "filters of each convolution"),
    "filters_per_width": Word("int", "filters of each width"),
    "half_life": Word("float", "age at which an event counts half, in the unit of the times"),
    "heads": Word("int", "parts of a vector that attend on their own"),
    "hidden": Word("tuple[int, ...]", "widths of the layers between input and output"),
    "horizontal": Word("int", "filters over whole vectors, of each height"),
    "image": Word("str", "the attribute that has the images"),
    "image_size": Word("int", "longest side of an image"),
    "implicit_feedback": Word("bool", "whether what a user has rated counts beside the ratings"),
    "init_std": Word("float", "standard deviation of the initial vectors"),
    "latent": Word("int", "length of the latent vector"),
    "layers": Word("int", "layers or blocks, one on the other"),
    "long_term": Word("bool", "whether what somebody likes counts whatever the order"),
    "loss": Word("str", "what training minimises"),
    "lr": Word("float", "length of a step of training"),
    "max_gib": Word("float", "memory that a fit may take, in GiB"),
    "max_length": Word("int", "words that are read of a text"),
    "max_words": Word("int", "size of the vocabulary"),
    "min_count": Word("int", "items that have a word of the vocabulary"),
    "min_neighbours": Word("int", "with fewer neighbours, the answer is the baseline"),
    "modalities": Word("tuple[str, ...]", "the kinds of content that are read"),
    "negatives": Word("int", "items drawn against each that was chosen"),
    "negatives_power": Word("float", "they are drawn in proportion to their count to this power"),
    "neighbours": Word("int", "how many similar ones count"),
    "order": Word("str", "what is learned of the order of events"),
    "patience": Word("int", "epochs without a better validation before training stops"),
    "pool": Word("int", "similar ones that are looked at"),
    "prior": Word("float", "weight of the mean, or of the baseline, against what was observed"),
    "recent": Word("int", "last events of a history that count"),
    "reg": Word("float", "penalty of squared weights"),
    "reg_bias": Word("float", "penalty of squared biases"),
    "reg_exponent": Word("float", "how the penalty grows with the confidence of a user or item"),
    "reg_item": Word("float", "ratings that draw an item's bias to 0"),
    "reg_kernel": Word("float", "penalty of squared kernels"),
    "reg_user": Word("float", "ratings that draw a user's bias to 0"),
    "repeats": Word("bool", "whether an item may come again"),
    "rest": Word("bool", "learn what was left out alone"),
    "scorer": Word("Callable[[int, int, np.random.Generator], nn.Module]", "makes a network of pairs"),
    "seed": Word("int", "of all that is drawn"),
    "shrink": Word("float", "lowers similarities of little support"),
    "side": Word("str", "whether rows are of users or of items"),
    "similarity": Word("str", "how the words of two items are matched"),
    "smoothing": Word("float", "events by popularity that each item's followers are given"),
    "tied": Word("bool", "whether decoder and encoder are one"),
    "vectors": Word("str", "the attribute that has the vectors"),
    "vertical": Word("int", "filters along the events of a window"),
    "visual_factors": Word("int", "length of the vectors that meet what is seen"),
    "weight_decay": Word("float", "share of every weight that a step takes off, as in the optimizer"),
    "weights": Word("str", "what an interaction counts: 1, its value, or the inverse frequency of its item"),
    "wide": Word("int", "length of the vectors of what comes with what"),
    "width": Word("int", "events that a convolution spans"),
    "widths": Word("tuple[int, ...]", "words that each kind of convolution spans"),
    "window": Word("int", "events in a row that are looked at together"),
    "window_decay": Word("float", "weight of a transition relative to one that is one event shorter"),
    "words": Word("int", "length of the words' vectors"),
}

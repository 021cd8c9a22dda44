"""Sounds of items: read from files, and made into log-mel spectrograms, images that networks learn from."""

from __future__ import annotations

import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minidl.errors import MissingExtraError
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import DataError, ParameterError

__all__ = ["LogMel", "add_sounds", "mel_filters", "power_spectrum", "read_sound"]

_HERTZ, _STEP = 700.0, 2595.0  # of the mel scale
_UNKNOWN = 0x7fff0000  # bytes of samples or more: what a program writes that does not know when it will end
_MOST = 10_000_000  # samples a second; a window of more would not fit into memory
_FULL = {1: 1 << 7, 2: 1 << 15, 3: 1 << 23, 4: 1 << 31}  # the number of full scale, by bytes of a sample


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """A sound as the mean of its channels, and samples a second.

    Parameters
    ----------
    path : path
        PCM in WAV, of 8, 16, 24 or 32 bits and any number of channels, is read by the standard library. All else, as
        FLAC, OGG, MP3 and WAV of floats, needs the extra `audio`.

    Returns
    -------
    samples : ndarray of float32, shape (n,)
        From -1 to 1.
    rate : int

    Raises
    ------
    DataError
        The file is no sound that can be read, or has no samples.
    MissingExtraError
        The format needs the extra `audio`, which is not installed.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        raise DataError(f"{path}: the file is empty; leave it out.")
    samples, rate = _read_wav(path) if head[:4] == b"RIFF" and head[8:] == b"WAVE" else _read_other(path)
    if not len(samples):
        raise DataError(f"{path}: the sound has no samples; leave the file out.")
    if rate > _MOST:
        raise DataError(f"{path}: {rate:,} samples a second, which no sound has; write it again.")
    return np.asarray(samples.mean(axis=1), np.float32), rate


def _read_wav(path: Path) -> tuple[np.ndarray, int]:
    """float (n, channels) and samples a second."""
    try:
        with wave.open(str(path)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.getnframes()
            data = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        if "unknown format" in str(error):  # floats, and what only newer versions of the standard library read
            return _read_other(path)
        raise DataError(f"{path}: not a WAV file that can be read ({str(error) or 'it ends too early'}); write it "
                        f"again.") from None
    if width not in _FULL or rate < 1:
        raise DataError(f"{path}: a WAV file of {8 * width} bits a sample and {rate} samples a second; give one of 8, "
                        f"16, 24 or 32 bits.")
    data = data[:len(data) // (width * channels) * width * channels]
    if len(data) < frames * width * channels < _UNKNOWN:
        raise DataError(f"{path}: the sound ends after {len(data) // (width * channels):,} of the {frames:,} samples "
                        f"that its head tells of; write it again.")
    if width == 1:  # the only width without a sign
        whole = np.frombuffer(data, np.uint8).astype(np.int32) - 128
    elif width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        whole = parts[:, 0] | parts[:, 1] << 8 | (parts[:, 2] ^ 128) - 128 << 16
    else:
        whole = np.frombuffer(data, f"<i{width}")
    return whole.reshape(-1, channels) / float(_FULL[width]), rate


def _read_other(path: Path) -> tuple[np.ndarray, int]:
    """The same by the library of the extra."""
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("soundfile", "audio", f"Reading {path}, which is not PCM in WAV,") from error
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"{path}: not a sound that can be read ({error}); give WAV, FLAC, OGG or MP3.") from None
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: the sound has samples that are not finite; write it again.")
    return samples, int(rate)


def power_spectrum(frames: np.ndarray) -> np.ndarray:
    """How the energy of frames is spread over frequencies: `c_k |sum_t x_t exp(-2 pi i k t / n)|^2 / n`.

    c is 2 but for frequency 0 and, if n is even, for the highest, so that the parts sum to the energy `sum_t x_t^2`.

    Parameters
    ----------
    frames : ndarray, shape (..., n)

    Returns
    -------
    ndarray of float64, shape (..., n // 2 + 1)

    Examples
    --------
    >>> power_spectrum(np.array([3.0, 0.0, 0.0, 4.0])).sum().item()
    25.0
    """
    n = frames.shape[-1]
    power = np.square(np.abs(np.fft.rfft(frames))) / n
    power[..., 1:(n + 1) // 2] *= 2
    return np.asarray(power)


def mel_filters(bands: int, n: int, rate: int, low: float, high: float) -> np.ndarray:
    """Triangles of height 1 whose corners are evenly spaced in mels, `2595 log10(1 + f / 700)`.

    Parameters
    ----------
    bands : int
    n : int
        Samples of a frame.
    rate : int
        Samples a second.
    low, high : float
        The frequencies, in Hz, where the first triangle begins and the last one ends.

    Returns
    -------
    ndarray of float64, shape (bands, n // 2 + 1)

    References
    ----------
    Davis and Mermelstein, Comparison of Parametric Representations for Monosyllabic Word Recognition in Continuously
    Spoken Sentences, 1980; the scale is that of O'Shaughnessy, Speech Communication, 1987.

    Examples
    --------
    >>> mel_filters(2, 8, 8000, 0.0, 4000.0).round(2)
    array([[0.  , 0.68, 0.  , 0.  , 0.  ],
           [0.  , 0.32, 0.91, 0.45, 0.  ]])
    """
    first, last = _STEP * np.log10(1 + np.array([low, high]) / _HERTZ)
    corners = _HERTZ * (10 ** (np.linspace(first, last, bands + 2) / _STEP) - 1)  # in Hz
    frequencies = np.arange(n // 2 + 1) * rate / n
    rising = (frequencies - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - frequencies) / np.diff(corners)[1:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


@dataclass(frozen=True)
class LogMel:
    """From sounds to log-mel spectrograms: an image whose rows are bands of frequencies, the lowest first, in decibels.

    `10 log10 max(sum_k M_bk P_k / sum_t w_t^2, 10 ** (floor / 10))` of each frame, with its power spectrum P under a
    Hann window w and the triangles M of `mel_filters`. Lengths are in seconds and frequencies in Hz, so sounds of
    different rates make images alike without resampling; a band above half of a sound's rate is silent.

    Parameters
    ----------
    bands : int
    window, hop : float
        Length of a frame, and from the beginning of one to the next, in seconds.
    frames : int
        Of the beginning of a sound; what is shorter is followed by silence.
    low, high : float
        The range of frequencies.
    floor : float
        What silence is; 0 is about full scale.

    Examples
    --------
    >>> time = np.arange(16_000) / 16_000
    >>> image = LogMel(bands=32, frames=20)(np.sin(2 * np.pi * 1000 * time), 16_000)
    >>> image.shape, int(image[:, 3].argmax())
    ((32, 20), 10)
    """

    bands: int = 64
    window: float = 0.064
    hop: float = 0.032
    frames: int = 128
    low: float = 40.0
    high: float = 8000.0
    floor: float = -80.0

    def __post_init__(self) -> None:
        if self.bands < 1 or self.frames < 1 or not self.hop > 0 or not self.window > 0:
            raise ParameterError(f"LogMel: bands, frames, window and hop must be above 0, got {self.bands}, "
                                 f"{self.frames}, {self.window} and {self.hop}.")
        if not 0 <= self.low < self.high or not self.floor < 0:
            raise ParameterError(f"LogMel: give 0 <= low < high and floor < 0, got {self.low}, {self.high} and "
                                 f"{self.floor}.")

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Samples (n,) and how many there are a second -> float32 (bands, frames)."""
        length, hop = max(2, round(self.window * rate)), max(1, round(self.hop * rate))
        needed = length + (self.frames - 1) * hop
        heard = np.zeros(needed)
        heard[:len(samples)] = samples[:needed]
        starts = np.arange(self.frames)[:, None] * hop
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        filters = mel_filters(self.bands, length, rate, self.low, self.high)
        power = power_spectrum(heard[starts + np.arange(length)] * window)  # (frames, length // 2 + 1)
        heard_in = filters @ power.T / np.square(window).sum()
        return np.asarray(10 * np.log10(np.maximum(heard_in, 10 ** (self.floor / 10))), np.float32)


def add_sounds(data: Interactions, folder: str | Path, name: str = "sound", how: LogMel | None = None) -> Interactions:
    """The data with the log-mel spectrograms of its items' sounds as an attribute: float32 (n_items, bands, frames).

    Parameters
    ----------
    data : Interactions
    folder : path
        A file an item, which is called as the item's id: `17.wav`, `ann's song.flac`. Items without are all NaN, which
        networks take for missing.
    name : str
        Of the attribute.
    how : LogMel, optional

    Raises
    ------
    DataError
        No file is called as an item, two are called alike, or one cannot be read.
    MissingExtraError
        A format needs the extra `audio`.
    """
    folder, how = Path(folder), LogMel() if how is None else how
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one with a sound file for each item, such as 17.wav.")
    files: dict[str, Path] = {}
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        if path.stem in files:
            raise DataError(f"{folder}: both {files[path.stem].name} and {path.name} are of one item; leave one out.")
        files[path.stem] = path
    ids = [str(id) for id in data.items.ids.tolist()]
    held = [id in files for id in ids]
    if not any(held):
        raise DataError(f"{folder}: no file is called as an item's id, such as {ids[0] if ids else 17}.wav; rename the "
                        f"files.")
    images = np.full((len(ids), how.bands, how.frames), np.nan, np.float32)
    for row in np.flatnonzero(held).tolist():
        images[row] = how(*read_sound(files[ids[row]]))
    others = len(files) - sum(held)
    note = f"{folder}: sounds of {sum(held):,} of {len(ids):,} items; {others:,} files are of no item."
    features = data.item_features or Features()
    return replace(data, item_features=replace(features, attributes={**features.attributes, name: images}),
                   notes=(*data.notes, note))

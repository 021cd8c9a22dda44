"""Sounds: what is read is what was written, and spectrograms against the direct transform."""

from __future__ import annotations

import sys
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minidl.errors import MissingExtraError
from recsys.data import Interactions
from recsys.data.audio import LogMel, add_sounds, mel_filters, power_spectrum, read_sound
from recsys.errors import DataError, ParameterError

RATE = 8000


def write(path, samples, width=2, rate=RATE):
    """Samples (n, channels) from -1 to 1."""
    whole = np.clip(np.rint(samples * 2.0 ** (8 * width - 1)), -2.0 ** (8 * width - 1), 2.0 ** (8 * width - 1) - 1)
    if width == 1:
        data = (whole + 128).astype(np.uint8).tobytes()
    else:
        data = np.ascontiguousarray(whole.astype("<i8")).view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)


def tone(frequency, seconds=1.0, rate=RATE):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


# ---------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_is_read_is_what_was_written(tmp_path, width, channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (50, channels))
    samples[:2] = [[-1], [1]]
    write(tmp_path / "a.wav", samples, width, 44_100)
    found, rate = read_sound(tmp_path / "a.wav")
    assert rate == 44_100
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, samples.mean(axis=1), atol=1.01 / 2 ** (8 * width - 1) + 1e-7)


@pytest.mark.parametrize(("content", "says"), [
    (b"RIFF\x00\x00\x00\x00WAVE", r"not a WAV file that can be read \(\w"),
    (b"RIFF\x10\x00\x00\x00WAVEfmt ", r"not a WAV file that can be read \(\w"),
    (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00", r"not a WAV .*\(it ends too early\)")])
def test_broken_files(tmp_path, content, says):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.wav: {says}"):
        read_sound(tmp_path / "a.wav")


def test_a_sound_without_samples(tmp_path):
    write(tmp_path / "a.wav", np.zeros((0, 1)))
    with pytest.raises(DataError, match=r"a\.wav: the sound has no samples"):
        read_sound(tmp_path / "a.wav")


def test_a_rate_that_is_none(tmp_path):
    write(tmp_path / "a.wav", np.zeros((9, 1)), rate=2**31 - 1)
    with pytest.raises(DataError, match=r"a\.wav: 2,147,483,647 samples a second, which no sound has"):
        read_sound(tmp_path / "a.wav")


def test_a_file_that_was_cut_off(tmp_path):
    write(tmp_path / "a.wav", np.full((100, 2), 0.5))
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-3])
    with pytest.raises(DataError, match=r"a\.wav: the sound ends after 99 of the 100 samples"):
        read_sound(tmp_path / "a.wav")
    at = whole.index(b"data") + 4
    for unknown in b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f":  # from a program that did not know when it would end
        (tmp_path / "a.wav").write_bytes(whole[:at] + unknown + whole[at + 4:])
        assert len(read_sound(tmp_path / "a.wav")[0]) == 100


def test_an_empty_file(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(DataError, match=r"a\.wav: the file is empty"):
        read_sound(tmp_path / "a.wav")


def test_other_formats_need_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.ogg").write_bytes(b"OggS" + bytes(50))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"a\.ogg, which is not PCM in WAV, needs soundfile; .*minidl\[audio\]"):
        read_sound(tmp_path / "a.ogg")


def test_other_formats(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    samples = np.stack([0.5 * tone(300), 0.25 * tone(500)], axis=1)
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    soundfile.write(tmp_path / "b.wav", samples, RATE, subtype="FLOAT")
    for name in ("a.flac", "b.wav"):
        found, rate = read_sound(tmp_path / name)
        assert rate == RATE
        np.testing.assert_allclose(found, samples.mean(axis=1), atol=1e-4)
    (tmp_path / "c.ogg").write_bytes(b"OggS" + bytes(50))
    with pytest.raises(DataError, match=r"c\.ogg: not a sound that can be read"):
        read_sound(tmp_path / "c.ogg")


# ---------------------------------------------------------------------------------------------- spectra
@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=st.floats(-10, 10)))
def test_power_is_the_direct_transform_and_sums_to_the_energy(frames):
    n = frames.shape[1]
    found = power_spectrum(frames)
    for row, power in zip(frames, found, strict=True):
        whole = np.array([abs(sum(x * np.exp(-2j * np.pi * k * t / n) for t, x in enumerate(row))) ** 2 / n
                          for k in range(n)])
        both = [whole[k] if k == n - k or k == 0 else whole[k] + whole[n - k] for k in range(n // 2 + 1)]
        np.testing.assert_allclose(power, both, atol=1e-8)
        assert power.sum() == pytest.approx(np.square(row).sum(), abs=1e-8)  # Parseval


def test_triangles_share_what_is_between_their_tips():
    filters = mel_filters(20, 2048, 16_000, 100.0, 7000.0)
    assert np.all((filters >= 0) & (filters <= 1))
    tips = filters.argmax(axis=1)
    assert np.all(np.diff(tips) > 0)
    np.testing.assert_allclose(filters[:, tips[0] + 1:tips[-1]].sum(axis=0), 1, atol=1e-9)
    assert not filters[:, :12].any()  # below 100 Hz
    assert not filters[:, 897:].any()


@given(st.floats(150, 3500), st.sampled_from([8000, 16_000, 22_050]))
def test_a_tone_is_in_its_band(frequency, rate):
    how = LogMel(bands=24, frames=4, low=100.0, high=3900.0)
    image = how(tone(frequency, 0.5, rate), rate)
    mels = 2595 * np.log10(1 + np.array([100.0, frequency, 3900.0]) / 700)
    place = (mels[1] - mels[0]) / (mels[2] - mels[0]) * 25 - 1  # band b has its tip at b
    assert np.all(np.abs(image.argmax(axis=0) - place) <= 1)
    assert -10 < image.max() < 1


def test_louder_by_ten_is_twenty_decibels():
    sound = np.random.default_rng(0).normal(0, 0.02, RATE)
    how = LogMel(frames=8, high=3900.0, bands=16)
    np.testing.assert_allclose(how(10 * sound, RATE) - how(sound, RATE), 20, atol=1e-3)


def test_silence_is_the_floor_and_follows_what_is_short():
    how = LogMel(frames=10, bands=8, floor=-60.0)
    assert np.all(how(np.zeros(RATE), RATE) == -60)
    short = how(np.random.default_rng(0).normal(size=RATE // 10), RATE)
    assert np.all(short[:, 5:] == -60)
    assert np.all(short[1:5, 0] > -60)
    assert np.all(how(np.zeros(0), RATE) == -60)


@pytest.mark.parametrize("bad", [{"bands": 0}, {"frames": 0}, {"hop": 0.0}, {"low": 9000.0}, {"floor": 0.0}])
def test_what_makes_no_spectrogram(bad):
    with pytest.raises(ParameterError, match="LogMel: "):
        LogMel(**bad)


# ------------------------------------------------------------------------------------------------ items
def test_sounds_of_items(tmp_path):
    data = Interactions.from_arrays([1, 1, 2], [7, 8, 9])
    write(tmp_path / "7.wav", tone(500)[:, None])
    write(tmp_path / "9.wav", tone(2000)[:, None])
    write(tmp_path / "10.wav", tone(2000)[:, None])
    how = LogMel(bands=16, frames=8)
    found = add_sounds(data, tmp_path, how=how)
    sounds = found.item_features.attributes["sound"]
    assert sounds.shape == (3, 16, 8)
    np.testing.assert_array_equal(sounds[0], how(*read_sound(tmp_path / "7.wav")))
    assert np.isnan(sounds[1]).all()
    assert found.notes[-1].endswith("sounds of 2 of 3 items; 1 files are of no item.")
    (tmp_path / "7.ogg").touch()
    with pytest.raises(DataError, match=r"both 7\.ogg and 7\.wav are of one item"):
        add_sounds(data, tmp_path)


def test_no_sounds(tmp_path):
    data = Interactions.from_arrays([1], [7])
    with pytest.raises(DataError, match=r"no file is called as an item's id, such as 7\.wav"):
        add_sounds(data, tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        add_sounds(data, tmp_path / "nothing")

"""Convolutions beyond the op table: blocks, threads, dtypes, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops, runtime
from minidl.errors import ShapeError
from minidl.ops import conv as module
from minidl.ops import winograd
from minidl.ops.conv import conv1d, conv2d, conv_transpose2d
from minidl.ops.patches import Block, Geometry, Window, fold, unfold

RNG = np.random.default_rng(0)


def draw(*shape, dtype=np.float64):
    return RNG.normal(size=shape).astype(dtype)


def definition(x, weight, bias=0.0):
    """Stride 1, no padding: windows times kernels."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight) + np.reshape(bias, (-1, 1, 1))


def pulled(x, weight, bias, g, **kwargs):
    leaves = [minidl.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    out = conv2d(*leaves, **kwargs)
    out.backward(g)
    return [out.data, *(leaf.grad for leaf in leaves)]


# -------------------------------------------------------------------------------------- blocks and threads

@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 5000))
def test_blocks_cut_the_output_without_gap_or_overlap(high, wide, rows):
    geometry = Geometry(Window((3, 3), (2, 1), (1, 1), (1, 0)), (9, 9), (high, wide), 1)
    blocks = geometry.blocks(rows * 1000)
    assert [i for b in blocks for i in range(high * wide)[b.outputs]] == list(range(high * wide))
    assert max(b.size for b in blocks) == blocks[0].size
    for block in blocks:
        assert block.size % block.width == 0
        r, q = divmod(block.outputs.start, wide)
        assert block == Block(block.outputs, geometry.window.moved(r, q), block.width)
        assert block.width == wide or block.size == block.width


@pytest.mark.parametrize("shape", [(2, 3, 41, 57), (1, 2, 1, 2600), (1, 2, 2600, 1), (3, 9, 12, 11)])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 1), (1, 2)])
def test_images_of_many_blocks(shape, kernel):
    if kernel[0] > shape[2] or kernel[1] > shape[3]:
        kernel = kernel[::-1]
    x, weight, bias = draw(*shape), draw(4, shape[1], *kernel), draw(4)
    wanted = definition(x, weight, bias)
    g = draw(*wanted.shape)
    out, gx, gw, gb = pulled(x, weight, bias, g)
    np.testing.assert_allclose(out, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gb, g.sum(axis=(0, 2, 3)), rtol=1e-10)
    v = draw(*weight.shape)
    assert np.isclose((definition(x, v) * g).sum(), (v * gw).sum())
    v = draw(*x.shape)
    assert np.isclose((definition(v, weight) * g).sum(), (v * gx).sum())


@pytest.mark.parametrize(("shape", "kernel", "groups"), [
    ((9, 16, 40, 40), 3, 1), ((9, 7, 40, 40), 3, 1), ((5, 64, 48, 48), 1, 1), ((4, 32, 40, 40), 3, 2)])
def test_the_bits_do_not_depend_on_the_number_of_threads(shape, kernel, groups):
    x, weight = draw(*shape, dtype=np.float32), draw(64, shape[1] // groups, kernel, kernel, dtype=np.float32)
    bias = draw(64, dtype=np.float32)
    g = draw(*conv2d(x, weight, groups=groups).shape, dtype=np.float32)
    found = []
    for threads in (1, 2, 3):
        with runtime.blas_threads(threads):
            found.append(pulled(x, weight, bias, g, groups=groups))
    assert g.size * weight[0].size > module.blas.BLAS_LARGE, "too small for a second thread"
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_threads_of_the_blas_are_given_back_when_work_fails(monkeypatch):
    library = module.blas.openblas()
    if library is None:
        pytest.skip("not OpenBLAS")
    before = library._pins
    monkeypatch.setattr(module.np, "matmul", lambda *args, **kwargs: (_ for _ in ()).throw(MemoryError("full")))
    with pytest.raises(MemoryError):
        conv2d(draw(2, 1, 4, 4), draw(1, 1, 3, 3))
    assert library._pins == before


def test_samples_do_not_see_each_other():
    x, weight = draw(3, 2, 7, 8), draw(4, 2, 3, 3)
    x[0] = np.nan
    out = conv2d(x, weight, padding=1)
    assert np.isnan(out[0]).all()
    assert np.array_equal(out[1:], conv2d(x[1:], weight, padding=1))


# ----------------------------------------------------------------------------------- Winograd's algorithm

@st.composite
def images_of_tiles(draw):
    """Shapes and paddings for 3x3 kernels: few or many tiles, with and without a remainder."""
    size = draw(st.sampled_from([(6, 6), (9, 14), (30, 33), (3, 40), (100, 21), (13, 700)]))
    origin = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    return draw(st.integers(0, 4)), size, origin


@given(images_of_tiles(), st.booleans(), st.integers(0, 2**32 - 1))
def test_winograd_is_the_definition_and_its_gradients_are_the_adjoints(image, biased, seed):
    """In float64, where rounding does not hide anything."""
    samples, size, origin = image
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(samples, 2, *size)), rng.normal(size=(3, 2, 3, 3))
    bias = rng.normal(size=3) if biased else None
    geometry = Geometry(Window((3, 3), (1, 1), (1, 1), origin), size,
                        tuple(n + 2 * p - 2 for n, p in zip(size, origin, strict=True)), 1)
    out = winograd.convolve(x, weight, bias, origin, geometry.positions)
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in origin)))
    np.testing.assert_allclose(out, definition(padded, weight, bias if biased else 0.0), rtol=1e-11, atol=1e-11)
    g = rng.normal(size=out.shape)
    linear = out if bias is None else out - bias[:, None, None]
    product, scale = (linear * g).sum(), np.abs(linear * g).sum() + 1e-300
    more = rng.normal(size=2)
    gx = winograd.image_gradient(g, weight, more, geometry) - more[:, None, None]
    assert abs((gx * x).sum() - product) < 1e-11 * scale
    both = winograd.weight_gradient(g, x, geometry)
    assert abs((both[:, :-1] * weight.reshape(3, 18)).sum() - product) < 1e-11 * scale
    np.testing.assert_allclose(both[:, -1], g.sum(axis=(0, 2, 3)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("shape", "made", "padding"), [
    ((3, 16, 20, 24), 32, 0), ((2, 40, 13, 17), 16, 1), ((2, 16, 30, 90), 16, (0, 3)), ((1, 64, 23, 23), 128, 0)])
def test_many_channels_of_float32_round_little_more_than_by_the_definition(shape, made, padding, monkeypatch):
    x, weight, bias = draw(*shape, dtype=np.float32), draw(made, shape[1], 3, 3, dtype=np.float32), draw(made)
    operands = x, weight, bias.astype(np.float32)
    g = draw(*conv2d(x, weight, padding=padding).shape, dtype=np.float32)
    exact = pulled(*(a.astype(float) for a in operands), g.astype(float), padding=padding)
    used = []
    monkeypatch.setattr(winograd, "convolve", lambda *args, call=winograd.convolve: used.append(1) or call(*args))
    for got, wanted in zip(pulled(*operands, g, padding=padding), exact, strict=True):
        assert got.dtype == np.float32
        assert np.abs(got - wanted).max() < 5e-6 * np.abs(wanted).max()
    assert used, "the case did not go through Winograd's algorithm"


@st.composite
def uneven_images(draw):
    """Images that are ordinary, sparse or blank, with some pixels that are not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([(12, 12), (15, 9), (18, 50)]))
    x = rng.normal(size=(2, 16, *size)) * draw(st.sampled_from([1.0, 1e-30, 1e14]))
    x[rng.random(x.shape) < draw(st.sampled_from([0.0, 0.9, 0.999, 1.0]))] = 0
    values = draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e18, -1e6, 1e5, 30.0, 1e-5]), max_size=4))
    for value in values:
        channel = draw(st.sampled_from([slice(None), 3]))
        x[draw(st.integers(0, 1)), channel, rng.integers(0, size[0]), rng.integers(0, size[1])] = value
    weight = rng.normal(size=(17, 16, 3, 3)).astype(np.float32)
    weight[:, rng.random((16, 3, 3)) < draw(st.sampled_from([0.0, 0.7]))] = 0
    padding = draw(st.integers(0, 3))
    g = rng.normal(size=(2, 17, *(n + 2 * padding - 2 for n in size)))
    if draw(st.booleans()):
        g[0, 2, rng.integers(0, g.shape[2]), rng.integers(0, g.shape[3])] = draw(st.sampled_from([np.inf, 1e6, 1e18]))
    return x.astype(np.float32), weight, g.astype(np.float32), padding


def largest_seen(x, before):
    """Of each window of 3x3 pixels the largest magnitude, (N, 1, OH, OW)."""
    padded = np.pad(np.abs(x).max(axis=1, keepdims=True), ((0, 0), (0, 0), *2 * [(before, before)]))
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3)).max(axis=(4, 5))


@given(uneven_images())
@np.errstate(invalid="ignore", over="ignore")
def test_an_output_errs_by_what_its_own_window_holds(drawn):
    x, weight, g, padding = drawn
    exact = [a.astype(float) for a in (x, weight, np.zeros(17), g)]
    out, gx, gw, _ = pulled(x, weight, np.zeros(17, np.float32), g, padding=padding)
    wanted, wanted_gx, wanted_gw, _ = pulled(*exact, padding=padding)
    kernels = np.abs(weight).sum(axis=(1, 2, 3))[:, None, None], np.abs(weight).sum(axis=(0, 2, 3))[:, None, None]
    bounds = [largest_seen(x, padding) * kernels[0], np.broadcast_to(0.0, gx.shape)]
    seen = largest_seen(g, 2)
    inside = slice(padding, seen.shape[2] - padding), slice(padding, seen.shape[3] - padding)
    bounds[1] = seen[:, :, *inside] * kernels[1]
    magnitudes = pulled(*map(np.abs, exact), padding=padding)
    bounds.append(np.broadcast_to(8 * magnitudes[2].max(), gw.shape))  # long sums round, by the definition too
    for got, want, bound in zip((out, gx, gw), (wanted, wanted_gx, wanted_gw), bounds, strict=True):
        want = want.astype(np.float32).astype(float)  # overflows where float32 does
        finite = np.isfinite(want) & (np.broadcast_to(bound, want.shape) < 1e38)
        assert np.isfinite(got[finite]).all()
        assert (np.isnan(got) == np.isnan(want))[np.broadcast_to(np.isinf(bound) | np.isnan(bound), want.shape)].all()
        gap = np.abs(got[finite] - want[finite])
        assert (gap <= 1e-6 * np.broadcast_to(bound, want.shape)[finite] + 1e-37).all()


def test_a_pixel_is_in_nothing_but_its_windows():
    x, weight = np.zeros((1, 16, 16, 16), np.float32), draw(16, 16, 3, 3, dtype=np.float32)
    far = np.ones((16, 16), bool)
    far[6:9, 6:9] = False
    for value in (1e6, 255.0, 1e-20, np.nan, np.inf):
        x[0, 0, 7, 7] = value
        out = conv2d(x, weight, padding=1)
        assert not out[0, :, far].any()
        assert out[0, :, ~far].all()


def test_kernels_that_are_not_finite_or_near_to_overflow_are_those_of_the_definition():
    x, weight = draw(1, 16, 12, 12, dtype=np.float32), draw(16, 16, 3, 3, dtype=np.float32)
    weight[0, 0, 0, 0], weight[1, 0, 0, 0], weight[2] = np.nan, np.inf, 3e36
    out = conv2d(x, weight)
    with runtime.exact_convolutions():
        np.testing.assert_allclose(conv2d(x, weight), out, rtol=1e-5, atol=1e-5)
    assert np.isfinite(out[:, 2:]).all()


def test_exact_convolutions_are_those_of_the_definition_in_both_directions(monkeypatch):
    x, weight, g = (draw(*shape, dtype=np.float32) for shape in ((1, 16, 12, 12), (16, 16, 3, 3), (1, 16, 10, 10)))
    with runtime.exact_convolutions():
        found = pulled(x, weight, np.zeros(16, np.float32), g)
    assert winograd.suits(Geometry(Window((3, 3), (1, 1), (1, 1), (0, 0)), (12, 12), (10, 10), 1), 16, 16, x.dtype,
                          (12, 12))
    monkeypatch.setattr(winograd, "suits", lambda *args: False)
    wanted = pulled(x, weight, np.zeros(16, np.float32), g)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_winograd_is_chosen_by_shapes_alone():
    def suits(size, taken=32, made=32, dtype=np.float32, groups=1, **window):
        geometry = Geometry(Window(**{"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1), "origin": (0, 0),
                                      **window}), (size[0] + 2, size[1] + 2), size, groups)
        return winograd.suits(geometry, taken, made, np.dtype(dtype), size)

    assert suits((16, 16))
    assert suits((15, 14))
    assert not suits((9, 9))  # nine tiles of sixteen for 81 outputs
    assert not any([suits((16, 16), taken=3), suits((16, 16), made=8), suits((16, 16), taken=1024, made=1024),
                    suits((16, 16), dtype=np.float64), suits((16, 16), groups=2), suits((16, 16), kernel=(3, 1)),
                    suits((16, 16), stride=(2, 1)), suits((16, 16), dilation=(1, 2))])


# ------------------------------------------------------------------------------------- forms of one thing

def test_same_puts_what_does_not_halve_at_the_end():
    x, weight = draw(1, 2, 6, 7), draw(3, 2, 2, 4)
    wanted = definition(np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2))), weight)
    np.testing.assert_allclose(conv2d(x, weight, padding="same"), wanted)
    assert conv2d(x, weight, padding="same", dilation=2).shape == (1, 3, 6, 7)
    np.testing.assert_allclose(conv2d(x, weight, padding="valid"), definition(x, weight))


def test_a_1x1_convolution_is_a_product_of_matrices():
    x, weight, bias = draw(2, 3, 4, 5), draw(6, 3, 1, 1), draw(6)
    wanted = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], x) + bias[:, None, None]
    np.testing.assert_allclose(conv2d(x, weight, bias), wanted)
    np.testing.assert_allclose(conv2d(x, weight, bias, stride=2), wanted[:, :, ::2, ::2])
    np.testing.assert_allclose(conv_transpose2d(x, weight.swapaxes(0, 1), bias), wanted)


def test_groups_are_convolutions_side_by_side():
    x, weight, bias = draw(2, 6, 5, 5), draw(9, 2, 3, 3), draw(9)
    wanted = [conv2d(x[:, 2 * i:2 * i + 2], weight[3 * i:3 * i + 3], bias[3 * i:3 * i + 3]) for i in range(3)]
    np.testing.assert_allclose(conv2d(x, weight, bias, groups=3), np.concatenate(wanted, axis=1))


def test_a_convolution_is_a_product_with_unfolded_patches():
    x, weight = draw(2, 3, 6, 7), draw(4, 3, 2, 3)
    cols = unfold(x, (2, 3), stride=2, padding=1)
    out = (weight.reshape(4, -1) @ cols).reshape(conv2d(x, weight, stride=2, padding=1).shape)
    np.testing.assert_allclose(conv2d(x, weight, stride=2, padding=1), out)
    np.testing.assert_allclose(conv_transpose2d(out, weight, stride=2, padding=1, output_padding=(0, 0)).shape,
                               fold(weight.reshape(4, -1).T @ out.reshape(2, 4, -1), (6, 7), (2, 3), 1, 1, 2).shape)


def test_without_a_batch_and_with_one_of_nothing():
    x, weight = draw(2, 5, 5), draw(3, 2, 3, 3)
    assert np.array_equal(conv2d(x, weight), conv2d(x[None], weight)[0])
    assert np.array_equal(conv1d(x[0], weight[:, :1].reshape(3, 1, 9)[:, :, :3].repeat(5, 1)),
                          conv1d(x[:1], weight[:, :1].reshape(3, 1, 9)[:, :, :3].repeat(5, 1))[0])
    out, gx, gw, gb = pulled(draw(0, 2, 5, 5), weight, draw(3), draw(0, 3, 3, 3))
    assert out.shape == (0, 3, 3, 3)
    assert gx.shape == (0, 2, 5, 5)
    assert not gw.any()
    assert not gb.any()


def test_only_what_is_asked_for_is_computed(monkeypatch):
    x, weight = draw(1, 1, 4, 4), minidl.tensor(draw(1, 1, 3, 3), requires_grad=True)
    monkeypatch.setattr(module, "_transposed", None)  # the gradient of x, which nobody wants
    conv2d(x, weight).sum().backward()
    bias = minidl.tensor(draw(1), requires_grad=True)
    monkeypatch.setattr(module, "_weight_gradient", None)
    conv2d(x, weight.data, bias).sum().backward()
    assert bias.grad == 4


# --------------------------------------------------------------------------------------------- data types

@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_the_dtype_is_kept(dtype):
    x, weight, bias = draw(2, 2, 5, 5, dtype=dtype), draw(3, 2, 3, 3, dtype=dtype), draw(3, dtype=dtype)
    found = pulled(x, weight, bias, np.ones((2, 3, 3, 3), dtype))
    assert [a.dtype for a in found] == [dtype] * 4
    np.testing.assert_allclose(found[0].astype(float), definition(x.astype(float), weight, bias),
                               rtol=0, atol=0.05 if dtype == np.float16 else 1e-5)


def test_mixed_dtypes_give_the_wider_and_gradients_in_their_own():
    x = minidl.tensor(draw(1, 2, 4, 4, dtype=np.float32), requires_grad=True)
    weight = minidl.tensor(draw(1, 2, 3, 3), requires_grad=True)
    out = conv2d(x, weight)
    assert out.dtype == np.float64
    out.sum().backward()
    assert (x.grad.dtype, weight.grad.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize("narrow", [0, 1, 2])
def test_mixed_dtypes_of_many_channels(narrow):
    exact = [draw(2, 16, 18, 18), draw(16, 16, 3, 3), draw(16)]
    operands = [a.astype(np.float16 if i == narrow else np.float32) for i, a in enumerate(exact)]
    g = draw(2, 16, 16, 16, dtype=np.float32)
    found = pulled(*operands, g)
    wanted = pulled(*(a.astype(np.float32) for a in operands), g)
    assert [a.dtype for a in found] == [np.float32, *(a.dtype for a in operands)]
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 * np.abs(want).max())


def test_integers_read_only_and_big_endian_arrays():
    x = np.arange(16).reshape(1, 1, 4, 4)
    assert conv2d(x, np.ones((1, 1, 2, 2), int)).ravel()[0] == 10
    frozen, weight = draw(1, 1, 4, 4), draw(1, 1, 2, 2)
    frozen.flags.writeable = False
    wanted = conv2d(frozen.copy(), weight)
    assert np.array_equal(conv2d(frozen, weight), wanted)
    assert np.array_equal(conv2d(frozen.astype(">f8"), weight.astype(">f8")), wanted)
    assert conv2d(frozen.tolist(), weight.tolist(), stride=np.int32(2)).shape == (1, 1, 2, 2)


# ----------------------------------------------------------------------------------------------- refusals

X, W = np.ones((2, 4, 5, 5)), np.ones((6, 4, 3, 3))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: conv2d(X[0, 0], W), r"conv2d: input has shape \(5, 5\); it must be \(N, C, H, W\) or \(C, H, W\)"),
    (lambda: conv1d(X, W), r"conv1d: input has shape \(2, 4, 5, 5\); it must be \(N, C, L\) or \(C, L\)"),
    (lambda: conv2d(X, W[0]), r"conv2d: weight has shape \(4, 3, 3\)"),
    (lambda: conv2d(X, W[:, :, :0]), r"conv2d: weight has shape \(6, 4, 0, 3\).*not empty"),
    (lambda: conv2d(X, W[:, :3]), r"conv2d: input has 4 channels, but weight of shape \(6, 3, 3, 3\).* takes 3"),
    (lambda: conv2d(X, W, groups=3), r"conv2d: the 4 channels of input .* must both divide by groups=3"),
    (lambda: conv2d(X, W[:5, :2], groups=2), r"first axis of weight, of shape \(5, 2, 3, 3\), must both divide"),
    (lambda: conv2d(X, W, groups=0), "conv2d: groups=0; give an integer of at least 1"),
    (lambda: conv2d(X, W, np.ones(5)), r"conv2d: bias has shape \(5,\).*needs \(6,\)"),
    (lambda: conv2d(X, W, dilation=3), r"conv2d: the kernel spans \(7, 7\).*padded input only \(5, 5\)"),
    (lambda: conv2d(X, W, stride=1.5), "conv2d: stride=1.5; give an integer of at least 1, or 2 of them"),
    (lambda: conv2d(X, W, stride=0), "conv2d: stride=0"),
    (lambda: conv2d(X, W, padding=(1, -1)), r"conv2d: padding=\(1, -1\); give an integer of at least 0"),
    (lambda: conv2d(X, W, dilation=(1, 1, 1)), r"conv2d: dilation=\(1, 1, 1\)"),
    (lambda: conv2d(X, W, padding="full"), "conv2d: padding='full'; give .* 'same' or 'valid'"),
    (lambda: conv2d(X, W, stride=2, padding="same"), r"conv2d: padding='same' goes with a stride of 1"),
    (lambda: conv_transpose2d(X, W), r"conv_transpose2d: input has 4 channels, but weight .* takes 6"),
    (lambda: conv_transpose2d(X, W[:4], output_padding=1), "conv_transpose2d: output_padding=1 must be less than"),
    (lambda: conv_transpose2d(X, W[:4], padding=4), r"conv_transpose2d: the output would have the size \(-1, -1\)"),
    (lambda: conv_transpose2d(X, W[:4], padding="same"), "conv_transpose2d: padding='same'; give an integer"),
    (lambda: unfold(X[0, 0], 2), r"unfold: input has shape \(5, 5\)"),
    (lambda: unfold(X, 6), r"unfold: the kernel spans \(6, 6\)"),
    (lambda: fold(X, 5, 2), r"fold: input has shape \(2, 4, 5, 5\)"),
    (lambda: fold(np.ones((1, 4, 5)), 3, 2), r"fold: input has shape \(1, 4, 5\); images of \(3, 3\) have 4 patches"),
    (lambda: fold(np.ones((1, 5, 4)), 3, 2), r"of a multiple of 4 elements each"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ShapeError) or "=" in str(caught.value)


def test_shapes_are_refused_alike_for_tensors():
    with pytest.raises(ShapeError, match="conv2d: input has 4 channels"):
        conv2d(minidl.tensor(X), minidl.tensor(W[:, :3], requires_grad=True))


def test_gradients_of_convolutions_can_be_differentiated_again():
    x, weight = draw(1, 1, 4, 4), draw(1, 1, 2, 2)
    penalty = minidl.grad(lambda w: ops.sum(minidl.grad(lambda a: ops.sum(conv2d(a, w) ** 2))(minidl.tensor(x)) ** 2))
    h = 1e-6
    bump = np.zeros_like(weight)
    bump[0, 0, 1, 0] = h

    def value(w):
        return (minidl.grad(lambda a: ops.sum(conv2d(a, w) ** 2))(x) ** 2).sum()

    assert np.isclose(penalty(weight)[0, 0, 1, 0], (value(weight + bump) - value(weight - bump)) / (2 * h), rtol=1e-6)

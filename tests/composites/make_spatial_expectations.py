#!/usr/bin/env python3
"""Writes expectations/{convolution,padding,resize,sampling}.safetensors as make_expectations.py does: computed by PyTorch in float64.

Made with PyTorch 1.13.1, NumPy 1.24.2.
"""
import numpy as np
import torch
import torch.nn.functional as F

from make_expectations import Group


def rand(*shape, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def convolution():
    g = Group("convolution")
    g.case("conv1d", [rand(2, 3, 11), rand(4, 3, 3, seed=2), rand(4, seed=3)], lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1))
    g.case("conv2d", [rand(2, 3, 6, 7), rand(4, 3, 3, 3, seed=2), rand(4, seed=3)], lambda x, w, b: F.conv2d(x, w, b, padding=1))
    g.case("conv2d_strided", [rand(1, 3, 9, 8), rand(5, 3, 3, 2, seed=2)], lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=(1, 0)))
    g.case("conv2d_dilated", [rand(1, 2, 9, 8), rand(3, 2, 3, 2, seed=2)], lambda x, w: F.conv2d(x, w, dilation=(2, 3), padding=(2, 1)))
    g.case("conv2d_groups", [rand(2, 4, 5, 6), rand(6, 2, 3, 3, seed=2)], lambda x, w: F.conv2d(x, w, padding=1, groups=2))
    g.case("conv2d_depthwise", [rand(2, 3, 5, 6), rand(6, 1, 3, 3, seed=2)], lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=3))
    g.case("conv2d_same", [rand(1, 2, 6, 5), rand(3, 2, 4, 3, seed=2)], lambda x, w: F.conv2d(x, w, padding="same"))
    g.case("conv2d_last", [rand(2, 6, 7, 3), rand(3, 3, 3, 20, seed=2)],
           lambda x, w: F.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), padding=1).permute(0, 2, 3, 1))
    g.case("conv3d", [rand(1, 2, 4, 5, 3), rand(3, 2, 2, 3, 2, seed=2)], lambda x, w: F.conv3d(x, w, padding=(1, 1, 0), stride=(1, 2, 1)))
    g.case("transpose1d", [rand(2, 3, 5), rand(3, 4, 3, seed=2), rand(4, seed=3)],
           lambda x, w, b: F.conv_transpose1d(x, w, b, stride=2, padding=1, output_padding=1))
    g.case("transpose2d", [rand(1, 3, 4, 5), rand(3, 2, 3, 3, seed=2)], lambda x, w: F.conv_transpose2d(x, w, stride=(2, 1), padding=1))
    g.case("transpose2d_groups", [rand(2, 4, 3, 4), rand(4, 3, 2, 3, seed=2)],
           lambda x, w: F.conv_transpose2d(x, w, stride=2, groups=2, dilation=2, output_padding=1))
    g.case("transpose3d", [rand(1, 2, 2, 3, 2), rand(2, 2, 2, 2, 3, seed=2)], lambda x, w: F.conv_transpose3d(x, w, stride=2, padding=1))
    g.case("unfold", [rand(2, 3, 6, 7)], lambda x: F.unfold(x, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)))
    g.case("fold", [rand(2, 18, 15)], lambda x: F.fold(x, (6, 7), (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)))
    g.write()


def padding():
    g = Group("padding")
    for mode in ("reflect", "replicate", "circular"):
        g.case(mode, [rand(2, 3, 5, 6)], lambda x: F.pad(x, (2, 1, 3, 0), mode=mode))
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        x = rand(3, 4, seed=5)
        g.put(f"numpy_{mode}/in/0", torch.as_tensor(x))
        if mode == "wrap":  # np.pad before NumPy 1.25 does not repeat what it copies
            padded = x[np.ix_(np.arange(-7, 5) % 3, np.arange(-1, 13) % 4)]
        else:
            padded = np.pad(x, ((7, 2), (1, 9)), mode=mode)
        g.put(f"numpy_{mode}/out/0", torch.as_tensor(padded))
    g.write()


def resize():
    g = Group("resize")
    x, x1, x3 = rand(2, 3, 5, 6), rand(2, 3, 7), rand(1, 2, 3, 4, 3)
    for name, size in {"up": (8, 11), "down": (3, 4), "double": (10, 12), "mixed": (7, 3)}.items():
        g.case(f"nearest_{name}", [x], lambda x: F.interpolate(x, size, mode="nearest"))
        g.case(f"nearest_exact_{name}", [x], lambda x: F.interpolate(x, size, mode="nearest-exact"))
        for mode in ("bilinear", "bicubic"):
            for corners in (False, True):
                g.case(f"{mode}_{name}_{int(corners)}", [x], lambda x: F.interpolate(x, size, mode=mode, align_corners=corners))
        g.case(f"area_{name}", [x], lambda x: F.interpolate(x, size, mode="area"))
        g.case(f"antialias_{name}", [x], lambda x: F.interpolate(x, size, mode="bilinear", antialias=True))
        g.case(f"antialias_cubic_{name}", [x], lambda x: F.interpolate(x, size, mode="bicubic", antialias=True))
    g.case("scaled", [x], lambda x: F.interpolate(x, scale_factor=(1.7, 2.3), mode="bilinear"))
    g.case("scaled_nearest", [x], lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="nearest"))
    g.case("linear", [x1], lambda x: F.interpolate(x, 12, mode="linear"))
    g.case("trilinear", [x3], lambda x: F.interpolate(x, (5, 3, 6), mode="trilinear", align_corners=True))
    g.case("pixel_shuffle", [rand(2, 12, 3, 4)], lambda x: F.pixel_shuffle(x, 2))
    g.case("pixel_unshuffle", [rand(2, 3, 4, 6)], lambda x: F.pixel_unshuffle(x, 2))
    g.case("channel_shuffle", [rand(2, 6, 3, 4)], lambda x: F.channel_shuffle(x, 3) if x.numel() == 0 else
           x.reshape(2, 3, 2, 3, 4).transpose(1, 2).reshape(2, 6, 3, 4))
    g.write()


def sampling():
    g = Group("sampling")
    x, x3 = rand(2, 3, 5, 6), rand(1, 2, 3, 4, 5)
    grid, grid3 = 1.4 * rand(2, 4, 3, 2, seed=3), 1.3 * rand(1, 2, 3, 2, 3, seed=4)
    for mode in ("nearest", "bilinear", "bicubic"):
        for pad in ("zeros", "border", "reflection"):
            for corners in (False, True):
                g.case(f"{mode}_{pad}_{int(corners)}", [x, grid],
                       lambda x, grid: F.grid_sample(x, grid, mode=mode, padding_mode=pad, align_corners=corners),
                       fixed=(1,) if mode == "nearest" else ())
    g.case("volume", [x3, grid3], lambda x, grid: F.grid_sample(x, grid, align_corners=False))
    theta, theta3 = rand(2, 2, 3, seed=5), rand(1, 3, 4, seed=6)
    for corners in (False, True):
        g.case(f"affine_{int(corners)}", [theta], lambda t: F.affine_grid(t, (2, 3, 4, 5), align_corners=corners))
        g.case(f"affine_volume_{int(corners)}", [theta3], lambda t: F.affine_grid(t, (1, 3, 2, 4, 5), align_corners=corners))
    g.write()


if __name__ == "__main__":
    for make in (convolution, padding, resize, sampling):
        make()

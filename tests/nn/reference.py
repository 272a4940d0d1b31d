#!/usr/bin/env python3
"""Makes tests/nn/data/*.npz: what PyTorch computes, for the tests of modules, optimizers and schedules to compare with.

    /usr/bin/python3 tests/nn/reference.py [folder]

Weights and inputs are rounded to f32, then everything is computed in f64, so one file serves f32 and f64. Of each case NAME there are
  NAME/p/PATH    parameters and buffers before the call, under PyTorch's state_dict names
  NAME/x/I       inputs                     NAME/y/I    outputs
  NAME/c/I       cotangents of the floating outputs: the loss is sum(y * c)
  NAME/g/PATH    gradients of parameters    NAME/d/I    gradients of floating inputs
  NAME/a/PATH    buffers after the call (in training)
The committed files were made with torch 1.13.1 (Debian's python3-torch, which calls itself 1.13.0a0) and numpy 1.24.2.
"""
import math
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
folder = sys.argv[1] if len(sys.argv) > 1 else __file__.rsplit("/", 1)[0] + "/data"


def rounded(t):
    return t.float().double() if t.is_floating_point() else t


def randn(*shape):
    return rounded(torch.randn(*shape))


def numpy(t, small=False):
    """Parameters and inputs are exact in f32, and stored so."""
    a = t.detach().numpy().copy()
    return a.astype(np.float32) if small and a.dtype == np.float64 else a


def record(store, name, module, inputs, call=None, random_state=True):
    torch.manual_seed(sum(map(ord, name)))
    with torch.no_grad():
        for key, t in module.state_dict().items():
            if not t.is_floating_point():
                continue
            if random_state:  # also what starts at 0 or 1
                t.copy_(torch.rand_like(t) + 0.5 if "running_var" in key else t + 0.3 * torch.randn_like(t))
            t.copy_(rounded(t))
    for key, t in module.state_dict().items():
        store[f"{name}/p/{key}"] = numpy(t, True)
    inputs = [rounded(x.detach()).clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    for i, x in enumerate(inputs):
        store[f"{name}/x/{i}"] = numpy(x, True)
    out = call(module, *inputs) if call else module(*inputs)
    out = out if isinstance(out, (tuple, list)) else (out,)
    loss = 0
    for i, y in enumerate(out):
        cotangent = randn(*y.shape)
        store[f"{name}/y/{i}"] = numpy(y)
        store[f"{name}/c/{i}"] = numpy(cotangent, True)
        loss = loss + (y * cotangent).sum()
    loss.backward()
    for key, p in module.named_parameters():
        store[f"{name}/g/{key}"] = numpy(p.grad)
    for i, x in enumerate(inputs):
        if x.is_floating_point():
            store[f"{name}/d/{i}"] = numpy(x.grad if x.grad is not None else torch.zeros_like(x))
    if module.training:
        for key, b in module.named_buffers():
            store[f"{name}/a/{key}"] = numpy(b)


def save(file, store):
    np.savez_compressed(f"{folder}/{file}.npz", **store)
    print(f"{file}.npz: {len(store)} arrays, {sum(a.nbytes for a in store.values())} bytes before compression")


# ---- layers


class Hardsigmoid(nn.Module):  # the derivative of nn.Hardsigmoid is 1/6 rounded to f32
    def forward(self, x):
        return F.relu6(x + 3) / 6


def activations(store):
    x = torch.linspace(-4, 4, 24).float().double().reshape(2, 4, 3) + 0.013
    x = rounded(x)
    for name, module in {
        "ELU": nn.ELU(1.5), "CELU": nn.CELU(1.5), "SELU": nn.SELU(), "GELU": nn.GELU(), "GELU_tanh": nn.GELU("tanh"), "ReLU": nn.ReLU(),
        "ReLU6": nn.ReLU6(), "LeakyReLU": nn.LeakyReLU(0.2), "RReLU": nn.RReLU().eval(), "Threshold": nn.Threshold(0.5, -2.0),
        "Hardtanh": nn.Hardtanh(-1.5, 2), "Hardsigmoid": Hardsigmoid(), "Hardswish": nn.Hardswish(), "Hardshrink": nn.Hardshrink(0.7),
        "Softshrink": nn.Softshrink(0.7), "Tanhshrink": nn.Tanhshrink(), "Tanh": nn.Tanh(), "Sigmoid": nn.Sigmoid(),
        "LogSigmoid": nn.LogSigmoid(), "SiLU": nn.SiLU(), "Mish": nn.Mish(), "Softplus": nn.Softplus(), "Softplus_beta": nn.Softplus(2.0),
        "Softsign": nn.Softsign(), "GLU": nn.GLU(1), "Softmax": nn.Softmax(1), "Softmin": nn.Softmin(-1), "LogSoftmax": nn.LogSoftmax(-1),
        "PReLU": nn.PReLU(), "PReLU_channels": nn.PReLU(4),
    }.items():
        record(store, name, module, [x])


def dense(store):
    record(store, "Linear", nn.Linear(5, 3), [randn(2, 4, 5)])
    record(store, "Linear_without_bias", nn.Linear(5, 3, bias=False), [randn(5)])
    record(store, "Bilinear", nn.Bilinear(3, 4, 2), [randn(5, 3), randn(5, 4)])
    record(store, "Embedding", nn.Embedding(7, 3), [torch.tensor([[1, 6, 1], [0, 2, 2]])])
    record(store, "Embedding_padding", nn.Embedding(7, 3, padding_idx=2), [torch.tensor([[1, 6, 1], [0, 2, 2]])])


def convolutions(store):
    record(store, "Conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=2), [randn(2, 4, 9)])
    record(store, "Conv2d", nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), [randn(2, 3, 8, 7)])
    record(store, "Conv2d_groups", nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), [randn(2, 4, 5, 6)])
    record(store, "Conv2d_depthwise", nn.Conv2d(4, 8, 3, groups=4), [randn(2, 4, 5, 6)])
    record(store, "Conv3d", nn.Conv3d(2, 3, 2, stride=(1, 2, 1), padding=1), [randn(2, 2, 3, 4, 3)])
    record(store, "ConvTranspose1d", nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1), [randn(2, 3, 5)])
    record(store, "ConvTranspose2d", nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1, dilation=2), [randn(2, 3, 4, 5)])
    record(store, "ConvTranspose2d_groups", nn.ConvTranspose2d(4, 6, (2, 3), stride=(1, 2), groups=2, bias=False), [randn(2, 4, 3, 4)])
    record(store, "ConvTranspose3d", nn.ConvTranspose3d(2, 2, 2, stride=2), [randn(1, 2, 2, 3, 2)])


def pooling(store):
    record(store, "MaxPool1d", nn.MaxPool1d(3, 2, padding=1), [randn(2, 3, 9)])
    record(store, "MaxPool2d", nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), [randn(2, 3, 8, 7)])
    record(store, "MaxPool3d", nn.MaxPool3d(2, stride=1, dilation=(1, 2, 1)), [randn(1, 2, 4, 5, 3)])
    record(store, "AvgPool1d", nn.AvgPool1d(2), [randn(2, 3, 8)])
    record(store, "AvgPool2d", nn.AvgPool2d((3, 2), stride=2, padding=1, count_include_pad=False), [randn(2, 3, 8, 7)])
    record(store, "AvgPool3d", nn.AvgPool3d(2, stride=1, padding=1), [randn(1, 2, 3, 4, 3)])
    record(store, "LPPool1d", nn.LPPool1d(2, 3, stride=2), [randn(2, 3, 9)])
    record(store, "LPPool2d", nn.LPPool2d(2, 2), [randn(2, 3, 4, 6)])
    record(store, "AdaptiveAvgPool1d", nn.AdaptiveAvgPool1d(4), [randn(2, 3, 7)])
    record(store, "AdaptiveAvgPool2d", nn.AdaptiveAvgPool2d((3, 2)), [randn(2, 3, 7, 5)])
    record(store, "AdaptiveAvgPool2d_global", nn.AdaptiveAvgPool2d(1), [randn(2, 3, 7, 5)])
    record(store, "AdaptiveAvgPool3d", nn.AdaptiveAvgPool3d(2), [randn(1, 2, 3, 4, 5)])
    record(store, "AdaptiveMaxPool1d", nn.AdaptiveMaxPool1d(4), [randn(2, 3, 7)])
    record(store, "AdaptiveMaxPool2d", nn.AdaptiveMaxPool2d((3, 2)), [randn(2, 3, 7, 5)])
    record(store, "AdaptiveMaxPool3d", nn.AdaptiveMaxPool3d(2), [randn(1, 2, 3, 4, 5)])


def norms(store):
    record(store, "BatchNorm1d", nn.BatchNorm1d(3, momentum=0.3), [randn(5, 3)])
    record(store, "BatchNorm1d_sequence", nn.BatchNorm1d(3), [randn(4, 3, 5)])
    record(store, "BatchNorm2d", nn.BatchNorm2d(3, eps=1e-3), [randn(2, 3, 4, 5) * 3 + 1])
    record(store, "BatchNorm2d_eval", nn.BatchNorm2d(3).eval(), [randn(2, 3, 4, 5)])
    record(store, "BatchNorm2d_untracked", nn.BatchNorm2d(3, track_running_stats=False, affine=False).eval(), [randn(2, 3, 4, 5)])
    record(store, "BatchNorm3d", nn.BatchNorm3d(2), [randn(2, 2, 3, 2, 2)])
    record(store, "BatchNorm_twice", nn.BatchNorm1d(3), [randn(5, 3), randn(4, 3)], lambda m, a, b: (m(a), m(b)))
    record(store, "LayerNorm", nn.LayerNorm(6), [randn(2, 3, 6)])
    record(store, "LayerNorm_axes", nn.LayerNorm((3, 6), eps=1e-3), [randn(2, 3, 6)])
    record(store, "GroupNorm", nn.GroupNorm(2, 4), [randn(3, 4, 5)])
    record(store, "InstanceNorm1d", nn.InstanceNorm1d(3), [randn(2, 3, 6)])
    record(store, "InstanceNorm2d", nn.InstanceNorm2d(3, affine=True), [randn(2, 3, 4, 5)])
    record(store, "InstanceNorm3d", nn.InstanceNorm3d(2), [randn(2, 2, 2, 3, 4)])


def moves(store):
    record(store, "Flatten", nn.Flatten(1, 2), [randn(2, 3, 4, 2)])
    record(store, "Unflatten", nn.Unflatten(1, (2, 3)), [randn(2, 6, 2)])
    record(store, "PixelShuffle", nn.PixelShuffle(2), [randn(2, 8, 3, 4)])
    record(store, "PixelUnshuffle", nn.PixelUnshuffle(2), [randn(2, 2, 4, 6)])

    class Shuffle(nn.Module):  # nn.ChannelShuffle has no derivative here
        def forward(self, x):
            n, c, h, w = x.shape
            return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    record(store, "ChannelShuffle", Shuffle(), [randn(2, 6, 3, 2)])
    record(store, "Upsample_nearest", nn.Upsample(scale_factor=3), [randn(2, 2, 3, 2)])
    record(store, "Upsample_linear", nn.Upsample(scale_factor=3, mode="linear"), [randn(2, 3, 4)])
    record(store, "Upsample_bilinear", nn.Upsample(scale_factor=2, mode="bilinear"), [randn(2, 2, 3, 4)])
    record(store, "Upsample_bilinear_aligned", nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), [randn(2, 2, 3, 4)])
    record(store, "Upsample_trilinear", nn.Upsample(scale_factor=2, mode="trilinear"), [randn(1, 2, 2, 3, 2)])


def packed(m, x, lengths, *state):
    """A recurrent layer on sequences of different lengths, with zeros beyond their ends."""
    batch_first = m.batch_first
    p = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=False)
    y, last = m(p, *([tuple(state)] if len(state) == 2 else list(state)))
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=batch_first, total_length=x.shape[1 if batch_first else 0])
    return (y, *last) if isinstance(last, tuple) else (y, last)


def flat(out):
    y, last = out
    return (y, *last) if isinstance(last, tuple) else (y, last)


def recurrent(store):
    lengths = torch.tensor([5, 2, 4])
    record(store, "RNN", nn.RNN(3, 4, 2), [randn(5, 2, 3)], lambda m, x: flat(m(x)))
    record(store, "RNN_relu", nn.RNN(3, 4, nonlinearity="relu", bias=False, bidirectional=True), [randn(5, 2, 3), randn(2, 2, 4)],
           lambda m, x, h: flat(m(x, h)))
    record(store, "LSTM", nn.LSTM(3, 4, 2, batch_first=True), [randn(2, 5, 3)], lambda m, x: flat(m(x)))
    record(store, "LSTM_states", nn.LSTM(3, 4, bidirectional=True), [randn(5, 2, 3), randn(2, 2, 4), randn(2, 2, 4)],
           lambda m, x, h, c: flat(m(x, (h, c))))
    record(store, "LSTM_projection", nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True), [randn(5, 2, 3), randn(4, 2, 2), randn(4, 2, 4)],
           lambda m, x, h, c: flat(m(x, (h, c))))
    record(store, "LSTM_lengths", nn.LSTM(3, 4, 2, bidirectional=True), [randn(5, 3, 3), lengths, randn(4, 3, 4), randn(4, 3, 4)], packed)
    record(store, "GRU", nn.GRU(3, 4, 2), [randn(5, 2, 3)], lambda m, x: flat(m(x)))
    record(store, "GRU_without_bias", nn.GRU(3, 4, bias=False), [randn(5, 2, 3), randn(1, 2, 4)], lambda m, x, h: flat(m(x, h)))
    record(store, "GRU_lengths", nn.GRU(3, 4, bidirectional=True, batch_first=True), [randn(3, 5, 3), lengths, randn(2, 3, 4)], packed)
    record(store, "RNNCell", nn.RNNCell(3, 4), [randn(2, 3), randn(2, 4)])
    record(store, "RNNCell_relu", nn.RNNCell(3, 4, nonlinearity="relu", bias=False), [randn(2, 3)])
    record(store, "LSTMCell", nn.LSTMCell(3, 4), [randn(2, 3), randn(2, 4), randn(2, 4)], lambda m, x, h, c: m(x, (h, c)))
    record(store, "GRUCell", nn.GRUCell(3, 4), [randn(2, 3), randn(2, 4)])


def transformers(store):
    causal = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    keys = torch.tensor([[True] * 4, [True, True, True, False]])  # those that count
    self_ = lambda m, x: m(x, x, x, need_weights=False)[0]
    record(store, "MultiheadAttention", nn.MultiheadAttention(6, 2), [randn(4, 2, 6)], self_)
    record(store, "MultiheadAttention_masks", nn.MultiheadAttention(6, 3, batch_first=True, bias=False), [randn(2, 4, 6), keys],
           lambda m, x, k: m(x, x, x, key_padding_mask=~k, attn_mask=causal, need_weights=False)[0])
    record(store, "MultiheadAttention_cross", nn.MultiheadAttention(6, 2, batch_first=True, kdim=3, vdim=5),
           [randn(2, 3, 6), randn(2, 4, 3), randn(2, 4, 5)], lambda m, q, k, v: m(q, k, v, need_weights=False)[0])
    record(store, "MultiheadAttention_added", nn.MultiheadAttention(4, 2, batch_first=True), [randn(2, 3, 4), randn(3, 3)],
           lambda m, x, b: m(x, x, x, attn_mask=b, need_weights=False)[0])
    layer = dict(d_model=6, nhead=2, dim_feedforward=8, dropout=0.0)
    record(store, "TransformerEncoderLayer", nn.TransformerEncoderLayer(**layer), [randn(4, 2, 6)])
    record(store, "TransformerEncoderLayer_norm_first", nn.TransformerEncoderLayer(**layer, norm_first=True, activation="gelu", batch_first=True),
           [randn(2, 4, 6), keys], lambda m, x, k: m(x, causal, ~k))
    record(store, "TransformerDecoderLayer", nn.TransformerDecoderLayer(**layer, batch_first=True), [randn(2, 4, 6), randn(2, 3, 6)],
           lambda m, x, y: m(x, y, tgt_mask=causal))
    record(store, "TransformerDecoderLayer_norm_first", nn.TransformerDecoderLayer(**layer, norm_first=True), [randn(4, 2, 6), randn(3, 2, 6)])
    record(store, "TransformerEncoder", nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), 2, nn.LayerNorm(6)), [randn(3, 2, 6)])
    record(store, "TransformerDecoder", nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), 2), [randn(3, 2, 6), randn(4, 2, 6)])


# ---- whole models


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.c_attn, self.c_proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = (y.reshape(b, t, self.heads, w // self.heads).transpose(1, 2) for y in self.c_attn(x).split(w, 2))
        scores = (q @ k.transpose(-1, -2)) / math.sqrt(w // self.heads)
        scores = scores.masked_fill(torch.triu(torch.ones(t, t, dtype=torch.bool), 1), -math.inf)
        return self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, w))


class Block(nn.Module):
    """A block of GPT-2, with the names of its weights."""

    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class BasicBlock(nn.Module):
    def __init__(self, in_, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = nn.Sequential(nn.Conv2d(in_, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride > 1 or in_ != out else None

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """torchvision's resnet18 and its names, with `width` channels where it has 64."""

    def __init__(self, width, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        for i in range(4):
            in_, out = width << max(i - 1, 0), width << i
            setattr(self, f"layer{i + 1}", nn.Sequential(BasicBlock(in_, out, 1 if i == 0 else 2), BasicBlock(out, out, 1)))
        self.fc = nn.Linear(width << 3, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def models():
    torch.manual_seed(7)
    store = {}
    record(store, "gpt", Block(32, 4), [randn(2, 16, 32)], random_state=False)
    save("gpt", store)
    store = {}
    # As small as rounding to f32 allows: with fewer examples or channels PyTorch's own gradients in f32 are off by up to 1e-5.
    record(store, "resnet", ResNet18(6, 10), [randn(8, 3, 48, 48)], random_state=False)
    save("resnet", store)
    store = {}
    record(store, "lstm", nn.LSTM(12, 16, 2, bidirectional=True), [randn(9, 4, 12), torch.tensor([9, 4, 1, 6]), randn(4, 4, 16), randn(4, 4, 16)],
           packed, random_state=False)
    save("lstm", store)


# ---- optimizers: a matrix and a vector, given gradients, eight steps


class NAdam(torch.optim.Optimizer):
    """That of PyTorch 2: 1.13 multiplies its product of coefficients by mu twice."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                s = self.state[p]
                if not s:
                    s.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p), product=1.0)
                s["t"] += 1
                (b1, b2), d = g["betas"], g["momentum_decay"]
                grad = p.grad + g["weight_decay"] * p
                mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (t * d)) for t in (s["t"], s["t"] + 1))
                s["product"] *= mu
                s["m"].mul_(b1).add_(grad, alpha=1 - b1)
                s["v"].mul_(b2).addcmul_(grad, grad, value=1 - b2)
                denominator = (s["v"] / (1 - b2 ** s["t"])).sqrt() + g["eps"]
                p.addcdiv_(grad, denominator, value=-g["lr"] * (1 - mu) / (1 - s["product"]))
                p.addcdiv_(s["m"], denominator, value=-g["lr"] * mu_next / (1 - s["product"] * mu_next))


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - g["lr"] * g["weight_decay"])
                p.sub_(g["lr"] * (g["betas"][0] * m + (1 - g["betas"][0]) * p.grad).sign())
                m.mul_(g["betas"][1]).add_(p.grad, alpha=1 - g["betas"][1])


class LAMB(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                s = self.state[p]
                if not s:
                    s.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                s["t"] += 1
                b1, b2 = g["betas"]
                s["m"].mul_(b1).add_(p.grad, alpha=1 - b1)
                s["v"].mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
                r = s["m"] / (1 - b1 ** s["t"]) / ((s["v"] / (1 - b2 ** s["t"])).sqrt() + g["eps"]) + g["weight_decay"] * p
                wn, rn = p.norm(), r.norm()
                p.sub_(g["lr"] * (wn / rn if wn > 0 and rn > 0 else 1.0) * r)


class Adafactor(torch.optim.Optimizer):
    """torch.optim.Adafactor of PyTorch 2.5, single tensors."""

    def __init__(self, params, lr, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            for p in g["params"]:
                s = self.state[p]
                if not s:
                    s["t"] = 0
                    if p.dim() > 1:
                        s["row"], s["col"] = torch.zeros_like(p[..., :1]), torch.zeros_like(p[..., :1, :])
                    else:
                        s["var"] = torch.zeros_like(p)
                s["t"] += 1
                eps1 = g["eps"][0] or torch.finfo(p.dtype).eps
                weight = s["t"] ** g["beta2_decay"]
                rho = min(g["lr"], 1 / s["t"] ** 0.5)
                alpha = max(g["eps"][1], p.norm(2).item() / p.numel() ** 0.5) * rho
                p.mul_(1 - g["lr"] * g["weight_decay"])
                if p.dim() > 1:
                    s["row"].lerp_(p.grad.square().mean(-1, keepdim=True), weight)
                    s["col"].lerp_(p.grad.square().mean(-2, keepdim=True), weight)
                    var = s["row"] @ s["col"] / s["row"].mean(-2, keepdim=True).clamp(min=eps1)
                else:
                    var = s["var"].lerp_(p.grad.square(), weight)
                u = p.grad * var.clamp(min=eps1 * eps1).rsqrt()
                p.sub_(alpha / max(1.0, u.norm(2).item() / (u.numel() ** 0.5 * g["d"])) * u)


def optimizers():
    torch.manual_seed(3)
    store = {}
    steps = 8
    start = [randn(3, 4), randn(5)]
    gradients = [[randn(3, 4), randn(5)] for _ in range(steps)]
    gradients[3][1].zero_()
    for i in range(2):
        store[f"start/{i}"] = numpy(start[i], True)
        store[f"gradients/{i}"] = numpy(torch.stack([g[i] for g in gradients]), True)
    o = torch.optim
    for name, make in {
        "SGD": lambda p: o.SGD(p, 0.1, momentum=0.9, dampening=0.1, weight_decay=0.01), "SGD_nesterov": lambda p: o.SGD(p, 0.1, 0.9, nesterov=True),
        "Adam": lambda p: o.Adam(p, 0.1, weight_decay=0.1), "Adam_amsgrad": lambda p: o.Adam(p, 0.1, amsgrad=True),
        "AdamW": lambda p: o.AdamW(p, 0.1, weight_decay=0.1), "AdamW_amsgrad": lambda p: o.AdamW(p, 0.1, amsgrad=True),
        "Adagrad": lambda p: o.Adagrad(p, 0.1, lr_decay=0.1, weight_decay=0.1), "RMSprop": lambda p: o.RMSprop(p, 0.1, momentum=0.5, centered=True),
        "Adadelta": lambda p: o.Adadelta(p, 0.5, weight_decay=0.1), "Adamax": lambda p: o.Adamax(p, 0.1, weight_decay=0.1),
        "NAdam": lambda p: NAdam(p, 0.1, weight_decay=0.1), "RAdam": lambda p: o.RAdam(p, 0.1, weight_decay=0.1), "Rprop": lambda p: o.Rprop(p, 0.05),
        "ASGD": lambda p: o.ASGD(p, 0.1, lambd=0.01, t0=3, weight_decay=0.1), "Lion": lambda p: Lion(p, 0.1, weight_decay=0.1),
        "LAMB": lambda p: LAMB(p, 0.1, weight_decay=0.1), "Adafactor": lambda p: Adafactor(p, 0.1, weight_decay=0.1),
        "groups": lambda p: o.AdamW([{"params": p[:1]}, {"params": p[1:], "lr": 0.02, "weight_decay": 0.0}], 0.1, weight_decay=0.1),
    }.items():
        parameters = [nn.Parameter(s.clone()) for s in start]
        optimizer = make(parameters)
        trace = [[], []]
        for g in gradients:
            for p, own in zip(parameters, g):
                p.grad = own.clone()
            optimizer.step()
            for t, p in zip(trace, parameters):
                t.append(p.detach().clone())
        for i in range(2):
            store[f"{name}/{i}"] = numpy(torch.stack(trace[i]))
    for name, clip in {
        "clip_by_value": lambda p: nn.utils.clip_grad_value_(p, 0.5), "clip_by_global_norm": lambda p: nn.utils.clip_grad_norm_(p, 0.5),
        "clip_by_global_norm_loose": lambda p: nn.utils.clip_grad_norm_(p, 50.0),
    }.items():
        parameters = [nn.Parameter(s.clone()) for s in start]
        for p, own in zip(parameters, gradients[0]):
            p.grad = own.clone()
        clip(parameters)
        for i in range(2):
            store[f"{name}/{i}"] = numpy(parameters[i].grad)
    save("optimizers", store)


# ---- schedules: the rate of each of the first steps


def schedules():
    store = {}
    s = torch.optim.lr_scheduler
    for name, make in {
        "constant": lambda o: s.ConstantLR(o, 0.5, 4), "step": lambda o: s.StepLR(o, 7, 0.3), "multi_step": lambda o: s.MultiStepLR(o, [3, 9, 20], 0.3),
        "exponential": lambda o: s.ExponentialLR(o, 0.9), "linear": lambda o: s.LinearLR(o, 0.25, 0.75, 12), "polynomial": lambda o: s.PolynomialLR(o, 12, 2.0),
        "cosine": lambda o: s.CosineAnnealingLR(o, 15, 0.01), "cosine_restarts": lambda o: s.CosineAnnealingWarmRestarts(o, 6, 1, 0.01),
        "cosine_restarts_2": lambda o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01), "one_cycle": lambda o: s.OneCycleLR(o, 0.5, 32, cycle_momentum=False),
        "one_cycle_linear": lambda o: s.OneCycleLR(o, 0.5, 32, pct_start=0.4, anneal_strategy="linear", div_factor=10, final_div_factor=100, cycle_momentum=False),
        "cyclic": lambda o: s.CyclicLR(o, 0.1, 0.7, 4, 6, cycle_momentum=False),
        "sequence": lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 5), s.ExponentialLR(o, 0.9)], [5]),
        "chain": lambda o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 4), s.ExponentialLR(o, 0.9)]),
    }.items():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.4)
        schedule = make(optimizer)
        rates = []
        for _ in range(32):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < 32:
                schedule.step()
        store[name] = np.array(rates)
    save("schedules", store)


if __name__ == "__main__":
    print("torch", torch.__version__, "numpy", np.__version__)
    torch.manual_seed(1)
    store = {}
    for family in (activations, dense, convolutions, pooling, norms, moves, recurrent, transformers):
        family(store)
    save("layers", store)
    models()
    optimizers()
    schedules()

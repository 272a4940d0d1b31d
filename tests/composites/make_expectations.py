#!/usr/bin/env python3
"""Writes expectations/*.safetensors: inputs, results and gradients of composites, computed by PyTorch in float64.

Made with PyTorch 1.13.1, NumPy 1.24.2. Run it anywhere: python3 make_expectations.py. For a case NAME there are NAME/in/I, NAME/out/I, NAME/cot/I (weights
of the results) and NAME/grad/I: the gradient of sum(out * cot) with respect to input I, where it has one.
"""
import json
import math
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expectations")
DTYPES = {np.dtype("float64"): "F64", np.dtype("float32"): "F32", np.dtype("int64"): "I64", np.dtype("bool"): "BOOL"}


class Group:
    def __init__(self, name):
        self.name, self.arrays = name, {}

    def case(self, name, inputs, function, fixed=()):
        """fixed: indices of floating inputs that get no gradient."""
        tensors = [torch.as_tensor(x).clone() for x in inputs]
        for i, t in enumerate(tensors):
            self.put(f"{name}/in/{i}", t)
            if t.is_floating_point() and i not in fixed:
                t.requires_grad_()
        results = function(*tensors)
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        total = 0
        for i, r in enumerate(results):
            self.put(f"{name}/out/{i}", r)
            if r.is_floating_point() and r.requires_grad:
                cot = torch.cos(torch.arange(r.numel()) * 0.7 + 0.3 * (i + 1)).reshape(r.shape)
                self.put(f"{name}/cot/{i}", cot)
                total = total + (r * cot).sum()
        leaves = [(i, t) for i, t in enumerate(tensors) if t.requires_grad]
        if leaves and torch.is_tensor(total):
            for (i, _), g in zip(leaves, torch.autograd.grad(total, [t for _, t in leaves], allow_unused=True)):
                if g is not None:
                    self.put(f"{name}/grad/{i}", g)

    def put(self, key, tensor):
        self.arrays[key] = np.array(tensor.detach().numpy(), order="C")

    def write(self):
        header, data = {}, b""
        for key in sorted(self.arrays):
            a = self.arrays[key]
            header[key] = {"dtype": DTYPES[a.dtype], "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
            data += a.tobytes()
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        os.makedirs(FOLDER, exist_ok=True)
        with open(os.path.join(FOLDER, self.name + ".safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data)


def rand(*shape, low=-1.0, high=1.0, seed=1):
    return torch.as_tensor(np.random.RandomState(seed).uniform(low, high, shape))


def ints(*shape, high, low=0, seed=2):
    return torch.as_tensor(np.random.RandomState(seed).randint(low, high, shape))


def losses():
    g = Group("losses")
    x, c = rand(6, 5, low=-3, high=3), ints(6, high=5)
    w = rand(5, low=0.2, high=2, seed=3)
    p = torch.softmax(rand(6, 5, seed=4), -1)
    for r in ("none", "mean", "sum"):
        g.case(f"cross_entropy_{r}", [x, c], lambda x, c: F.cross_entropy(x, c, reduction=r))
        g.case(f"cross_entropy_all_{r}", [x, c, w],
               lambda x, c, w: F.cross_entropy(x, c, w, ignore_index=int(c[1]), label_smoothing=0.2, reduction=r), fixed=(2,))
        g.case(f"cross_entropy_probabilities_{r}", [x, p, w],
               lambda x, p, w: F.cross_entropy(x, p, w, label_smoothing=0.1, reduction=r), fixed=(2,))
    image, labels = rand(2, 5, 3, 4, low=-3, high=3, seed=5), ints(2, 3, 4, high=5, seed=6)
    g.case("cross_entropy_spatial", [image, labels], lambda x, c: F.cross_entropy(x, c, reduction="mean"))
    g.case("nll_spatial", [torch.log_softmax(image, 1), labels, w],
           lambda x, c, w: F.nll_loss(x, c, w, ignore_index=2, reduction="mean"), fixed=(2,))
    g.case("nll_none", [torch.log_softmax(x, 1), c], lambda x, c: F.nll_loss(x, c, reduction="none"))

    prob = torch.cat([rand(10, low=0.01, high=0.99, seed=7), torch.tensor([0.0, 1.0, 0.25, 1.0])])
    target = torch.cat([rand(10, low=0, high=1, seed=8), torch.tensor([0.0, 1.0, 1.0, 1.0])])
    g.case("bce", [prob, target], lambda p, t: F.binary_cross_entropy(p, t, reduction="none"), fixed=(1,))
    g.case("bce_weighted_mean", [prob, target, rand(14, low=0.1, high=2, seed=9)],
           lambda p, t, w: F.binary_cross_entropy(p, t, w, reduction="mean"), fixed=(1, 2))
    logits = torch.cat([rand(10, low=-5, high=5, seed=10), torch.tensor([0.0, 800.0, -800.0, 40.0])])
    g.case("bce_logits", [logits, target], lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"))
    g.case("bce_logits_pos", [rand(4, 3, low=-5, high=5), rand(4, 3, low=0, high=1, seed=2), rand(3, low=0.5, high=3, seed=3)],
           lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w, reduction="mean"), fixed=(2,))

    def focal(x, t, alpha, gamma):  # torchvision.ops.sigmoid_focal_loss
        q = torch.sigmoid(x)
        ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        p_t = q * t + (1 - q) * (1 - t)
        return (alpha * t + (1 - alpha) * (1 - t)) * ce * (1 - p_t) ** gamma
    hard = ints(12, high=2, seed=11).double()
    g.case("focal", [rand(12, low=-4, high=4, seed=12), hard], lambda x, t: focal(x, t, 0.25, 2.0), fixed=(1,))
    g.case("focal_half", [rand(12, low=-4, high=4, seed=12), hard], lambda x, t: focal(x, t, 0.6, 0.5), fixed=(1,))
    g.case("dice", [rand(3, 4, 5, low=0, high=1), rand(3, 4, 5, low=0, high=1, seed=2)],
           lambda p, t: 1 - (2 * (p * t).sum((1, 2)) + 1) / (p.sum((1, 2)) + t.sum((1, 2)) + 1))

    a, b = rand(4, 6, low=-3, high=3, seed=13), rand(4, 6, low=-3, high=3, seed=14)
    b[0, 0] = a[0, 0]
    for name, f in {"mse": F.mse_loss, "l1": F.l1_loss}.items():
        g.case(f"{name}_none", [a, b], lambda a, b: f(a, b, reduction="none"))
        g.case(f"{name}_mean", [a, b], lambda a, b: f(a, b))
    g.case("smooth_l1", [a, b], lambda a, b: F.smooth_l1_loss(a, b, reduction="none", beta=0.7))
    g.case("huber", [a, b], lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.7))
    t = torch.softmax(rand(4, 6, seed=15), -1)
    g.case("kl_div", [torch.log_softmax(a, -1), t], lambda x, t: F.kl_div(x, t, reduction="none"))
    g.case("kl_div_log", [torch.log_softmax(a, -1), torch.log(t)], lambda x, t: F.kl_div(x, t, reduction="none", log_target=True))
    sign = ints(4, 6, high=2, seed=16).double() * 2 - 1
    g.case("hinge", [a, sign], lambda x, y: torch.clamp(1 - x * y, min=0), fixed=(1,))
    g.case("hinge_embedding", [a, sign], lambda x, y: F.hinge_embedding_loss(x, y, 0.8, reduction="none"), fixed=(1,))
    g.case("cosine_embedding", [a, b, sign[:, 0]], lambda a, b, y: F.cosine_embedding_loss(a, b, y, 0.1, reduction="none"), fixed=(2,))
    g.case("margin_ranking", [a, b, sign], lambda a, b, y: F.margin_ranking_loss(a, b, y, 0.3, reduction="none"), fixed=(2,))
    n = rand(4, 6, low=-3, high=3, seed=17)
    g.case("triplet", [a, b, n], lambda a, b, n: F.triplet_margin_loss(a, b, n, 5.0, reduction="none"))
    g.case("triplet_swap", [a, b, n], lambda a, b, n: F.triplet_margin_loss(a, b, n, 9.0, p=3, swap=True, reduction="mean"))
    counts = ints(4, 6, high=6, seed=18).double()
    g.case("poisson", [a, counts], lambda x, t: F.poisson_nll_loss(x, t, full=True, reduction="none"), fixed=(1,))
    g.case("poisson_rate", [rand(4, 6, low=0.1, high=3), counts],
           lambda x, t: F.poisson_nll_loss(x, t, log_input=False, reduction="mean"), fixed=(1,))
    g.case("gaussian", [a, b, rand(4, 6, low=0.1, high=2, seed=19)], lambda x, t, v: F.gaussian_nll_loss(x, t, v, full=True, reduction="none"))

    time, batch, classes = 7, 4, 5
    logits = rand(time, batch, classes, low=-2, high=2, seed=20)
    targets = torch.tensor([[1, 2, 2], [3, 3, 4], [2, 1, 0], [4, 0, 0]])
    lengths, sizes = torch.tensor([7, 6, 5, 3]), torch.tensor([3, 3, 2, 0])
    for r in ("none", "mean"):
        g.case(f"ctc_{r}", [logits, targets, lengths, sizes],
               lambda x, t, n, m: F.ctc_loss(torch.log_softmax(x, -1), t, n, m, reduction=r))
    g.case("ctc_impossible", [logits, targets, torch.tensor([7, 3, 5, 3]), sizes],
           lambda x, t, n, m: F.ctc_loss(torch.log_softmax(x, -1), t, n, m, reduction="none", zero_infinity=True))
    g.write()


def normalization():
    g = Group("normalization")
    x = rand(3, 4, 5, low=-2, high=2)
    g.case("softmax", [x], lambda x: torch.softmax(x, 1))
    g.case("softmax_two", [x], lambda x: torch.softmax(x.permute(1, 0, 2).reshape(4, 15), -1).reshape(4, 3, 5).permute(1, 0, 2))
    g.case("log_softmax", [x], lambda x: torch.log_softmax(x, -1))
    g.case("softmin", [x], lambda x: F.softmin(x, -1))
    g.case("logsumexp", [x], lambda x: torch.logsumexp(x, (0, 2)))
    mask = ints(3, 4, 5, high=2, seed=3).bool()
    mask[:, :, 0] = True
    g.case("masked_softmax", [x, mask], lambda x, m: torch.softmax(x.masked_fill(~m, -math.inf), -1))
    w, b = rand(4, 5, seed=4), rand(4, 5, seed=5)
    g.case("layer_norm", [x, w[0], b[0]], lambda x, w, b: F.layer_norm(x, (5,), w, b))
    g.case("layer_norm_two", [x, w, b], lambda x, w, b: F.layer_norm(x, (4, 5), w, b, 1e-3))
    g.case("layer_norm_plain", [x], lambda x: F.layer_norm(x, (5,)))
    g.case("rms_norm", [x, w[0]], lambda x, w: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w)
    c, d = rand(4, low=0.5, high=1.5, seed=6), rand(4, seed=7)
    mean, var = rand(4, seed=8), rand(4, low=0.5, high=2, seed=9)
    g.case("batch_norm", [x, mean, var, c, d], lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b), fixed=(1, 2))

    def training(x, m, v, w, b):
        m, v = m.clone(), v.clone()
        return F.batch_norm(x, m, v, w, b, training=True, momentum=0.3), m, v
    g.case("batch_norm_training", [x, mean, var, c, d], training, fixed=(1, 2))
    g.case("group_norm", [x, c, d], lambda x, w, b: F.group_norm(x, 2, w, b))
    g.case("instance_norm", [x, c, d], lambda x, w, b: F.instance_norm(x, weight=w, bias=b))
    wide = rand(2, 7, 3, low=-2, high=2, seed=10)
    for size in (3, 4):
        g.case(f"local_response_norm_{size}", [wide], lambda x: F.local_response_norm(x, size, alpha=0.3, beta=0.6, k=1.5))
    g.case("lp_normalize", [x], lambda x: F.normalize(x, dim=1))
    g.case("lp_normalize_3", [x], lambda x: F.normalize(x, p=3, dim=-1))
    g.case("cosine_similarity", [x, rand(3, 4, 5, seed=11)], lambda a, b: F.cosine_similarity(a, b, dim=1))
    g.write()


EINSUMS = ["ij,jk->ik", "ij,jk", "ij->ji", "ii", "ii->i", "ij->", "bij,bjk->bik", "...ij,...jk->...ik", "i,j->ij", "ij,ij->ij", "ijj->ij", "ij,k->kji",
           "bhqd,bhkd->bhqk", "ij,jk,kl->il", "a,ab,b->", "...,...->...", "i...->...", "ij,jk,kl,lm,m->i", "iij,jk->ik", "ba", "ij,kj->ik", "abc,cd,ad->b",
           "i,i,i->i", "z...,z...->..."]


def einsum():
    g = Group("einsum")
    sizes = {c: 2 + (ord(c) - 97) % 4 for c in "abcdefghijklmnopqrstuvwxyz"}
    for n, equation in enumerate(EINSUMS):
        operands = []
        for k, part in enumerate(equation.split("->")[0].split(",")):
            shape = [sizes[c] for c in part.replace("...", "")]
            if "..." in part:
                at = part.index("...")
                shape[at:at] = [2, 3] if k == 0 else [1, 3] if k == 1 else [3]
            operands.append(rand(*shape, seed=100 + 10 * n + k))
        g.case(f"{n:02}", operands, lambda *t: torch.einsum(equation, *t))
    a, b = rand(3, 4, 5, seed=1), rand(4, 5, 2, seed=2)
    g.case("tensordot", [a, b], lambda a, b: torch.tensordot(a, b, 2))
    g.case("tensordot_axes", [a, rand(5, 3, seed=3)], lambda a, b: torch.tensordot(a, b, ([0, 2], [1, 0])))
    g.case("outer", [rand(3), rand(4, seed=2)], torch.outer)
    g.case("inner", [a, rand(2, 5, seed=4)], torch.inner)
    g.case("vecdot", [a, rand(4, 5, seed=5)], lambda a, b: (a * b).sum(-1))
    g.case("kron", [rand(2, 3), rand(4, 2, seed=2)], torch.kron)
    g.case("cross", [rand(4, 3), rand(4, 3, seed=2)], lambda a, b: torch.cross(a, b, dim=-1))
    g.case("cross_first", [rand(3, 4), rand(3, 4, seed=2)], lambda a, b: torch.cross(a, b, dim=0))
    g.case("bilinear", [rand(4, 3), rand(4, 5, seed=2), rand(2, 3, 5, seed=3), rand(2, seed=4)], F.bilinear)
    g.write()


def attention():
    g = Group("attention")
    q, k, v = rand(2, 4, 5, 6, seed=1), rand(2, 4, 7, 6, seed=2), rand(2, 4, 7, 3, seed=3)
    i, j = torch.arange(5)[:, None], torch.arange(7)[None, :]

    def plain(q, k, v, scale=None, softcap=0.0, bias=None, seen=None):
        groups = q.shape[-3] // k.shape[-3]
        k, v = k.repeat_interleave(groups, -3), v.repeat_interleave(groups, -3)
        s = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if softcap:
            s = softcap * torch.tanh(s / softcap)
        if bias is not None:
            s = s + bias
        if seen is not None:
            seen = seen.expand(s.shape)
            s = s.masked_fill(~seen, -math.inf).masked_fill(~seen.any(-1, keepdim=True), 0.0)
        w = torch.softmax(s, -1)
        if seen is not None:
            w = w * seen.any(-1, keepdim=True)
        return w @ v
    g.case("plain", [q, k, v], plain)
    g.case("scaled", [q, k, v], lambda q, k, v: plain(q, k, v, scale=0.3))
    g.case("causal", [q, k, v], lambda q, k, v: plain(q, k, v, seen=j <= i))
    g.case("causal_offset", [q, k, v], lambda q, k, v: plain(q, k, v, seen=j <= i + 2))
    g.case("window", [q, k, v], lambda q, k, v: plain(q, k, v, seen=(i - j).abs() < 3))
    g.case("softcap", [q, k, v], lambda q, k, v: plain(q, k, v, softcap=0.5))
    mask = ints(2, 1, 5, 7, high=2, seed=4).bool()
    mask[0, 0, 2] = False
    g.case("mask", [q, k, v, mask], lambda q, k, v, m: plain(q, k, v, seen=m))
    g.case("bias", [q, k, v, rand(4, 5, 7, seed=5)], lambda q, k, v, b: plain(q, k, v, bias=b))
    lengths = torch.tensor([7, 4])
    g.case("lengths", [q, k, v, lengths], lambda q, k, v, n: plain(q, k, v, seen=(torch.arange(7) < n[:, None])[:, None, None, :]))
    g.case("grouped", [q, k[:, :2], v[:, :2], mask], lambda q, k, v, m: plain(q, k, v, seen=m))
    g.case("no_heads", [q[0, 0], k[0, 0], v[0, 0]], lambda q, k, v: plain(q[None, None], k[None, None], v[None, None])[0, 0])
    x = rand(2, 3, 5, 6, seed=6)

    def rotary(x, base, offset, interleaved):
        half = x.shape[-1] // 2
        angle = (torch.arange(x.shape[-2]) + offset)[:, None] * base ** (-torch.arange(half) * 2.0 / x.shape[-1])
        c, s = torch.cos(angle), torch.sin(angle)
        a, b = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
        p, q = a * c - b * s, b * c + a * s
        return torch.stack([p, q], -1).flatten(-2) if interleaved else torch.cat([p, q], -1)
    g.case("rotary", [x], lambda x: rotary(x, 10000.0, 0, False))
    g.case("rotary_interleaved", [x], lambda x: rotary(x, 500.0, 3, True))
    g.case("heads", [rand(2, 5, 12, seed=7)], lambda x: x.reshape(2, 5, 3, 4).transpose(1, 2))
    # Reference: press2022.alibi's get_slopes, for 8 heads and for 6.
    g.case("alibi", [], lambda: -torch.tensor([2.0 ** -(h + 1) for h in range(8)])[:, None, None] * (i - j).abs())
    six = [2.0 ** (-2 * (h + 1)) for h in range(4)] + [2.0 ** -1, 2.0 ** -3]
    g.case("alibi_six", [], lambda: -torch.tensor(six)[:, None, None] * (i - j).abs())
    even = torch.arange(7) // 2 * 2
    angle = torch.arange(5)[:, None] / 10000.0 ** (even / 7)
    g.case("sinusoidal", [], lambda: torch.where(torch.arange(7) % 2 == 0, torch.sin(angle), torch.cos(angle)))
    g.write()


def linear_algebra():
    g = Group("linear_algebra")
    a, b = rand(2, 5, 5, seed=1), rand(2, 5, 3, seed=2)
    well = a + 3 * torch.eye(5)
    for left in (True, False):
        for upper in (False, True):
            for unit in (False, True):
                for transposed in (False, True):
                    name = f"triangular_{int(left)}{int(upper)}{int(unit)}{int(transposed)}"
                    right = b if left else b.transpose(-1, -2).contiguous()

                    def solve(a, b):
                        t = torch.triu(a) if upper else torch.tril(a)
                        if transposed:
                            t = t.transpose(-1, -2)
                        return torch.linalg.solve_triangular(t, b, upper=upper != transposed, left=left, unitriangular=unit)
                    g.case(name, [well, right], solve)
    spd = a @ a.transpose(-1, -2) + 0.5 * torch.eye(5)
    g.case("cholesky", [spd], torch.linalg.cholesky)
    g.case("cholesky_upper", [spd], lambda a: torch.linalg.cholesky(a).transpose(-1, -2))
    g.case("cholesky_solve", [b, torch.linalg.cholesky(spd)], lambda b, l: torch.cholesky_solve(b, l.tril()))

    def lu(a):
        p, l, u = torch.linalg.lu(a)
        return l, u, p.detach().argmax(-2)
    g.case("lu", [a], lu)
    g.case("solve", [a, b], torch.linalg.solve)
    g.case("solve_vector", [a[0], b[0, :, 0]], torch.linalg.solve)
    g.case("inverse", [a], torch.linalg.inv)
    g.case("det", [a], torch.linalg.det)
    g.case("slogdet", [a], torch.linalg.slogdet)
    tall, wide = rand(2, 6, 4, seed=3), rand(2, 3, 5, seed=4)
    g.case("qr_tall", [tall], lambda a: torch.linalg.qr(a))
    g.case("qr_square", [a], lambda a: torch.linalg.qr(a))

    def wide_qr(a):  # PyTorch has no gradient for m < n
        q, r = torch.linalg.qr(a[..., :3])
        return q, torch.cat([r, q.transpose(-1, -2) @ a[..., 3:]], -1)
    g.case("qr_wide", [wide], wide_qr)
    g.case("lstsq_tall", [tall, rand(2, 6, 2, seed=5)], lambda a, b: torch.linalg.pinv(a) @ b)
    g.case("lstsq_wide", [wide, rand(2, 3, 2, seed=5)], lambda a, b: torch.linalg.pinv(a) @ b)
    g.case("pinv_tall", [tall], torch.linalg.pinv)
    g.case("pinv_wide", [wide], torch.linalg.pinv)
    g.case("matrix_exp", [a], torch.matrix_exp)
    g.case("matrix_exp_large", [8 * a], torch.matrix_exp)
    g.case("matrix_power", [a], lambda a: torch.linalg.matrix_power(a, 5))
    g.case("matrix_power_negative", [well], lambda a: torch.linalg.matrix_power(a, -3))
    for n, order in {"fro": "fro", "one": 1, "inf": math.inf}.items():
        g.case(f"matrix_norm_{n}", [a], lambda a: torch.linalg.matrix_norm(a, order))
    for p in (1.0, 2.0, 3.0, 0.5, math.inf, -math.inf):
        g.case(f"vector_norm_{p}", [a], lambda a: torch.linalg.vector_norm(a, p, dim=-1))

    def eigh(a, fold=True):
        s = torch.tril(a) + torch.tril(a, -1).transpose(-1, -2)
        w, v = torch.linalg.eigh(s)
        at = v.detach().abs().argmax(-2, keepdim=True)
        return w, v * torch.sign(v.detach().gather(-2, at))
    for n in (1, 2, 3, 5, 6):
        m = rand(2, n, n, seed=10 + n)
        g.case(f"eigh_{n}", [m + m.transpose(-1, -2)], lambda a: torch.linalg.eigh(a).eigenvalues)
        g.case(f"eigh_vectors_{n}", [m + m.transpose(-1, -2)], lambda a: eigh(0.5 * (a + a.transpose(-1, -2))))
    g.write()


def signal():
    g = Group("signal")

    def real(x):
        return torch.view_as_real(x)
    x = rand(2, 7, 2, seed=1)
    g.case("dft", [x], lambda x: real(torch.fft.fft(torch.view_as_complex(x))))
    g.case("dft_inverse", [x], lambda x: real(torch.fft.ifft(torch.view_as_complex(x))))
    g.case("dft_axis", [rand(6, 3, 2, seed=2)], lambda x: real(torch.fft.fft(torch.view_as_complex(x), dim=0)))
    g.case("rfft", [rand(3, 8, seed=3)], lambda x: real(torch.fft.rfft(x)))
    g.case("rfft_odd", [rand(3, 7, 2, seed=4)], lambda x: real(torch.fft.rfft(x, dim=1)))
    for n in (8, 7):
        g.case(f"irfft_{n}", [rand(3, n // 2 + 1, 2, seed=5)], lambda x: torch.fft.irfft(torch.view_as_complex(x), n=n))
    w = torch.hann_window(6)
    g.case("stft", [rand(2, 21, seed=6), w],
           lambda x, w: real(torch.stft(x, 6, 4, window=w, center=False, return_complex=True)).transpose(1, 2), fixed=(1,))
    for name, f in {"hann": torch.hann_window, "blackman": torch.blackman_window}.items():
        for periodic in (True, False):
            g.case(f"{name}_{int(periodic)}", [], lambda: f(9, periodic=periodic))
    for periodic in (True, False):
        g.case(f"hamming_{int(periodic)}", [], lambda: torch.hamming_window(9, periodic, 25 / 46, 21 / 46))
    g.write()


if __name__ == "__main__":
    for make in (losses, normalization, einsum, attention, linear_algebra, signal):
        make()

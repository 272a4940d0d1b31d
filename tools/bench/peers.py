"""The seed training step in PyTorch, one thread: eager autograd by hand, and nn with torch.optim.SGD. Prints NAME MICROSECONDS."""
import statistics
import time

import torch

torch.set_num_threads(1)


def median_us(step, rounds=9):
    step()
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            step()
        if time.perf_counter() - start > 0.05:
            break
        calls *= 2
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            step()
        times.append((time.perf_counter() - start) / calls)
    return 1e6 * statistics.median(times)


x, y = torch.randn(64, 1000), torch.randn(64, 10)


def eager():
    w1 = torch.randn(1000, 100, requires_grad=True)
    w2 = torch.randn(100, 10, requires_grad=True)

    def step():
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w1.sub_(1e-6 * w1.grad)
            w2.sub_(1e-6 * w2.grad)
            w1.grad.zero_()
            w2.grad.zero_()

    return step


def nn():
    model = torch.nn.Sequential(torch.nn.Linear(1000, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
    loss_function = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def step():
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def tensors():
    w1, w2 = torch.randn(1000, 100), torch.randn(100, 10)

    def step():
        h = x.mm(w1)
        h_relu = h.clamp(min=0)
        y_pred = h_relu.mm(w2)
        (y_pred - y).pow(2).sum()
        grad_y = 2.0 * (y_pred - y)
        grad_w2 = h_relu.t().mm(grad_y)
        grad_h = grad_y.mm(w2.t())
        grad_h[h < 0] = 0
        w1.sub_(1e-6 * x.t().mm(grad_h))
        w2.sub_(1e-6 * grad_w2)

    return step


for name, make in (("torch_eager_autograd", eager), ("torch_nn_sgd", nn), ("torch_tensors_by_hand", tensors)):
    print(f"{name}_us {median_us(make()):.2f}", flush=True)

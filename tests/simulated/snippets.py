# ruff: noqa: E741, F841, PT017
"""Programs for a CUDA device, each a function. A line that makes the host wait ends in ``# waits``; one with a copy
that is asynchronous in name only ends in ``# pageable``; on the others the host goes on.

The marks were made from PyTorch's sources before anything ran. Rules and marks share an author: a regression test.
"""

from __future__ import annotations

import copy
import threading

import torch
import torch.nn as nn
import torch.nn.functional as F

DEVICE = "cuda"


def item() -> None:
    x = torch.ones(3, device=DEVICE)
    y = x.sum()
    assert y.item() == 3.0  # waits


def python_scalars() -> None:
    t = torch.tensor(5).to(DEVICE)  # waits
    a = int(t)  # waits
    b = float(t)  # waits
    c = bool(t)  # waits
    d = [10, 11, 12, 13, 14, 15][t]  # waits
    assert (a, b, c, d) == (5, 5.0, True, 15)


def if_tensor() -> None:
    x = torch.ones(3, device=DEVICE)
    if (x > 0).all():  # waits
        x = x + 1
    if torch.isinf(x).any() or torch.isnan(x).any():  # waits
        raise AssertionError
    assert x.shape[0] == 3


def no_sync_metadata() -> None:
    x = torch.randn(4, 5, device=DEVICE)
    if x.is_cuda and x.device.type == "cuda" and x.numel() and x.dim() == 2 and x.dtype.is_floating_point:
        y = x.view(-1)[3:7].reshape(2, 2).t().contiguous()
    assert len(x) == 4
    assert y.shape == (2, 2)
    assert x.get_device() == 0


def tolist_() -> None:
    x = torch.arange(4, device=DEVICE)
    assert x.tolist() == [0, 1, 2, 3]  # waits


def cpu_and_numpy() -> None:
    x = torch.arange(4.0, device=DEVICE)
    c = x.cpu()  # waits
    assert c.numpy().sum() == 6
    assert not c.is_cuda
    try:
        x.numpy()
        raise AssertionError
    except TypeError:
        pass


def to_cpu_nonblocking() -> None:
    x = torch.arange(4.0, device=DEVICE)
    c = x.to("cpu", non_blocking=True)
    assert c.is_pinned()


def h2d_pageable_blocking() -> None:
    x = torch.randn(8)
    y = x.to(DEVICE)  # waits
    z = x.cuda()  # waits
    assert y.device == torch.device("cuda:0")
    assert z.is_cuda


def h2d_pageable_nonblocking() -> None:
    x = torch.randn(8)
    y = x.to(DEVICE, non_blocking=True)  # pageable
    z = x.cuda(non_blocking=True)  # pageable


def h2d_pinned() -> None:
    x = torch.randn(8).pin_memory()
    assert x.is_pinned()
    y = x.to(DEVICE, non_blocking=True)
    z = x.to(DEVICE)  # waits
    e = torch.empty(8, pin_memory=True)
    e.copy_(x)
    w = e.cuda(non_blocking=True)


def to_same_device() -> None:
    x = torch.randn(8, device=DEVICE)
    y = x.to("cuda").to(torch.float16).to(x.device).float()
    assert y.dtype == torch.float32


def copy_methods() -> None:
    g = torch.empty(4, device=DEVICE)
    h = torch.ones(4)
    g.copy_(h)  # waits
    h.copy_(g)  # waits
    g2 = torch.empty_like(g).copy_(g)


def tensor_list_device() -> None:
    a = torch.tensor([1, 2, 3], device=DEVICE)  # waits
    b = torch.as_tensor([1.0, 2.0], device=DEVICE)  # waits
    c = torch.tensor([1, 2, 3]).cuda()  # waits
    d = torch.full((3,), 2.0, device=DEVICE)
    e = torch.arange(3, device=DEVICE)
    f = torch.zeros(3, device=DEVICE) + torch.ones(3, device=DEVICE) * 2 - 0.5


def from_numpy() -> None:
    import numpy as np

    x = torch.from_numpy(np.arange(4)).to(DEVICE)  # waits


def new_factories() -> None:
    x = torch.randn(3, device=DEVICE)
    y = x.new_zeros(4)
    z = x.new_tensor([1.0, 2.0])  # waits
    w = torch.zeros_like(x)
    v = torch.randn_like(x)
    u = x.new_full((2,), 3.0)
    assert y.is_cuda
    assert z.is_cuda
    assert w.is_cuda


def bool_index_read() -> None:
    x = torch.randn(6, device=DEVICE)
    y = x[x > 0]  # waits
    z = torch.masked_select(x, x > 0)  # waits


def bool_index_write_scalar() -> None:
    x = torch.randn(6, device=DEVICE)
    x[x > 0] = 0.0
    x.masked_fill_(x < 0, 1.0)


def bool_index_write_tensor() -> None:
    x = torch.randn(6, device=DEVICE)
    n = int((x > 0).sum())  # waits
    x[x > 0] = torch.zeros(n, device=DEVICE)  # waits


def bool_index_cpu_mask() -> None:
    x = torch.randn(6, device=DEVICE)
    m = torch.tensor([True, False, True, False, False, True])
    x[m] = torch.ones(3, device=DEVICE)
    y = x[m]
    assert y.shape == (3,)
    assert y.is_cuda


def long_index_cuda() -> None:
    x = torch.randn(6, 2, device=DEVICE)
    ix = torch.arange(3, device=DEVICE)
    y = x[ix]
    x[ix] = y
    z = x.index_select(0, ix).gather(0, torch.zeros(1, 2, dtype=torch.long, device=DEVICE))


def long_index_cpu() -> None:
    x = torch.randn(6, device=DEVICE)
    ix = torch.tensor([0, 2])
    y = x[ix]  # waits
    x[ix] = y  # waits


def list_index() -> None:
    x = torch.randn(6, device=DEVICE)
    y = x[[0, 2, 4]]  # waits
    x[[0, 2]] = 1.0  # waits


def zero_dim_index() -> None:
    x = torch.randn(6, device=DEVICE)
    i = torch.argmax(x)
    y = x[i]  # waits
    z = x[i : i + 2]  # waits


def setitem_scalar() -> None:
    x = torch.zeros(4, 4, device=DEVICE)
    x[0] = 5.0
    x[1, :2] = 1.0
    x[2, 3] = 7.0  # waits
    x[:] = 0
    x[...] = 2


def setitem_scalar_1d() -> None:
    v = torch.zeros(4, device=DEVICE)
    for i in range(3):
        v[i] = float(i)  # waits


def setitem_cuda_value() -> None:
    x = torch.zeros(4, 4, device=DEVICE)
    x[1, 1] = x[0, 0]
    x[0] = torch.ones(4, device=DEVICE)
    x[2] = torch.ones(4)  # waits


def nonzero_family() -> None:
    x = torch.tensor([0, 1, 2]).to(DEVICE)  # waits
    a = torch.nonzero(x)  # waits
    b = x.nonzero(as_tuple=True)  # waits
    c = torch.argwhere(x)  # waits
    d = torch.where(x > 0)  # waits
    e = torch.count_nonzero(x)


def unique_() -> None:
    x = torch.randint(0, 3, (10,), device=DEVICE)
    a = torch.unique(x)  # waits
    _b, _inv = torch.unique(x, return_inverse=True)  # waits
    c = torch.unique_consecutive(x)  # waits


def repeat_interleave_() -> None:
    x = torch.arange(3, device=DEVICE)
    r = torch.tensor([1, 2, 3], device=DEVICE)  # waits
    a = torch.repeat_interleave(x, r)  # waits
    b = torch.repeat_interleave(x, r, output_size=6)
    c = x.repeat_interleave(2)
    assert a.shape == (6,)
    assert b.shape == (6,)


def masked_scatter() -> None:
    x = torch.zeros(6, device=DEVICE)
    m = torch.arange(6, device=DEVICE) % 2 == 0
    x.masked_scatter_(m, torch.ones(3, device=DEVICE))


def index_put() -> None:
    x = torch.zeros(6, device=DEVICE)
    m = torch.arange(6, device=DEVICE) % 2 == 0
    x.index_put_((m,), torch.tensor(1.0))
    x.index_put_((m,), torch.ones((), device=DEVICE))  # waits
    x.index_put_((torch.arange(2, device=DEVICE),), torch.ones(2, device=DEVICE), accumulate=True)


def where_() -> None:
    c = torch.arange(6, device=DEVICE) % 2 == 0
    x = torch.randn(6, device=DEVICE)
    a = torch.where(c, x, x * 2)
    b = torch.where(c, x, 0.0)
    e = torch.where(c, x, torch.tensor(0.0))  # waits
    d = torch.where(c, x, torch.zeros((), device=DEVICE))


def masked_fill_tensor() -> None:
    x = torch.randn(6, device=DEVICE)
    a = x.masked_fill(x > 0, float("-inf"))
    b = x.masked_fill(x > 0, torch.zeros((), device=DEVICE))  # waits


def multinomial_() -> None:
    p = torch.ones(5, device=DEVICE)
    a = torch.multinomial(p, 2)
    b = torch.multinomial(p, 3, replacement=True)
    q = p / torch.empty_like(p).exponential_(1)
    c = q.argmax()


def equal_allclose() -> None:
    x = torch.ones(3, device=DEVICE)
    a = torch.equal(x, x.clone())  # waits
    b = torch.allclose(x, x.clone())  # waits
    c = x == x.clone()


def bincount_histc() -> None:
    x = torch.randint(0, 3, (10,), device=DEVICE)
    a = torch.bincount(x)  # waits
    b = torch.histc(x.float(), bins=4, min=0, max=3)
    c = F.one_hot(x, 3)
    d = F.one_hot(x)  # waits


def cumsum_last_int() -> None:
    lens = torch.arange(1, 4, device=DEVICE)
    total = int(lens.cumsum(0)[-1])  # waits
    assert total == 6


def range_slices() -> None:
    n = torch.arange(4, device=DEVICE)
    x = torch.randn(10, device=DEVICE)
    y = x[: n[2]]  # waits
    for v in n.unbind():
        z = x + v
    w = torch.zeros(int(n.max()), device=DEVICE)  # waits


def iterate() -> None:
    s = 0
    for v in torch.arange(3, device=DEVICE):
        s += v.item()  # waits
    assert s == 3


def split_sizes() -> None:
    x = torch.randn(6, device=DEVICE)
    a = x.split([2, 4])
    sizes = torch.tensor([2, 4])
    b = x.split(sizes.tolist())
    c = torch.tensor_split(x, 3)


def printing() -> None:
    x = torch.randn(3, device=DEVICE)
    s = str(x)  # waits
    t = f"{x.sum():.3f}"  # waits


def explicit_sync() -> None:
    torch.cuda.synchronize()  # waits
    s = torch.cuda.Stream()
    with torch.cuda.stream(s):
        x = torch.ones(3, device=DEVICE)
    torch.cuda.current_stream().wait_stream(s)
    s.synchronize()  # waits
    e = torch.cuda.Event(enable_timing=True)
    e.record()
    e2 = torch.cuda.Event(enable_timing=True)
    e2.record(s)
    e2.synchronize()  # waits
    e.elapsed_time(e2)
    x.record_stream(s)


def cuda_queries() -> None:
    assert torch.cuda.is_available()
    assert torch.cuda.device_count() == 1
    assert torch.cuda.current_device() == 0
    p = torch.cuda.get_device_properties(0)
    assert p.total_memory > 0
    assert torch.cuda.get_device_name()
    assert torch.cuda.get_device_capability()[0] >= 8
    torch.cuda.manual_seed_all(1)
    torch.cuda.memory_allocated()
    torch.cuda.max_memory_allocated()
    with torch.cuda.device(0):
        torch.zeros(2, device="cuda:0")
    torch.cuda.set_device(0)
    g = torch.Generator(device=DEVICE).manual_seed(3)
    x = torch.randn(4, device=DEVICE, generator=g)
    assert g.device.type == "cuda"


def default_device() -> None:
    with torch.device("cuda"):
        x = torch.zeros(3)
        l = nn.Linear(3, 3)
    assert x.is_cuda
    assert l.weight.is_cuda


def device_mismatch() -> None:
    try:
        torch.ones(3, device=DEVICE) + torch.ones(3)
    except RuntimeError as e:
        assert "same device" in str(e)
    else:
        raise AssertionError("no error")
    torch.ones(3, device=DEVICE) + torch.tensor(1.0)


def backward() -> None:
    x = torch.randn(4, 3, device=DEVICE, requires_grad=True)
    l = (x**2).sum()
    l.backward()
    assert x.grad.is_cuda
    assert float(x.grad.sum()) is not None  # waits


def cross_entropy() -> None:
    lin = nn.Linear(5, 3).to(DEVICE)  # waits
    y = torch.randint(0, 3, (4,), device=DEVICE)
    loss = F.cross_entropy(lin(torch.randn(4, 5, device=DEVICE)), y)
    loss.backward()


def adam() -> None:
    lin = nn.Linear(5, 3).to(DEVICE)  # waits
    for k in ({}, {"foreach": True}, {"fused": True}, {"foreach": False, "capturable": True}):
        opt = torch.optim.Adam(lin.parameters(), lr=0.1, **k)
        lin(torch.ones(2, 5, device=DEVICE)).sum().backward()
        opt.step()
        opt.zero_grad()


def adam_looped() -> None:
    lin = nn.Linear(5, 3).to(DEVICE)  # waits
    opt = torch.optim.SGD(lin.parameters(), lr=0.1, momentum=0.9)
    lin(torch.ones(2, 5, device=DEVICE)).sum().backward()
    opt.step()


def clip_grad() -> None:
    lin = nn.Linear(5, 3).to(DEVICE)  # waits
    lin(torch.ones(2, 5, device=DEVICE)).sum().backward()
    n = torch.nn.utils.clip_grad_norm_(lin.parameters(), 1.0)
    m = torch.nn.utils.clip_grad_norm_(lin.parameters(), 1.0, error_if_nonfinite=True)  # waits


def transformer() -> None:
    m = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).to(DEVICE)  # waits
    x = torch.randn(2, 4, 8, device=DEVICE)
    m(x).sum().backward()
    m.eval()
    with torch.no_grad():
        y = m(x)
    q = torch.randn(2, 2, 4, 4, device=DEVICE, requires_grad=True)
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()


def lstm() -> None:
    m = nn.LSTM(4, 6, 2, batch_first=True).to(DEVICE)  # waits
    o, (_h, _c) = m(torch.randn(2, 5, 4, device=DEVICE))
    o.sum().backward()
    g = nn.GRU(4, 6).to(DEVICE)  # waits
    g(torch.randn(5, 2, 4, device=DEVICE))[0].sum().backward()


def conv_bn() -> None:
    m = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(1),
    ).to(DEVICE)  # waits
    m(torch.randn(2, 3, 8, 8, device=DEVICE)).sum().backward()


def embedding_pack() -> None:
    e = nn.Embedding(10, 4).to(DEVICE)  # waits
    x = e(torch.randint(0, 10, (2, 5), device=DEVICE))
    p = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
    o, _n = nn.utils.rnn.pad_packed_sequence(p, batch_first=True)
    o.sum().backward()


def autocast_scaler() -> None:
    lin = nn.Linear(5, 3).to(DEVICE)  # waits
    opt = torch.optim.SGD(lin.parameters(), lr=0.1)
    sc = torch.amp.GradScaler("cuda")
    with torch.autocast("cuda", dtype=torch.float16):
        out = lin(torch.randn(2, 5, device=DEVICE))
        assert out.dtype == torch.float16
        loss = out.float().sum()
    sc.scale(loss).backward()
    sc.unscale_(opt)
    sc.step(opt)  # waits
    sc.update()
    assert sc.get_scale() > 0  # waits


def dataloader() -> None:
    ds = torch.utils.data.TensorDataset(torch.randn(8, 3), torch.arange(8))
    for x, y in torch.utils.data.DataLoader(ds, batch_size=4, pin_memory=True):
        assert x.is_pinned()
        x = x.to(DEVICE, non_blocking=True)
        y = y.to(DEVICE)  # waits


def state_dict_deepcopy() -> None:
    m = nn.Linear(3, 3).to(DEVICE)  # waits
    m2 = copy.deepcopy(m)
    assert m2.weight.is_cuda
    assert m2.weight.data_ptr() != m.weight.data_ptr()
    sd = {k: v.cpu() for k, v in m.state_dict().items()}  # waits
    m.load_state_dict(sd)  # waits


def cuda_graph() -> None:
    x = torch.ones(3, device=DEVICE)
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        y = x * 2
    x.fill_(5)
    g.replay()
    assert y.tolist() == [10.0, 10.0, 10.0]  # waits


def compile_() -> None:
    f = torch.compile(lambda x: x * 2)
    f(torch.ones(3, device=DEVICE))


def data_assign() -> None:
    p = nn.Parameter(torch.randn(3))
    p.data = p.data.cuda()  # waits
    assert p.is_cuda
    assert type(p) is nn.Parameter
    v = torch.zeros(3, device=DEVICE)
    v.resize_(5)
    v.set_(torch.ones(2, device=DEVICE))
    out = torch.empty(0, device=DEVICE)
    torch.add(torch.ones(3, device=DEVICE), 1, out=out)
    assert out.shape == (3,)


def inplace_views() -> None:
    x = torch.zeros(4, 4, device=DEVICE)
    y = x[1]
    y.add_(1)
    x.t()[0].mul_(3)
    x.view(-1)[5:7] = 9
    assert x.sum().item() == 22  # waits


def sort_topk() -> None:
    x = torch.randn(10, device=DEVICE)
    a = x.sort()
    b = x.topk(3)
    c = x.argsort()
    d = x.median()
    e = x.kthvalue(2)
    f = x.max(0)
    g = x.cumsum(0)


def isin_() -> None:
    x = torch.arange(10, device=DEVICE)
    a = torch.isin(x, torch.arange(3, device=DEVICE))
    b = torch.isin(x, torch.arange(100, device=DEVICE))  # waits


def grad_hooks_custom_fn() -> None:
    class Fn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            if g.abs().max() > 1e9:  # waits
                return g * 0
            return g * 2

    x = torch.ones(3, device=DEVICE, requires_grad=True)
    Fn.apply(x).sum().backward()


def threads() -> None:
    def work():
        y = torch.ones(3, device=DEVICE).sum().item()  # waits

    t = threading.Thread(target=work)
    t.start()
    t.join()


def vmap_func() -> None:
    x = torch.randn(4, 3, device=DEVICE)
    y = torch.vmap(lambda r: (r * 2).sum())(x)
    j = torch.func.grad(lambda r: (r**2).sum())(x[0])
    assert j.is_cuda
    assert y.shape == (4,)


def inference_mode() -> None:
    with torch.inference_mode():
        x = torch.randn(3, device=DEVICE)
        y = x.softmax(-1)
        z = y.argmax().item()  # waits


def linalg() -> None:
    a = torch.eye(3, device=DEVICE) * 2
    b = torch.linalg.inv(a)  # waits
    c = torch.linalg.solve(a, torch.ones(3, device=DEVICE))  # waits
    d = torch.linalg.cholesky(a)  # waits
    e = torch.linalg.norm(a)
    f = torch.linalg.vector_norm(a)
    g = torch.linalg.det(a)


def normal_std() -> None:
    m = torch.zeros(3, device=DEVICE)
    a = torch.normal(m, torch.ones(3, device=DEVICE))  # waits
    b = torch.distributions.Normal(m, 1.0, validate_args=False).sample()  # waits

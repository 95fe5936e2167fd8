"""Sites of subscripts, of calls with operands, and of loops over elements."""

from __future__ import annotations

from textwrap import dedent

import pytest

from synclint.flow.module import analyse
from synclint.source import Source

DEVICE = "x = torch.ones(4, 4, device='cuda')\nrow = x[0]\ni = torch.arange(4, device='cuda')\n"


def sites(code: str, torch: tuple[int, int] | None = None) -> list[str]:
    """The ids of the facts of the waits in the last statement, with their confidence where it is not certain."""
    source = Source.decode(("import torch\nimport numpy as np\n" + dedent(code)).encode(), "example.py")
    _, found = analyse(source, torch=torch)
    last = source.tree.body[-1]
    inside = [site for site in found if last.lineno <= site.node.lineno and site.fact.event != "host-cost"]
    return [
        site.fact.id + ("" if site.confidence.name == "CERTAIN" else f" {site.confidence.name.lower()}")
        for site in inside
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # What is read
        ("x[x[:, 0] > 0]", ["mask-read"]),
        ("x[~(x > 0)]", ["mask-read"]),
        ("x[:, row > 0]", ["mask-read"]),
        ("x[torch.isin(i, i) & (i > 0) | (i == 2)]", ["mask-read"]),
        ("x[(row > 0).view(2, 2).flatten()]", ["mask-read"]),
        ("x[row.to(torch.bool)]", ["mask-read"]),
        ("x[i]", []),
        ("x[i, i]", []),
        ("x[i.argsort()]", []),
        ("x[(i > 0).long()]", []),
        ("x[(i > 0).sum()]", ["tensor-as-number"]),
        ("x[1:, None, ..., 0]", []),
        ("x[[0, 1]]", ["host-positions-read"]),
        ("x[:, np.arange(2)]", ["host-positions-read likely"]),
        ("x[torch.arange(2)]", ["host-positions-read"]),
        ("x[torch.arange(2) > 0]", []),
        ("x[(slice(None), 0)]", []),
        ("where = (0, 1)\nx[where]", []),
        ("x[i[0]]", ["tensor-as-number"]),
        ("x[i[0] : i[1]]", ["tensor-as-number", "tensor-as-number"]),
        ("[1, 2, 3][i[0]]", ["tensor-as-number"]),
        ("torch.ones(4)[torch.arange(2)]", []),
        ("torch.ones(4)[i]", ["device-positions-of-host-tensor"]),
        # What is written
        ("row[0] = 1", ["element-assignment"]),
        ("x[0, 1] = 1", ["element-assignment"]),
        ("x[0] = 1", []),
        ("x[0, 1:] = 1", []),
        ("row[:1] = 1", []),
        ("row[0] = row[1]", []),
        ("row[0] += 1", []),
        ("x[i] = 1", ["assignment-of-host-number"]),
        ("x[i, 0] = 1.5", ["assignment-of-host-number"]),
        ("x[i] = x", []),
        ("x[i] += 1", []),
        ("x[x > 0] = 1", []),
        ("x[:, row > 0] = 1", []),
        ("x[row > 0, 0] = 1", []),
        ("x[i, row > 0] = 1", ["assignment-of-host-number", "mask-assignment"]),
        ("x[x > 0] = row", ["mask-assignment"]),
        ("x[x > 0] *= 2", ["mask-assignment"]),
        ("x[[0, 1]] = x", ["host-positions-assignment"]),
        ("x[1:] = torch.ones(3, 4)", ["blocking-h2d-copy-into"]),
        ("h = torch.empty(4, 4)\nh[1:] = x[1:]", ["blocking-d2h-copy-into"]),
    ],
)  # fmt: skip
def test_subscripts(code: str, expected: list[str]) -> None:
    assert sites(DEVICE + code) == expected


@pytest.mark.parametrize(("release", "expected"), [((2, 14), ["element-assignment"]), ((2, 15), [])])
def test_numbers_go_along_with_the_kernel_in_later_releases(release: tuple[int, int], expected: list[str]) -> None:
    assert sites(DEVICE + "row[0] = 1", release) == expected


@pytest.mark.parametrize(("release", "expected"), [((2, 8), ["host-mask-read"]), ((2, 9), [])])
def test_masks_of_the_host_do_not_wait_in_later_releases(release: tuple[int, int], expected: list[str]) -> None:
    assert sites(DEVICE + "x[torch.ones(4) > 0]", release) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x.cpu()", ["blocking-d2h-copy"]),
        ("x.to('cpu')", ["blocking-d2h-copy"]),
        ("x.cpu().numpy()", ["blocking-d2h-copy"]),
        ("x.cpu().tolist()", ["blocking-d2h-copy"]),
        ("x.type(torch.FloatTensor)", ["blocking-d2h-copy"]),
        ("x.type(torch.cuda.FloatTensor)", []),
        ("x.type(torch.float16)", []),
        ("x.numpy(force=True)", ["blocking-d2h-copy"]),
        ("x.to('cpu', non_blocking=True)", []),
        ("x.to(torch.float16)", []),
        ("x.tolist()", ["list-read"]),
        ("torch.empty(4).copy_(row)", ["blocking-d2h-copy-into"]),
        ("torch.empty(4).copy_(row, non_blocking=True)", ["pageable-d2h-copy-into"]),
        ("torch.empty(4, pin_memory=True).copy_(row, non_blocking=True)", []),
        ("torch.ones(4).to('cuda', non_blocking=True)", ["pageable-h2d-copy"]),
        ("torch.ones(4, pin_memory=True).to('cuda', non_blocking=True)", []),
        ("torch.ones(4, pin_memory=flag).to('cuda', non_blocking=True)", ["pageable-h2d-copy possible"]),
        ("(torch.ones(4, pin_memory=True) + 1).to('cuda', non_blocking=True)", ["pageable-h2d-copy"]),
        ("torch.cat([torch.ones(4, pin_memory=True)] * 2).to('cuda', non_blocking=True)", ["pageable-h2d-copy"]),
        ("torch.ones(4, pin_memory=True)[[0, 1]].to('cuda', non_blocking=True)", ["pageable-h2d-copy"]),
        ("torch.ones(4, 4, pin_memory=True)[:2].to('cuda', non_blocking=True)", []),
        ("torch.ones(4, 4, pin_memory=True)[0].to('cuda', non_blocking=True)", []),
        ("torch.ones(4, 4, pin_memory=True)[:, :2].to('cuda', non_blocking=True)", ["strided-h2d-copy"]),
        ("torch.from_numpy(np.arange(4)).to('cuda', non_blocking=True)", ["pageable-h2d-copy"]),
    ],
)  # fmt: skip
def test_copies(code: str, expected: list[str]) -> None:
    assert sites(DEVICE + code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x.nonzero()", ["nonzero-size"]),
        ("torch.argwhere(x)", ["nonzero-size"]),
        ("torch.where(x > 0)", ["nonzero-size"]),
        ("torch.where(x > 0, x, 0)", []),
        ("torch.nonzero_static(x, size=3)", []),
        ("torch.masked_select(x, x > 0)", ["masked-select-size"]),
        ("torch.bincount(i, minlength=3)", ["bincount-size"]),
        ("row.histc(4)", ["histc-range"]),
        ("row.histc(4, min=0, max=1)", []),
        ("torch.repeat_interleave(row, i)", ["repeat-interleave-size"]),
        ("row.repeat_interleave(repeats=i)", ["repeat-interleave-size"]),
        ("torch.repeat_interleave(i)", ["repeat-interleave-size"]),
        ("torch.repeat_interleave(row, i, output_size=6)", []),
        ("row.repeat_interleave(2)", []),
        ("torch.equal(x, x)", ["equal"]),
        ("x.allclose(x)", ["allclose"]),
        ("torch.linalg.inv(x)", ["linalg-check"]),
        ("torch.linalg.inv_ex(x)", []),
        ("torch.cuda.synchronize()", ["device-synchronize"]),
        ("torch.cuda.current_stream().synchronize()", ["stream-synchronize"]),
        ("e = torch.cuda.Event()\ne.synchronize()", ["event-synchronize"]),
        ("copy_event.synchronize()", ["event-synchronize likely"]),
        ("self.streams[0].synchronize()", ["stream-synchronize likely"]),
        ("database.synchronize()", []),
        ("def f(s: torch.cuda.Stream):\n    s.synchronize()", ["stream-synchronize"]),
        ("torch.cuda.current_stream().wait_stream(torch.cuda.Stream())", []),
        ("torch.cuda.empty_cache()", ["empty-cache"]),
    ],
)
def test_calls(code: str, expected: list[str]) -> None:
    assert sites(DEVICE + code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("torch.zeros(i.max())", ["tensor-as-number"]),
        ("torch.zeros((i.max(), 2))", ["tensor-as-number"]),
        ("torch.zeros(size=(2, i.max()))", ["tensor-as-number"]),
        ("torch.arange(0, 1, 1 / i.sum())", ["tensor-as-number"]),
        ("x.view(i.max(), -1)", ["tensor-as-number"]),
        ("x.view(torch.int32)", []),
        ("x.repeat(i[0], 1)", ["tensor-as-number"]),
        ("torch.split(x, i[0])", ["tensor-as-number"]),
        ("[0] * i.sum()", ["tensor-as-number"]),
        ("range(i.max())", ["tensor-as-number"]),
        ("torch.Size(i)", ["tensor-elements"]),
        ("max(i)", ["tensor-elements"]),
        ("max(i.max(), 3)", ["tensor-elements"]),
        ("max(len(i), 3)", []),
        ("any(v > 0 for v in i)", ["tensor-elements"]),
        ("sum(i)", []),
        ("2 in i", ["tensor-elements"]),
        ("i.max() in [1, 2]", ["tensor-elements"]),
        ("for v in x:\n    y = v * 2", []),
        ("for v in i:\n    range(v)", ["tensor-elements", "tensor-as-number"]),
        ("for h, w in x.long():\n    torch.zeros(h, w)", ["tensor-elements", *["tensor-as-number"] * 2]),
        ("for h, w in x.long():\n    if h > 1:\n        pass", ["tensor-elements", "truth-value"]),
        ("[torch.zeros(n) for n in i.unbind()]", ["tensor-as-number", "tensor-elements"]),
    ],
)
def test_numbers_and_elements(code: str, expected: list[str]) -> None:
    assert sorted(sites(DEVICE + code)) == sorted(expected)


MODEL = """
class Model(torch.nn.Module):
    def forward(self, x, meta):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Masks and positions by their names
        ("x[attention_mask]", ["mask-read likely"]),
        ("x[~meta.is_padding]", ["mask-read likely"]),
        ("x[valid_mask[0].flatten()]", ["mask-read likely"]),
        ("x[mask_ids]", []),
        ("x[mask.sum(-1)]", []),
        ("x[whatever]", []),
        ("x[whatever] = 0", []),
        ("x[x.argsort()] = 0", ["assignment-of-host-number likely"]),
        ("meta.scores[x.argsort()] = 0", ["assignment-of-host-number likely"]),
        # A mask on the device speaks for what it masks
        ("meta.table[x > 0]", ["mask-read likely"]),
        # What is sent to the host, and names of the GPU
        ("meta.lengths.cpu()", ["blocking-d2h-copy likely"]),
        ("meta.model.cpu()", ["blocking-d2h-copy possible"]),
        ("meta.ends_gpu.tolist()", ["list-read likely"]),
        ("meta.num_gpu.tolist()", ["list-read possible"]),
        ("meta.cu_seqlens_gpu[0] = 0", ["element-assignment likely"]),
        # Where one is on the CPU, others are
        ("if x.device.type == 'cpu':\n            mask_x = x.tolist()", []),
        ("if meta.y.is_cuda:\n            pass\n        else:\n            x.tolist()", ["list-read possible"]),
        # Slices by another name
        ("mask_slice = slice(0, 1)\n        return x[:, mask_slice]", []),
        ("mask_slice = slice(0, 1) if meta.first else slice(1, None)\n        return x[:, mask_slice, :]", []),
        ("mask_slice = meta.slice\n        return x[:, mask_slice]", ["mask-read likely"]),
        ("rows = slice(0, x.max())", ["tensor-as-number likely"]),
        # A list is as surely one of tensors on the device as these are
        ("torch.tensor([[x.sum()]], device='cuda')", ["tensor-from-device-scalars likely"]),
        # A message that is only made when all is over
        ("raise ValueError(f'{x.tolist()}')", []),
    ],
)
def test_model_code(body: str, expected: list[str]) -> None:
    assert sites(MODEL.format(body=body)) == expected


@pytest.mark.parametrize("name", ["CPUModel", "CpuModel"])
def test_code_for_the_cpu_does_not_wait(name: str) -> None:
    code = MODEL.format(body="return x.tolist()").replace("Model(", f"{name}(")
    assert sites(code.replace("self, x,", "self, x: torch.Tensor,")) == []

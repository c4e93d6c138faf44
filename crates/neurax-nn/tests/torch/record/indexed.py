"""Records layers that read or write at computed positions, and the adaptive softmax: unpooling,
fractional pools and deformable convolutions. See common.py.

The inputs of a case are the tensors of the layer, then its parameters in alphabetical order of
their paths.
"""

import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

from common import Cases

cases = Cases("indexed")
add = cases.add_function
SPACE = {1: (7,), 2: (5, 4), 3: (3, 4, 3)}


for d in (1, 2, 3):
    pool = [F.max_pool1d, F.max_pool2d, F.max_pool3d][d - 1]
    unpool = [F.max_unpool1d, F.max_unpool2d, F.max_unpool3d][d - 1]
    x = torch.randn(2, 2, *SPACE[d])
    for name, options in [
        ("plain", dict(kernel_size=2)),
        ("strided", dict(kernel_size=3, stride=2, padding=1)),
        ("ceil", dict(kernel_size=2, stride=2, padding=1, ceil_mode=True)),
        ("dilated", dict(kernel_size=2, stride=1, dilation=2)),
    ]:
        case = f"max_pool{d}_{name}"
        indices = pool(x, return_indices=True, **options)[1]
        add(case, lambda x, options=options: pool(x, **options), x)
        cases.tensors[f"{case}/indices"] = indices.numpy()
    y, indices = pool(torch.randn(2, 2, *[6, 4, 2][:d]), 2, return_indices=True)
    y = torch.randn_like(y)
    add(f"max_unpool{d}_plain", lambda y: unpool(y, indices, 2), y)
    cases.tensors[f"max_unpool{d}_plain/indices"] = indices.numpy()
    # The sizes of the input of the pool, and windows that leave out elements.
    size = dict(kernel_size=2, stride=3, padding=0)
    x = torch.randn(1, 3, *[n + 3 for n in SPACE[d]])
    y, indices = pool(x, return_indices=True, **size)
    add(f"max_unpool{d}_space", lambda y: unpool(y, indices, output_size=x.shape, **size), y)
    cases.tensors[f"max_unpool{d}_space/indices"] = indices.numpy()
    cases.tensors[f"max_unpool{d}_space/space"] = torch.tensor(x.shape[2:]).numpy()

for name, d, taps, output, space in [
    ("fractional2", 2, (2, 2), (4, 3), (9, 7)),
    ("fractional2_windows", 2, (3, 1), (5, 6), (11, 7)),
    ("fractional2_one", 2, (2, 2), (1, 2), (4, 5)),
    ("fractional3", 3, (2, 1, 2), (3, 4, 2), (6, 7, 5)),
]:
    pool = [F.fractional_max_pool2d, F.fractional_max_pool3d][d - 2]
    x, samples = torch.randn(2, 3, *space), torch.rand(2, 3, d)
    add(name, lambda x: pool(x, taps, output_size=output, _random_samples=samples), x)
    # PyTorch's samples of two axes begin with that of the last one, those of three with the first.
    in_order = samples.flip(-1) if d == 2 else samples
    cases.tensors[f"{name}/samples"] = in_order.contiguous().numpy()


def deform(name, channels, filters, taps, space, parts=1, groups=1, masked=False, **options):
    """Adds a case of a deformable convolution with `parts` groups of offsets."""
    kernel = torch.randn(filters, channels // groups, *taps) / 2
    x, bias = torch.randn(2, channels, *space), torch.randn(filters)
    windows = F.conv2d(x[:, :1], torch.ones(1, 1, *taps), **options).shape[2:]
    count = parts * taps[0] * taps[1]
    offsets = 1.5 * torch.randn(2, 2 * count, *windows)
    inputs = [x, offsets] + ([torch.rand(2, count, *windows)] if masked else [])

    def f(*xs):
        mask = xs[2] if masked else None
        return deform_conv2d(xs[0], xs[1], xs[-1], xs[-2], mask=mask, **options)

    add(name, f, *inputs, bias, kernel)


deform("deform_conv", 3, 4, (3, 3), (6, 5))
deform("deform_conv_options", 4, 2, (2, 3), (7, 6), stride=(2, 1), padding=(1, 2), dilation=(2, 1))
deform("deform_conv_groups", 4, 6, (2, 2), (5, 4), parts=2, groups=2, padding=1)
deform("deform_conv_parts", 6, 2, (3, 1), (5, 4), parts=3)
deform("deform_conv_masked", 4, 4, (3, 3), (5, 6), parts=2, masked=True, padding=1, stride=2)


def adaptive(name, features, classes, cutoffs, rows, **options):
    """Adds the cases of all log-probabilities, and of those of targets."""
    module = torch.nn.AdaptiveLogSoftmaxWithLoss(features, classes, cutoffs, **options)
    paths = [path for path, _ in module.named_parameters()]
    # `head.bias` comes before `head.kernel`.
    paths.sort(key=lambda path: path.replace("weight", "kernel"))
    params = [dict(module.named_parameters())[path].detach() for path in paths]
    params = [p if p.ndim == 1 else p.T.contiguous() for p in params]

    def with_params(method, xs, params):
        named = {path: p if p.ndim == 1 else p.T for path, p in zip(paths, params)}
        with torch.nn.utils.stateless._reparametrize_module(module, named):
            return method(*xs)

    x, targets = torch.randn(rows, features), torch.randint(classes, (rows,))
    add(name, lambda x, *ps: with_params(module.log_prob, [x], ps), x, *params)
    of = lambda x, *ps: with_params(lambda x: module(x, targets).output, [x], ps)
    add(f"{name}_targets", of, x, *params)
    cases.tensors[f"{name}_targets/targets"] = targets.numpy()


adaptive("adaptive_softmax", 8, 10, [4, 7], 9, div_value=2.0)
adaptive("adaptive_softmax_bias", 16, 12, [3, 5, 6], 7, head_bias=True, div_value=2.5)
adaptive("adaptive_softmax_one", 5, 6, [2], 4)
cases.save()

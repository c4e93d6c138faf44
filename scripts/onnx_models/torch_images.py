"""Convolutional networks and networks of images: torchvision without weights, and a U-Net."""

import torch
import torchvision
from torch import nn
from torchvision import models

from torch_export import export, settle

IMAGES = {"x": {0: "batch"}}
SIZED = {"x": {0: "batch", 2: "height", 3: "width"}}


def classifier(build, size=64, seed=1, **options):
    """Returns the maker of a classifier of images, exported for any batch."""

    def make(path):
        torch.manual_seed(seed)
        net = settle(build(), torch.randn(4, 3, size, size))
        examples = [(torch.randn(n, 3, size, size),) for n in (2, 1, 3)]
        return export(net, path, ["x"], examples, axes=IMAGES, **options)

    return make


def of_any_size(build, sizes, seed=1, **options):
    """Returns the maker of a network of images of any size; `sizes` are (batch, height, width)."""

    def make(path):
        torch.manual_seed(seed)
        net = settle(build(), torch.randn(4, 3, 64, 64))
        examples = [(torch.randn(n, 3, h, w),) for n, h, w in sizes]
        return export(net, path, ["x"], examples, axes=SIZED, **options)

    return make


class UNet(nn.Module):
    """Two steps down with strides, two up with transposed convolutions, and skips between them."""

    def __init__(self, upsamples=False):
        super().__init__()
        self.upsamples = upsamples
        self.first, self.second, self.third = block(3, 8), block(8, 16), block(16, 32)
        self.up1 = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.up2 = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.grow = nn.ModuleList([nn.Conv2d(32, 16, 1), nn.Conv2d(16, 8, 1)])
        self.fourth, self.fifth = block(32, 16), block(16, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def larger(self, x, like, i):
        if self.upsamples:
            size = like.shape[2:]
            x = self.grow[i](x)
            return nn.functional.interpolate(x, size, mode="bilinear", align_corners=bool(i))
        return [self.up1, self.up2][i](x)

    def forward(self, x):
        a = self.first(x)
        b = self.second(nn.functional.max_pool2d(a, 2))
        c = self.third(nn.functional.max_pool2d(b, 2))
        d = self.fourth(torch.cat([self.larger(c, b, 0), b], 1))
        e = self.fifth(torch.cat([self.larger(d, a, 1), a], 1))
        return self.out(e).softmax(1)


def block(inputs, outputs):
    """Returns two convolutions, each with batch normalization."""
    layers = []
    for n in (inputs, outputs):
        layers += [nn.Conv2d(n, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


class DetectionHead(nn.Module):
    """Boxes and scores of anchors, the best of which are kept by non-maximum suppression."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(3, 8), nn.MaxPool2d(2), block(8, 16), nn.MaxPool2d(2))
        self.boxes, self.scores = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 1, 1)

    def forward(self, x):
        features = self.body(x)
        height, width = features.shape[2:]
        rows = torch.arange(height, device=x.device).view(-1, 1).expand(height, width)
        columns = torch.arange(width, device=x.device).view(1, -1).expand(height, width)
        centers = torch.stack([columns, rows], -1).reshape(-1, 2) * 4.0 + 2.0
        deltas = self.boxes(features)[0].flatten(1).t()
        scores = self.scores(features)[0].flatten().sigmoid()
        centers = centers + deltas[:, :2]
        half = deltas[:, 2:].clamp(max=2.0).exp() * 4.0
        boxes = torch.cat([centers - half, centers + half], 1)
        kept = torchvision.ops.nms(boxes, scores, 0.3)
        return boxes[kept], scores[kept]


class RoiHead(nn.Module):
    """The features of given boxes, as in the second stage of a detector."""

    def __init__(self):
        super().__init__()
        self.body, self.out = block(3, 8), nn.Linear(8 * 9, 5)

    def forward(self, x, boxes):
        rois = torchvision.ops.roi_align(self.body(x), boxes, 3, 0.5, 2, aligned=True)
        return self.out(rois.flatten(1))


def detection_head(path):
    torch.manual_seed(21)
    net = settle(DetectionHead(), torch.randn(1, 3, 64, 64))
    examples = [(torch.randn(1, 3, h, w),) for h, w in ((64, 64), (32, 48))]
    return export(net, path, ["x"], examples, outputs=["boxes", "scores"],
                  axes={"x": {2: "height", 3: "width"}})


def roi_head(path):
    torch.manual_seed(22)
    net = settle(RoiHead(), torch.randn(2, 3, 32, 32), torch.tensor([[0, 1.0, 1.0, 9.0, 9.0]]))

    def example(count):
        corner = torch.rand(count, 2) * 20
        index = torch.randint(0, 2, (count, 1)).float()
        boxes = torch.cat([index, corner, corner + 4 + torch.rand(count, 2) * 20], 1)
        return torch.randn(2, 3, 32, 32), boxes

    axes = {"x": {0: "batch"}, "boxes": {0: "boxes"}}
    return export(net, path, ["x", "boxes"], [example(4), example(7)], axes=axes)


class FirstOf(nn.Module):
    """The entry `out` of a segmentation network's results."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def segmentation():
    return FirstOf(models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=4))


def vit():
    return models.VisionTransformer(64, 16, 4, 4, 64, 128, num_classes=10)


def swin():
    return models.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10)


def swin_v2():
    return models.SwinTransformer(
        [4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10,
        block=models.swin_transformer.SwinTransformerBlockV2,
        downsample_layer=models.swin_transformer.PatchMergingV2)


SIZES = [(2, 64, 64), (1, 32, 96), (3, 64, 32)]
SSD = models.detection.ssdlite320_mobilenet_v3_large


class Detector(nn.Module):
    """A detector of torchvision for one image, with its results in a tuple."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        found = self.net([x[0]])[0]
        return found["boxes"], found["scores"], found["labels"]


def detector(build, size, seed):
    """Returns the maker of a detector of torchvision."""

    def make(path):
        torch.manual_seed(seed)
        net = build()
        settle(net.backbone, torch.randn(4, 3, size, size))
        examples = [(torch.rand(1, 3, size, size),) for _ in range(2)]
        return export(Detector(net.eval()), path, ["x"], examples,
                      outputs=["boxes", "scores", "labels"])

    return make


def ssd():
    return SSD(weights=None, weights_backbone=None, num_classes=5, detections_per_img=20,
               score_thresh=0.05)


def faster_rcnn():
    return models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=5, box_score_thresh=0.05,
        rpn_pre_nms_top_n_test=50, rpn_post_nms_top_n_test=20, box_detections_per_img=10,
        min_size=96, max_size=128)


MAKERS = [
    ("resnet18", classifier(lambda: models.resnet18(num_classes=10))),
    ("resnet18_dynamo", classifier(lambda: models.resnet18(num_classes=10), dynamo=True, opset=18)),
    ("resnet50_opset11", classifier(lambda: models.resnet50(num_classes=10), opset=11)),
    ("mobilenet_v2", classifier(lambda: models.mobilenet_v2(num_classes=10), opset=13)),
    ("mobilenet_v3_dynamo",
     classifier(lambda: models.mobilenet_v3_small(num_classes=10), dynamo=True, opset=20)),
    ("squeezenet", of_any_size(lambda: models.squeezenet1_1(num_classes=10), SIZES, opset=12)),
    ("efficientnet_b0", classifier(lambda: models.efficientnet_b0(num_classes=10), opset=14)),
    ("efficientnet_dynamo",
     classifier(lambda: models.efficientnet_b0(num_classes=10), dynamo=True, opset=23)),
    ("densenet121", classifier(lambda: models.densenet121(num_classes=10), opset=15)),
    ("shufflenet", classifier(lambda: models.shufflenet_v2_x0_5(num_classes=10), opset=16)),
    ("shufflenet_dynamo",
     classifier(lambda: models.shufflenet_v2_x0_5(num_classes=10), dynamo=True, opset=18)),
    ("mnasnet_unfolded", classifier(lambda: models.mnasnet0_5(num_classes=10), preserve=True)),
    ("regnet", of_any_size(lambda: models.regnet_y_400mf(num_classes=10), SIZES)),
    ("googlenet", classifier(lambda: models.googlenet(
        num_classes=10, aux_logits=False, init_weights=False), size=96)),
    ("convnext_dynamo", classifier(
        lambda: models.convnext.ConvNeXt([
            models.convnext.CNBlockConfig(16, 32, 2), models.convnext.CNBlockConfig(32, None, 2),
        ], num_classes=10), dynamo=True, opset=21)),
    ("vit", classifier(vit)),
    ("vit_dynamo", classifier(vit, dynamo=True, opset=23)),
    ("swin", classifier(swin, opset=18)),
    ("swin_v2_dynamo", classifier(swin_v2, dynamo=True, opset=18)),
    ("unet", of_any_size(UNet, SIZES)),
    ("unet_resize", of_any_size(lambda: UNet(upsamples=True), [(2, 64, 64), (1, 37, 51)])),
    ("unet_resize_dynamo", of_any_size(
        lambda: UNet(upsamples=True), [(2, 64, 64), (1, 37, 51)], dynamo=True, opset=19)),
    ("lraspp", of_any_size(segmentation, SIZES)),
    ("detection_head", detection_head),
    ("roi_head", roi_head),
    ("ssdlite", detector(ssd, 160, 23)),
    ("faster_rcnn", detector(faster_rcnn, 96, 24)),
]

"""Models of Keras, exported by `tf2onnx` and by `Model.export`.

TensorFlow has images with their channels last, so that exported models transpose between
convolutions, and are full of computed shapes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras import applications, layers

from common import Data, randoms


def spread(model, seed):
    """Gives batch normalization the statistics of a trained network, and biases values."""
    random = randoms(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            n = layer.moving_mean.shape
            scale, shift = random.uniform(0.5, 1.5, n), random.normal(0, 0.2, n)
            mean, variance = random.normal(0, 0.2, n), random.uniform(0.5, 1.5, n)
            layer.set_weights([scale, shift, mean, variance][-len(layer.get_weights()):])
        elif getattr(layer, "bias", None) is not None and hasattr(layer.bias, "assign"):
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    return model


def exported(build, examples, opset, by_keras=False):
    """Returns the maker of a model of one input. `examples` are shapes, or arrays."""

    def make(path):
        keras.utils.set_random_seed(71)
        random = randoms(72)
        xs = [x if isinstance(x, np.ndarray) else random.normal(size=x).astype(np.float32)
              for x in examples]
        model = spread(build(), 73)
        if by_keras:
            model(xs[0])  # It has to have been called.
            model.export(str(path), format="onnx", verbose=False, opset_version=opset)
            name = onnx.load(path).graph.input[0].name
        else:
            name = "x"
            shape = [None, *model.inputs[0].shape[1:]]
            spec = [tf.TensorSpec(shape, xs[0].dtype, name=name)]
            function = tf.function(lambda x: model(x, training=False), input_signature=spec)
            tf2onnx.convert.from_function(function, spec, opset=opset, output_path=str(path))
        return Data([({name: x}, results(model, x)) for x in xs])

    return make


def results(model, x):
    """Returns the outputs of a model as arrays."""
    y = model(x, training=False)
    return [np.asarray(part) for part in (y if isinstance(y, (list, tuple)) else [y])]


def mlp():
    return keras.Sequential([
        layers.Input([20]), layers.Dense(32, "relu"), layers.BatchNormalization(),
        layers.Dropout(0.5), layers.Dense(16, "selu"), layers.Dense(5, "softmax"),
    ])


def convolutions():
    return keras.Sequential([
        layers.Input([28, 28, 1]), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(),
        layers.SeparableConv2D(16, 3, padding="same"), layers.BatchNormalization(),
        layers.LeakyReLU(), layers.AveragePooling2D(2, padding="same"),
        layers.DepthwiseConv2D(3, 2, padding="same"), layers.PReLU(shared_axes=[1, 2]),
        layers.GlobalAveragePooling2D(), layers.Dense(10),
    ])


def autoencoder():
    return keras.Sequential([
        layers.Input([16, 16, 3]), layers.Conv2D(8, 3, 2, "same", activation="relu"),
        layers.Conv2D(12, 3, dilation_rate=2, padding="same"), layers.LayerNormalization(),
        layers.Conv2DTranspose(8, 3, 2, "same", activation="elu"),
        layers.UpSampling2D(2, interpolation="bilinear"), layers.ZeroPadding2D(((1, 0), (0, 2))),
        layers.Cropping2D(1), layers.Conv2D(3, 1, activation="sigmoid"),
    ])


def recurrent(cell, **options):
    def build():
        x = layers.Input([None, 6])
        y = layers.Bidirectional(cell(8, return_sequences=True, **options))(x)
        y = cell(10)(y)
        return keras.Model(x, layers.Dense(3)(y))

    return build


def tagger():
    """Embedded tokens, of which zeros are masked, and a score of each."""
    x = layers.Input([None], dtype="int32")
    y = layers.Embedding(40, 8, mask_zero=True)(x)
    y = layers.LSTM(8, return_sequences=True)(y)
    return keras.Model(x, layers.Dense(4, "softmax")(y))


def temporal():
    """Dilated causal convolutions over time."""
    x = layers.Input([None, 5])
    y = x
    for rate in (1, 2, 4):
        z = layers.Conv1D(8, 3, padding="causal", dilation_rate=rate, activation="swish")(y)
        y = layers.Add()([layers.Conv1D(8, 1)(y), z])
    return keras.Model(x, layers.GlobalMaxPooling1D()(y))


def smooth(x):
    """An activation whose exact form `tf2onnx` does not know."""
    return keras.activations.gelu(x, approximate=True)


def transformer():
    x = layers.Input([None], dtype="int32")
    y = layers.Embedding(40, 16)(x)
    z = layers.MultiHeadAttention(2, 8)(y, y, use_causal_mask=True)
    y = layers.LayerNormalization()(y + z)
    z = layers.Dense(16)(layers.Dense(32, smooth)(y))
    return keras.Model(x, layers.Dense(40)(layers.LayerNormalization()(y + z)))


def residual():
    x = layers.Input([16, 16, 3])
    y = layers.Conv2D(8, 3, padding="same")(x)
    z = layers.GroupNormalization(4)(layers.Conv2D(8, 3, padding="same")(y))
    gate = layers.Dense(8, "hard_sigmoid")(layers.GlobalMaxPooling2D(keepdims=True)(z))
    y = layers.Concatenate()([layers.Multiply()([z, gate]), y])
    y = layers.Permute((3, 1, 2))(y)
    return keras.Model(x, [layers.Flatten()(y), layers.Reshape((-1, 32))(y)])


def mobile_net():
    return applications.MobileNetV2([64, 64, 3], alpha=0.35, weights=None, classes=10)


def efficient_net():
    return applications.EfficientNetV2B0(
        weights=None, input_shape=(64, 64, 3), classes=10, include_preprocessing=False)


def dense_net():
    return applications.DenseNet121(weights=None, input_shape=(64, 64, 3), classes=10)


def tokens(*shape):
    return randoms(74).integers(1, 40, size=shape).astype(np.int32)


PADDED = tokens(3, 7)
PADDED[0, 4:] = 0
PADDED[2, 1:] = 0

MAKERS = [
    ("keras_mlp", exported(mlp, [(4, 20), (1, 20)], 13)),
    ("keras_mlp_export", exported(mlp, [(4, 20), (1, 20)], 18, by_keras=True)),
    ("keras_convolutions", exported(convolutions, [(2, 28, 28, 1), (1, 28, 28, 1)], 15)),
    ("keras_convolutions_export", exported(
        convolutions, [(2, 28, 28, 1), (1, 28, 28, 1)], 17, by_keras=True)),
    ("keras_autoencoder", exported(autoencoder, [(2, 16, 16, 3), (1, 16, 16, 3)], 16)),
    ("keras_residual", exported(residual, [(2, 16, 16, 3), (3, 16, 16, 3)], 17)),
    ("keras_lstm", exported(recurrent(layers.LSTM), [(2, 5, 6), (1, 9, 6)], 14)),
    ("keras_gru", exported(recurrent(layers.GRU), [(2, 5, 6), (1, 9, 6)], 18)),
    ("keras_rnn", exported(recurrent(layers.SimpleRNN), [(2, 5, 6), (1, 3, 6)], 12)),
    ("keras_tagger", exported(tagger, [PADDED, tokens(1, 4)], 17)),
    ("keras_temporal", exported(temporal, [(2, 12, 5), (1, 30, 5)], 13)),
    ("keras_transformer", exported(transformer, [tokens(2, 6), tokens(3, 9)], 18)),
    ("keras_transformer_export", exported(
        transformer, [tokens(2, 6), tokens(3, 9)], 18, by_keras=True)),
    ("keras_mobilenet", exported(mobile_net, [(2, 64, 64, 3), (1, 64, 64, 3)], 11)),
    ("keras_efficientnet", exported(efficient_net, [(2, 64, 64, 3), (1, 64, 64, 3)], 18)),
    ("keras_densenet", exported(dense_net, [(1, 64, 64, 3), (2, 64, 64, 3)], 15)),
]

//! Layers, losses, metrics, optimizers, initializers and models.

//! What users hold: Tensor, Tree, jit, grad, vmap, and the NumPy-like functions.

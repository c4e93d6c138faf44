//! Tensors with composable transforms, a compiler, and neural networks in one pure-Rust workspace.

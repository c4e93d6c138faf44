//! A line of two inputs, on which tests of the loop train, and the model that learns it.

use neurax::prelude::*;

/// Returns `n` examples of y = 2 x₀ - x₁ + 1.
pub fn line(n: usize) -> Dataset {
    let x = key(42).uniform([n, 2]);
    let y = x.matmul(tensor([[2.0], [-1.0]])) + 1.0;
    Dataset::new(x, y).unwrap()
}

/// Returns a dense layer, which has one output.
pub fn model() -> Node {
    nn::input("x", dims![_, 2]).dense(1)
}

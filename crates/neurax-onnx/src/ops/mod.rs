//! The rules of all operators: one file for each family, with the table of its operators.

mod activations;
mod arithmetic;
mod axes;
mod cast;
mod constants;
mod contrib_quantized;
mod control;
mod elementwise;
mod gradient;
mod logic;
mod matmul;
mod packed_weights;
mod quantize;
mod quantized_products;
mod reduce;
mod sequences;
mod shapes;
mod windows;

use crate::operator::Operator;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Operator]] = &[
    activations::OPERATORS,
    arithmetic::OPERATORS,
    cast::OPERATORS,
    constants::OPERATORS,
    contrib_quantized::OPERATORS,
    control::OPERATORS,
    elementwise::OPERATORS,
    gradient::OPERATORS,
    logic::OPERATORS,
    matmul::OPERATORS,
    packed_weights::OPERATORS,
    quantize::OPERATORS,
    quantized_products::OPERATORS,
    reduce::OPERATORS,
    sequences::OPERATORS,
    shapes::OPERATORS,
];

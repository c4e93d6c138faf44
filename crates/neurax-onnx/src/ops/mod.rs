//! The rules of all operators: one file for each family, with the table of its operators.

mod activations;
mod arithmetic;
mod axes;
mod cast;
mod causal_conv;
mod constants;
mod contrib_images;
mod contrib_quantized;
mod control;
mod conv;
mod deform_conv;
mod elementwise;
mod gradient;
mod grid;
mod image_decoder;
mod logic;
mod matmul;
mod packed_weights;
mod pool;
mod quantize;
mod quantized_products;
mod reduce;
mod regions;
mod resize;
mod resize_weights;
mod sampling;
mod sequences;
mod shapes;
mod signals;
mod windows;

use crate::operator::Operator;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Operator]] = &[
    activations::OPERATORS,
    arithmetic::OPERATORS,
    cast::OPERATORS,
    causal_conv::OPERATORS,
    constants::OPERATORS,
    contrib_images::OPERATORS,
    contrib_quantized::OPERATORS,
    control::OPERATORS,
    conv::OPERATORS,
    deform_conv::OPERATORS,
    elementwise::OPERATORS,
    gradient::OPERATORS,
    grid::OPERATORS,
    image_decoder::OPERATORS,
    logic::OPERATORS,
    matmul::OPERATORS,
    packed_weights::OPERATORS,
    pool::OPERATORS,
    quantize::OPERATORS,
    quantized_products::OPERATORS,
    reduce::OPERATORS,
    regions::OPERATORS,
    resize::OPERATORS,
    sequences::OPERATORS,
    shapes::OPERATORS,
    signals::OPERATORS,
];

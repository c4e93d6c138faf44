//! The rules of all operators: one file for each family, with the table of its operators.

mod activation_names;
mod activations;
mod arithmetic;
mod attending;
mod attention;
mod axes;
mod cast;
mod causal_conv;
mod constants;
mod contrib_attention;
mod contrib_images;
mod contrib_quantized;
mod control;
mod conv;
mod deform_conv;
mod dropout;
mod elementwise;
mod gather;
mod gradient;
mod grid;
mod grouped_attention;
mod image_decoder;
mod linear_attention;
mod logic;
mod losses;
mod matmul;
mod mixtures;
mod ml;
mod ngrams;
mod normalization;
mod packed_attention;
mod packed_weights;
mod padding;
mod pool;
mod position_bias;
mod quantize;
mod quantized_products;
mod random;
mod recurrent;
mod recurrent_cells;
mod reduce;
mod refusals;
mod regions;
mod resize;
mod resize_weights;
mod rotary;
mod sampling;
mod scan;
mod scatter;
mod selections;
mod sequences;
mod shapes;
mod signals;
mod text;
mod tokenizer;
mod traced_body;
mod training;
mod windows;

use crate::operator::Operator;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Operator]] = &[
    activations::OPERATORS,
    arithmetic::OPERATORS,
    attention::OPERATORS,
    cast::OPERATORS,
    causal_conv::OPERATORS,
    constants::OPERATORS,
    contrib_attention::OPERATORS,
    contrib_images::OPERATORS,
    contrib_quantized::OPERATORS,
    control::OPERATORS,
    conv::OPERATORS,
    deform_conv::OPERATORS,
    dropout::OPERATORS,
    elementwise::OPERATORS,
    gather::OPERATORS,
    gradient::OPERATORS,
    grid::OPERATORS,
    grouped_attention::OPERATORS,
    image_decoder::OPERATORS,
    linear_attention::OPERATORS,
    logic::OPERATORS,
    losses::OPERATORS,
    matmul::OPERATORS,
    mixtures::OPERATORS,
    ngrams::OPERATORS,
    normalization::OPERATORS,
    packed_attention::OPERATORS,
    packed_weights::OPERATORS,
    padding::OPERATORS,
    pool::OPERATORS,
    position_bias::OPERATORS,
    quantize::OPERATORS,
    quantized_products::OPERATORS,
    random::OPERATORS,
    recurrent::OPERATORS,
    reduce::OPERATORS,
    refusals::OPERATORS,
    regions::OPERATORS,
    resize::OPERATORS,
    rotary::OPERATORS,
    scan::OPERATORS,
    scatter::OPERATORS,
    selections::OPERATORS,
    sequences::OPERATORS,
    shapes::OPERATORS,
    signals::OPERATORS,
    text::OPERATORS,
    tokenizer::OPERATORS,
    training::OPERATORS,
    ml::encoders::OPERATORS,
    ml::features::OPERATORS,
    ml::linear::OPERATORS,
    ml::maps::OPERATORS,
    ml::svm::OPERATORS,
    ml::trees::OPERATORS,
];

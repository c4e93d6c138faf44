//! The rules of all operators: one file for each family, with the table of its operators.

mod arithmetic;
mod axes;
mod constants;
mod control;
mod elementwise;
mod gradient;
mod logic;
mod sequences;
mod shapes;

use crate::operator::Operator;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Operator]] = &[
    arithmetic::OPERATORS,
    constants::OPERATORS,
    control::OPERATORS,
    elementwise::OPERATORS,
    gradient::OPERATORS,
    logic::OPERATORS,
    sequences::OPERATORS,
    shapes::OPERATORS,
];

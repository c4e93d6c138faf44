//! Derivatives of the functions in `docs/functions.md`: of first and second order against
//! differences, and at points where a formula that is right for values has a wrong derivative.

mod classes;
mod gradients;
mod law;
mod orders;
mod piecewise;
mod singular;
mod smooth;
mod smooth_matrices;

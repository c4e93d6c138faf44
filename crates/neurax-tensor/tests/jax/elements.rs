//! Comparisons, logic, bits and other elementwise functions.

use crate::harness::mirrors;
use neurax::prelude::*;

mirrors! {
    comparisons(x, y, z) => {
        (z.square(), vec![x.equal(y), x.not_equal(y), x.lt(y), x.le(y), x.gt(y), x.ge(y)])
    };
    comparisons_float(x, y) => {
        (x * y, vec![x.lt(y), x.le(0.5), y.gt(x), y.ge(0.5), x.equal(x), x.not_equal(y)])
    };
    logic(x, y, z) => {
        let bits = vec![x & y, x | y, x ^ y, x.bitwise_not()];
        let (and, or) = (x.logical_and(z.gt(0)), z.logical_or(y));
        (z.square(), bits, and, or, x.logical_xor(z), z.logical_not())
    };
    bits(x, y, z) => {
        let bits = vec![x.bitwise_and(y), x.bitwise_or(y), x.bitwise_xor(y), x.bitwise_not()];
        (z.square(), bits, x.population_count(), x.count_leading_zeros())
    };
    shifts(x, y, z) => {
        let logical = x.bitcast(U32).right_shift(y.to(U32)).bitcast(I32);
        (z.square(), x.left_shift(y), x.right_shift(y), logical)
    };
    integer_arithmetic(x, y, z) => {
        let quotients = vec![x.floor_divide(y), x.remainder(y), x.fmod(y), x * y - x];
        (z.square(), quotients, vec![x.abs(), x.sign(), x.pow(2), x.maximum(y), x.clip(-5, 9)])
    };
    integer_division_to_float(x, y, z) => {
        (z.square(), x.gcd(y), x.to(z.dtype()) / y.to(z.dtype()), x.abs().to(z.dtype()).sqrt())
    };
    kinds_of_numbers(x, y) => {
        let row = tensor([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0]).to(x.dtype());
        let z = y.select(x, row);
        let infinite = vec![z.is_nan(), z.is_inf(), z.is_finite(), z.is_pos_inf(), z.is_neg_inf()];
        let signs = z.signbit().logical_and(z.is_nan().logical_not());
        (x.square(), infinite, signs, x.is_real(), x.is_complex())
    };
    closeness(x, y) => {
        let options = CloseOptions::new().equal_nan();
        let close = (x.isclose(x * (1.0 + 1e-3), 1e-2, 1e-8), x.allclose(x, 1e-5, 1e-8));
        let equal = (x.array_equal(x), x.array_equiv(x.slice(0, ..1)));
        (x * y, close, equal, y.isclose_with(f64::NAN, options))
    };
    bit_patterns(x, y) => (x.square(), x.to(F32).bitcast(I32), y.bitcast(F32) * 0.0);
    negative_positive(x) => x.negative() * x;
    absolute_difference(x, y) => (x - y).abs() * x.abs();
    reciprocal_of(x) => x.reciprocal();
    powers(x) => x.pow(0.5) + x.pow(-1) + x.full_like(2).pow(x) + x.pow(1.5);
    clip_bounds(x, y) => x.clip(y - 0.6, y + 0.6) * x;
    clip_below(x) => x.maximum(0.2) * x;
    maximum_ties(x) => x.maximum(x) * (x * 1).minimum(x);
    where_scalar(x) => where_(&x.gt(0), x.square(), 3.0);
    select_n(x, y, z, w) => x.choose([y.square(), z.clone(), w.sin()]);
    mixed_scalars(x) => (2 * x + 1) / 4 - (3 - x) * (1 / (x * x + 1));
    atan2_axes(x, y) => x.atan2(y) * x;
    angle_degrees(x, y) => x.complex(y).angle().rad2deg();
    unwrap_axis(x) => x.unwrap_phase(std::f64::consts::TAU, 0) * x;
}

//! Questions about graphs, dtypes and ops that several stages ask: what produces a value, what has
//! machine code, what is large.

use crate::tuning::{MATMUL_MIN_MULTIPLIES, MATMUL_MIN_SIDE, REAL_PRODUCTS_PER_COMPLEX};
use neurax_ir::{
    DType, Eqn, FloatFormat, Graph, Type, Value,
    composite::{
        ChannelsLastConvolution, FEATURE_BLOCK, MAX_DEPTHWISE_PLACES, QuantizedDot, SparseDot,
    },
    op::DotGeneral,
};

/// Returns the equation that produces a value, `None` for an input. Values are numbered equation by
/// equation, so a binary search finds it.
pub fn producer(graph: &Graph, v: Value) -> Option<&Eqn> {
    let eqns = graph.eqns();
    // An equation with effects may have no results: it counts as the next one that has some.
    let first_from = |i: usize| eqns[i..].iter().find_map(|e| e.outputs.first());
    let (mut after, mut end) = (0, eqns.len());
    while after < end {
        let middle = after.midpoint(end);
        match first_from(middle) {
            Some(&first) if first <= v => after = middle + 1,
            Some(_) | None => end = middle,
        }
    }
    eqns[..after].last().filter(|e| e.outputs.contains(&v))
}

/// Returns true if machine code computes with the dtype.
pub fn has_machine_code(d: DType) -> bool {
    d.bits() >= 8 && !d.is_complex() && !is_small_float(d)
}

/// Returns the dtype of the same bits that machine code handles, which is enough for ops that only
/// move elements; `None` if there is none.
pub fn moved_as(d: DType) -> Option<DType> {
    match d {
        d if is_small_float(d) && d.bits() == 8 => Some(DType::U8),
        DType::C64 => Some(DType::U64),
        d => has_machine_code(d).then_some(d),
    }
}

/// Returns true for the floats of at most 8 bits.
fn is_small_float(d: DType) -> bool {
    FloatFormat::of(d).is_some_and(|f| f.bits() <= 8)
}

/// Returns true for the narrow floats that machine code computes in f32.
pub fn is_half(d: DType) -> bool {
    matches!(d, DType::F16 | DType::BF16)
}

/// Returns the sizes of a product: batch, rows, columns, depth.
pub fn product_sizes(op: &DotGeneral, x: &Type, y: &Type) -> [usize; 4] {
    let over = |t: &Type, axes: &[usize]| axes.iter().map(|&a| t.shape[a]).product::<usize>();
    [
        over(x, &op.lhs_batch),
        over(x, &op.lhs_free(x.rank())),
        over(y, &op.rhs_free(y.rank())),
        over(x, &op.lhs_contract),
    ]
}

/// Returns true if a product is worth the matrix kernel. A product of complex numbers is four real
/// ones, and has no loops as an alternative.
pub fn is_large_product(op: &DotGeneral, x: &Type, y: &Type) -> bool {
    let [batch, m, n, k] = product_sizes(op, x, y);
    let multiplies = m.saturating_mul(n).saturating_mul(k);
    let is_worth_it = if op.dtype.is_complex() {
        multiplies >= MATMUL_MIN_MULTIPLIES / REAL_PRODUCTS_PER_COMPLEX
    } else {
        m >= MATMUL_MIN_SIDE && n >= MATMUL_MIN_SIDE && multiplies >= MATMUL_MIN_MULTIPLIES
    };
    batch > 0 && is_worth_it
}

/// Returns true if a sparse product of operands of `types` has native code: it has floats of at
/// least 32 bits, indices and sizes that are i32, and elements.
pub fn is_native_sparse_dot(op: &SparseDot, types: [&Type; 4]) -> bool {
    let [values, to, from, _] = types;
    let fits = |n: usize| i32::try_from(n).is_ok();
    matches!(values.dtype, DType::F32 | DType::F64)
        && [to, from].iter().all(|t| t.dtype == DType::I32)
        && types.iter().all(|t| t.size() > 0 && fits(t.size()))
        && fits(op.rows)
        && op.rows > 0
}

/// Returns true if a quantized product of rows of type `x` has native code: if it has elements.
pub fn is_native_quantized_dot(op: &QuantizedDot, x: &Type) -> bool {
    x.size() > 0 && op.columns > 0
}

/// Returns true if a convolution with features last has native code: of f32, over one or two space
/// axes, with elements, and not too many taps of features that are computed by themselves.
pub fn is_native_channels_last(op: &ChannelsLastConvolution, x: &Type, weights: &Type) -> bool {
    let taps = op.taps(weights).iter().try_fold(1usize, |n, taps| n.checked_mul(*taps));
    x.dtype == DType::F32
        && (1..=2).contains(&op.slides.len())
        && x.size() > 0
        && weights.size() > 0
        && ChannelsLastConvolution::is_usual(&op.slides)
        && (!op.depthwise
            || (op.results >= FEATURE_BLOCK
                && taps.is_some_and(|taps| taps <= MAX_DEPTHWISE_PLACES)))
}

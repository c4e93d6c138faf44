//! Generator rules for convolutions and window ops.

use super::generate::{BoundedValue, Gen, GenRule};
use neurax_ir::composite::{ChannelsLastConvolution, FEATURE_BLOCK};
use neurax_ir::op::*;
use neurax_ir::{DType, Op, Shape};

pub(super) const WINDOW_RULES: &[GenRule] = &[
    convolution,
    convolution,
    channels_last,
    window_sum,
    window_extremum,
    select_and_gather,
    select_and_scatter,
];

/// Picks the stride, padding and dilation of a window of `size` elements; if `full`, no window lies
/// entirely in the padding.
fn slide(g: &mut Gen, size: usize, full: bool) -> Slide {
    let stride = g.rng.between(1, 3);
    if full {
        let mut edge = || g.rng.below(size) as i64;
        return Slide { stride, low: edge(), high: edge(), ..Slide::default() };
    }
    let mut edge = || g.rng.below(4) as i64 - 1;
    let (low, high) = (edge(), edge());
    Slide {
        stride,
        low,
        high,
        base_dilation: g.rng.between(1, 2),
        window_dilation: g.rng.between(1, 2),
    }
}

/// Returns the shape of the result if the op accepts operands of `shapes` and the result is neither
/// empty nor too large.
fn result(g: &Gen, op: impl Into<Op>, dtype: DType, shapes: &[&Shape]) -> Option<Shape> {
    let types: Vec<_> = shapes.iter().map(|s| neurax_ir::Type::new(dtype, *s)).collect();
    let out = op.into().infer(&types).ok()?.swap_remove(0).shape;
    (out.size() > 0 && !g.is_too_large(&out)).then_some(out)
}

fn convolution(g: &mut Gen) -> Option<()> {
    let dtype =
        g.rng.pick(&[DType::F64, DType::F64, DType::F64, DType::F32, DType::I32, DType::C128]);
    let (space, groups, features) = (g.rng.below(3), g.rng.between(1, 2), g.rng.between(1, 2));
    let (mut x, mut w) = (
        vec![g.rng.between(1, 2), groups * features],
        vec![groups * g.rng.between(1, 2), features],
    );
    let mut slides = vec![];
    for _ in 0..space {
        x.push(g.rng.between(1, 4));
        w.push(g.rng.between(1, 3));
        slides.push(slide(g, 1, false));
    }
    let (x, w): (Shape, Shape) = (x.into(), w.into());
    let op = Convolution { slides, groups, dtype };
    if g.is_too_large(&x) || g.is_too_large(&w) {
        return None;
    }
    result(g, op.clone(), dtype, &[&x, &w])?;
    let terms = w.removed(0).size() as f64;
    let (x, w) = (g.pick_shaped(dtype, &x), g.pick_shaped(dtype, &w));
    let y = g.emit(op, &[x.v, w.v]);
    g.keep(y, 2.0 * x.bound * w.bound * terms)
}

/// Emits a convolution with features last, without limits, as these are not smooth.
fn channels_last(g: &mut Gen) -> Option<()> {
    let dtype = g.rng.pick(&[DType::F64, DType::F64, DType::F32]);
    let depthwise = g.rng.one_in(2);
    let (space, features) = (if depthwise { g.rng.between(1, 2) } else { 1 }, g.rng.between(1, 2));
    let (mut x, mut taps, mut slides) = (vec![g.rng.between(1, 2)], vec![], vec![]);
    for _ in 0..space {
        x.push(g.rng.between(1, 4));
        taps.push(g.rng.between(1, 3));
        slides.push(Slide { base_dilation: 1, ..slide(g, 1, false) });
    }
    x.push(features);
    let results = if depthwise { features } else { g.rng.between(1, 2) };
    let weights = match depthwise {
        true => [&taps[..], &[features]].concat(),
        false => [&[1], &taps[..], &[features, FEATURE_BLOCK]].concat(),
    };
    let (low, high) = (f64::NEG_INFINITY.into(), f64::INFINITY.into());
    let op = ChannelsLastConvolution { slides, results, depthwise, low, high };
    let op = Composite::from(op);
    let terms = taps.iter().product::<usize>() * features;
    let (x, weights, bias): (Shape, Shape, Shape) = (x.into(), weights.into(), [results].into());
    if g.is_too_large(&x) || g.is_too_large(&weights) {
        return None;
    }
    let y = result(g, op.clone(), dtype, &[&x, &weights, &bias])?;
    let operands = [x, weights, bias].map(|shape| g.pick_shaped(dtype, &shape));
    let mut values: Vec<_> = operands.iter().map(|operand| operand.v).collect();
    let mut bound = 2.0 * operands[0].bound * operands[1].bound * terms as f64 + operands[2].bound;
    if g.rng.one_in(2) {
        let added = g.pick_shaped(dtype, &y);
        values.push(added.v);
        bound += added.bound;
    }
    let y = g.emit(op, &values);
    g.keep(y, bound)
}

/// Picks windows over a shape; returns their sizes, slides and the shape of the result.
fn windows(g: &mut Gen, shape: &Shape, full: bool) -> Option<(Vec<usize>, Vec<Slide>, Shape)> {
    let sizes: Vec<usize> = shape.iter().map(|_| g.rng.between(1, 3)).collect();
    let slides: Vec<Slide> = sizes.iter().map(|&n| slide(g, n, full)).collect();
    let op = ReduceWindow { kind: ReduceKind::Sum, sizes: sizes.clone(), slides: slides.clone() };
    let out = result(g, op, DType::F64, &[shape])?;
    (shape.size() > 0).then_some((sizes, slides, out))
}

fn window_sum(g: &mut Gen) -> Option<()> {
    let dtype = g.dtype();
    let x = g.pick_value(dtype);
    let (sizes, slides, _) = windows(g, &g.ty(x).shape, false)?;
    let terms: usize = sizes.iter().product();
    let y = g.emit(ReduceWindow { kind: ReduceKind::Sum, sizes, slides }, &[x.v]);
    g.keep(y, x.bound * terms as f64)
}

/// Picks a value whose elements are kept apart if it is in double precision; integers may be equal.
fn key(g: &mut Gen) -> BoundedValue {
    let dtype = g.rng.pick(&[DType::F64, DType::F64, DType::I32]);
    let x = g.pick_value(dtype);
    if dtype == DType::I32 {
        return x;
    }
    let shape = g.ty(x).shape;
    let gap = 3.0 * x.bound;
    let apart = g.distinct(&shape, gap);
    BoundedValue { v: g.b.add(x.v, apart), bound: x.bound + gap * shape.size() as f64 }
}

fn window_extremum(g: &mut Gen) -> Option<()> {
    let x = key(g);
    let (sizes, slides, _) = windows(g, &g.ty(x).shape, true)?;
    let kind = g.rng.pick(&[ReduceKind::Max, ReduceKind::Min]);
    let y = g.emit(ReduceWindow { kind, sizes, slides }, &[x.v]);
    g.keep(y, x.bound)
}

fn select_and_gather(g: &mut Gen) -> Option<()> {
    let x = key(g);
    let shape = g.ty(x).shape;
    let (sizes, slides, _) = windows(g, &shape, false)?;
    let (kind, dtype) = (g.rng.pick(ArgKind::ALL), g.dtype());
    let source = g.pick_shaped(dtype, &shape);
    let y = g.emit(SelectAndGather { kind, sizes, slides }, &[x.v, source.v]);
    g.keep(y, source.bound)
}

fn select_and_scatter(g: &mut Gen) -> Option<()> {
    let x = key(g);
    let (sizes, slides, out) = windows(g, &g.ty(x).shape, false)?;
    let (kind, dtype) = (g.rng.pick(ArgKind::ALL), g.dtype());
    let source = g.pick_shaped(dtype, &out);
    let y = g.emit(SelectAndScatter { kind, sizes, slides }, &[x.v, source.v]);
    g.keep(y, source.bound * out.size() as f64)
}

//! Robustness: no operand types and no attributes make an op panic.

use super::*;
use neurax_ir::{DType, Shape};

/// Checks that `infer` accepts or rejects arbitrary operand types and attributes without a panic,
/// and that `eval` computes what `infer` accepts, with the types that `infer` returned.
///
/// # Errors
/// The violation.
pub fn garbage_is_refused(s: &Sample) -> Result<(), String> {
    let mut rng = rng_for(s);
    for _ in 0..24 {
        let xs = distorted(&mut rng, &types_of(&s.inputs));
        consistent(&s.op, &xs, &mut rng).map_err(|e| format!("on operands {xs:?}: {e}"))?;
    }
    let text = graph_of(s)?.to_string();
    for _ in 0..24 {
        let text = scrambled(&mut rng, &text);
        parsed(&text, &mut rng).map_err(|e| format!("{e}, in the text\n{text}"))?;
    }
    Ok(())
}

/// Changes one property, or all, of the operand types.
fn distorted(rng: &mut Rng, xs: &[Type]) -> Vec<Type> {
    let mut xs = xs.to_vec();
    match rng.below(6) {
        0 => return (0..rng.below(5)).map(|_| any_type(rng)).collect(),
        1 => xs.push(any_type(rng)),
        2 => drop(xs.pop()),
        _ => {}
    }
    if xs.is_empty() {
        return xs;
    }
    let i = rng.below(xs.len());
    match rng.below(5) {
        0 => xs[i] = any_type(rng),
        1 => xs[i].dtype = rng.pick(&DType::ALL),
        2 => {
            let d = rng.pick(&DType::ALL);
            xs.iter_mut().for_each(|x| x.dtype = d);
        }
        3 => xs[i].shape = any_shape(rng),
        _ if xs[i].rank() > 0 => {
            let d = rng.below(xs[i].rank());
            xs[i].shape[d] = rng.below(4);
        }
        _ => xs[i].shape = xs[i].shape.inserted(0, rng.below(3)),
    }
    xs
}

fn any_type(rng: &mut Rng) -> Type {
    Type::new(rng.pick(&DType::ALL), any_shape(rng))
}

fn any_shape(rng: &mut Rng) -> Shape {
    /// Empty shapes with axes too long to loop over or to allocate memory for.
    const EMPTY: [[usize; 3]; 4] =
        [[1 << 40, 0, 3], [0, 1 << 40, 2], [1 << 31, 1 << 20, 0], [3, 0, 1 << 40]];
    if rng.one_in(8) {
        return rng.pick(&EMPTY).into();
    }
    (0..rng.below(5)).map(|_| rng.below(4)).collect()
}

/// Replaces numbers in the text, and sometimes truncates it.
fn scrambled(rng: &mut Rng, text: &str) -> String {
    const NUMBERS: [&str; 14] = [
        "0",
        "1",
        "2",
        "3",
        "4",
        "7",
        "-1",
        "-3",
        "100",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "-9223372036854775808",
        "99999999999999999999",
    ];
    let digits: Vec<(usize, usize)> = numbers_in(text);
    let mut out = text.to_string();
    for _ in 0..rng.between(1, 2) {
        if let Some(&(from, to)) = digits.get(rng.below(digits.len().max(1))) {
            let spot = numbers_in(&out).into_iter().find(|s| *s == (from, to));
            if let Some((from, to)) = spot {
                out.replace_range(from..to, rng.pick(&NUMBERS));
            }
        }
    }
    if rng.one_in(6) {
        let cut = rng.below(out.len());
        out.truncate((0..=cut).rev().find(|&i| out.is_char_boundary(i)).unwrap_or(0));
    }
    out
}

/// Returns the byte ranges of numbers that are attributes or sizes, not parts of values and dtypes.
fn numbers_in(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut i = 0;
    while i < bytes.len() {
        let from = i;
        while i < bytes.len() && (bytes[i].is_ascii_alphanumeric() || b"-_%.".contains(&bytes[i])) {
            i += 1;
        }
        if i > from
            && text[from..i]
                .bytes()
                .enumerate()
                .all(|(k, b)| b.is_ascii_digit() || (k == 0 && b == b'-'))
        {
            out.push((from, i));
        }
        i += (i == from) as usize;
    }
    out
}

fn parsed(text: &str, rng: &mut Rng) -> Result<(), String> {
    let graph = catch_panic(|| Ok(Graph::parse(text))).map_err(|e| format!("parse: {e}"))?;
    match graph {
        Ok(g) if g.eqns().len() == 1 => consistent(&g.eqns()[0].op, g.input_types(), rng),
        _ => Ok(()),
    }
}

/// Checks that `infer` does not panic and, if it accepts the operands, that `eval` returns its
/// types.
fn consistent(op: &Op, xs: &[Type], rng: &mut Rng) -> Result<(), String> {
    let Ok(want) = catch_panic(|| Ok(op.infer(xs))).map_err(|e| format!("infer: {e}"))? else {
        return Ok(());
    };
    if needs_axis(op) || !is_small(op, xs, &want) {
        return Ok(());
    }
    let args: Vec<Literal> = xs.iter().map(|t| any_value(rng, t)).collect();
    let ys = catch_panic(|| eval_op(op, &args))
        .map_err(|e| format!("infer accepts the operands, but {e}"))?;
    if types_of(&ys) == want {
        Ok(())
    } else {
        Err(format!("infer returns {want:?}, eval returns {:?}", types_of(&ys)))
    }
}

/// Returns true if evaluating the op is fast: all values are small and no loop may be endless.
fn is_small(op: &Op, xs: &[Type], ys: &[Type]) -> bool {
    let small = |t: &Type| t.bytes().is_ok_and(|n| n < 1 << 16);
    let inner = |g: &Graph| {
        g.types().iter().all(small) && g.eqns().iter().all(|e| is_small(&e.op, &[], &[]))
    };
    let ends = match op {
        Op::While(_) => false,
        Op::Scan(s) => s.length <= 100,
        _ => true,
    };
    ends && xs.iter().chain(ys).all(small) && op.graphs().iter().all(|g| inner(g))
}

fn any_value(rng: &mut Rng, ty: &Type) -> Literal {
    if ty.dtype.is_differentiable() {
        return direction(rng, ty);
    }
    let v: Vec<f64> = (0..ty.size())
        .map(|_| if rng.one_in(4) { rng.range(-1e20, 1e20) } else { rng.below(5) as f64 - 1.0 })
        .collect();
    Literal::from_f64s(ty.dtype, &ty.shape, &v)
}

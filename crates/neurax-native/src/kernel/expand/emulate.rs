//! Expansions run instruction by instruction over many values, as a CPU without fused multiply-add
//! computes them.

#[path = "../../../tests/accuracy/table.rs"]
mod table;

use super::{binary, unary};
use crate::kernel::{ExprBuilder, InstId, InstKind};
use neurax_ir::{
    DType,
    op::{Binary, Direction, Unary},
};
use table::{PAIRS, REFERENCE, ROWS, corners, off_f32, off_f64, pairs, points, same_class};

/// The bits of every value, for each input.
struct Emulator {
    values: Vec<(Vec<u64>, DType)>,
    count: usize,
}

impl Emulator {
    fn new(inputs: Vec<Vec<u64>>, ty: DType) -> Emulator {
        Emulator { count: inputs[0].len(), values: inputs.into_iter().map(|x| (x, ty)).collect() }
    }

    fn map<const N: usize>(&self, xs: [InstId; N], f: impl Fn([u64; N]) -> u64) -> Vec<u64> {
        (0..self.count).map(|i| f(xs.map(|x| self.values[x as usize].0[i]))).collect()
    }

    /// Applies a function of floats.
    fn floats<const N: usize>(&self, xs: [InstId; N], f: impl Fn([f64; N]) -> f64) -> Vec<u64> {
        // Sums, products, quotients and roots of f32 are those of f64, rounded: f64 has more than
        // twice the digits.
        match self.ty(xs[0]) {
            DType::F32 => self.map(xs, |v| {
                (f(v.map(|x| f32::from_bits(x as u32) as f64)) as f32).to_bits() as u64
            }),
            _ => self.map(xs, |v| f(v.map(f64::from_bits)).to_bits()),
        }
    }

    fn integers(&self, f: Binary, x: InstId, y: InstId) -> Vec<u64> {
        let mask = !0 >> (64 - self.ty(x).bits());
        self.map([x, y], |[x, y]| {
            let z = match f {
                Binary::Add => x.wrapping_add(y),
                Binary::Sub => x.wrapping_sub(y),
                Binary::And => x & y,
                Binary::Or => x | y,
                Binary::Xor => x ^ y,
                Binary::ShiftLeft => x << y,
                Binary::ShiftRightLogical => x >> y,
                _ => panic!("{f:?} of integers"),
            };
            z & mask
        })
    }

    fn compared(&self, d: Direction, x: InstId, y: InstId) -> Vec<u64> {
        if !self.ty(x).is_float() {
            assert!(matches!(d, Direction::Eq | Direction::Ne));
            return self.map([x, y], |[x, y]| ((x == y) == (d == Direction::Eq)) as u64);
        }
        let is = move |x: f64, y: f64| match d {
            Direction::Eq => x == y,
            Direction::Ne => x != y,
            Direction::Lt => x < y,
            Direction::Le => x <= y,
            Direction::Gt => x > y,
            Direction::Ge => x >= y,
        };
        let wide = self.ty(x) == DType::F64;
        let number =
            move |v: u64| if wide { f64::from_bits(v) } else { f32::from_bits(v as u32) as f64 };
        self.map([x, y], |[x, y]| is(number(x), number(y)) as u64)
    }

    fn library(&self, f: Unary, p: InstId, x: InstId, y: InstId, ty: DType) -> Vec<u64> {
        self.map([p, x, y], |[p, x, y]| match ty {
            _ if p == 0 => y,
            DType::F32 => f.of_f32(f32::from_bits(x as u32)).to_bits() as u64,
            _ => f.of_f64(f64::from_bits(x)).to_bits(),
        })
    }
}

impl ExprBuilder for Emulator {
    type Source = ();

    fn put(&mut self, op: InstKind<()>, ty: DType) -> InstId {
        let value = match op {
            InstKind::Const(bits) => vec![bits; self.count],
            InstKind::Bitcast(x) => self.map([x], |[x]| x),
            InstKind::Unary(f, x) => self.floats([x], |[x]| match f {
                Unary::Neg => -x,
                Unary::Abs => x.abs(),
                Unary::Sqrt => x.sqrt(),
                Unary::Floor => x.floor(),
                _ => panic!("{f:?}"),
            }),
            InstKind::Binary(f, x, y) if !ty.is_float() => self.integers(f, x, y),
            InstKind::Binary(f, x, y) => self.floats([x, y], |[x, y]| match f {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                _ => panic!("{f:?}"),
            }),
            InstKind::Compare(d, x, y) => self.compared(d, x, y),
            InstKind::Select(p, x, y) => {
                self.map([p, x, y], |[p, x, y]| if p != 0 { x } else { y })
            }
            InstKind::Patch(f, p, x, y) => self.library(f, p, x, y, ty),
            other => panic!("{other:?} in an expansion for floats"),
        };
        self.values.push((value, ty));
        self.values.len() as InstId - 1
    }

    fn ty(&self, x: InstId) -> DType {
        self.values[x as usize].1
    }

    fn has_fma(&self) -> bool {
        false
    }
}

/// Runs an expansion on all inputs, in chunks that stay in the cache.
fn run(inputs: &[Vec<u64>], ty: DType, f: impl Fn(&mut Emulator) -> InstId) -> Vec<u64> {
    let mut out = vec![];
    for start in (0..inputs[0].len()).step_by(1024) {
        let end = (start + 1024).min(inputs[0].len());
        let mut m = Emulator::new(inputs.iter().map(|x| x[start..end].to_vec()).collect(), ty);
        let y = f(&mut m);
        out.extend(&m.values[y as usize].0);
    }
    out
}

#[test]
fn without_fused_operations_functions_of_f32_are_within_their_bounds() {
    // Some of them: this is slow.
    let xs: Vec<u64> = points(32).into_iter().step_by(5).collect();
    for row in &ROWS {
        let ys = run(std::slice::from_ref(&xs), DType::F32, |m| unary(m, row.f, 0));
        for (&x, &y) in xs.iter().zip(&ys) {
            let (x, y) = (f32::from_bits(x as u32), f32::from_bits(y as u32));
            let off = off_f32(y, (row.want)(x as f64));
            assert!(off <= row.f32, "{:?} of {x:e} is {y:e}: off by {off}", row.f);
        }
    }
}

#[test]
fn without_fused_operations_functions_of_f64_are_within_their_bounds() {
    let xs: Vec<u64> = points(64).into_iter().step_by(5).collect();
    for row in &ROWS {
        let Some(bound) = row.f64 else { continue };
        let ys = run(std::slice::from_ref(&xs), DType::F64, |m| unary(m, row.f, 0));
        for (&x, &y) in xs.iter().zip(&ys) {
            let (x, y) = (f64::from_bits(x), f64::from_bits(y));
            let off = off_f64(y, (row.want)(x));
            assert!(off <= bound + REFERENCE, "{:?} of {x:e} is {y:e}: off by {off}", row.f);
        }
    }
}

#[test]
fn without_fused_operations_functions_of_two_values_are_within_their_bounds() {
    let all: Vec<(u32, u32)> = pairs().into_iter().step_by(5).collect();
    let side = |f: fn(&(u32, u32)) -> u32| all.iter().map(|p| f(p) as u64).collect::<Vec<u64>>();
    let inputs = [side(|p| p.0), side(|p| p.1)];
    for (f, bound, want) in PAIRS {
        let zs = run(&inputs, DType::F32, |m| binary(m, f, 0, 1));
        for (&(x, y), &z) in all.iter().zip(&zs) {
            let (x, y, z) = (f32::from_bits(x), f32::from_bits(y), f32::from_bits(z as u32));
            let off = off_f32(z, want(x as f64, y as f64));
            assert!(off <= bound, "{f:?} of {x:e}, {y:e} is {z:e}: off by {off}");
        }
    }
}

#[test]
fn without_fused_operations_corners_are_right() {
    for row in &ROWS {
        let (xs, wide) = (corners(32), corners(64));
        for (&x, y) in
            xs.iter().zip(run(std::slice::from_ref(&xs), DType::F32, |m| unary(m, row.f, 0)))
        {
            let (x, y) = (f32::from_bits(x as u32) as f64, f32::from_bits(y as u32) as f64);
            assert!(
                same_class(y, (row.want)(x) as f32 as f64),
                "{:?} of {x:e} in f32 is {y:e}",
                row.f
            );
        }
        if row.f64.is_none() {
            continue;
        }
        for (&x, y) in
            wide.iter().zip(run(std::slice::from_ref(&wide), DType::F64, |m| unary(m, row.f, 0)))
        {
            let (x, y) = (f64::from_bits(x), f64::from_bits(y));
            assert!(same_class(y, (row.want)(x)), "{:?} of {x:e} in f64 is {y:e}", row.f);
        }
    }
}

//! `threefry2x32`: the block function of the random number generator.

use super::{
    Axis, Batched, Binary, Bound, Primitive, Sample, Tangent, Transposed, pointwise::*, rules::*,
};
use crate::{Builder, DType, Eval, Literal, Result, Type, Value, graph::attr::attrs};

attrs! {
    /// The elementwise Threefry-2x32 block function with 20 rounds. The operands `(key0, key1,
    /// counter0, counter1)` and both results are u32 of the same shape. Salmon et al., Parallel
    /// Random Numbers: As Easy as 1, 2, 3 (<https://doi.org/10.1145/2063384.2063405>).
    pub struct Threefry = "threefry2x32" {}
}

impl Primitive for Threefry {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn infer(&self, xs: &[Type]) -> Result<Vec<Type>> {
        arity(Self::NAME, xs, 4)?;
        xs.iter().try_for_each(|x| same_type(Self::NAME, &xs[0], x))?;
        if xs[0].dtype != DType::U32 {
            return refuse(Self::NAME, format!("expected u32 operands, got {}", list_types(xs)));
        }
        Ok(vec![xs[0].clone(); 2])
    }

    fn eval(&self, cx: &mut Eval, mut xs: Vec<Literal>) -> Result<Vec<Literal>> {
        let (c1, c0) = (xs.swap_remove(3), xs.swap_remove(2));
        let (k0, k1, c1) = (xs[0].load::<u32>(), xs[1].load::<u32>(), c1.load::<u32>());
        let mut second = vec![0; c1.len()];
        let (first, inplace) = c0.edit(|x: &mut [u32]| {
            for i in 0..x.len() {
                [x[i], second[i]] = threefry2x32([k0[i], k1[i]], [x[i], c1[i]], &mut ());
            }
        });
        cx.count_reuse(inplace);
        let second = Literal::from_slice(first.shape(), &second)?;
        Ok(vec![first, second])
    }

    fn jvp(&self, _: &mut Builder, at: &Bound, _: &[Tangent]) -> Result<Vec<Tangent>> {
        Ok(no_tangents(at))
    }

    fn transpose(&self, _: &mut Builder, _: &Bound, _: &[bool], _: &[Option<Value>]) -> Transposed {
        Transposed::NotLinear
    }

    fn batch(
        &self,
        b: &mut Builder,
        axis: &Axis,
        xs: &[Value],
        dims: &[Option<usize>],
    ) -> Result<Batched> {
        batch(b, self.clone(), 2, axis, xs, dims)
    }

    fn samples() -> Vec<Sample> {
        samples(Threefry {}, |d| d == DType::U32, &[0.0..9.0, 3.0..4e9, 0.0..2e9, 0.0..3e9], false)
    }
}

/// A 32-bit word that the block function mixes: an integer, or a value of a graph.
trait Word: Clone {
    /// The builder of equations, or `()` for integers.
    type Cx;
    fn add(&self, o: &Self, cx: &mut Self::Cx) -> Self;
    fn xor(&self, o: &Self, cx: &mut Self::Cx) -> Self;
    fn rotated(&self, by: u32, cx: &mut Self::Cx) -> Self;
    /// Returns the constant `x`, of the type of `self`.
    fn constant(&self, x: u32, cx: &mut Self::Cx) -> Self;
}

impl Word for u32 {
    type Cx = ();
    #[inline]
    fn add(&self, o: &u32, _: &mut ()) -> u32 {
        self.wrapping_add(*o)
    }
    #[inline]
    fn xor(&self, o: &u32, _: &mut ()) -> u32 {
        self ^ o
    }
    #[inline]
    fn rotated(&self, by: u32, _: &mut ()) -> u32 {
        self.rotate_left(by)
    }
    #[inline]
    fn constant(&self, x: u32, _: &mut ()) -> u32 {
        x
    }
}

impl Word for Value {
    type Cx = Builder;
    fn add(&self, o: &Value, b: &mut Builder) -> Value {
        b.add(*self, *o)
    }
    fn xor(&self, o: &Value, b: &mut Builder) -> Value {
        b.emit(Binary::Xor, &[*self, *o])
    }
    fn rotated(&self, by: u32, b: &mut Builder) -> Value {
        let (left, right) = (b.full_like(*self, by as f64), b.full_like(*self, (32 - by) as f64));
        let (high, low) = (
            b.emit(Binary::ShiftLeft, &[*self, left]),
            b.emit(Binary::ShiftRightLogical, &[*self, right]),
        );
        b.emit(Binary::Or, &[high, low])
    }
    fn constant(&self, x: u32, b: &mut Builder) -> Value {
        b.full_like(*self, x as f64)
    }
}

impl Threefry {
    /// Emits the block function as additions, rotations and exclusive ors, for backends that fuse
    /// elementwise ops. Takes the operands and returns the results.
    pub fn expanded(b: &mut Builder, xs: &[Value]) -> [Value; 2] {
        threefry2x32([xs[0], xs[1]], [xs[2], xs[3]], b)
    }
}

/// Encrypts the two words of `counter` with the two words of `key`.
#[inline]
fn threefry2x32<W: Word>(key: [W; 2], counter: [W; 2], cx: &mut W::Cx) -> [W; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let parity = key[0].constant(0x1BD1_1BDA, cx);
    let third = key[0].xor(&key[1], cx).xor(&parity, cx);
    let keys = [key[0].clone(), key[1].clone(), third];
    let (mut x, mut y) = (counter[0].add(&keys[0], cx), counter[1].add(&keys[1], cx));
    for group in 0..5 {
        for r in ROTATIONS[group % 2] {
            x = x.add(&y, cx);
            y = y.rotated(r, cx).xor(&x, cx);
        }
        x = x.add(&keys[(group + 1) % 3], cx);
        let count = y.constant(group as u32 + 1, cx);
        y = y.add(&keys[(group + 2) % 3], cx).add(&count, cx);
    }
    [x, y]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::pointwise::testing::*;

    #[test]
    fn known_answers() {
        // `kat_vectors` of Random123, threefry2x32 with 20 rounds.
        let words =
            [[0, 0, 0, 0], [u32::MAX; 4], [0x1319_8a2e, 0x0370_7344, 0x243f_6a88, 0x85a3_08d3]];
        let operand = |i: usize| vector(&words.map(|w: [u32; 4]| w[i]));
        let out = Threefry {}.eval(&mut Eval::default(), (0..4).map(operand).collect()).unwrap();
        assert_eq!(out[0].to_vec::<u32>().unwrap(), [0x6b20_0159, 0x1cb9_96fc, 0xc492_3a9c]);
        assert_eq!(out[1].to_vec::<u32>().unwrap(), [0x99ba_4efe, 0xbb00_2be7, 0x483d_f7a0]);
    }

    #[test]
    fn the_expanded_form_is_the_same_function() {
        let mut b = Builder::new();
        let xs = b.inputs(&vec![Type::new(DType::U32, [2]); 4]);
        let ys = Threefry::expanded(&mut b, &xs);
        let graph = b.finish(&ys).unwrap();
        let args: Vec<Literal> =
            [[1u32, 7], [2, 8], [3, u32::MAX], [4, 0]].iter().map(|w| vector(w)).collect();
        let want = Threefry {}.eval(&mut Eval::default(), args.clone()).unwrap();
        assert_eq!(crate::transform::eval(&graph, args).unwrap(), want);
    }

    #[test]
    fn wrong_operands_are_errors() {
        let (u, i) = (Type::new(DType::U32, [2]), Type::new(DType::I32, [2]));
        assert_eq!(
            refusal(Threefry {}, &[u.clone(), u.clone()]),
            "threefry2x32: expected 4 operands, got 2: u32[2], u32[2]"
        );
        assert!(refusal(Threefry {}, &vec![i; 4]).contains("expected u32 operands, got i32[2]"));
    }
}

//! The typed loops over windows. A window is a box: its axes are joined one after the other.

use super::super::fold::{self, Fold};
use super::{ArgKind, ReduceKind, Slide};
use crate::{Compute, DType, Literal, Shape, Type, with_compute};

/// The elements under all windows, axis by axis.
pub struct Windows {
    shape: Shape,
    counts: Shape,
    /// The axes along which windows are more than the elements one by one, and what each window
    /// holds. Those that leave the least come first, so that nothing in between is larger than
    /// operand and result.
    axes: Vec<(usize, Vec<Vec<usize>>)>,
}

/// The place of an element under a window over none.
const NOWHERE: usize = usize::MAX;

impl Windows {
    /// Windows over an array of that shape, of which there are `counts`.
    pub fn new(shape: &Shape, counts: &Shape, sizes: &[usize], slides: &[Slide]) -> Windows {
        let (shape, counts) = (shape.clone(), counts.clone());
        if shape.size() == 0 || counts.size() == 0 {
            return Windows { shape, counts, axes: vec![] };
        }
        let under = |i: usize| {
            (0..counts[i]).map(|p| slides[i].under(p, shape[i], sizes[i])).collect::<Vec<_>>()
        };
        let trivial = |i: usize| sizes[i] == 1 && slides[i] == Slide::default();
        let mut axes: Vec<(usize, Vec<Vec<usize>>)> =
            (0..shape.rank()).filter(|&i| !trivial(i)).map(|i| (i, under(i))).collect();
        axes.sort_by(|(i, _), (j, _)| (counts[*i] * shape[*j]).cmp(&(counts[*j] * shape[*i])));
        Windows { shape, counts, axes }
    }

    /// The joined elements, as a value of type `ty`; `kind` is one that the dtype admits.
    pub fn reduce(&self, kind: ReduceKind, x: &Literal, ty: Type) -> Literal {
        let kind = if x.dtype() == DType::Bool { fold::as_bits(kind) } else { kind };
        with_compute!(any x.dtype(), C => {
            let widened = x.load::<C>().iter().map(|&x| x.widen()).collect();
            let (start, row) = (fold::identity::<C>(kind, x.dtype()), fold::loops::<<C as Fold>::Acc>(kind).1);
            fold::store::<C>(ty, &self.join(widened, start, row))
        })
    }

    /// The place in `x`, which is not complex, of the largest or smallest element under each
    /// window.
    pub fn places(&self, kind: ArgKind, x: &Literal) -> Vec<usize> {
        with_compute!(real x.dtype(), C => match kind {
            ArgKind::Max => self.best(&x.load::<C>(), fold::better::<C, true>),
            ArgKind::Min => self.best(&x.load::<C>(), fold::better::<C, false>),
        }, else vec![NOWHERE; self.counts.size()])
    }

    fn best<C: Compute>(&self, x: &[C], better: fn(&C, &C) -> bool) -> Vec<usize> {
        // Of equals the first in the array, in whatever order the axes are joined.
        let wins = |new: usize, old: usize| {
            better(&x[new], &x[old]) || (new < old && !better(&x[old], &x[new]))
        };
        let row = |best: &mut [usize], new: &[usize]| {
            for (b, &n) in best.iter_mut().zip(new) {
                if n != NOWHERE && (*b == NOWHERE || wins(n, *b)) {
                    *b = n;
                }
            }
        };
        self.join((0..x.len()).collect(), NOWHERE, row)
    }

    /// Joins the windows along one axis after the other, each beginning with `start`.
    fn join<A: Copy>(&self, xs: Vec<A>, start: A, row: impl Fn(&mut [A], &[A])) -> Vec<A> {
        if self.shape.size() == 0 || self.counts.size() == 0 {
            return vec![start; self.counts.size()];
        }
        let (mut xs, mut dims) = (xs, self.shape.clone());
        for (axis, windows) in &self.axes {
            let inner: usize = dims[axis + 1..].iter().product();
            let outer = xs.len() / (dims[*axis] * inner);
            let mut out = vec![start; outer * windows.len() * inner];
            for (out, block) in out
                .chunks_exact_mut(windows.len() * inner)
                .zip(xs.chunks_exact(dims[*axis] * inner))
            {
                for (out, under) in out.chunks_exact_mut(inner).zip(windows) {
                    under.iter().for_each(|&i| row(out, &block[i * inner..][..inner]));
                }
            }
            dims[*axis] = windows.len();
            xs = out;
        }
        xs
    }
}

/// The elements of `source` on those places, as a value of type `ty`.
pub fn gather(places: &[usize], source: &Literal, ty: Type) -> Literal {
    with_compute!(any source.dtype(), C => {
        let x = source.load::<C>();
        Literal::build(ty, |out: &mut [C]| out.iter_mut().zip(places).filter(|(_, p)| **p != NOWHERE).for_each(|(o, &p)| *o = x[p]))
    })
}

/// The elements of `source` added up on those places, as a value of type `ty`.
pub fn scatter(places: &[usize], source: &Literal, ty: Type) -> Literal {
    let kind = if source.dtype() == DType::Bool { ReduceKind::Or } else { ReduceKind::Sum };
    with_compute!(any source.dtype(), C => {
        let mut acc = vec![<C as Fold>::Acc::ZERO; ty.size()];
        let x = source.load::<C>();
        for (&p, x) in places.iter().zip(&x[..]).filter(|(p, _)| **p != NOWHERE) {
            acc[p] = <C as Fold>::Acc::join(kind, acc[p], x.widen());
        }
        fold::store::<C>(ty, &acc)
    })
}

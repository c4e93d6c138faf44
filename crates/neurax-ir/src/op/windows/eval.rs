//! The typed loops over windows. A window is a box, so its axes are reduced one after the other.

use super::super::reduce::eval::{self as reduction, Accumulate};
use super::{ArgKind, Combine, ReduceKind, Slide};
use crate::{Compute, Literal, Shape, Type, with_compute};

/// The elements under all windows, axis by axis.
pub struct WindowGrid {
    shape: Shape,
    /// The number of windows along every axis.
    counts: Shape,
    /// The axes with windows that are not just the single elements, and for each window the indices
    /// of its elements. Axes that shrink most come first, so that no intermediate array is larger
    /// than both operand and result.
    axes: Vec<(usize, Vec<Vec<usize>>)>,
}

/// The selected position of a window without elements.
const NO_ELEMENT: usize = usize::MAX;

impl WindowGrid {
    /// Creates `counts` windows over an array of `shape`.
    pub fn new(shape: &Shape, counts: &Shape, sizes: &[usize], slides: &[Slide]) -> WindowGrid {
        let (shape, counts) = (shape.clone(), counts.clone());
        if shape.size() == 0 || counts.size() == 0 {
            return WindowGrid { shape, counts, axes: vec![] };
        }
        let under = |i: usize| {
            (0..counts[i]).map(|p| slides[i].under(p, shape[i], sizes[i])).collect::<Vec<_>>()
        };
        let trivial = |i: usize| sizes[i] == 1 && slides[i] == Slide::default();
        let mut axes: Vec<(usize, Vec<Vec<usize>>)> =
            (0..shape.rank()).filter(|&i| !trivial(i)).map(|i| (i, under(i))).collect();
        axes.sort_by(|(i, _), (j, _)| (counts[*i] * shape[*j]).cmp(&(counts[*j] * shape[*i])));
        WindowGrid { shape, counts, axes }
    }

    /// Reduces the elements under each window to a value of type `ty`. The dtype must admit `kind`.
    pub fn reduce(&self, kind: ReduceKind, x: &Literal, ty: Type) -> Literal {
        let kind = kind.on(x.dtype());
        with_compute!(any x.dtype(), C => {
            let widened = x.load::<C>().iter().map(|&x| x.widen()).collect();
            let start = reduction::identity_element::<C>(kind, x.dtype());
            let row = reduction::loops::<<C as Accumulate>::Acc>(kind).1;
            reduction::store::<C>(ty, &self.fold(widened, start, row))
        })
    }

    /// Returns the offset in `x` of the largest or smallest element under each window, or
    /// `NO_ELEMENT`. `x` must not be complex.
    pub fn positions(&self, kind: ArgKind, x: &Literal) -> Vec<usize> {
        with_compute!(real x.dtype(), C => match kind {
            ArgKind::Max => self.best(&x.load::<C>(), reduction::is_better::<C, true>),
            ArgKind::Min => self.best(&x.load::<C>(), reduction::is_better::<C, false>),
        }, else vec![NO_ELEMENT; self.counts.size()])
    }

    fn best<C: Compute>(&self, x: &[C], is_better: fn(&C, &C) -> bool) -> Vec<usize> {
        // The first of equals wins, regardless of the order in which axes are reduced.
        let wins = |new: usize, old: usize| {
            is_better(&x[new], &x[old]) || (new < old && !is_better(&x[old], &x[new]))
        };
        let row = |best: &mut [usize], new: &[usize]| {
            for (b, &n) in best.iter_mut().zip(new) {
                if n != NO_ELEMENT && (*b == NO_ELEMENT || wins(n, *b)) {
                    *b = n;
                }
            }
        };
        self.fold((0..x.len()).collect(), NO_ELEMENT, row)
    }

    /// Reduces the windows along one axis after the other. Each accumulator is initialized to
    /// `start`; `row` combines a row of elements into a row of accumulators.
    fn fold<A: Copy>(&self, xs: Vec<A>, start: A, row: impl Fn(&mut [A], &[A])) -> Vec<A> {
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

/// Reads the elements of `source` at `positions`, as a value of type `ty`; zero for `NO_ELEMENT`.
pub fn gather(positions: &[usize], source: &Literal, ty: Type) -> Literal {
    with_compute!(any source.dtype(), C => {
        let x = source.load::<C>();
        Literal::build(ty, |out: &mut [C]| {
            let selected = out.iter_mut().zip(positions).filter(|(_, p)| **p != NO_ELEMENT);
            selected.for_each(|(o, &p)| *o = x[p])
        })
    })
}

/// Adds the elements of `source` to zeros at `positions`, as a value of type `ty`.
pub fn scatter(positions: &[usize], source: &Literal, ty: Type) -> Literal {
    let kind = ReduceKind::Sum.on(source.dtype());
    with_compute!(any source.dtype(), C => {
        let mut acc = vec![<C as Accumulate>::Acc::ZERO; ty.size()];
        let x = source.load::<C>();
        for (&p, x) in positions.iter().zip(&x[..]).filter(|(p, _)| **p != NO_ELEMENT) {
            acc[p] = <C as Accumulate>::Acc::combine(kind, acc[p], x.widen());
        }
        reduction::store::<C>(ty, &acc)
    })
}

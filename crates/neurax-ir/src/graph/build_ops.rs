//! The builder's methods for single ops, so that rules read like formulas.

use super::{Builder, Value};
use crate::op::*;
use crate::{DType, Literal, Shape, Type};

macro_rules! unary_methods {
    ($($f:ident = $V:ident),*) => {$(
        #[doc = concat!("Emits [`Unary::", stringify!($V), "`].")]
        pub fn $f(&mut self, x: Value) -> Value {
            self.emit(Unary::$V, &[x])
        }
    )*};
}

macro_rules! binary_methods {
    ($($f:ident = $V:ident),*) => {$(
        #[doc = concat!("Emits [`Binary::", stringify!($V), "`].")]
        pub fn $f(&mut self, x: Value, y: Value) -> Value {
            self.emit(Binary::$V, &[x, y])
        }
    )*};
}

impl Builder {
    unary_methods!(
        neg = Neg,
        abs = Abs,
        sign = Sign,
        exp = Exp,
        expm1 = Expm1,
        log = Log,
        log1p = Log1p,
        sin = Sin,
        cos = Cos
    );
    unary_methods!(
        tan = Tan,
        sinh = Sinh,
        cosh = Cosh,
        tanh = Tanh,
        sqrt = Sqrt,
        rsqrt = Rsqrt,
        logistic = Logistic,
        erf = Erf
    );
    unary_methods!(
        floor = Floor,
        not = Not,
        real = Real,
        imag = Imag,
        conj = Conj,
        digamma = Digamma
    );
    binary_methods!(
        add = Add,
        sub = Sub,
        mul = Mul,
        div = Div,
        rem = Rem,
        pow = Pow,
        max = Max,
        min = Min,
        and = And,
        or = Or
    );
    binary_methods!(xor = Xor, complex = Complex, polygamma = Polygamma);

    /// A scalar constant.
    pub fn scalar(&mut self, dtype: DType, x: f64) -> Value {
        self.constant(Literal::scalar(dtype, x))
    }

    /// All elements `x`.
    pub fn full(&mut self, ty: Type, x: f64) -> Value {
        let s = self.scalar(ty.dtype, x);
        if ty.rank() == 0 {
            s
        } else {
            self.emit(Broadcast { shape: ty.shape, dims: vec![] }, &[s])
        }
    }

    /// All elements zero.
    pub fn zeros(&mut self, ty: Type) -> Value {
        self.full(ty, 0.0)
    }

    /// All elements `x`, in the type of `like`.
    pub fn full_like(&mut self, like: Value, x: f64) -> Value {
        let ty = self.ty(like).clone();
        self.full(ty, x)
    }

    /// `x + c`
    pub fn add_scalar(&mut self, x: Value, c: f64) -> Value {
        let c = self.full_like(x, c);
        self.add(x, c)
    }

    /// `x * c`
    pub fn mul_scalar(&mut self, x: Value, c: f64) -> Value {
        let c = self.full_like(x, c);
        self.mul(x, c)
    }

    /// `x * x`
    pub fn square(&mut self, x: Value) -> Value {
        self.mul(x, x)
    }

    /// `x` in another dtype; itself if it has that one.
    pub fn convert(&mut self, x: Value, dtype: DType) -> Value {
        if self.dtype(x) == dtype { x } else { self.emit(Convert { dtype }, &[x]) }
    }

    /// Emits [`Compare`].
    pub fn compare(&mut self, direction: Direction, x: Value, y: Value) -> Value {
        self.emit(Compare { direction }, &[x, y])
    }

    /// Emits [`Select`].
    pub fn select(&mut self, pred: Value, x: Value, y: Value) -> Value {
        self.emit(Select {}, &[pred, x, y])
    }

    /// `x` where `pred`, else zero.
    pub fn select_or_zero(&mut self, pred: Value, x: Value) -> Value {
        let zero = self.full_like(x, 0.0);
        self.select(pred, x, zero)
    }

    /// Emits [`Iota`].
    pub fn iota(&mut self, ty: Type, axis: usize) -> Value {
        self.emit(Iota { ty, axis }, &[])
    }

    /// `x` in another shape; itself if it has that one.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Value {
        let shape = shape.into();
        if self.ty(x).shape == shape { x } else { self.emit(Reshape { shape }, &[x]) }
    }

    /// Emits [`Broadcast`]; `x` itself if nothing changes.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Shape>, dims: &[usize]) -> Value {
        let shape = shape.into();
        if self.ty(x).shape == shape {
            x
        } else {
            self.emit(Broadcast { shape, dims: dims.to_vec() }, &[x])
        }
    }

    /// A scalar repeated to the shape of `like`.
    pub fn broadcast_like(&mut self, scalar: Value, like: Value) -> Value {
        let shape = self.ty(like).shape.clone();
        self.broadcast(scalar, shape, &[])
    }

    /// Undoes a reduction over `axes`: repeats `x` along them, into `shape`.
    pub fn unreduce(&mut self, x: Value, shape: impl Into<Shape>, axes: &[usize]) -> Value {
        let shape = shape.into();
        let dims: Vec<usize> = (0..shape.rank()).filter(|i| !axes.contains(i)).collect();
        self.broadcast(x, shape, &dims)
    }

    /// Axes in another order; `x` itself if the order is theirs.
    pub fn transpose(&mut self, x: Value, permutation: &[usize]) -> Value {
        let same = permutation.iter().enumerate().all(|(i, &p)| i == p);
        if same { x } else { self.emit(Transpose { permutation: permutation.to_vec() }, &[x]) }
    }

    /// Axis `from` becomes axis `to`, the others keep their order.
    pub fn move_axis(&mut self, x: Value, from: usize, to: usize) -> Value {
        let mut p: Vec<usize> = (0..self.ty(x).rank()).filter(|&i| i != from).collect();
        p.insert(to.min(p.len()), from);
        self.transpose(x, &p)
    }

    /// Emits [`Slice`] with strides of 1.
    pub fn slice(&mut self, x: Value, start: &[usize], limit: &[usize]) -> Value {
        let stride = vec![1; start.len()];
        self.emit(Slice { start: start.to_vec(), limit: limit.to_vec(), stride }, &[x])
    }

    /// Indices `from..to` of one axis.
    pub fn slice_axis(&mut self, x: Value, axis: usize, from: usize, to: usize) -> Value {
        let mut limit = self.ty(x).shape.to_vec();
        let mut start = vec![0; limit.len()];
        (start[axis], limit[axis]) = (from, to);
        self.slice(x, &start, &limit)
    }

    /// Emits [`Concatenate`]; a single operand is itself.
    pub fn concat(&mut self, xs: &[Value], axis: usize) -> Value {
        if let [x] = xs { *x } else { self.emit(Concatenate { axis }, xs) }
    }

    /// Emits [`Reduce`]; `x` itself if there are no axes.
    pub fn reduce(&mut self, kind: ReduceKind, x: Value, axes: &[usize]) -> Value {
        if axes.is_empty() { x } else { self.emit(Reduce { kind, axes: axes.to_vec() }, &[x]) }
    }

    /// Sum over axes.
    pub fn sum(&mut self, x: Value, axes: &[usize]) -> Value {
        self.reduce(ReduceKind::Sum, x, axes)
    }

    /// The slices of `x` along `axis` at those places: the axes of `indices` stand where `axis`
    /// was.
    pub fn take(&mut self, x: Value, indices: Value, axis: usize, mode: OutOfBounds) -> Value {
        let mut sizes = self.ty(x).shape.to_vec();
        sizes.iter_mut().skip(axis).take(1).for_each(|n| *n = 1);
        let n = self.ty(indices).rank();
        let op = Gather {
            offset_dims: (0..axis).chain(axis + n..(sizes.len() + n).saturating_sub(1)).collect(),
            collapsed: vec![axis],
            operand_batch: vec![],
            indices_batch: vec![],
            index_map: vec![axis],
            sizes,
            mode,
        };
        let vectors = self.index_vectors(indices);
        self.emit(op, &[x, vectors])
    }

    /// For every element of `indices` the element of `x` at that place along `axis`, other indices
    /// the same: the shapes agree but for `axis`. Places out of bounds are moved to the nearest
    /// one.
    pub fn take_along_axis(&mut self, x: Value, indices: Value, axis: usize) -> Value {
        let rank = self.ty(x).rank();
        let others: Vec<usize> = (0..rank).filter(|&a| a != axis).collect();
        let op = Gather {
            offset_dims: vec![],
            collapsed: vec![axis],
            operand_batch: others.clone(),
            indices_batch: others,
            index_map: vec![axis],
            sizes: vec![1; rank],
            mode: OutOfBounds::Clip,
        };
        let vectors = self.index_vectors(indices);
        self.emit(op, &[x, vectors])
    }

    /// Every index as a vector of one entry.
    fn index_vectors(&mut self, indices: Value) -> Value {
        let shape = self.ty(indices).shape.clone();
        let last = shape.rank();
        self.reshape(indices, shape.inserted(last, 1))
    }

    /// The tangent, or zeros of the type of `x`.
    pub fn tangent_or_zero(&mut self, t: Tangent, x: Value) -> Value {
        t.unwrap_or_else(|| self.full_like(x, 0.0))
    }

    /// `a + b` where each may be zero (`None`).
    pub fn add_tangents(&mut self, a: Tangent, b: Tangent) -> Tangent {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.add(a, b)),
            (a, b) => a.or(b),
        }
    }

    /// `x` with the batch axis (at `dim`, or missing) at the front.
    pub fn batched_at_front(&mut self, x: Value, dim: Option<usize>, size: usize) -> Value {
        match dim {
            Some(d) => self.move_axis(x, d, 0),
            None => {
                let shape = self.ty(x).shape.inserted(0, size);
                let dims: Vec<usize> = (1..shape.rank()).collect();
                self.broadcast(x, shape, &dims)
            }
        }
    }
}

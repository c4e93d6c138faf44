//! Tensors with named axes: [`NamedTensor`].
//!
//! The problem: `x.sum(1)` says nothing about what axis 1 is, and a transposed operand of the same
//! size is not noticed. Names as in Nx say it: `x.sum(["feature"])`, and operands whose names do
//! not match are errors.
//!
//! # Design
//!
//! Names are in a wrapper, not in [`Tensor`]. A tensor is a value of the IR, whose types have no
//! names: every op, transform and backend would have to carry names that only a part of the
//! functions can define (the names of a `reshape` or a `gather` would be a guess). The wrapper has
//! the functions for which names mean something, and [`NamedTensor::map`] and
//! [`NamedTensor::tensor`] for all others; a tensor without names pays nothing. Names are a static
//! part of the [`Tree`], so that `jit`, `grad` and `vmap` take named tensors, and a trace belongs
//! to its names.
//!
//! # Example
//!
//! ```text
//! x: f32[2, 3] (batch, feature)     w: f32[3, 4] (feature, unit)
//! x.dot(&w, ["feature"]) : f32[2, 4] (batch, unit)
//! ```
//!
//! # Invariants
//!
//! - There is a name for each axis, `_` for one without; other names are different.
//! - A failed operation is a tensor that carries the error and has no names.

mod reductions;

use crate::{Error, Operand, Place, Result, Tensor, Tree, tensor::CallSite, tree::Visitor};
use std::{fmt, panic::Location};

/// The name of an axis without a name.
const UNNAMED: &str = "_";

/// A tensor with a name for each axis, as in Nx. [`Tensor::names`] makes one.
///
/// `_` is an axis without a name; other names are different. The names of operands of `+`, `-`,
/// `*` and `/` are compared from the last axis on, as sizes are: `_` matches every name, different
/// names are an error.
///
/// ```
/// use neurax::prelude::*;
/// let x = tensor([[1.0, 2.0], [3.0, 4.0]]).names(["batch", "feature"]);
/// assert_eq!(x.sum(["batch"]).tensor().to_vec::<f32>()?, [4.0, 6.0]);
/// let scale = tensor([10.0, 100.0]).names(["feature"]);
/// assert_eq!((&x * &scale).axis_names(), ["batch", "feature"]);
/// let e = (&x * tensor([1.0, 2.0]).names(["batch"])).tensor().ok().unwrap_err();
/// assert!(e.message().contains("axis `feature` of the one and `batch` of the other"), "{e}");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NamedTensor {
    x: Tensor,
    names: Vec<String>,
}

/// The right operand of an operator of a [`NamedTensor`]: another one, a tensor or a number. The
/// axes of a tensor have no names.
pub trait NamedOperand {
    /// Returns the tensor and its names.
    #[doc(hidden)]
    fn parts(self, like: &Tensor) -> (Tensor, Vec<String>);
}

impl NamedOperand for &NamedTensor {
    fn parts(self, _: &Tensor) -> (Tensor, Vec<String>) {
        (self.x.clone(), self.axis_names())
    }
}

impl NamedOperand for NamedTensor {
    fn parts(self, like: &Tensor) -> (Tensor, Vec<String>) {
        (&self).parts(like)
    }
}

macro_rules! unnamed_operands {
    ($($t:ty),*) => {$(
        impl NamedOperand for $t {
            #[track_caller]
            fn parts(self, like: &Tensor) -> (Tensor, Vec<String>) {
                let x = self.operand(like);
                let names = vec![UNNAMED.into(); x.rank()];
                (x, names)
            }
        }
    )*};
}

unnamed_operands!(Tensor, &Tensor, f32, f64, i32, i64);

impl Tensor {
    /// Names the axes, `_` for one without a name: see [`NamedTensor`]. Follows the option `names`
    /// of `Nx.tensor`.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is not a name for each axis, or if two
    /// are equal.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3, 4]).names(["batch", "_", "feature"]);
    /// assert_eq!(x.to_string(), "f32[2, 3, 4] (batch, _, feature)");
    /// let e = Tensor::zeros([2]).names(["a", "b"]).tensor().ok().unwrap_err();
    /// assert!(e.message().contains("expected a name for each axis of f32[2]"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn names<'n>(&self, names: impl AsRef<[&'n str]>) -> NamedTensor {
        let names = names.as_ref().iter().map(|n| n.to_string()).collect();
        NamedTensor::new("names", self.clone(), names, Location::caller())
    }
}

impl NamedTensor {
    /// Creates a tensor with names after a check of them.
    fn new(op: &str, x: Tensor, names: Vec<String>, at: CallSite) -> NamedTensor {
        let repeated =
            names.iter().enumerate().find(|(i, n)| *n != UNNAMED && names[..*i].contains(n));
        let why = match repeated {
            _ if x.error().is_some() => {
                return NamedTensor { x: x.at_place(&Place::Source(at)), names: vec![] };
            }
            _ if names.len() != x.rank() => {
                let got = names.join(", ");
                format!("expected a name for each axis of {}, got ({got})", x.dtype_and_shape())
            }
            Some((_, name)) => {
                format!("expected different names, got `{name}` twice; rename an axis first")
            }
            None => return NamedTensor { x, names },
        };
        NamedTensor { x: Tensor::fail(op, why, at), names: vec![] }
    }

    /// Returns the tensor without the names.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 2.0]).names(["feature"]);
    /// assert_eq!(x.tensor().to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn tensor(&self) -> &Tensor {
        &self.x
    }

    /// Returns the name of each axis, `_` for one without. `Nx.names`.
    ///
    /// Within `vmap` over axis 0, the axes of one example have the last names.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).names(["batch", "_"]);
    /// assert_eq!(x.axis_names(), ["batch", "_"]);
    /// ```
    pub fn axis_names(&self) -> Vec<String> {
        let (rank, n) = (self.x.rank(), self.names.len());
        let new = std::iter::repeat_n(UNNAMED.to_string(), rank.saturating_sub(n));
        new.chain(self.names[n.saturating_sub(rank)..].iter().cloned()).collect()
    }

    /// Returns the number of the axis called `name`. `Nx.axis_index`.
    ///
    /// # Errors
    /// When there is no such axis.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).names(["batch", "feature"]);
    /// assert_eq!(x.axis_index("feature")?, 1);
    /// let e = x.axis_index("time").unwrap_err();
    /// assert!(e.message().contains("no axis `time`; there are (batch, feature)"), "{e}");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn axis_index(&self, name: &str) -> Result<usize> {
        if let Some(e) = self.x.error() {
            return Err(e.clone());
        }
        let names = self.axis_names();
        let found = names.iter().position(|n| n == name && name != UNNAMED);
        found.ok_or_else(|| {
            let why = format!("there is no axis `{name}`; there are ({})", names.join(", "));
            Error::new("axis_index", why)
        })
    }

    /// Renames axes: pairs of the old and the new name. `Nx.rename`.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of an old name, or if two
    /// names become equal.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).names(["batch", "feature"]);
    /// assert_eq!(x.rename([("feature", "unit")]).axis_names(), ["batch", "unit"]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn rename<'n>(&self, pairs: impl AsRef<[(&'n str, &'n str)]>) -> NamedTensor {
        let at = Location::caller();
        let mut names = self.axis_names();
        for (old, new) in pairs.as_ref() {
            match self.axis_index(old) {
                Ok(axis) => names[axis] = new.to_string(),
                Err(e) => return NamedTensor::failed(e, at),
            }
        }
        NamedTensor::new("rename", self.x.clone(), names, at)
    }

    /// Applies a function that keeps the axes, as elementwise functions do; the names stay.
    ///
    /// # Errors
    /// The tensor of the result carries an error if the function changes the number of axes.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([1.0, 4.0]).names(["feature"]).map(|x| x.sqrt());
    /// assert_eq!(x.tensor().to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn map(&self, f: impl FnOnce(&Tensor) -> Tensor) -> NamedTensor {
        NamedTensor::new("map", f(&self.x), self.axis_names(), Location::caller())
    }

    /// Computes the sum of products over the axes of the same names in both operands; the other
    /// axes are those of `self`, then those of `other`. `Nx.dot` with names.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of a name, if the sizes
    /// differ, and if another name is in both operands.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::ones([2, 3]).names(["batch", "feature"]);
    /// let w = Tensor::ones([4, 3]).names(["unit", "feature"]);
    /// let y = x.dot(&w, ["feature"]);
    /// assert_eq!(y.to_string(), "f32[2, 4] (batch, unit)");
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn dot<'n>(&self, other: &NamedTensor, axes: impl AsRef<[&'n str]>) -> NamedTensor {
        let at = Location::caller();
        let (a, b) = match (self.axes("dot", axes.as_ref()), other.axes("dot", axes.as_ref())) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return NamedTensor::failed(e, at),
        };
        let names = [self.names_without(&a), other.names_without(&b)].concat();
        NamedTensor::new("dot", self.x.tensordot(&other.x, a, b), names, at)
    }

    /// Permutes the axes to the order of the names, which are those of all axes. `Nx.transpose`.
    ///
    /// # Errors
    /// The tensor of the result carries an error if there is no axis of a name, or if one is
    /// missing.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = Tensor::zeros([2, 3]).names(["batch", "feature"]);
    /// assert_eq!(x.permute(["feature", "batch"]).tensor().shape(), [3, 2]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn permute<'n>(&self, names: impl AsRef<[&'n str]>) -> NamedTensor {
        let at = Location::caller();
        match self.axes("permute", names.as_ref()) {
            Ok(axes) => {
                let names = names.as_ref().iter().map(|n| n.to_string()).collect();
                NamedTensor::new("permute", self.x.permute(axes), names, at)
            }
            Err(e) => NamedTensor::failed(e, at),
        }
    }

    /// Returns the numbers of the axes.
    fn axes(&self, op: &str, names: &[&str]) -> Result<Vec<usize>> {
        let index = |name: &&str| {
            // The user has called `op`, not `axis_index`.
            self.axis_index(name).map_err(|e| Error::new(op, e.message()).at_origin(e.origin()))
        };
        names.iter().map(index).collect()
    }

    /// Returns the names of the axes other than `axes`.
    fn names_without(&self, axes: &[usize]) -> Vec<String> {
        let names = self.axis_names().into_iter().enumerate();
        names.filter(|(i, _)| !axes.contains(i)).map(|(_, n)| n).collect()
    }

    /// Creates the tensor that carries `e`.
    fn failed(e: Error, at: CallSite) -> NamedTensor {
        NamedTensor { x: Tensor::error_at(e, at), names: vec![] }
    }

    /// Combines two tensors by `f`, and their names from the last axis on.
    #[track_caller]
    fn combined(
        &self,
        op: &str,
        other: impl NamedOperand,
        f: impl FnOnce(&Tensor, Tensor) -> Tensor,
    ) -> NamedTensor {
        let at = Location::caller();
        let (y, other) = other.parts(&self.x);
        let mut own = self.axis_names();
        for (i, name) in other.iter().rev().enumerate() {
            let Some(at_end) = own.len().checked_sub(i + 1) else {
                own.insert(0, name.clone());
                continue;
            };
            if own[at_end] == UNNAMED {
                own[at_end] = name.clone();
            } else if name != UNNAMED && *name != own[at_end] {
                let why = format!(
                    "expected equal names, got axis `{}` of the one and `{name}` of the other; \
                     the operands are {self} and {} ({})",
                    own[at_end],
                    y.dtype_and_shape(),
                    other.join(", ")
                );
                return NamedTensor::failed(Error::new(op, why), at);
            }
        }
        NamedTensor::new(op, f(&self.x, y), own, at)
    }
}

macro_rules! named_operators {
    ($($Tr:ident $f:ident $op:tt;)*) => {$(
        impl<R: NamedOperand> std::ops::$Tr<R> for &NamedTensor {
            type Output = NamedTensor;
            #[track_caller]
            fn $f(self, other: R) -> NamedTensor {
                self.combined(stringify!($f), other, |x, y| x $op y)
            }
        }
        impl<R: NamedOperand> std::ops::$Tr<R> for NamedTensor {
            type Output = NamedTensor;
            #[track_caller]
            fn $f(self, other: R) -> NamedTensor {
                &self $op other
            }
        }
    )*};
}

named_operators! { Add add +; Sub sub -; Mul mul *; Div div /; }

impl From<NamedTensor> for Tensor {
    fn from(x: NamedTensor) -> Tensor {
        x.x
    }
}

impl fmt::Display for NamedTensor {
    /// Writes the type and the names.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({})", self.x.dtype_and_shape(), self.axis_names().join(", "))
    }
}

impl Tree for NamedTensor {
    fn visit<'t>(&'t self, v: &mut Visitor<'_, 't>) {
        v.fixed("names", &self.names);
        self.x.visit(v);
    }
    fn rebuild(&self, next: &mut dyn FnMut() -> Tensor) -> Self {
        NamedTensor { x: next(), names: self.names.clone() }
    }
    fn into_leaves(self, out: &mut Vec<Tensor>) {
        out.push(self.x);
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn x() -> NamedTensor {
        tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).names(["batch", "feature"])
    }

    #[test]
    fn reductions_and_products_are_by_name() {
        assert_eq!(x().sum(["feature"]).to_string(), "f32[2] (batch)");
        assert_eq!(x().mean([]).tensor().item().unwrap(), 3.5);
        assert_eq!(x().argmax(["batch"]).tensor().to_vec::<i32>().unwrap(), [1, 1, 1]);
        assert_eq!(x().std(["batch"], 0).tensor().to_vec::<f32>().unwrap(), [1.5; 3]);
        let both = x().permute(["feature", "batch"]).dot(&x().rename([("batch", "other")]), []);
        assert_eq!(both.tensor().error().unwrap().op(), "dot");
        let gram = x().dot(&x().rename([("batch", "other")]), ["feature"]);
        assert_eq!(gram.axis_names(), ["batch", "other"]);
        assert_eq!(gram.tensor().to_vec::<f32>().unwrap(), [14.0, 32.0, 32.0, 77.0]);
    }

    #[test]
    fn names_are_merged_from_the_last_axis() {
        let y = x() + tensor([[[1.0]]]).names(["time", "_", "_"]);
        assert_eq!(y.axis_names(), ["time", "batch", "feature"]);
        assert_eq!((x() * 2.0 - tensor([1.0, 1.0, 1.0])).axis_names(), ["batch", "feature"]);
        let unnamed = tensor([1.0, 2.0, 3.0]).names(["_"]);
        assert_eq!((unnamed / x().sum(["batch"])).axis_names(), ["feature"]);
    }

    #[test]
    fn transforms_keep_names() {
        let f = jit(|x: NamedTensor| x.sum(["batch"]));
        assert_eq!(f.run(x()).unwrap().axis_names(), ["feature"]);
        assert!(f.run(x().rename([("batch", "row")])).is_err(), "another name, another trace");
        let slope = grad(|x: NamedTensor| (&x * &x).sum([]).tensor().clone()).run(x()).unwrap();
        assert_eq!(slope.axis_names(), ["batch", "feature"]);
        let rows = vmap(|x: NamedTensor| x.sum(["feature"]).tensor().clone()).run(x()).unwrap();
        assert_eq!(rows.to_vec::<f32>().unwrap(), [6.0, 15.0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |y: NamedTensor| y.tensor().error().unwrap().to_string();
        assert!(say(x().sum(["time"])).contains("no axis `time`; there are (batch, feature)"));
        assert!(say(x().rename([("batch", "feature")])).contains("got `feature` twice"));
        assert!(say(x().map(|x| x.flatten())).contains("a name for each axis of f32[6]"));
        assert!(say(x().permute(["batch"])).contains("permute"));
        assert!(say(x() + x().permute(["feature", "batch"])).contains("expected equal names"));
        assert!(say(x().sum(["time"]) + 1.0).contains("no axis `time`"));
    }
}

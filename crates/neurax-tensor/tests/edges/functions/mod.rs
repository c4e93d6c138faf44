//! The recorded functions in Rust, by name.

mod arrays;
mod composed;
mod control;
mod elementwise;

use neurax::{Complex, prelude::*};

/// An argument: a tensor or a Rust number.
#[derive(Clone)]
pub enum Value {
    Tensor(Tensor),
    Bool(bool),
    Int(i64),
    Float(f64),
    Complex(Complex<f64>),
}

/// A recorded function in Rust.
pub type EdgeFunction = fn(&[Value]) -> Vec<Tensor>;

/// Functions by name.
pub type EdgeTable = &'static [(&'static str, EdgeFunction)];

const TABLES: &[EdgeTable] = &[
    elementwise::METHODS,
    elementwise::FORMULAS,
    elementwise::WITH_OPERAND,
    elementwise::WITH_NUMBERS,
    elementwise::CONVERSIONS,
    arrays::FUNCTIONS,
    composed::FUNCTIONS,
    control::FUNCTIONS,
];

/// Returns the names of all functions.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().copied().flatten().map(|f| f.0)
}

/// Returns the function called `name`.
pub fn find(name: &str) -> Option<EdgeFunction> {
    TABLES.iter().copied().flatten().find(|f| f.0 == name).map(|f| f.1)
}

impl Value {
    /// Returns the tensor if the argument is one.
    pub fn as_tensor(&self) -> Option<Tensor> {
        match self {
            Value::Tensor(x) => Some(x.clone()),
            _ => None,
        }
    }

    /// Returns the argument with the next of `tensors` in place of a tensor.
    pub fn with(&self, tensors: &mut impl Iterator<Item = Tensor>) -> Value {
        match self {
            Value::Tensor(x) => Value::Tensor(tensors.next().unwrap_or_else(|| x.clone())),
            number => number.clone(),
        }
    }
}

/// Defines a function of tensors: `name(x, y) => result`, where the arguments are `&Tensor` and
/// the result is any tree.
macro_rules! functions {
    ($($name:ident($($x:ident),*) => $body:expr;)*) => {
        pub const FUNCTIONS: crate::functions::EdgeTable = &[$((stringify!($name), |xs| {
            let xs: Vec<neurax::Tensor> = xs.iter().filter_map(|x| x.as_tensor()).collect();
            let [$($x),*] = &xs[..] else { panic!("{} tensors", xs.len()) };
            crate::functions::leaves($body)
        })),*];
    };
}
pub(crate) use functions;

pub fn leaves(t: impl Tree) -> Vec<Tensor> {
    let mut v = vec![];
    t.into_leaves(&mut v);
    v
}

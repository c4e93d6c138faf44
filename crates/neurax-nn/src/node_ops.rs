//! Operators on nodes: `a + b`, `2.0 * a`, `-a`.

use crate::{Node, layer};
use neurax_tensor::{DType, Scalar, Tensor};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The right operand of an operator on nodes: a node, a tensor, or a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an operand of a node",
    note = "operands are Node, &Node, Tensor and Rust numbers"
)]
pub trait NodeOperand {
    /// Creates a node that computes `f` of `node` and this operand.
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node;
}

impl NodeOperand for &Node {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        layer(name, [node, self], move |_, [a, b]| f(&a, &b))
    }
}

impl NodeOperand for Node {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        (&self).combine(node, name, f)
    }
}

impl NodeOperand for Tensor {
    #[track_caller]
    fn combine(self, node: &Node, name: &'static str, f: fn(&Tensor, &Tensor) -> Tensor) -> Node {
        layer(name, [node], move |_, [a]| f(&a, &self))
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl NodeOperand for $t {
            #[track_caller]
            fn combine(
                self,
                node: &Node,
                name: &'static str,
                f: fn(&Tensor, &Tensor) -> Tensor,
            ) -> Node {
                let number = Scalar::from(self);
                layer(name, [node], move |_, [a]| {
                    // Integers are divided as floats, which hold every divisor.
                    let is_quotient = name == "divide" && !a.dtype().is_differentiable();
                    let a = match number {
                        Scalar::Int(_) | Scalar::Bool(_) if is_quotient => a.to(DType::F32),
                        _ => a,
                    };
                    let dtype = if is_quotient { DType::F32 } else { number.dtype_with(a.dtype()) };
                    f(&a, &Tensor::scalar(dtype, number))
                })
            }
        }
    )*};
}
numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! operators {
    ($($Op:ident $f:ident $name:literal $sign:tt),*) => {$(
        impl<R: NodeOperand> $Op<R> for Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node { right.combine(&self, $name, |a, b| a $sign b) }
        }
        impl<R: NodeOperand> $Op<R> for &Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node { right.combine(self, $name, |a, b| a $sign b) }
        }
        operators!(@left $Op $f $name $sign; (f64, Node) (f64, &Node) (i64, Node) (i64, &Node));
    )*};
    (@left $Op:ident $f:ident $name:literal $sign:tt; $(($L:ty, $R:ty))*) => {$(
        impl $Op<$R> for $L {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: $R) -> Node { self.combine(&right.clone(), $name, |a, b| b $sign a) }
        }
    )*};
}
operators!(Add add "add" +, Sub sub "subtract" -, Mul mul "multiply" *, Div div "divide" /);

impl Neg for &Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        layer("negate", [self], |_, [x]| -x)
    }
}

impl Neg for Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        -&self
    }
}

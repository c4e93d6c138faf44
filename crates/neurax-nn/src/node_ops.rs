//! Operators on nodes: `a + b`, `2.0 * a`, `-a`.

use crate::model_layer::ModelLayer;
use crate::saved::fields;
use crate::{Cx, MaskRule, Node};
use neurax_tensor::{DType, Error, Scalar, Tensor};
use serde::{Deserialize, Serialize};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The right operand of an operator on nodes: a node, a tensor, or a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an operand of a node",
    note = "operands are Node, &Node, Tensor and Rust numbers"
)]
pub trait NodeOperand {
    /// Creates a node of `operator` with `node` and this operand.
    #[track_caller]
    fn combine(self, node: &Node, operator: NodeOperator) -> Node;
}

/// An operator on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOperator {
    op: Arithmetic,
    /// True if the operand of [`NodeValue::combine`] is the left one.
    is_swapped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl NodeOperator {
    fn name(self) -> &'static str {
        match self.op {
            Arithmetic::Add => "add",
            Arithmetic::Subtract => "subtract",
            Arithmetic::Multiply => "multiply",
            Arithmetic::Divide => "divide",
        }
    }

    #[track_caller]
    fn of(self, node: &Tensor, operand: &Tensor) -> Tensor {
        let (a, b) = if self.is_swapped { (operand, node) } else { (node, operand) };
        match self.op {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => a / b,
        }
    }
}

/// The layer of an operator: its operand is a second node, a tensor or a number.
#[derive(Serialize, Deserialize)]
pub(crate) struct Operation {
    operator: NodeOperator,
    operand: NodeValue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NodeValue {
    Node,
    Tensor(#[serde(with = "fields::tensor")] Tensor),
    Number(#[serde(with = "fields::scalar")] Scalar),
}

impl ModelLayer for Operation {
    fn kind(&self) -> &str {
        self.operator.name()
    }

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, _: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        let y = match (&self.operand, inputs) {
            (NodeValue::Node, [a, b]) => self.operator.of(a, b),
            (NodeValue::Tensor(b), [a]) => self.operator.of(a, b),
            (NodeValue::Number(n), [a]) => self.with_number(a, *n),
            _ => Tensor::from_error(Error::bug(format!("got {} operands", inputs.len()))),
        };
        vec![y]
    }
}

impl Operation {
    #[track_caller]
    fn with_number(&self, a: &Tensor, number: Scalar) -> Tensor {
        // Integers are divided as floats, which hold every divisor.
        let is_quotient = self.operator.op == Arithmetic::Divide && !a.dtype().is_differentiable();
        let is_integer = matches!(number, Scalar::Int(_) | Scalar::Bool(_));
        let a = if is_quotient && is_integer { a.to(DType::F32) } else { a.clone() };
        let dtype = if is_quotient { DType::F32 } else { number.dtype_with(a.dtype()) };
        self.operator.of(&a, &Tensor::scalar(dtype, number))
    }
}

impl NodeOperand for &Node {
    #[track_caller]
    fn combine(self, node: &Node, operator: NodeOperator) -> Node {
        let inputs = vec![node.clone(), self.clone()];
        Node::of_layer(inputs, Operation { operator, operand: NodeValue::Node })
    }
}

impl NodeOperand for Node {
    #[track_caller]
    fn combine(self, node: &Node, operator: NodeOperator) -> Node {
        (&self).combine(node, operator)
    }
}

impl NodeOperand for Tensor {
    #[track_caller]
    fn combine(self, node: &Node, operator: NodeOperator) -> Node {
        let operand = NodeValue::Tensor(self);
        Node::of_layer(vec![node.clone()], Operation { operator, operand })
    }
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl NodeOperand for $t {
            #[track_caller]
            fn combine(self, node: &Node, operator: NodeOperator) -> Node {
                let operand = NodeValue::Number(Scalar::from(self));
                Node::of_layer(vec![node.clone()], Operation { operator, operand })
            }
        }
    )*};
}
numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! operators {
    ($($Op:ident $f:ident $Arithmetic:ident),*) => {$(
        impl<R: NodeOperand> $Op<R> for Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node { (&self).$f(right) }
        }
        impl<R: NodeOperand> $Op<R> for &Node {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: R) -> Node {
                right.combine(self, NodeOperator { op: Arithmetic::$Arithmetic, is_swapped: false })
            }
        }
        operators!(@left $Op $f $Arithmetic; (f64, Node) (f64, &Node) (i64, Node) (i64, &Node));
    )*};
    (@left $Op:ident $f:ident $Arithmetic:ident; $(($L:ty, $R:ty))*) => {$(
        impl $Op<$R> for $L {
            type Output = Node;
            #[track_caller]
            fn $f(self, right: $R) -> Node {
                let operator = NodeOperator { op: Arithmetic::$Arithmetic, is_swapped: true };
                self.combine(&right.clone(), operator)
            }
        }
    )*};
}
operators!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide);

/// The layer of a negation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Negate;

impl ModelLayer for Negate {
    fn kind(&self) -> &str {
        "negate"
    }

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, _: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        inputs.iter().map(|x| -x).collect()
    }
}

impl Neg for &Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        Node::of_layer(vec![self.clone()], Negate)
    }
}

impl Neg for Node {
    type Output = Node;
    #[track_caller]
    fn neg(self) -> Node {
        -&self
    }
}

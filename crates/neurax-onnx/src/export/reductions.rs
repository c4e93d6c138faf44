//! Reductions, sorts and cumulative functions.

use super::draft::{Lowered, Wire};
use super::emitter::{Emitter, FormResult, ints_of};
use super::support::carrier;
use crate::proto::AttributeProto;
use neurax_ir::op::{ArgKind, ArgReduce, Reduce, ReduceKind, Sort};
use neurax_ir::{DType, Literal, Shape, Type};

impl Emitter {
    /// Emits a reduction.
    pub(super) fn reduce(&mut self, op: &Reduce, x: &Lowered) -> FormResult<Lowered> {
        if op.axes.is_empty() {
            return Ok(x.clone());
        }
        let dtype = x.wire.ty.dtype;
        let shape = x.shape.without(&op.axes);
        // ONNX leaves open what an extremum of no elements is.
        if op.axes.iter().any(|&a| x.shape[a] == 0) {
            let wire = self.literal(op.kind.identity_element(dtype));
            return Ok(Lowered { wire, shape });
        }
        let wire = self.full(x);
        let y = match (op.kind.on(dtype), dtype) {
            (ReduceKind::Or, DType::Bool) => self.reduced("ReduceMax", &wire, &op.axes)?,
            (ReduceKind::And, DType::Bool) => self.reduced("ReduceMin", &wire, &op.axes)?,
            (ReduceKind::Xor, DType::Bool) => {
                let bits = self.cast(&wire, DType::I64);
                let sum = self.reduced("ReduceSum", &bits, &op.axes)?;
                let odd = self.with_number("Mod", &Lowered::of(sum), 2.0)?;
                self.cast(&odd.wire, DType::Bool)
            }
            (ReduceKind::Sum, _) => self.reduced("ReduceSum", &wire, &op.axes)?,
            (ReduceKind::Prod, _) => self.reduced("ReduceProd", &wire, &op.axes)?,
            (ReduceKind::Max, _) => self.reduced("ReduceMax", &wire, &op.axes)?,
            (ReduceKind::Min, _) => self.reduced("ReduceMin", &wire, &op.axes)?,
            (ReduceKind::And | ReduceKind::Or | ReduceKind::Xor, _) => {
                self.reduced_bits(op, &Lowered::of(wire))?
            }
        };
        Ok(Lowered::of(y))
    }

    /// Emits a reduction of a stored value, without the reduced axes.
    pub(super) fn reduced(
        &mut self,
        op: &'static str,
        x: &Wire,
        axes: &[usize],
    ) -> FormResult<Wire> {
        // The axes are an operand of sums since opset 13, of the other reductions since 18.
        let by_attribute = op != "ReduceSum" && self.opset < 18;
        let keep = AttributeProto::of_int("keepdims", 0);
        let shape = x.ty.shape.without(axes);
        if by_attribute {
            let attributes = vec![AttributeProto::of_ints("axes", ints_of(axes)), keep];
            return self.compute(op, &[x], &[], attributes, shape);
        }
        let axes = self.ints(&ints_of(axes));
        self.compute(op, &[x], &[&axes], vec![keep], shape)
    }

    /// Emits a bitwise reduction of integers: that of each bit, put together again.
    fn reduced_bits(&mut self, op: &Reduce, x: &Lowered) -> FormResult<Wire> {
        let (bits, places) = self.bits(x)?;
        let bits = match op.kind {
            ReduceKind::And => self.reduced("ReduceMin", &bits.wire, &op.axes)?,
            ReduceKind::Xor => {
                let sum = self.reduced("ReduceSum", &bits.wire, &op.axes)?;
                self.with_number("Mod", &Lowered::of(sum), 2.0)?.wire
            }
            // other: or; sums and extrema have operators.
            _ => self.reduced("ReduceMax", &bits.wire, &op.axes)?,
        };
        let places = Lowered { wire: places.wire, shape: bits.ty.shape.clone() };
        let direction = vec![AttributeProto::of_string("direction", "LEFT")];
        let all = Lowered::of(bits);
        let parts = self.elementwise_with("BitShift", &[&all, &places], direction)?;
        let last = parts.rank() - 1;
        let sum = self.reduced("ReduceSum", &parts.wire, &[last])?;
        Ok(self.cast(&sum, x.wire.ty.dtype))
    }

    /// Emits the index of an extremum.
    pub(super) fn arg_reduce(&mut self, op: &ArgReduce, x: &Lowered) -> FormResult<Lowered> {
        let name = match op.kind {
            ArgKind::Max => "ArgMax",
            ArgKind::Min => "ArgMin",
        };
        let wire = self.full(x);
        let wire = self.cast(&wire, carrier(name, wire.ty.dtype, self.opset)?);
        let ty = Type::new(DType::I64, x.shape.removed(op.axis));
        let attributes = vec![
            AttributeProto::of_int("axis", op.axis as i64),
            AttributeProto::of_int("keepdims", 0),
        ];
        let y = self.node_with(name, &[&wire], ty, attributes);
        Ok(Lowered::of(self.cast(&y, DType::I32)))
    }

    /// Emits a sort: `TopK` of all elements, whose order of equal ones is that of a stable sort.
    /// With several keys, the last one is sorted first.
    pub(super) fn sort(&mut self, op: &Sort, xs: &[Lowered]) -> FormResult<Vec<Lowered>> {
        let wires: Vec<Wire> = xs.iter().map(|x| self.full(x)).collect();
        let mut order: Option<Wire> = None;
        for key in wires[..op.keys].iter().rev() {
            let sorted = match &order {
                Some(order) => self.gather_elements(key, order, op.axis)?,
                None => key.clone(),
            };
            let (values, indices) = self.ascending(&sorted, op.axis)?;
            if wires.len() == 1 {
                return Ok(vec![Lowered::of(values)]);
            }
            order = Some(match &order {
                Some(order) => self.gather_elements(order, &indices, op.axis)?,
                None => indices,
            });
        }
        let order = order.ok_or("a sort without keys")?;
        let sorted = |x: &Wire| Ok(Lowered::of(self.gather_elements(x, &order, op.axis)?));
        wires.iter().map(sorted).collect()
    }

    /// Emits the elements along an axis in ascending order, and their indices.
    fn ascending(&mut self, x: &Wire, axis: usize) -> FormResult<(Wire, Wire)> {
        let by = carrier("TopK", x.ty.dtype, self.opset)?;
        let wide = self.cast(x, by);
        let count = self.ints(&ints_of(&x.ty.shape[axis..=axis]));
        let outputs = vec![
            self.wire("TopK", wide.ty.clone()),
            self.wire("TopK", wide.ty.with_dtype(DType::I64)),
        ];
        let attributes = vec![
            AttributeProto::of_int("axis", axis as i64),
            AttributeProto::of_int("largest", 0),
            AttributeProto::of_int("sorted", 1),
        ];
        let ys = self.push("TopK", &[&wide, &count], outputs, attributes);
        Ok((self.cast(&ys[0], x.ty.dtype), ys[1].clone()))
    }

    /// Emits the elements of `x` at `indices` along an axis.
    pub(super) fn gather_elements(
        &mut self,
        x: &Wire,
        indices: &Wire,
        axis: usize,
    ) -> FormResult<Wire> {
        let attributes = vec![AttributeProto::of_int("axis", axis as i64)];
        let shape = indices.ty.shape.clone();
        self.compute("GatherElements", &[x], &[indices], attributes, shape)
    }

    /// Emits a constant of the identity element of a reduction.
    pub(super) fn identity_of(&mut self, kind: ReduceKind, dtype: DType) -> Wire {
        let value: Literal = kind.identity_element(dtype);
        self.literal(value)
    }

    /// Emits a cumulative sum or product by the operator of ONNX.
    pub(super) fn cumulative_op(
        &mut self,
        op: &'static str,
        x: &Wire,
        axis: usize,
        reverse: bool,
    ) -> FormResult<Wire> {
        let axis = self.scalar_int(axis);
        let attributes = reverse.then(|| AttributeProto::of_int("reverse", 1));
        let shape: Shape = x.ty.shape.clone();
        self.compute(op, &[x], &[&axis], attributes.into_iter().collect(), shape)
    }
}

//! The nodes that compute numbers from open sizes.

use super::draft::{DraftNode, Wire};
use super::size_formula::{KnownSize, OpenSize, SizeFormula, gcd};
use crate::dtype::number_of;
use crate::proto::AttributeProto;
use neurax_ir::{DType, Literal, Type};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The sizes of the axes of values: for each axis, one number for each trace.
pub(super) type SizesByName = HashMap<Arc<str>, Vec<Vec<i64>>>;

/// The merge of drafts.
pub(super) struct Merger {
    pub sizes: SizesByName,
    /// The open sizes, for messages.
    pub open: Vec<OpenSize>,
    /// The divisors of the sizes of all traces, so that the traces do not tell whether a quotient
    /// is rounded.
    pub unchecked: i64,
    /// The constants that differ: their types, and the values of each trace.
    pub varying: HashMap<Arc<str>, (Type, Vec<Vec<f64>>)>,
    /// The constants that formulas need.
    pub constants: Vec<(Arc<str>, Literal)>,
    /// The values that replace varying constants.
    pub renames: HashMap<Arc<str>, Arc<str>>,
    pub names: HashSet<Arc<str>>,
}

/// The sizes that a node can read, and the nodes that read them already.
#[derive(Clone, Default)]
pub(super) struct ScopeSizes {
    known: Vec<KnownSize>,
    /// The values whose whole shape is known, with it.
    shapes: Vec<(Arc<str>, Vec<Vec<i64>>)>,
    /// The results of nodes by what they compute.
    computed: HashMap<String, Wire>,
}

impl ScopeSizes {
    /// Adds the open sizes of a value.
    pub fn add(&mut self, x: &Wire, sizes: &SizesByName) {
        let Some(axes) = sizes.get(&x.name) else { return };
        for (axis, numbers) in axes.iter().enumerate() {
            if differs(numbers) && self.known.iter().all(|k| k.numbers != *numbers) {
                self.known.push(KnownSize { of: x.name.clone(), axis, numbers: numbers.clone() });
            }
        }
        if axes.iter().any(|n| differs(n)) && self.shapes.iter().all(|(_, known)| known != axes) {
            self.shapes.push((x.name.clone(), axes.clone()));
        }
    }
}

impl Merger {
    /// Emits the value of a varying constant; `None` if it has no formula.
    pub(super) fn computed(
        &mut self,
        ty: &Type,
        values: &[Vec<f64>],
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Option<Wire> {
        let count = ty.size();
        let column = |i: usize| values.iter().map(|v| v[i]).collect::<Vec<f64>>();
        if !ty.dtype.is_int() {
            return (count == 1).then(|| self.float(ty, &column(0), known, nodes))?;
        }
        let numbers: Vec<Vec<i64>> =
            (0..count).map(|i| column(i).iter().map(|&x| x as i64).collect()).collect();
        let whole = known.shapes.iter().find(|(_, axes)| ty.rank() == 1 && *axes == numbers);
        let vector = match whole.map(|(name, _)| name.clone()) {
            Some(name) => self.shape(&name, known, nodes),
            None => self.vector(&numbers, known, nodes)?,
        };
        let vector = self.cast(&vector, ty.dtype, known, nodes);
        Some(match ty.rank() {
            0 => self.node("Squeeze", &[&vector], ty.clone(), vec![], known, nodes),
            _ => vector,
        })
    }

    /// Emits a vector of numbers.
    fn vector(
        &mut self,
        numbers: &[Vec<i64>],
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Option<Wire> {
        let formulas: Vec<SizeFormula> =
            numbers.iter().map(|n| self.formula_of(n, known)).collect::<Option<_>>()?;
        let (mut parts, mut constants) = (vec![], vec![]);
        for f in &formulas {
            if f.sizes.is_empty() {
                constants.push(f.add);
                continue;
            }
            if !constants.is_empty() {
                parts.push(self.ints(&std::mem::take(&mut constants)));
            }
            parts.push(self.formula(f, known, nodes));
        }
        if !constants.is_empty() {
            parts.push(self.ints(&constants));
        }
        if let [part] = &parts[..] {
            return Some(part.clone());
        }
        let ty = Type::new(DType::I64, [numbers.len()]);
        let axis = vec![AttributeProto::of_int("axis", 0)];
        Some(self.node("Concat", &parts.iter().collect::<Vec<_>>(), ty, axis, known, nodes))
    }

    /// Returns the formula of a number, unless it may be rounded.
    fn formula_of(&self, numbers: &[i64], known: &ScopeSizes) -> Option<SizeFormula> {
        SizeFormula::of(numbers, &known.known).filter(|f| gcd(f.div, self.unchecked) == 1)
    }

    /// Emits the number of a formula, as a vector of one element.
    fn formula(
        &mut self,
        f: &SizeFormula,
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Wire {
        let ty = Type::new(DType::I64, [1]);
        let mut total: Option<Wire> = None;
        for size in &f.sizes {
            let shape = self.shape(&size.of, known, nodes);
            let at = self.ints(&[size.axis as i64]);
            let axis = vec![AttributeProto::of_int("axis", 0)];
            let n = self.node("Gather", &[&shape, &at], ty.clone(), axis, known, nodes);
            total = Some(match total {
                Some(total) => self.node("Mul", &[&total, &n], ty.clone(), vec![], known, nodes),
                None => n,
            });
        }
        let mut y = total.unwrap_or_else(|| self.ints(&[1]));
        for (op, number, neutral) in [("Mul", f.mul, 1), ("Div", f.div, 1), ("Add", f.add, 0)] {
            if number != neutral {
                let number = self.ints(&[number]);
                y = self.node(op, &[&y, &number], ty.clone(), vec![], known, nodes);
            }
        }
        y
    }

    /// Emits a float that is a number, or a constant divided by one.
    fn float(
        &mut self,
        ty: &Type,
        values: &[f64],
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Option<Wire> {
        let as_ints: Option<Vec<i64>> =
            values.iter().map(|&x| (x.fract() == 0.0).then_some(x as i64)).collect();
        let y = match as_ints.and_then(|n| self.formula_of(&n, known)) {
            Some(f) => {
                let n = self.formula(&f, known, nodes);
                self.cast(&n, ty.dtype, known, nodes)
            }
            None => {
                let (numerator, f) = SizeFormula::of_divisor(values, ty.dtype, &known.known)?;
                let n = self.formula(&f, known, nodes);
                let n = self.cast(&n, ty.dtype, known, nodes);
                let numerator = self.constant(Literal::scalar(ty.dtype, numerator));
                self.node("Div", &[&numerator, &n], ty.with_shape([1]), vec![], known, nodes)
            }
        };
        Some(match ty.rank() {
            0 => self.node("Squeeze", &[&y], ty.clone(), vec![], known, nodes),
            _ => y,
        })
    }

    /// Emits the shape of a value.
    fn shape(&mut self, of: &Arc<str>, known: &mut ScopeSizes, nodes: &mut Vec<DraftNode>) -> Wire {
        let rank = self.sizes.get(of).map_or(0, Vec::len);
        let x = Wire { name: of.clone(), ty: Type::scalar(DType::I64) };
        self.node("Shape", &[&x], Type::new(DType::I64, [rank]), vec![], known, nodes)
    }

    fn cast(
        &mut self,
        x: &Wire,
        dtype: DType,
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Wire {
        if x.ty.dtype == dtype {
            return x.clone();
        }
        let to = AttributeProto::of_int("to", number_of(dtype).unwrap_or_default().into());
        self.node("Cast", &[x], x.ty.with_dtype(dtype), vec![to], known, nodes)
    }

    /// Emits a node, or returns the result of an equal one.
    fn node(
        &mut self,
        op: &'static str,
        inputs: &[&Wire],
        ty: Type,
        attributes: Vec<AttributeProto>,
        known: &mut ScopeSizes,
        nodes: &mut Vec<DraftNode>,
    ) -> Wire {
        let names: Vec<Arc<str>> = inputs.iter().map(|x| x.name.clone()).collect();
        let key = format!("{op} {names:?} {attributes:?}");
        if let Some(y) = known.computed.get(&key) {
            return y.clone();
        }
        let y = Wire { name: self.unique(&format!("sizes/{op}")), ty };
        nodes.push(DraftNode {
            op,
            name: y.name.clone(),
            inputs: names,
            outputs: vec![y.clone()],
            attributes,
            bodies: vec![],
            origin: Default::default(),
        });
        known.computed.insert(key, y.clone());
        y
    }

    /// Adds a vector of integers; equal ones share a constant.
    fn ints(&mut self, xs: &[i64]) -> Wire {
        let numbers: Vec<f64> = xs.iter().map(|&x| x as f64).collect();
        let value = Literal::from_slice([xs.len()], xs);
        self.constant(
            value.unwrap_or_else(|_| Literal::from_f64s(DType::I64, [xs.len()], &numbers)),
        )
    }

    pub(super) fn constant(&mut self, value: Literal) -> Wire {
        let ty = value.ty().clone();
        if let Some((name, _)) = self.constants.iter().find(|(_, known)| *known == value) {
            return Wire { name: name.clone(), ty };
        }
        let name = self.unique("sizes/constant");
        self.constants.push((name.clone(), value));
        Wire { name, ty }
    }

    fn unique(&mut self, base: &str) -> Arc<str> {
        let mut name: Arc<str> = base.into();
        let mut number = 0;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}").into();
        }
        name
    }
}

/// Returns true if a number differs between traces.
pub(super) fn differs(numbers: &[i64]) -> bool {
    numbers.iter().any(|n| Some(n) != numbers.first())
}

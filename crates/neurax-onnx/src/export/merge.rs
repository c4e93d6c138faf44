//! Merges the traces of a function with open sizes to one model.
//!
//! The traces have the same nodes, as all sizes are large and different. What differs are the
//! numbers in constants: target shapes, ends of slices, counts of means. Each such number is a
//! list, its value in each trace, and so is the size of each axis of each value. A number that
//! equals a size is read from the shape of the value at run time; others are a multiple, a fraction
//! or a product of sizes, or a sum with a constant:
//!
//! ```text
//! traces with n = 7, 11, 13       number 14, 22, 26   2 n
//! sizes that are in the model: n  number 6, 10, 12    n - 1
//! and the 64 of `[n, 64]`         number 448, ..      64 n
//! ```
//!
//! If one entry of the target of a `Reshape` differs, it is -1. An attribute that differs, or a
//! number without such a formula, is an error that names the line of the equation.

use super::cleanup::rename;
use super::draft::{Draft, DraftBody, DraftNode, Wire};
use super::model_file::OpenSizes;
use super::size_formula::{OpenSize, trace_text};
use super::size_nodes::{Merger, ScopeSizes, SizesByName, differs};
use crate::proto::AttributeProto;
use neurax_ir::{Error, Literal, OrBug, Origin, Place, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The number of traces, and of numbers in each, that an error shows.
const MAX_SHOWN: usize = 4;

/// Merges drafts, one for each trace. Returns the model and the open sizes of its outputs. If all
/// sizes are multiples of `unchecked`, formulas have no divisor that shares a factor with it.
///
/// # Errors
/// If the drafts differ in more than numbers, or a number has no formula.
pub(super) fn merged(
    drafts: Vec<Draft>,
    open: &[OpenSize],
    unchecked: usize,
) -> Result<(Draft, OpenSizes)> {
    let (first, others) = drafts.split_first().or_bug("a function that was not traced")?;
    let bodies: Vec<&DraftBody> = others.iter().map(|d| &d.main).collect();
    check_same(&first.main, &bodies)?;
    let mut merger = Merger::new(&drafts, open, unchecked)?;
    let mut draft = first.clone();
    let mut known = ScopeSizes::default();
    draft.main.inputs.iter().for_each(|x| known.add(x, &merger.sizes));
    merger.body(&mut draft.main, &mut known)?;
    let varying = &merger.varying;
    draft.constants.retain(|(name, _)| !varying.contains_key(name));
    draft.constants.append(&mut merger.constants);
    rename(&mut draft.main, &merger.renames);
    let outputs = open_outputs(&draft.main.outputs, &merger.sizes, open);
    Ok((draft, outputs))
}

impl Merger {
    fn new(drafts: &[Draft], open: &[OpenSize], unchecked: usize) -> Result<Merger> {
        let first = drafts.first().or_bug("a function that was not traced")?;
        let mut merger = Merger {
            sizes: sizes_of(drafts),
            open: open.to_vec(),
            unchecked: unchecked as i64,
            varying: HashMap::new(),
            constants: vec![],
            renames: HashMap::new(),
            names: HashSet::new(),
        };
        merger.names.extend(merger.sizes.keys().cloned());
        for (i, (name, value)) in first.constants.iter().enumerate() {
            merger.names.insert(name.clone());
            let all: Option<Vec<&Literal>> =
                drafts.iter().map(|d| d.constants.get(i).map(|c| &c.1)).collect();
            let all = all.or_bug("a trace without a constant of another")?;
            if all.iter().all(|x| *x == value) {
                continue;
            }
            if all.iter().any(|x| x.ty() != value.ty()) || value.ty().rank() > 1 {
                let origin = first.main.origin_of_use(name);
                let why = "a constant of the function depends on an open size; fix the size, or \
                           compute the constant from the argument";
                return Err(Error::new("onnx export", why).at_origin(&origin));
            }
            let values = all.iter().map(|x| x.to_f64s()).collect();
            merger.varying.insert(name.clone(), (value.ty().clone(), values));
        }
        Ok(merger)
    }

    /// Replaces the varying constants that the nodes of a body read.
    fn body(&mut self, body: &mut DraftBody, known: &mut ScopeSizes) -> Result<()> {
        for mut node in std::mem::take(&mut body.nodes) {
            let mut needs = vec![];
            node.each_use(&mut |name| needs.push(name.clone()));
            let is_open = |m: &Merger, name: &Arc<str>| {
                m.varying.contains_key(name) && !m.renames.contains_key(name)
            };
            for name in needs.into_iter().collect::<HashSet<_>>() {
                if !is_open(self, &name) {
                    continue;
                }
                let (ty, values) = self.varying[&name].clone();
                let is_target = node.op == "Reshape" && node.inputs.get(1) == Some(&name);
                if is_target && let Some(target) = inferred_target(&values) {
                    let constant = self.constant(Literal::from_slice([target.len()], &target)?);
                    self.renames.insert(name, constant.name);
                    continue;
                }
                match self.computed(&ty, &values, known, &mut body.nodes) {
                    Some(wire) => drop(self.renames.insert(name, wire.name)),
                    // A body may know more sizes.
                    None if !node.inputs.contains(&name) => (),
                    None => return Err(self.no_formula(&node, &values)),
                }
            }
            for (_, inner) in &mut node.bodies {
                let mut inside = known.clone();
                inner.inputs.iter().for_each(|x| inside.add(x, &self.sizes));
                self.body(inner, &mut inside)?;
            }
            node.outputs.iter().for_each(|y| known.add(y, &self.sizes));
            body.nodes.push(node);
        }
        Ok(())
    }

    fn no_formula(&self, node: &DraftNode, values: &[Vec<f64>]) -> Error {
        let value = |(trace, numbers): (usize, &Vec<f64>)| {
            let mut shown: Vec<String> =
                numbers.iter().take(MAX_SHOWN).map(f64::to_string).collect();
            shown.extend((numbers.len() > MAX_SHOWN).then(|| "..".into()));
            format!("{} where {}", shown.join(", "), trace_text(&self.open, trace))
        };
        let all: Vec<String> = values.iter().enumerate().take(MAX_SHOWN).map(value).collect();
        let why = format!(
            "a number of {} depends on an open size in a way that the model cannot compute: it is \
             {}; fix the size",
            node.op,
            all.join("; ")
        );
        Error::new("onnx export", why).at_origin(&node.origin)
    }
}

impl DraftBody {
    /// Returns the origin of the first node that reads a value.
    fn origin_of_use(&self, name: &Arc<str>) -> Origin {
        let mut found = None;
        self.each_node(&mut |node| {
            if found.is_none() && node.inputs.contains(name) {
                found = Some(node.origin.clone());
            }
        });
        found.unwrap_or_default()
    }
}

/// Checks that bodies have the same nodes.
///
/// # Errors
/// If they differ: with the line of the first node that does.
fn check_same(first: &DraftBody, others: &[&DraftBody]) -> Result<()> {
    for (i, node) in first.nodes.iter().enumerate() {
        let same: Option<Vec<&DraftNode>> =
            others.iter().map(|o| o.nodes.get(i).filter(|n| is_like(node, n))).collect();
        let Some(same) = same else {
            let why = "the operations depend on an open size: other sizes need other nodes; fix \
                       the size";
            // The result of a trace may be its input, by a node without a line.
            let at_line = |n: &&DraftNode| !matches!(n.origin.place, Place::Unknown);
            let mut nodes = [node].into_iter().chain(others.iter().filter_map(|o| o.nodes.get(i)));
            let node = nodes.find(at_line).unwrap_or(node);
            return Err(Error::new(node.op, why).at_origin(&node.origin));
        };
        if let Some(name) = same.iter().find_map(|n| different_attribute(node, n)) {
            let why = format!(
                "the attribute `{name}` of {} depends on an open size, and attributes are fixed; \
                 fix the size",
                node.op
            );
            return Err(Error::new("onnx export", why).at_origin(&node.origin));
        }
        for (k, (_, body)) in node.bodies.iter().enumerate() {
            let others: Option<Vec<&DraftBody>> =
                same.iter().map(|n| n.bodies.get(k).map(|b| &b.1)).collect();
            check_same(body, &others.or_bug("a trace without a body of another")?)?;
        }
    }
    match others.iter().all(|o| o.nodes.len() == first.nodes.len()) {
        true => Ok(()),
        false => {
            let why = "the number of operations depends on an open size; fix the size";
            let more = others.iter().find_map(|o| o.nodes.get(first.nodes.len()));
            let origin = more.map(|n| n.origin.clone()).unwrap_or_default();
            Err(Error::new("onnx export", why).at_origin(&origin))
        }
    }
}

fn is_like(a: &DraftNode, b: &DraftNode) -> bool {
    let names = |n: &DraftNode| n.outputs.iter().map(|y| y.name.clone()).collect::<Vec<_>>();
    a.op == b.op && a.inputs == b.inputs && names(a) == names(b) && a.bodies.len() == b.bodies.len()
}

fn different_attribute(a: &DraftNode, b: &DraftNode) -> Option<String> {
    let differs = |(x, y): &(&AttributeProto, &AttributeProto)| x != y;
    a.attributes.iter().zip(&b.attributes).find(differs).map(|(x, _)| x.name.clone())
}

/// Returns the sizes of all values in each trace.
fn sizes_of(drafts: &[Draft]) -> SizesByName {
    let mut all: SizesByName = HashMap::new();
    for draft in drafts {
        each_wire(&draft.main, &mut |x| {
            let axes = all.entry(x.name.clone()).or_insert_with(|| vec![vec![]; x.ty.rank()]);
            axes.iter_mut().zip(x.ty.shape.iter()).for_each(|(axis, &n)| axis.push(n as i64));
        });
    }
    all
}

fn each_wire(body: &DraftBody, f: &mut dyn FnMut(&Wire)) {
    body.inputs.iter().for_each(&mut *f);
    for node in &body.nodes {
        node.outputs.iter().for_each(&mut *f);
        node.bodies.iter().for_each(|(_, inner)| each_wire(inner, f));
    }
}

/// Returns the target of a reshape with -1 for the only entry that differs.
fn inferred_target(values: &[Vec<f64>]) -> Option<Vec<i64>> {
    let first = values.first()?;
    let is_open = |i: &usize| values.iter().any(|v| v[*i] != first[*i]);
    let open: Vec<usize> = (0..first.len()).filter(is_open).collect();
    let is_known = |i: &usize| open.contains(i) || first[*i] > 0.0;
    match (&open[..], (0..first.len()).all(|i| is_known(&i))) {
        ([at], true) => {
            let mut target: Vec<i64> = first.iter().map(|&n| n as i64).collect();
            target[*at] = -1;
            Some(target)
        }
        _ => None,
    }
}

/// Returns the names of the open sizes of outputs.
fn open_outputs(outputs: &[Wire], sizes: &SizesByName, open: &[OpenSize]) -> OpenSizes {
    let mut found = OpenSizes::new();
    for y in outputs {
        for (axis, numbers) in sizes.get(&y.name).into_iter().flatten().enumerate() {
            if !differs(numbers) {
                continue;
            }
            let is_size =
                |o: &&OpenSize| o.sizes.iter().map(|&n| n as i64).eq(numbers.iter().copied());
            let name = match open.iter().find(is_size) {
                Some(open) => open.name.clone(),
                None => format!("{}_dim_{axis}", y.name),
            };
            found.insert((y.name.clone(), axis), name);
        }
    }
    found
}

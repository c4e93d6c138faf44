//! Sums of products by axis names: `einsum`.
//!
//! The formula is parsed to a list of axis names for each operand. Diagonals are taken and axes
//! that occur once are summed. Then pairs of factors are contracted with `dot_general`, in greedy
//! order: the pair with the smallest result comes next.

use super::{
    common::{cloned, promote_operands, tensor_or_error},
    products::contract,
};
use crate::{Tensor, tensor::CallSite};
use neurax_ir::op::ReduceKind;
use std::{borrow::Borrow, collections::BTreeMap, panic::Location};

/// Computes sums of products of tensors; `formula` names their axes by letters: `"ij,jk->ik"` is
/// the matrix product.
///
/// Letters that the result does not have are summed over. Without `->` the result has the letters
/// that occur once, in alphabetical order. A letter that occurs twice in an operand takes its
/// diagonal. `...` stands for leading axes, which broadcast. Dtypes are promoted. Follows
/// `numpy.einsum`.
///
/// Operands are contracted in pairs; the pair with the smallest result is next.
///
/// # Errors
///
/// The result carries an error for a wrong formula, for a letter with different sizes, and if the
/// number of operands is not that of the formula.
///
/// # Examples
///
/// ```
/// use neurax::{einsum, prelude::*};
/// let (a, b) = (tensor([[1, 2], [3, 4]]), tensor([[5, 6], [7, 8]]));
/// assert_eq!(einsum("ij,jk->ik", [&a, &b]).to_vec::<i32>()?, [19, 22, 43, 50]);
/// assert_eq!(einsum("ii", [&a]).item()?, 5.0);
/// assert_eq!(einsum("...i,i->...", [&a, &tensor([1, 10])]).to_vec::<i32>()?, [21, 43]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn einsum<T: Borrow<Tensor>>(formula: &str, xs: impl IntoIterator<Item = T>) -> Tensor {
    tensor_or_error(evaluate(formula, &cloned(xs)))
}

/// The name of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// An axis of an ellipsis, counted from the end, so that axes align as in broadcasting.
    Hidden(std::cmp::Reverse<usize>),
    /// A letter of the formula.
    Letter(char),
}

/// A tensor with a name for every axis, all different.
#[derive(Clone, Debug)]
struct Factor {
    x: Tensor,
    names: Vec<Name>,
}

/// Parses the formula, and contracts the operands.
#[track_caller]
fn evaluate(formula: &str, xs: &[Tensor]) -> Result<Tensor, Tensor> {
    let at = Location::caller();
    let xs = promote_operands("einsum", xs, at)?;
    let fail = |why: String| {
        let types: Vec<String> = xs.iter().map(Tensor::dtype_and_shape).collect();
        Tensor::fail("einsum", format!("\"{formula}\" of {}: {why}", types.join(", ")), at)
    };
    let ranks: Vec<usize> = xs.iter().map(Tensor::rank).collect();
    let (operands, result) = parse(formula, &ranks).map_err(fail)?;
    let sizes = sizes(&xs, &operands).map_err(fail)?;
    if let Some(n) = result.iter().find(|n| !sizes.contains_key(n)) {
        return Err(fail(format!("the result has axis {}, which no operand has", n.shown())));
    }
    let mut factors = vec![];
    for (x, names) in xs.iter().zip(operands) {
        factors.push(Factor { x: x.clone(), names }.diagonals().stretched(&sizes, at));
    }
    let product = Factor::product(factors, &result, at)?;
    let order = result.iter().filter_map(|n| product.names.iter().position(|m| m == n)).collect();
    Ok(product.x.permute_at(order, at))
}

impl Name {
    /// Returns the name for a message.
    fn shown(self) -> String {
        match self {
            Name::Hidden(_) => "...".into(),
            Name::Letter(c) => c.to_string(),
        }
    }
}

/// Parses a formula into the names of the axes of each operand and of the result. `ranks` are the
/// ranks of the operands.
fn parse(formula: &str, ranks: &[usize]) -> Result<(Vec<Vec<Name>>, Vec<Name>), String> {
    let text: String = formula.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((l, r)) => (l, Some(r)),
        None => (&text[..], None),
    };
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != ranks.len() {
        return Err(format!("expected {} operands, got {}", parts.len(), ranks.len()));
    }
    let operands = parts
        .iter()
        .zip(ranks)
        .map(|(part, &rank)| names(part, Some(rank)))
        .collect::<Result<Vec<_>, _>>()?;
    let hidden = operands.iter().flatten().filter(|n| matches!(n, Name::Hidden(_))).copied().min();
    let hidden = match hidden {
        Some(Name::Hidden(first)) => first.0 + 1,
        _ => 0,
    };
    let result = match right {
        Some(r) => {
            let letters = r.replace("...", "").chars().count();
            let names = names(r, Some(letters + if r.contains("...") { hidden } else { 0 }))?;
            if hidden > 0 && !r.contains("...") {
                return Err("an operand has ..., but the result does not".into());
            }
            names
        }
        None => implicit(&operands, hidden),
    };
    match result.iter().enumerate().find(|(i, n)| result[..*i].contains(n)) {
        Some((_, n)) => Err(format!("the result has axis {} twice", n.shown())),
        None => Ok((operands, result)),
    }
}

/// Returns the axes of a result that the formula does not give: those of an ellipsis, then the
/// letters that occur once, in alphabetical order.
fn implicit(operands: &[Vec<Name>], hidden: usize) -> Vec<Name> {
    let mut count = BTreeMap::<Name, usize>::new();
    operands
        .iter()
        .flatten()
        .filter(|n| matches!(n, Name::Letter(_)))
        .for_each(|&n| *count.entry(n).or_default() += 1);
    let hidden = (0..hidden).rev().map(|i| Name::Hidden(std::cmp::Reverse(i)));
    hidden.chain(count.into_iter().filter(|c| c.1 == 1).map(|c| c.0)).collect()
}

/// Parses the names of the axes of one operand or of the result, of rank `rank`.
fn names(part: &str, rank: Option<usize>) -> Result<Vec<Name>, String> {
    let (front, back) = part.split_once("...").map_or((part, None), |(f, b)| (f, Some(b)));
    let letter = |c: char| {
        if c.is_ascii_alphabetic() {
            Ok(Name::Letter(c))
        } else {
            Err(format!("expected letters as axis names, got `{c}`"))
        }
    };
    let mut out = front.chars().map(letter).collect::<Result<Vec<_>, _>>()?;
    let tail = back.unwrap_or("").chars().map(letter).collect::<Result<Vec<_>, _>>()?;
    let named = out.len() + tail.len();
    let rank = rank.unwrap_or(named);
    match (rank.checked_sub(named), back) {
        (Some(n), Some(_)) => out.extend((0..n).rev().map(|i| Name::Hidden(std::cmp::Reverse(i)))),
        (Some(0), None) => {}
        _ => return Err(format!("`{part}` names {named} axes of an operand of rank {rank}")),
    }
    out.extend(tail);
    Ok(out)
}

/// Returns the size of every name. Axes of an ellipsis may have size 1 instead.
fn sizes(xs: &[Tensor], operands: &[Vec<Name>]) -> Result<BTreeMap<Name, usize>, String> {
    let mut sizes = BTreeMap::new();
    for (x, names) in xs.iter().zip(operands) {
        for (&name, &n) in names.iter().zip(x.shape().iter()) {
            let old = *sizes.entry(name).or_insert(n);
            let hidden = matches!(name, Name::Hidden(_));
            match (old, n) {
                (a, b) if a == b => {}
                (_, 1) if hidden => {}
                (1, n) if hidden => {
                    sizes.insert(name, n);
                }
                (a, b) => return Err(format!("axis {} has sizes {a} and {b}", name.shown())),
            }
        }
    }
    Ok(sizes)
}

impl Factor {
    /// Takes the diagonals of names that occur twice.
    #[track_caller]
    fn diagonals(mut self) -> Factor {
        while let Some((i, j)) = self.pair() {
            let name = self.names[i];
            self.x = self.x.diagonal(0, i, j);
            self.names.remove(j);
            self.names.remove(i);
            self.names.push(name);
        }
        self
    }

    /// Returns two axes of one name.
    fn pair(&self) -> Option<(usize, usize)> {
        (0..self.names.len())
            .find_map(|j| Some((self.names[..j].iter().position(|n| *n == self.names[j])?, j)))
    }

    /// Removes axes of size 1 that broadcast: other factors supply their size in the product.
    fn stretched(mut self, sizes: &BTreeMap<Name, usize>, at: CallSite) -> Factor {
        let axes: Vec<usize> = (0..self.names.len())
            .filter(|&a| self.x.shape()[a] == 1 && sizes.get(&self.names[a]) != Some(&1))
            .collect();
        self.x = self.x.reshaped(self.x.shape_without(&axes, false), at);
        let mut axis = 0..;
        self.names.retain(|_| axis.next().is_none_or(|a| !axes.contains(&a)));
        self
    }

    /// Reduces the axes for which `needed` returns false by their sum.
    fn summed(mut self, needed: impl Fn(&Name) -> bool, at: CallSite) -> Factor {
        let axes: Vec<usize> = (0..self.names.len()).filter(|&a| !needed(&self.names[a])).collect();
        self.x = self.x.reduce_list(ReduceKind::Sum, &axes, false, at);
        self.names.retain(needed);
        self
    }

    /// Contracts all factors; sums over axes that `result` does not have.
    fn product(mut factors: Vec<Factor>, result: &[Name], at: CallSite) -> Result<Factor, Tensor> {
        for i in 0..factors.len() {
            let others: Vec<Name> = factors
                .iter()
                .enumerate()
                .filter(|(j, _)| *j != i)
                .flat_map(|(_, t)| t.names.clone())
                .collect();
            factors[i] =
                factors[i].clone().summed(|n| result.contains(n) || others.contains(n), at);
        }
        while let Some((i, j)) = cheapest(&factors, result) {
            let (b, a) = (factors.remove(j), factors.remove(i));
            let needed = needed(&factors, result);
            factors.push(a.times(&b, &needed, at)?);
        }
        factors
            .pop()
            .ok_or_else(|| Tensor::fail("einsum", "expected at least one operand, got none", at))
    }

    /// Contracts two factors; sums over common axes that are not in `needed`.
    fn times(&self, other: &Factor, needed: &[Name], at: CallSite) -> Result<Factor, Tensor> {
        let axes_of = |t: &Factor, names: &[Name]| {
            names.iter().filter_map(|n| t.names.iter().position(|m| m == n)).collect::<Vec<_>>()
        };
        let shared = self.names.iter().copied().filter(|n| other.names.contains(n));
        let (batch, over): (Vec<Name>, Vec<Name>) = shared.partition(|n| needed.contains(n));
        let pair = |names: &[Name]| [axes_of(self, names), axes_of(other, names)];
        let x = contract("einsum", &self.x, &other.x, pair(&batch), pair(&over), at)?;
        let rest = |t: &Factor| {
            t.names
                .iter()
                .copied()
                .filter(|n| !batch.contains(n) && !over.contains(n))
                .collect::<Vec<_>>()
        };
        let names = [&batch[..], &rest(self), &rest(other)].concat();
        Ok(Factor { x, names })
    }
}

/// Returns the names that the result or one of `factors` has.
fn needed(factors: &[Factor], result: &[Name]) -> Vec<Name> {
    factors.iter().flat_map(|t| t.names.iter()).chain(result).copied().collect()
}

/// Returns the two factors whose product is the smallest; the first of equals.
fn cheapest(factors: &[Factor], result: &[Name]) -> Option<(usize, usize)> {
    let pairs = (0..factors.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.min_by(|p, q| f64::total_cmp(&size(factors, *p, result), &size(factors, *q, result)))
}

/// Returns the number of elements of the product of factors `i` and `j`.
fn size(factors: &[Factor], (i, j): (usize, usize), result: &[Name]) -> f64 {
    let others = factors
        .iter()
        .enumerate()
        .filter(|(k, _)| *k != i && *k != j)
        .flat_map(|(_, t)| t.names.iter());
    let needed: Vec<&Name> = others.chain(result).collect();
    let of = |t: &Factor, skip: &[Name]| {
        let shape = t.x.shape();
        let kept = t
            .names
            .iter()
            .zip(shape.iter())
            .filter(|(n, _)| !skip.contains(n) && needed.contains(n));
        kept.map(|(_, &n)| n as f64).product::<f64>()
    };
    of(&factors[i], &[]) * of(&factors[j], &factors[i].names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn ints(formula: &str, xs: &[Tensor]) -> Vec<i32> {
        einsum(formula, xs).to_vec().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn formulas_are_numpys() {
        let a = Tensor::arange(6).reshape([2, 3]);
        let b = Tensor::arange(12).reshape([3, 4]);
        let v = tensor([1, 10, 100]);
        assert_eq!(ints("ij,jk", &[a.clone(), b.clone()]), [20, 23, 26, 29, 56, 68, 80, 92]);
        assert_eq!(ints("ij,jk->ki", &[a.clone(), b.clone()]), [20, 56, 23, 68, 26, 80, 29, 92]);
        assert_eq!(ints("ij->ji", std::slice::from_ref(&a)), [0, 3, 1, 4, 2, 5]);
        assert_eq!(ints("ba", std::slice::from_ref(&a)), [0, 3, 1, 4, 2, 5]);
        assert_eq!(ints("ij->", std::slice::from_ref(&a)), [15]);
        assert_eq!(ints("i,i", &[v.clone(), v.clone()]), [10101]);
        assert_eq!(ints("i,j->ij", &[tensor([1, 2]), v.clone()]), [1, 10, 100, 2, 20, 200]);
        assert_eq!(ints("ij,j->ij", &[a.clone(), v.clone()]), [0, 10, 200, 3, 40, 500]);
        assert_eq!(ints("ii->i", &[b.slice(1, ..3)]), [0, 5, 10]);
        assert_eq!(ints("iij->j", &[Tensor::arange(8).reshape([2, 2, 2])]), [6, 8]);
        assert_eq!(ints("iii", &[Tensor::arange(8).reshape([2, 2, 2])]), [7]);
        // a [2, 3], b [3, 4], ones [4]: the rows of a b summed.
        assert_eq!(
            ints("ij,jk,k->i", &[a.clone(), b.clone(), Tensor::ones_of(I32, [4])]),
            [98, 296]
        );
        assert_eq!(ints(" i j , k -> i ", &[a.clone(), tensor([1, 1])]), [6, 24]);
    }

    #[test]
    fn an_ellipsis_broadcasts() {
        let x = Tensor::arange(8).reshape([2, 2, 2]);
        assert_eq!(ints("...ij->...ji", std::slice::from_ref(&x)), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(ints("...i,...i", &[x.clone(), tensor([1, 10])]), [10, 32, 54, 76]);
        assert_eq!(
            ints("...i,...i->...", &[x.clone(), tensor([[[1, 10]], [[0, 1]]])]),
            [10, 32, 5, 7]
        );
        assert_eq!(ints("i...->...", std::slice::from_ref(&x)), [4, 6, 8, 10]);
        assert_eq!(ints("...,...", &[tensor(3), tensor(4)]), [12]);
        assert_eq!(
            einsum("...i,...j", [&Tensor::ones([1, 2]), &Tensor::ones([1, 3])]).shape(),
            [1, 2, 3]
        );
    }

    #[test]
    fn wrong_formulas_say_what_is_wrong() {
        let x = Tensor::ones([2, 3]);
        let why = |formula: &str, n: usize| {
            einsum(formula, vec![&x; n]).ok().err().map(|e| e.to_string()).unwrap_or_default()
        };
        for (formula, n, say) in [
            ("ij,jk", 2, "axis j has sizes 3 and 2"),
            ("ij->k", 1, "the result has axis k, which no operand has"),
            ("ijk", 1, "`ijk` names 3 axes of an operand of rank 2"),
            ("ij", 2, "expected 1 operands, got 2"),
            ("i1", 1, "expected letters as axis names, got `1`"),
            ("ij->ii", 1, "the result has axis i twice"),
            ("...j->j", 1, "an operand has ..., but the result does not"),
            ("", 1, "names 0 axes"),
            ("ii", 1, "axis i has sizes 2 and 3"),
        ] {
            assert!(why(formula, n).contains(say), "{formula}: {}", why(formula, n));
        }
    }
}

//! Choices among several tensors and functions.

use super::common::{cloned, located, promote_operands, tensor_or_error};
use crate::{DType, Operand, Tensor, dispatch::common_shape, stack};
use std::{borrow::Borrow, panic::Location};

/// Selects, element by element, the choice of the first condition that is true, and `default` where
/// none is.
///
/// Conditions and choices broadcast; dtypes of choices are promoted. [`Tensor::select`] and
/// [`crate::where_`] have one condition. Follows `jax.numpy.select`.
///
/// # Errors
///
/// The result carries an error if there is not one choice for each condition, or none at all, or if
/// shapes do not broadcast.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::arange(5);
/// let y = select_first([x.lt(2), x.gt(3)], [&x, &(&x * 10)], -1);
/// assert_eq!(y.to_vec::<i32>()?, [0, 1, -1, -1, 40]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn select_first<C: Borrow<Tensor>, T: Borrow<Tensor>>(
    conditions: impl IntoIterator<Item = C>,
    choices: impl IntoIterator<Item = T>,
    default: impl Operand,
) -> Tensor {
    let (op, at) = ("select_first", Location::caller());
    let (conditions, mut choices) = (cloned(conditions), cloned(choices));
    let count = choices.len();
    if conditions.is_empty() || conditions.len() != count {
        let why = format!(
            "expected one choice for each condition, at least one, got {} conditions and {count} \
             choices",
            conditions.len()
        );
        return Tensor::fail(op, why, at);
    }
    choices.push(default.operand(&choices[0]));
    let mut all = match promote_operands(op, &choices, at) {
        Ok(all) => all,
        Err(e) => return e,
    };
    let mut y = all.remove(count);
    for (condition, choice) in conditions.iter().zip(&all).rev() {
        y = condition.convert(DType::Bool, at).select(choice, y);
    }
    y
}

impl Tensor {
    /// Selects, element by element, from `choices`: the one at the index in `self`, integers.
    ///
    /// All tensors broadcast; dtypes of choices are promoted. Indices out of range are clamped:
    /// JAX's mode `clip`; take `x.remainder(n)` first for its mode `wrap`. Follows
    /// `jax.numpy.choose`.
    ///
    /// # Errors
    ///
    /// The result carries an error if `self` is not of integers, or if there is no choice.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let y = tensor([0, 1, 2]).choose([tensor([1, 2, 3]), tensor(10), tensor(20)]);
    /// assert_eq!(y.to_vec::<i32>()?, [1, 10, 20]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn choose<T: Borrow<Tensor>>(&self, choices: impl IntoIterator<Item = T>) -> Tensor {
        tensor_or_error(self.try_choose(&cloned(choices)))
    }

    #[track_caller]
    fn try_choose(&self, choices: &[Tensor]) -> Result<Tensor, Tensor> {
        let (op, at) = ("choose", Location::caller());
        let index = self.integers(op, at)?;
        if choices.is_empty() {
            return Err(Tensor::fail(op, "expected at least one choice, got none", at));
        }
        let choices = promote_operands(op, choices, at)?;
        let mut types = vec![index.type_or_error()?.clone()];
        for choice in &choices {
            types.push(choice.type_or_error()?.clone());
        }
        let shape = common_shape(op, &types).map_err(|e| Tensor::error_at(e, at))?;
        let mut all = vec![];
        for choice in &choices {
            all.push(choice.broadcast_to(&shape));
        }
        let index = index.clip(0, all.len() - 1).broadcast_to(&shape).expand_dims(0);
        Ok(stack(all, 0).take_along_axis(&index, 0).squeeze(0))
    }

    /// Computes another function for each part of the tensor: `functions[i]` where `conditions[i]`
    /// is true, the last such `i`; where none is, the function after those of the conditions, or 0
    /// if there is none.
    ///
    /// Every function is called with the whole tensor, and the conditions select from the results,
    /// which are converted to the dtype of the tensor. Follows `jax.numpy.piecewise`.
    ///
    /// # Errors
    ///
    /// The result carries an error if there is not one function for each condition, or one more.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let x = tensor([-2.0, 0.5, 3.0]);
    /// let y = x.piecewise([x.lt(0), x.gt(1)], &[&|x| -x, &|x| x * 10.0, &|x| x * x]);
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 0.25, 30.0]);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn piecewise<T: Borrow<Tensor>>(
        &self,
        conditions: impl IntoIterator<Item = T>,
        functions: &[&dyn Fn(&Tensor) -> Tensor],
    ) -> Tensor {
        let at = Location::caller();
        let conditions = cloned(conditions);
        let n = conditions.len();
        if functions.len() != n && functions.len() != n + 1 {
            let why = format!(
                "expected {n} or {} functions for {n} conditions, got {}",
                n + 1,
                functions.len()
            );
            return Tensor::fail("piecewise", why, at);
        }
        let of = |f: &dyn Fn(&Tensor) -> Tensor| f(self).convert(self.dtype(), at);
        let mut y = functions.get(n).map_or_else(|| self.zeros_like(), |f| of(f));
        for (condition, f) in conditions.iter().zip(functions) {
            y = condition.convert(DType::Bool, at).select(of(f), y);
        }
        y
    }

    /// Tests if the tensors broadcast to one shape and have the same elements: a bool scalar.
    ///
    /// [`Tensor::array_equal`] asks for one shape. Follows `jax.numpy.array_equiv`.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// assert_eq!(tensor([[2, 2], [2, 2]]).array_equiv(2).item()?, 1.0);
    /// assert_eq!(tensor([2, 2]).array_equiv(tensor([2, 2, 2])).item()?, 0.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn array_equiv(&self, other: impl Operand) -> Tensor {
        let at = Location::caller();
        if other.number().is_some() {
            return self.equal(other).all(..);
        }
        let other = other.operand(self);
        let test = || {
            let types = [self.type_or_error()?.clone(), other.type_or_error()?.clone()];
            match common_shape("array_equiv", &types) {
                Ok(_) => Ok(self.equal(&other).all(..)),
                Err(_) => Ok(Tensor::scalar(DType::Bool, false)),
            }
        };
        located(at, &[self, &other], || tensor_or_error(test()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn the_first_condition_counts_in_select_the_last_in_piecewise() {
        let x = tensor([1.0, 2.0, 3.0]);
        let (any, large) = (x.gt(0), x.gt(2));
        let y = select_first([&any, &large], [tensor(1.0), tensor(2.0)], 0);
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0]);
        let y = x.piecewise([&any, &large], &[&|_| tensor(1.0), &|_| tensor(2.0)]);
        assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 1.0, 2.0]);
        let y = select_first([&large], [tensor(7)], 0.5);
        assert_eq!(y.to_vec::<f32>().unwrap(), [0.5, 0.5, 7.0]);
    }

    #[test]
    fn indices_of_choices_are_clamped() {
        let y = tensor([[-1], [9]]).choose([tensor([1, 2]), tensor([3, 4])]);
        assert_eq!(y.to_vec::<i32>().unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn misuse_is_an_error() {
        let say = |x: Tensor| x.error().unwrap().to_string();
        let x = tensor([1, 2]);
        let none: [Tensor; 0] = [];
        assert!(say(select_first(&none, &none, 0)).contains("0 conditions and 0 choices"));
        assert!(say(select_first([x.gt(0)], &none, 0)).contains("1 conditions and 0 choices"));
        assert!(say(x.choose(&none)).contains("at least one choice"));
        assert!(say(tensor([0.5]).choose([&x])).contains("expected integers"));
        assert!(say(x.piecewise([x.gt(0)], &[])).contains("1 or 2 functions for 1 conditions"));
        assert!(x.array_equiv(Tensor::zeros([3]) + Tensor::zeros([2])).error().is_some());
    }
}

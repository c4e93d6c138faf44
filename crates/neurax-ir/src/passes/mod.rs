//! Passes: functions from graphs to equivalent, cheaper graphs. [`PIPELINE`] lists them in order.
//!
//! A pass keeps the signature and the value of the graph, bit for bit; every NaN counts as equal.
//! It returns `None` if it changes nothing, which ends the pipeline without comparing graphs.
//! [`inference`], [`recognize`], [`fold_batch_norms`], [`channels_last`], [`integer_products`],
//! [`lookup_tables`], [`packed_products`] and [`freeze`] are no steps of the pipeline: they keep
//! the value but for rounding, and the last six need to know which inputs are constant.

mod channels_last;
mod constant_facts;
mod cse;
mod dce;
mod discard_rules;
mod elementwise;
mod fold;
mod freeze;
mod hoist;
mod inference;
mod integer_products;
mod lookup_tables;
mod packed_products;
mod pipeline;
mod replace;
mod rewriter;
mod simplify;

pub use channels_last::channels_last;
pub use cse::cse;
pub use dce::dce;
pub use discard_rules::discard_rules;
pub use fold::fold;
pub use freeze::{FrozenGraph, fold_batch_norms, freeze, freeze_where};
pub use hoist::hoist;
pub use inference::{RewrittenGraph, inference, recognize};
pub use integer_products::integer_products;
pub use lookup_tables::lookup_tables;
pub use packed_products::packed_products;
pub use pipeline::{PIPELINE, PassStep, optimize};
pub use simplify::simplify;

#[cfg(test)]
mod tests {
    use crate::{Graph, Literal, Type, transform, verify, with_compute};

    /// Asserts that both graphs verify and return the same values for `args`, bit for bit; every
    /// NaN counts as equal.
    pub fn same_value(a: &Graph, b: &Graph, args: Vec<Literal>) {
        verify(a).unwrap();
        verify(b).unwrap();
        let (x, y) = (transform::eval(a, args.clone()).unwrap(), transform::eval(b, args).unwrap());
        assert!(x.iter().map(elements).eq(y.iter().map(elements)), "\n{a}\n{b}\n{x:?}\n{y:?}");
    }

    fn elements(x: &Literal) -> (Type, Vec<String>) {
        let all = with_compute!(any x.dtype(), C => {
            x.load::<C>().iter().map(|x| format!("{x:?}")).collect()
        });
        (x.ty().clone(), all)
    }
}

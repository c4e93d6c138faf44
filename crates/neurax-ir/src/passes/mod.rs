//! Passes: they keep the function and make it cheaper. Each is `Graph -> Graph`; [`PIPELINE`] names
//! their order.

mod cse;
mod dce;
mod fold;
mod hoist;
mod pipeline;
mod rewriter;
mod simplify;

pub use cse::cse;
pub use dce::dce;
pub use fold::fold;
pub use hoist::hoist;
pub use pipeline::{PIPELINE, Step, optimise};
pub use simplify::simplify;

#[cfg(test)]
mod tests {
    use crate::{Graph, Literal, Type, transform, verify, with_compute};

    /// Both graphs verify, and give the same for those arguments: the same bits, but that every NaN
    /// is alike.
    pub fn same_value(a: &Graph, b: &Graph, args: Vec<Literal>) {
        verify(a).unwrap();
        verify(b).unwrap();
        let (x, y) = (transform::eval(a, args.clone()).unwrap(), transform::eval(b, args).unwrap());
        assert!(x.iter().map(numbers).eq(y.iter().map(numbers)), "\n{a}\n{b}\n{x:?}\n{y:?}");
    }

    fn numbers(x: &Literal) -> (Type, Vec<String>) {
        let all = with_compute!(any x.dtype(), C => x.load::<C>().iter().map(|x| format!("{x:?}")).collect());
        (x.ty().clone(), all)
    }
}

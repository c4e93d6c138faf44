//! Passes: they keep the function and make it cheaper. Each is `Graph -> Graph`; [`PIPELINE`] names their order.

mod cse;
mod dce;
mod fold;
mod hoist;
mod pipeline;
mod rewriter;
mod simplify;

pub use cse::cse;
pub use dce::{dce, needed_inputs, restricted};
pub use fold::fold;
pub use hoist::hoist;
pub use pipeline::{PIPELINE, Step, optimise};
pub use simplify::simplify;

#[cfg(test)]
mod tests {
    use crate::{Graph, Literal, transform, verify};

    /// Both graphs verify, and give the same bits for those arguments.
    pub fn same_value(a: &Graph, b: &Graph, args: Vec<Literal>) {
        verify(a).unwrap();
        verify(b).unwrap();
        assert_eq!(transform::eval(a, args.clone()).unwrap(), transform::eval(b, args).unwrap(), "\n{a}\n{b}");
    }
}
